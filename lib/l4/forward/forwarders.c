#include "l4/forward/forwarders.h"

#include <string.h>

const struct l4_forwarder *const l4_forwarders[] = { &l4_full_nat, &l4_nat, &l4_dsr, &l4_ipip, &l4_gue, NULL };

const struct l4_forwarder *
l4_forwarder_find(const char *name, size_t len)
{
	for (const struct l4_forwarder *const *at = l4_forwarders; *at; at++)
		if (strlen((*at)->name) == len && memcmp((*at)->name, name, len) == 0)
			return *at;
	return NULL;
}
