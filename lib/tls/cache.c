#include "tls/cache.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ID_MAX 32
#define WAYS 4
#define HOLD_TRIES 200 /* a copy takes less */

struct slot {
	uint32_t expires_s; /* 0: empty */
	uint16_t len;
	uint8_t id_len;
	uint8_t id[ID_MAX];
	uint8_t data[];
};

/* Buckets of WAYS slots of one size. */
struct table {
	uint8_t *memory;
	size_t bytes, slot_size, bucket_count;
	bool *held; /* by bucket */
};

struct tls_cache {
	struct tls_cache *next;
	uint8_t *name;
	size_t name_len, size;
	unsigned int users;
	struct table small, large;
};

/* Control's alone. */
static struct tls_cache *caches;

static int
table_init(struct table *t, size_t slot_size, size_t bytes)
{
	t->slot_size = slot_size;
	t->bucket_count = bytes / (slot_size * WAYS);
	t->bucket_count += t->bucket_count == 0;
	t->bytes = t->bucket_count * slot_size * WAYS;
	/* Reserved, and touched as it fills. */
	t->memory = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->memory == MAP_FAILED)
		t->memory = NULL;
	t->held = calloc(t->bucket_count, sizeof(*t->held));
	return t->memory && t->held ? 0 : -1;
}

static void
table_fini(struct table *t)
{
	if (t->memory) {
		OPENSSL_cleanse(t->memory, t->bytes);
		munmap(t->memory, t->bytes);
	}
	free(t->held);
}

static void
cache_free(struct tls_cache *cache)
{
	table_fini(&cache->small);
	table_fini(&cache->large);
	free(cache->name);
	free(cache);
}

struct tls_cache *
tls_cache_get(struct bytes name, size_t size)
{
	struct tls_cache *cache;

	for (cache = caches; name.len && cache; cache = cache->next)
		if (cache->size == size && bytes_equal(bytes_of(cache->name, cache->name_len), name)) {
			cache->users++;
			return cache;
		}
	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return NULL;
	cache->name = malloc(name.len + 1);
	if (!cache->name || table_init(&cache->small, sizeof(struct slot) + 240, size - size / 4) < 0 ||
	    table_init(&cache->large, sizeof(struct slot) + TLS_CACHE_SESSION_MAX, size / 4) < 0) {
		cache_free(cache);
		return NULL;
	}
	if (name.len)
		memcpy(cache->name, name.data, name.len);
	cache->name_len = name.len;
	cache->size = size;
	cache->users = 1;
	cache->next = caches;
	caches = cache;
	return cache;
}

void
tls_cache_put(struct tls_cache *cache)
{
	struct tls_cache **link = &caches;

	if (!cache || --cache->users > 0)
		return;
	while (*link != cache)
		link = &(*link)->next;
	*link = cache->next;
	cache_free(cache);
}

/* ---- lcores ---- */

/* Numbers of sessions are random: their first bytes say the bucket. */
static size_t
bucket_of(const struct table *t, struct bytes id)
{
	uint64_t hash = 0;

	memcpy(&hash, id.data, id.len < sizeof(hash) ? id.len : sizeof(hash));
	return hash % t->bucket_count;
}

static bool
hold(struct table *t, size_t bucket)
{
	for (int i = 0; i < HOLD_TRIES; i++) {
		if (!__atomic_test_and_set(&t->held[bucket], __ATOMIC_ACQUIRE))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static void
let_go(struct table *t, size_t bucket)
{
	__atomic_clear(&t->held[bucket], __ATOMIC_RELEASE);
}

static struct slot *
slot_at(const struct table *t, size_t bucket, unsigned int way)
{
	return (struct slot *)(void *)(t->memory + (bucket * WAYS + way) * t->slot_size);
}

static bool
is_of(const struct slot *slot, struct bytes id)
{
	return slot->expires_s && bytes_equal(bytes_of(slot->id, slot->id_len), id);
}

static struct slot *
slot_for(const struct table *t, size_t bucket, struct bytes id, uint64_t now_s)
{
	struct slot *best = slot_at(t, bucket, 0);

	for (unsigned int way = 0; way < WAYS; way++) {
		struct slot *slot = slot_at(t, bucket, way);

		if (is_of(slot, id))
			return slot;
		if (best->expires_s > now_s && slot->expires_s < best->expires_s)
			best = slot;
	}
	return best;
}

bool
tls_cache_store(struct tls_cache *cache, struct bytes id, struct bytes session, uint64_t expires_s, uint64_t now_s)
{
	struct table *t = session.len <= 240 ? &cache->small : &cache->large;
	struct slot *slot;
	size_t bucket;

	if (!id.len || id.len > ID_MAX || session.len > TLS_CACHE_SESSION_MAX)
		return false;
	bucket = bucket_of(t, id);
	if (!hold(t, bucket))
		return false;
	slot = slot_for(t, bucket, id, now_s);
	slot->expires_s = (uint32_t)expires_s;
	slot->id_len = (uint8_t)id.len;
	slot->len = (uint16_t)session.len;
	memcpy(slot->id, id.data, id.len);
	memcpy(slot->data, session.data, session.len);
	let_go(t, bucket);
	return true;
}

static size_t
table_find(struct table *t, struct bytes id, uint8_t *out, uint64_t now_s)
{
	size_t bucket = bucket_of(t, id), len = 0;

	if (!hold(t, bucket))
		return 0;
	for (unsigned int way = 0; way < WAYS; way++) {
		const struct slot *slot = slot_at(t, bucket, way);

		if (!is_of(slot, id) || slot->expires_s <= now_s)
			continue;
		len = slot->len;
		memcpy(out, slot->data, len);
		break;
	}
	let_go(t, bucket);
	return len;
}

size_t
tls_cache_find(struct tls_cache *cache, struct bytes id, uint8_t out[TLS_CACHE_SESSION_MAX], uint64_t now_s)
{
	size_t len;

	if (!id.len || id.len > ID_MAX)
		return 0;
	len = table_find(&cache->small, id, out, now_s);
	return len ? len : table_find(&cache->large, id, out, now_s);
}
