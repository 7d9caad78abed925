#include "support/cmocka.h"

#include <string.h>

#include "proxy/settings/types.h"

static void
assert_type(const struct proxy_types *types, const char *path, const char *wanted)
{
	struct bytes type = proxy_types_of(types, bytes_of_string(path), bytes_of_string("none"));

	assert_int_equal(type.len, strlen(wanted));
	assert_memory_equal(type.data, wanted, type.len);
}

static void
type_goes_by_the_last_extension_of_the_last_segment(void **state)
{
	struct arena *arena = arena_new();
	struct proxy_types *types = proxy_types_new(arena);

	proxy_types_add(types, bytes_of_string("html"), bytes_of_string("text/html"));
	proxy_types_add(types, bytes_of_string("GZ"), bytes_of_string("application/gzip"));
	proxy_types_add(types, bytes_of_string("an-extension-that-is-longer-than-32-bytes"), bytes_of_string("x/long"));
	assert_type(types, "/a.html", "text/html");
	assert_type(types, "/a.HtMl", "text/html");
	assert_type(types, "/a.html.gz", "application/gzip");
	assert_type(types, "/a.html/b", "none");
	assert_type(types, "/html", "none");
	assert_type(types, "/a.", "none");
	assert_type(types, "/.html", "text/html");
	assert_type(types, "", "none");
	assert_type(types, "/a.an-extension-that-is-longer-than-32-bytes", "none");
	assert_type(types, "/a.xyz", "none");
	arena_free(arena);
}

static void
later_of_two_types_for_one_extension_holds(void **state)
{
	struct arena *arena = arena_new();
	struct proxy_types *types = proxy_types_new(arena);

	proxy_types_add(types, bytes_of_string("a"), bytes_of_string("x/1"));
	proxy_types_add(types, bytes_of_string("A"), bytes_of_string("x/2"));
	assert_type(types, "/f.a", "x/2");
	arena_free(arena);
}

static void
many_types_share_buckets(void **state)
{
	struct arena *arena = arena_new();
	struct proxy_types *types = proxy_types_new(arena);
	char extension[] = "aaa", path[] = "/f.aaa";

	for (int i = 0; i < 26 * 26 * 4; i++) {
		extension[0] = (char)('a' + i % 26);
		extension[1] = (char)('a' + i / 26 % 26);
		extension[2] = (char)('a' + i / 676);
		proxy_types_add(types, bytes_of_string(extension), arena_copy(arena, bytes_of_string(extension)));
	}
	for (int i = 0; i < 26 * 26 * 4; i++) {
		extension[0] = path[3] = (char)('a' + i % 26);
		extension[1] = path[4] = (char)('a' + i / 26 % 26);
		extension[2] = path[5] = (char)('a' + i / 676);
		assert_type(types, path, extension);
	}
	arena_free(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(type_goes_by_the_last_extension_of_the_last_segment),
		cmocka_unit_test(later_of_two_types_for_one_extension_holds),
		cmocka_unit_test(many_types_share_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
