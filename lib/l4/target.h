/*
 * Targets: a server of a service, reached in one way. A flow is bound to a target by number and keeps it, whatever becomes
 * of the configuration meanwhile: a target that no configuration names any more lives until its last flow has ended.
 *
 * Control fills a target before it tells lcores its number, and changes nothing afterwards; any lcore reads. What an lcore
 * counts about a target is its own (struct l4_target_use of xdp/forward.h).
 */
#ifndef L4_TARGET_H
#define L4_TARGET_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "xdp/forward.h" /* struct l4_target_use */

struct l4_forwarder;

/* Numbers are below this; 0 is none. */
#define L4_TARGETS_MAX XDP_TARGETS
#define L4_TARGET_NONE 0

enum l4_option {
	L4_OPTION_TOA = 1 << 0,            /* full_nat, TCP: the client's address in a TCP option */
	L4_OPTION_PROXY_PROTOCOL = 1 << 1, /* full_nat, TCP: in front of the first data, version 2 */
	L4_OPTION_MSS_CLAMP = 1 << 2,      /* SYN: no larger MSS than fits the way to the server */
};

/* Two cache lines: what every packet needs, then what new flows and errors need. */
struct l4_target {
	const struct l4_forwarder *forwarder; /* NULL: the number is free */
	struct endpoint server;               /* port 0: the packet's own (services of several ports) */
	struct ip_address local;              /* full_nat: our address towards the server; tunnels: the outer source */
	uint16_t service_id; /* of the service's number (service.h), which is as lasting as the target's */
	uint8_t ip_protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t options;     /* enum l4_option */
	uint32_t timeout_s;  /* an established or UDP flow that says nothing ends */

	struct endpoint vip __attribute__((aligned(64))); /* the service's address; port 0: several */
	uint16_t gue_port_be;                             /* gue */
	uint16_t mss_max;                                 /* with L4_OPTION_MSS_CLAMP; 0: by the hop's MTU */
};

static_assert(sizeof(struct l4_target) == 128, "two cache lines per target");

#endif
