/* The ways to a server that there are, one file each; forwarders.c lists them. Of this room alone. */
#ifndef L4_FORWARD_FORWARDERS_H
#define L4_FORWARD_FORWARDERS_H

#include "l4/forward.h"

extern const struct l4_forwarder l4_full_nat, l4_nat, l4_dsr, l4_ipip, l4_gue;

#endif
