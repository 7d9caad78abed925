/*
 * IP addresses and endpoints in one shape for both versions.
 *
 * An IPv4 address is held IPv4-mapped (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so every table and comparison has one
 * code path. Ports are in network order. Pure functions, any thread; parsing and printing do not allocate.
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/ip_address.h"

/* Room for "[v6]:port" and the terminator. */
#define ENDPOINT_TEXT_MAX 56

static inline struct ip_address
ip_address_from_v4(uint32_t v4_be)
{
	struct ip_address a = { .words_be = { 0, 0, htonl(0xffff), v4_be } };
	return a;
}

static inline struct ip_address
ip_address_from_v6(const void *sixteen_bytes)
{
	struct ip_address a;
	memcpy(a.bytes, sixteen_bytes, 16);
	return a;
}

static inline bool
ip_address_is_v4(const struct ip_address *a)
{
	return a->halves[0] == 0 && a->words_be[2] == htonl(0xffff);
}

static inline uint32_t
ip_address_v4_be(const struct ip_address *a)
{
	return a->words_be[3];
}

/* 0.0.0.0 and ::, the wildcards of `listen`. */
static inline bool
ip_address_is_any(const struct ip_address *a)
{
	return a->halves[0] == 0 && (a->halves[1] == 0 || (a->words_be[2] == htonl(0xffff) && a->words_be[3] == 0));
}

/* 127.0.0.0/8 and ::1. */
bool ip_address_is_loopback(const struct ip_address *a);

static inline bool
endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port_be == b->port_be && ip_address_equal(&a->ip, &b->ip);
}

/* Dotted quad, or IPv6 with or without brackets. 0 or -EINVAL. */
int ip_address_parse(struct bytes text, struct ip_address *out);

/* "A.B.C.D", "A.B.C.D:PORT", "[V6]", "[V6]:PORT"; default_port (host order) where none is written. 0 or -EINVAL. */
int endpoint_parse(struct bytes text, uint16_t default_port, struct endpoint *out);

/* nginx's form: 127.0.0.1 or the bare IPv6 text. Returns the length written, without the terminator. */
size_t ip_address_format(const struct ip_address *a, char *out, size_t size);

/* "127.0.0.1:80" or "[::1]:80". Returns the length written, without the terminator. */
size_t endpoint_format(const struct endpoint *e, char *out, size_t size);

/* IPv4 becomes sockaddr_in, IPv6 sockaddr_in6. Returns the length used in `out`. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out);
int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out);

#endif
