/* What topology.c (ports) and topology_xdp.c (the XDP program) have in common. */
#ifndef WEIR_TOPOLOGY_INTERNAL_H
#define WEIR_TOPOLOGY_INTERNAL_H

#include "weir/topology.h"

/* Puts the reason into topology->error. Returns `code`. */
int topology_fail(struct topology *topology, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Loads the program and registers its counters; `forwarding` NULL: it forwards nothing. 0 or -errno, the reason in
 * topology->error. */
int topology_program_load(struct topology *topology, struct xdp_forwarding *forwarding);
/* Nothing is left of it, pinned or not. After the ports. */
void topology_program_free(struct topology *topology);

#endif
