/*
 * The shape of addresses and endpoints, by itself: for both compilers, C's and BPF's, so without a C library. What can be
 * done with them is in base/address.h.
 */
#ifndef BASE_IP_ADDRESS_H
#define BASE_IP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ip_address {
	union {
		uint8_t bytes[16];
		uint32_t words_be[4];
		uint64_t halves[2];
	};
};

struct endpoint {
	struct ip_address ip;
	uint16_t port_be;
};

static inline bool
ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

#endif
