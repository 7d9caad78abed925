#include "base/slab.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "support/cmocka.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif

static void
it_gives_count_objects_and_no_more(void **state)
{
	struct slab *slab = slab_new(100, 64, 10);
	void *objects[10];

	assert_int_equal(slab_capacity(slab), 10);
	for (uint32_t i = 0; i < 10; i++) {
		objects[i] = slab_get(slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 64, 0);
		assert_int_equal(slab_index(slab, objects[i]), i);
		assert_ptr_equal(slab_at(slab, i), objects[i]);
		memset(objects[i], 0xff, 100);
		assert_int_equal(slab_in_use(slab), i + 1);
	}
	assert_null(slab_get(slab));
	slab_put(slab, objects[3]);
	assert_ptr_equal(slab_get(slab), objects[3]);
	assert_null(slab_get(slab));
	slab_free(slab);
}

static void
the_last_returned_comes_first(void **state)
{
	struct slab *slab = slab_new(8, 1, 4);
	void *a = slab_get(slab), *b = slab_get(slab), *c = slab_get(slab);

	slab_put(slab, a);
	slab_put(slab, c);
	slab_put(slab, b);
	assert_ptr_equal(slab_get(slab), b);
	assert_ptr_equal(slab_get(slab), c);
	assert_ptr_equal(slab_get(slab), a);
	slab_free(slab);
}

static void
no_object_is_given_twice(void **state)
{
	enum { COUNT = 500 };
	struct slab *slab = slab_new(24, 8, COUNT);
	struct random random = { 7 };
	bool used[COUNT] = { false };
	uint32_t in_use = 0;

	for (int i = 0; i < 100000; i++) {
		uint32_t index = (uint32_t)(random_next(&random) % COUNT);

		if (used[index]) {
			slab_put(slab, slab_at(slab, index));
			used[index] = false;
			in_use--;
		} else {
			void *object = slab_get(slab);

			assert_non_null(object);
			assert_false(used[slab_index(slab, object)]);
			used[slab_index(slab, object)] = true;
			in_use++;
		}
		assert_int_equal(slab_in_use(slab), in_use);
	}
	slab_free(slab);
}

#ifdef POISONS
/* In a process of its own, which the sanitizer ends. */
static int
exit_status_of(void (*run)(struct slab *slab, volatile char *object))
{
	struct slab *slab = slab_new(64, 64, 4);
	volatile char *object = slab_get(slab);
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		run(slab, object);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	slab_free(slab);
	return status;
}

static void
touch_in_use(struct slab *slab, volatile char *object)
{
	object[63] = 1;
}

static void
touch_after_put(struct slab *slab, volatile char *object)
{
	slab_put(slab, (void *)object);
	object[32] = 1;
}

static void
put_twice(struct slab *slab, volatile char *object)
{
	slab_put(slab, (void *)object);
	slab_put(slab, (void *)object);
}

static void
a_sanitizer_catches_what_is_touched_after_put(void **state)
{
	assert_int_equal(exit_status_of(touch_in_use), 0);
	assert_int_not_equal(exit_status_of(touch_after_put), 0);
	assert_int_not_equal(exit_status_of(put_twice), 0);
}
#else
/* 64 GB would not be here if it were touched. (Poisoning touches shadow memory.) */
static void
memory_is_reserved_and_not_touched(void **state)
{
	struct slab *slab = slab_new(65536, 4096, 1 << 20);
	unsigned char resident;
	char *first;

	assert_non_null(slab);
	first = slab_get(slab);
	*first = 1;
	assert_int_equal(mincore(slab_at(slab, 1000), 1, &resident), 0);
	assert_int_equal(resident & 1, 0);
	slab_free(slab);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_gives_count_objects_and_no_more),
		cmocka_unit_test(the_last_returned_comes_first),
		cmocka_unit_test(no_object_is_given_twice),
#ifdef POISONS
		cmocka_unit_test(a_sanitizer_catches_what_is_touched_after_put),
#else
		cmocka_unit_test(memory_is_reserved_and_not_touched),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
