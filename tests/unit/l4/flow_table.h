/* A flow table of a few targets, for the tests of it: what they fill it with, and what must be right about its numbers. */
#ifndef UNIT_L4_FLOW_TABLE_H
#define UNIT_L4_FLOW_TABLE_H

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "l4/flow.h"
#include "support/cmocka.h"

#define TARGETS 16
#define SERVICES 4

static struct l4_target *targets;
static struct l4_target_use *use;
static struct l4_flows *flows;

static inline int
setup(void **state)
{
	targets = calloc(L4_TARGETS_MAX, sizeof(*targets));
	use = calloc(L4_TARGETS_MAX, sizeof(*use));
	assert_non_null(targets);
	assert_non_null(use);
	for (uint16_t i = 1; i <= TARGETS; i++)
		targets[i] = (struct l4_target){
			.server = { .ip = ip_address_from_v4(htonl(0x0a000200u + i)), .port_be = htons(8000) },
			.local = ip_address_from_v4(htonl(0x0a000201)),
			.service_id = (uint16_t)(1 + i % SERVICES),
			.ip_protocol = IPPROTO_TCP,
			.timeout_s = 600,
		};
	return 0;
}

static inline int
teardown(void **state)
{
	free(targets);
	free(use);
	return 0;
}

static inline void
table_new(uint64_t count)
{
	memset(use, 0, L4_TARGETS_MAX * sizeof(*use));
	flows = l4_flows_new(count, targets, use);
	assert_non_null(flows);
}

static inline void
table_free(void)
{
	l4_flows_free(flows);
	flows = NULL;
}

static inline struct l4_flows_usage
usage(void)
{
	struct l4_flows_usage u;

	l4_flows_usage(flows, &u);
	return u;
}

static inline uint64_t
counted(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < L4_TARGETS_MAX; i++)
		sum += use[i].flows;
	return sum;
}

/* Number `i` as a client of target `target`'s service, under a hash of the test's choice. */
static inline struct l4_flow_key
key_of(uint32_t i, uint16_t target, uint32_t hash)
{
	return (struct l4_flow_key){ .client = ip_address_from_v4(htonl(0xc6000000u + i / 4)),
				     .client_port_be = htons((uint16_t)(1024 + i % 4)),
				     .service_port_be = htons(80),
				     .service_id = targets[target].service_id,
				     .hash = hash };
}

static inline struct l4_flow
model_of(const struct l4_flow_key *key, uint16_t target, enum l4_flow_state flow_state)
{
	return (struct l4_flow){ .client = key->client,
				 .client_port_be = key->client_port_be,
				 .service_port_be = key->service_port_be,
				 .target = target,
				 .bits = flow_state };
}

static inline struct l4_flow *
insert(const struct l4_flow_key *key, uint16_t target, enum l4_flow_state flow_state, uint16_t now_s)
{
	struct l4_flow model = model_of(key, target, flow_state);

	return l4_flow_insert(flows, key->hash, &model, now_s);
}

static inline uint32_t
hash_of(uint32_t i)
{
	return (uint32_t)(hash_mix64(i + 12345) >> 32);
}

#endif
