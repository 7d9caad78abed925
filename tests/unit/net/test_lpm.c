/* The trie against a list of prefixes that is searched from end to end. */
#include <stdlib.h>

#include "support/cmocka.h"

#include "net/lpm.h"

#define PREFIXES 2000
#define LOOKUPS 2000

struct prefix {
	struct lpm_key key;
	unsigned int len;
	int *value;
};

/* Values are counters of their references. */
static int values[64];

static void
hold(void *value)
{
	++*(int *)value;
}

static void
drop(void *value, void *context)
{
	assert_true(*(int *)value > 0);
	--*(int *)value;
}

static uint64_t seed = 88172645463325252ull;

static uint64_t
random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Few distinct leading bits, so that prefixes nest and share paths. */
static struct prefix
random_prefix(bool ipv6)
{
	struct prefix p = { .value = &values[random64() % 64] };

	p.len = ipv6 ? (unsigned int)(random64() % 129) : 96 + (unsigned int)(random64() % 33);
	p.key.high = ipv6 ? random64() & 0xf00000000000ff01 : 0;
	p.key.low = ipv6 ? random64() & 0x8000f000000000ff : 0xffff00000000 | (random64() & 0xf0c0ff0f);
	return p;
}

static struct lpm_key
masked(struct lpm_key key, unsigned int len)
{
	unsigned __int128 k = (unsigned __int128)key.high << 64 | key.low;

	k = len ? k >> (128 - len) << (128 - len) : 0;
	return (struct lpm_key){ (uint64_t)(k >> 64), (uint64_t)k };
}

static bool
same_prefix(const struct prefix *a, const struct prefix *b)
{
	struct lpm_key x = masked(a->key, a->len), y = masked(b->key, a->len);

	return a->len == b->len && x.high == y.high && x.low == y.low;
}

static void *
naive_lookup(const struct prefix *list, size_t count, struct lpm_key key)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < count; i++) {
		struct lpm_key x = masked(list[i].key, list[i].len), y = masked(key, list[i].len);

		if (x.high == y.high && x.low == y.low && (!best || list[i].len >= best->len))
			best = &list[i];
	}
	return best ? best->value : NULL;
}

static size_t
naive_set(struct prefix *list, size_t count, const struct prefix *p)
{
	for (size_t i = 0; i < count; i++) {
		if (!same_prefix(&list[i], p))
			continue;
		list[i] = p->value ? *p : list[count - 1];
		return p->value ? count : count - 1;
	}
	if (p->value)
		list[count++] = *p;
	return count;
}

static void
assert_same(const struct lpm_node *root, const struct prefix *list, size_t count, bool ipv6)
{
	for (int i = 0; i < LOOKUPS; i++) {
		struct lpm_key key = random_prefix(ipv6).key;

		/* Half of them exactly at a prefix' edge. */
		if (count && i % 2)
			key = list[random64() % count].key;
		assert_ptr_equal(lpm_lookup(root, key), naive_lookup(list, count, key));
	}
	for (size_t i = 0; i < count; i++)
		assert_ptr_equal(lpm_get(root, list[i].key, list[i].len), list[i].value);
}

static void
assert_no_references(void)
{
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(values[i], 0);
}

static void
check_random_changes(bool ipv6)
{
	struct prefix *list = calloc(PREFIXES + 1, sizeof(*list));
	struct lpm_node *root = NULL;
	struct lpm lpm;
	size_t count = 0;

	lpm_init(&lpm, hold, drop, NULL);
	for (int i = 0; i < PREFIXES; i++) {
		struct prefix p = random_prefix(ipv6);

		if (count && random64() % 3 == 0) {
			p = list[random64() % count];
			p.value = NULL;
		}
		assert_int_equal(lpm_set(&lpm, &root, p.key, p.len, p.value), 0);
		count = naive_set(list, count, &p);
		if (i % 7 == 0)
			lpm_seal(&lpm);
		if (i % 21 == 0)
			lpm_reclaim(&lpm);
		if (i % 200 == 199)
			assert_same(root, list, count, ipv6);
	}
	/* Down to nothing. */
	while (count) {
		struct prefix p = list[--count];

		assert_int_equal(lpm_set(&lpm, &root, p.key, p.len, NULL), 0);
		if (count % 500 == 0)
			assert_same(root, list, count, ipv6);
	}
	assert_null(root);
	lpm_fini(&lpm);
	assert_no_references();
	free(list);
}

static void
finds_the_longest_ipv4_prefix_through_random_changes(void **state)
{
	check_random_changes(false);
}

static void
finds_the_longest_ipv6_prefix_through_random_changes(void **state)
{
	check_random_changes(true);
}

static void
a_sealed_version_stays_as_it_was(void **state)
{
	struct prefix *list = calloc(PREFIXES, sizeof(*list)), *then = calloc(PREFIXES, sizeof(*list));
	struct lpm_node *root = NULL, *published;
	struct lpm lpm;
	size_t count = 0, then_count;

	lpm_init(&lpm, hold, drop, NULL);
	for (int i = 0; i < 500; i++) {
		struct prefix p = random_prefix(true);

		assert_int_equal(lpm_set(&lpm, &root, p.key, p.len, p.value), 0);
		count = naive_set(list, count, &p);
	}
	published = root;
	lpm_seal(&lpm);
	memcpy(then, list, count * sizeof(*list));
	then_count = count;
	for (int i = 0; i < 1000; i++) {
		struct prefix p = random_prefix(true);

		if (i % 2) {
			p = list[random64() % count];
			p.value = NULL;
		}
		assert_int_equal(lpm_set(&lpm, &root, p.key, p.len, p.value), 0);
		count = naive_set(list, count, &p);
	}
	assert_same(published, then, then_count, true);
	assert_same(root, list, count, true);
	assert_int_equal(lpm_discard(&lpm, &root), 0);
	assert_same(published, then, then_count, true);
	lpm_fini(&lpm);
	assert_no_references();
	free(list);
	free(then);
}

static void
a_change_that_changes_nothing_is_harmless(void **state)
{
	struct lpm_key key = { 0x20010db800000000, 0 };
	struct lpm_node *root = NULL;
	struct lpm lpm;

	lpm_init(&lpm, hold, drop, NULL);
	assert_int_equal(lpm_set(&lpm, &root, key, 32, NULL), 0);
	assert_null(root);
	assert_int_equal(lpm_set(&lpm, &root, key, 32, &values[0]), 0);
	assert_int_equal(lpm_set(&lpm, &root, key, 32, &values[0]), 0);
	assert_int_equal(values[0], 1);
	assert_int_equal(lpm_set(&lpm, &root, key, 33, NULL), 0);
	assert_ptr_equal(lpm_lookup(root, key), &values[0]);
	assert_int_equal(lpm_set(&lpm, &root, key, 0, &values[1]), 0);
	assert_ptr_equal(lpm_lookup(root, (struct lpm_key){ 0, 0 }), &values[1]);
	assert_int_equal(lpm_discard(&lpm, &root), 0);
	lpm_fini(&lpm);
	assert_no_references();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_longest_ipv4_prefix_through_random_changes),
		cmocka_unit_test(finds_the_longest_ipv6_prefix_through_random_changes),
		cmocka_unit_test(a_sealed_version_stays_as_it_was),
		cmocka_unit_test(a_change_that_changes_nothing_is_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
