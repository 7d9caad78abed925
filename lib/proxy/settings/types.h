/*
 * `types { }`: from the extension of a path to a media type, as for the text of `return`. Built by control.
 */
#ifndef PROXY_TYPES_H
#define PROXY_TYPES_H

#include "base/arena.h"
#include "base/bytes.h"

struct proxy_types;

struct proxy_types *proxy_types_new(struct arena *arena);
/* The later of two types for one extension holds. */
void proxy_types_add(struct proxy_types *types, struct bytes extension, struct bytes type);
/* By what follows the last dot of the last path segment, ignoring case; `fallback` when there is none. */
struct bytes proxy_types_of(const struct proxy_types *types, struct bytes path, struct bytes fallback);

#endif
