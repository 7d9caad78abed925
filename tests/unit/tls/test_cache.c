/*
 * The table of sessions: what was stored is found until it expires or gives way, by whoever asks.
 */
#include "support/cmocka.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tls/cache.h"

static struct bytes
id_of(uint32_t number, uint8_t out[32])
{
	memset(out, 0, 32);
	memcpy(out, &number, sizeof(number));
	out[31] = 1;
	return bytes_of(out, 32);
}

static bool
store(struct tls_cache *cache, uint32_t number, size_t len, uint64_t expires_s, uint64_t now_s)
{
	uint8_t id[32], session[TLS_CACHE_SESSION_MAX + 1];

	memset(session, (int)(number & 0xff), sizeof(session));
	return tls_cache_store(cache, id_of(number, id), bytes_of(session, len), expires_s, now_s);
}

static size_t
find(struct tls_cache *cache, uint32_t number, uint64_t now_s)
{
	uint8_t id[32], out[TLS_CACHE_SESSION_MAX];
	size_t len = tls_cache_find(cache, id_of(number, id), out, now_s);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(out[i], number & 0xff);
	return len;
}

static void
a_session_is_found_until_it_expires(void **state)
{
	struct tls_cache *cache = tls_cache_get((struct bytes)BYTES("a"), 65536);

	for (size_t len = 1; len <= TLS_CACHE_SESSION_MAX; len = len * 2 + 1) {
		assert_true(store(cache, (uint32_t)len, len, 200, 100));
		assert_int_equal(find(cache, (uint32_t)len, 199), len);
		assert_int_equal(find(cache, (uint32_t)len, 200), 0);
	}
	assert_int_equal(find(cache, 77, 100), 0);
	assert_false(store(cache, 5000, TLS_CACHE_SESSION_MAX + 1, 200, 100));
	tls_cache_put(cache);
}

static void
a_full_table_gives_up_what_expires_first(void **state)
{
	struct tls_cache *cache = tls_cache_get((struct bytes)BYTES("b"), 65536);
	uint32_t found = 0;

	for (uint32_t i = 0; i < 10000; i++)
		assert_true(store(cache, i, 200, 1000 + i, 100));
	assert_int_equal(find(cache, 9999, 100), 200);
	for (uint32_t i = 0; i < 10000; i++)
		found += find(cache, i, 100) > 0;
	assert_true(found > 100 && found < 400);
	/* What has expired makes room, however late it would have been. */
	for (uint32_t i = 0; i < 5; i++)
		assert_true(store(cache, i, 200, 30000, 20000));
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(find(cache, i, 20000), 200);
	tls_cache_put(cache);
}

static void
the_same_name_and_size_is_the_same_cache(void **state)
{
	struct bytes name = BYTES("c");
	struct tls_cache *cache = tls_cache_get(name, 65536);

	assert_ptr_equal(tls_cache_get(name, 65536), cache);
	store(cache, 1, 10, 200, 100);
	tls_cache_put(cache);
	assert_int_equal(find(cache, 1, 100), 10);
	tls_cache_put(cache);
	cache = tls_cache_get(name, 65536);
	assert_int_equal(find(cache, 1, 100), 0);
	tls_cache_put(cache);
}

/* Each thread stores numbers of its own; all look for all of them. Nothing is ever found that was not stored as found. */
static void *
work(void *cache)
{
	for (uint32_t i = 0; i < 100000; i++) {
		if (i % 4 == 0)
			store(cache, i % 97, 100 + i % 97, 200, 100);
		else
			find(cache, i % 97, 100);
	}
	return NULL;
}

static void
lcores_share_it(void **state)
{
	struct tls_cache *cache = tls_cache_get((struct bytes)BYTES("d"), 65536);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, cache);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	tls_cache_put(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_found_until_it_expires),
		cmocka_unit_test(a_full_table_gives_up_what_expires_first),
		cmocka_unit_test(the_same_name_and_size_is_the_same_cache),
		cmocka_unit_test(lcores_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
