/* DPDK's environment (EAL), started to fit the configuration. */
#ifndef WEIR_EAL_H
#define WEIR_EAL_H

#include <stddef.h>

#include "config/config.h"

/* Hugepages where enough are free, else ordinary memory. `extra` are the user's arguments behind "--" (extra[0] is the
 * program's name); they come last, so they win. 0 or -errno with a reason. */
int eal_start(struct config *config, int extra_count, char **extra, char *error, size_t size);
void eal_stop(void);

#endif
