#include "base/arena.h"

#include <stdint.h>

#include "support/cmocka.h"

static void
memory_is_zeroed_aligned_and_separate(void **state)
{
	struct arena *arena = arena_new();
	uint8_t *last = NULL;
	size_t sum = 0;

	for (size_t size = 0; size < 10000; size += 37) {
		uint8_t *memory = arena_alloc(arena, size);

		assert_int_equal((uintptr_t)memory % 16, 0);
		assert_ptr_not_equal(memory, last);
		for (size_t i = 0; i < size; i++) {
			assert_int_equal(memory[i], 0);
			memory[i] = 0xff;
		}
		sum += size;
		last = memory;
	}
	assert_int_equal(arena_used(arena), sum);
	arena_free(arena);
}

static void
copies_and_texts_are_terminated(void **state)
{
	struct arena *arena = arena_new();
	struct bytes copy = arena_copy(arena, bytes_of("abcdef", 3));

	assert_int_equal(copy.len, 3);
	assert_string_equal((const char *)copy.data, "abc");
	assert_string_equal((const char *)arena_copy(arena, bytes_of(NULL, 0)).data, "");
	assert_string_equal((const char *)arena_copy_lower(arena, bytes_of_string("aBc-Z")).data, "abc-z");
	assert_string_equal(arena_printf(arena, "%s:%d", "x", 42), "x:42");
	arena_free(arena);
}

static int order[3], released;

static void
release(void *object)
{
	order[released++] = *(int *)object;
}

static void
cleanups_run_last_first(void **state)
{
	struct arena *arena = arena_new();
	int objects[3] = { 1, 2, 3 };

	released = 0;
	for (int i = 0; i < 3; i++)
		arena_on_free(arena, release, &objects[i]);
	arena_free(arena);
	assert_int_equal(released, 3);
	assert_int_equal(order[0] * 100 + order[1] * 10 + order[2], 321);
	arena_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_separate),
		cmocka_unit_test(copies_and_texts_are_terminated),
		cmocka_unit_test(cleanups_run_last_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
