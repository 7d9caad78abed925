/*
 * Tables of host names with wildcards, as nginx looks them up: exact, the longest "*." before, the longest ".*" behind. Shared by
 * virtual hosts and `map`.
 *
 * Built by control, in an arena; looked up by lcores. Names are in lower case, and what is looked up must be.
 */
#ifndef PROXY_NAMES_H
#define PROXY_NAMES_H

#include "base/arena.h"
#include "base/bytes.h"

/* One open-addressed table per kind of name: the kinds are looked up in turn, so "a.b" may be in several. */
struct proxy_name_hash {
	struct proxy_name_slot *slots;
	uint32_t mask;
	uint32_t count;
};

struct proxy_name_slot {
	struct bytes name;
	const void *value; /* NULL: empty */
};

struct proxy_names {
	struct proxy_name_hash exact, head, tail; /* wildcards without "*." or ".*" */
};

/* Room for so many names of each kind. */
void proxy_names_init(struct arena *arena, struct proxy_names *names, uint32_t count);
/* What the name has already, or NULL when it was added. */
const void *proxy_name_insert(struct proxy_name_hash *hash, struct bytes name, const void *value);
/* NULL: none fits. */
const void *proxy_names_find(const struct proxy_names *names, struct bytes host);

#endif
