/*
 * Who the client is when others speak for it: `set_real_ip_from`, `real_ip_header`, `real_ip_recursive`.
 *
 * Settings are built by control, in the configuration's arena, for every context of http and stream; lcores ask. An address is
 * believed only when it is said by one that `set_real_ip_from` names.
 *
 * Source: nginx's realip modules, as documented and observed.
 */
#ifndef PROXY_REAL_IP_H
#define PROXY_REAL_IP_H

#include "base/address.h"
#include "config/config.h"

extern struct config_module proxy_real_ip_module;

enum proxy_real_ip_kind {
	PROXY_REAL_IP_FIELD,          /* the first field of that name, of which X-Real-IP is one */
	PROXY_REAL_IP_FORWARDED_FOR,  /* all fields X-Forwarded-For, from the last address on */
	PROXY_REAL_IP_PROXY_PROTOCOL, /* what the connection began with */
};

struct proxy_network {
	struct ip_address address;
	uint8_t prefix_len; /* of the 128 bits */
};

struct proxy_real_ip {
	struct proxy_network *networks;
	size_t network_count, network_space; /* 0: none at this level, the outer one's are inherited */
	int kind;                            /* enum proxy_real_ip_kind */
	struct bytes field;
	int recursive;
};

bool proxy_real_ip_trusts(const struct proxy_real_ip *settings, const struct ip_address *address);

enum proxy_real_ip_result {
	PROXY_REAL_IP_KEPT,  /* the sender is not trusted, or says nothing that is an address */
	PROXY_REAL_IP_TAKEN, /* *client is who was named */
	PROXY_REAL_IP_FIRST, /* the same, and with `recursive` all of the list were trusted so far: what stands before it counts */
};

/* A list of addresses, the nearest last: the last one, or with `recursive` the last that is not trusted. *client is who sent
 * the list, and then who it really comes from. */
enum proxy_real_ip_result proxy_real_ip_walk(const struct proxy_real_ip *settings, struct bytes list,
					     struct endpoint *client);

struct proxy_exchange;
/* For a request: exchange->remote is the real client from now on, if it is told by whom the settings of exchange->location name.
 * Once per request; what was found stays. */
void proxy_real_ip_apply(struct proxy_exchange *exchange);

#endif
