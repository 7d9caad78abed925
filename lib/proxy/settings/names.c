#include "proxy/settings/names.h"

#include <xxhash.h>

static struct proxy_name_slot *
slot_of(const struct proxy_name_hash *hash, struct bytes name)
{
	uint32_t i = (uint32_t)XXH3_64bits(name.data, name.len) & hash->mask;

	while (hash->slots[i].value && !bytes_equal(hash->slots[i].name, name))
		i = (i + 1) & hash->mask;
	return &hash->slots[i];
}

static const void *
find(const struct proxy_name_hash *hash, struct bytes name)
{
	return hash->count ? slot_of(hash, name)->value : NULL;
}

static void
hash_init(struct arena *arena, struct proxy_name_hash *hash, uint32_t count)
{
	uint32_t size = 4;

	while (size < count * 2 + 1)
		size *= 2;
	hash->slots = arena_alloc(arena, size * sizeof(*hash->slots));
	hash->mask = size - 1;
}

void
proxy_names_init(struct arena *arena, struct proxy_names *names, uint32_t count)
{
	hash_init(arena, &names->exact, count);
	hash_init(arena, &names->head, count);
	hash_init(arena, &names->tail, count);
}

const void *
proxy_name_insert(struct proxy_name_hash *hash, struct bytes name, const void *value)
{
	struct proxy_name_slot *slot = slot_of(hash, name);

	if (slot->value)
		return slot->value;
	*slot = (struct proxy_name_slot){ name, value };
	hash->count++;
	return NULL;
}

static const void *
find_head(const struct proxy_name_hash *hash, struct bytes host)
{
	const void *value = NULL;

	/* The longest first: cut one label after the other from the front. */
	for (ptrdiff_t dot; !value && (dot = bytes_index(host, '.')) >= 0;) {
		host = bytes_from(host, (size_t)dot + 1);
		value = find(hash, host);
	}
	return value;
}

static const void *
find_tail(const struct proxy_name_hash *hash, struct bytes host)
{
	for (size_t len = host.len; len-- > 0;) {
		const void *value;

		if (host.data[len] != '.')
			continue;
		value = find(hash, bytes_of(host.data, len));
		if (value)
			return value;
	}
	return NULL;
}

const void *
proxy_names_find(const struct proxy_names *names, struct bytes host)
{
	const void *value = find(&names->exact, host);

	if (!value && names->head.count)
		value = find_head(&names->head, host);
	if (!value && names->tail.count)
		value = find_tail(&names->tail, host);
	return value;
}
