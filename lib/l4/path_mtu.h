/*
 * What an lcore has learnt from ICMP errors about tunnels' packets: the path MTU towards a target, of the outer packet
 * (RFC 1191, RFC 8201). A bounded table without allocation; one that is lost is learnt again from the next error.
 */
#ifndef L4_PATH_MTU_H
#define L4_PATH_MTU_H

#include <stdint.h>

#include "l4/target.h"

#define L4_PATH_MTU_SETS 256
#define L4_PATH_MTU_WAYS 4
#define L4_PATH_MTU_NONE UINT16_MAX

struct l4_path_mtu {
	uint64_t end_ns; /* as learnt, it is believed until then */
	uint32_t target; /* L4_TARGET_NONE: free */
	uint32_t mtu;
};

struct l4_path_mtus {
	struct l4_path_mtu places[L4_PATH_MTU_SETS][L4_PATH_MTU_WAYS];
	uint64_t first_end_ns; /* when one has to go; UINT64_MAX: there is none */
	uint16_t least;        /* of all that are known, L4_PATH_MTU_NONE without */
};

void l4_path_mtus_init(struct l4_path_mtus *paths);
/* Never raises what is known (RFC 8201 section 4). In a full set, the one that ends first makes room. */
void l4_path_mtu_learn(struct l4_path_mtus *paths, uint32_t target, uint16_t mtu, uint64_t now_ns);
/* L4_PATH_MTU_NONE when nothing is known. */
uint16_t l4_path_mtu_find(const struct l4_path_mtus *paths, uint32_t target, uint64_t now_ns);
void l4_path_mtu_forget(struct l4_path_mtus *paths, uint32_t target);
/* Forgets what has ended. Once per round. */
void l4_path_mtus_expire(struct l4_path_mtus *paths, uint64_t now_ns);

#endif
