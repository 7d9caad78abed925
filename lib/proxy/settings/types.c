#include <xxhash.h>

#include "proxy/settings/types.h"

#define EXTENSION_MAX 32

struct type_row {
	struct bytes extension, type;
	struct type_row *next;
};

#define BUCKETS 256

struct proxy_types {
	struct arena *arena;
	struct type_row *buckets[BUCKETS];
};

struct proxy_types *
proxy_types_new(struct arena *arena)
{
	struct proxy_types *types = arena_alloc(arena, sizeof(*types));

	types->arena = arena;
	return types;
}

static struct type_row **
find(const struct proxy_types *types, struct bytes extension)
{
	struct type_row *const *row = &types->buckets[XXH3_64bits(extension.data, extension.len) % BUCKETS];

	while (*row && !bytes_equal((*row)->extension, extension))
		row = &(*row)->next;
	return (struct type_row **)(uintptr_t)row;
}

void
proxy_types_add(struct proxy_types *types, struct bytes extension, struct bytes type)
{
	uint8_t buffer[EXTENSION_MAX];
	struct type_row **row;

	if (extension.len > EXTENSION_MAX)
		return;
	extension = bytes_lower(extension, buffer);
	row = find(types, extension);
	if (!*row) {
		*row = arena_alloc(types->arena, sizeof(**row));
		(*row)->extension = arena_copy(types->arena, extension);
	}
	(*row)->type = type;
}

struct bytes
proxy_types_of(const struct proxy_types *types, struct bytes path, struct bytes fallback)
{
	uint8_t buffer[EXTENSION_MAX];
	const struct type_row *row;

	for (size_t i = path.len; i-- > 0 && path.data[i] != '/';) {
		if (path.data[i] != '.')
			continue;
		if (path.len - i - 1 > EXTENSION_MAX)
			return fallback;
		row = *find(types, bytes_lower(bytes_from(path, i + 1), buffer));
		return row ? row->type : fallback;
	}
	return fallback;
}
