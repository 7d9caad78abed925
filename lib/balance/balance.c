#include <string.h>

#include "balance/internal.h"

const struct balance_method *const balance_methods[] = {
	&balance_round_robin,
	&balance_least_conn,
	&balance_ip_hash,
	&balance_hash,
	&balance_random,
	&balance_maglev,
	NULL,
};

const struct balance_method *
balance_method_find(const char *name, size_t len)
{
	for (const struct balance_method *const *method = balance_methods; *method; method++)
		if (strlen((*method)->name) == len && memcmp((*method)->name, name, len) == 0)
			return *method;
	return NULL;
}
