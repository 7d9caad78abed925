#include <errno.h>

#include "http/uri.h"
#include "parse.h"

/* What nginx 1.22.1 has in $uri, with merge_slashes on and off; NULL where it answers 400. */
static const struct row {
	const char *target, *merged, *unmerged;
} rows[] = {
	{ "/", "/", "/" },
	{ "/a", "/a", "/a" },
	{ "/a/", "/a/", "/a/" },
	{ "//", "/", "//" },
	{ "//a", "/a", "//a" },
	{ "/a//b", "/a/b", "/a//b" },
	{ "///a///b///", "/a/b/", "///a///b///" },
	{ "/.", "/", "/" },
	{ "/./", "/", "/" },
	{ "/..", NULL, NULL },
	{ "/../", NULL, NULL },
	{ "/a/.", "/a/", "/a/" },
	{ "/a/..", "/", "/" },
	{ "/a/../", "/", "/" },
	{ "/a/./b", "/a/b", "/a/b" },
	{ "/a/../b", "/b", "/b" },
	{ "/a/b/../../c", "/c", "/c" },
	{ "/a/../..", NULL, NULL },
	{ "/a/../../b", NULL, NULL },
	{ "/./../a", NULL, NULL },
	{ "/a//../b", "/b", "/a/b" },
	{ "/a/b//../c", "/a/c", "/a/b/c" },
	{ "/a/.//b", "/a/b", "/a//b" },
	{ "/a/..//b", "/b", "//b" },
	{ "//..", NULL, "/" },
	{ "//../", NULL, "/" },
	{ "//../a", NULL, "/a" },
	{ "/...", "/...", "/..." },
	{ "/a/...", "/a/...", "/a/..." },
	{ "/.../b", "/.../b", "/.../b" },
	{ "/a/.b", "/a/.b", "/a/.b" },
	{ "/a/..b", "/a/..b", "/a/..b" },
	{ "/a/b.", "/a/b.", "/a/b." },
	{ "/a/b..", "/a/b..", "/a/b.." },
	{ "/a/b../c", "/a/b../c", "/a/b../c" },
	{ "/.a/..b/c..", "/.a/..b/c..", "/.a/..b/c.." },
	{ "/%41", "/A", "/A" },
	{ "/%61b", "/ab", "/ab" },
	{ "/%2e", "/", "/" },
	{ "/%2E%2e", NULL, NULL },
	{ "/a/%2e%2e", "/", "/" },
	{ "/a/%2e./b", "/b", "/b" },
	{ "/a/.%2e/b", "/b", "/b" },
	{ "/a%2fb", "/a/b", "/a/b" },
	{ "/a%2F%2Fb", "/a/b", "/a//b" },
	{ "/a%2f..%2fb", "/b", "/b" },
	{ "/a%2f..", "/", "/" },
	{ "/a/..%2fb", "/b", "/b" },
	{ "/..%2f", NULL, NULL },
	{ "/%2e%2e%2fa", NULL, NULL },
	{ "/%2e%2e%2f%2e%2e", NULL, NULL },
	{ "/a%20b", "/a b", "/a b" },
	{ "/a%25b", "/a%b", "/a%b" },
	{ "/a%2525b", "/a%25b", "/a%25b" },
	{ "/a%252e%252e/b", "/a%2e%2e/b", "/a%2e%2e/b" },
	{ "/%25", "/%", "/%" },
	{ "/%2525", "/%25", "/%25" },
	{ "/a%23b", "/a#b", "/a#b" },
	{ "/a%23", "/a#", "/a#" },
	{ "/%23%23", "/##", "/##" },
	{ "/a%3fb", "/a?b", "/a?b" },
	{ "/a%3Fb%3Dc", "/a?b=c", "/a?b=c" },
	{ "/a%3f", "/a?", "/a?" },
	{ "/a+b", "/a+b", "/a+b" },
	{ "/a%2bb", "/a+b", "/a+b" },
	{ "/a%00", NULL, NULL },
	{ "/%00", NULL, NULL },
	{ "/a%00b", NULL, NULL },
	{ "/a%", NULL, NULL },
	{ "/a%2", NULL, NULL },
	{ "/a%zz", NULL, NULL },
	{ "/a%2g", NULL, NULL },
	{ "/a%g2", NULL, NULL },
	{ "/%", NULL, NULL },
	{ "/%%", NULL, NULL },
	{ "/%%20", NULL, NULL },
	{ "/a%2%30", NULL, NULL },
	{ "/a#b", "/a", "/a" },
	{ "/a#", "/a", "/a" },
	{ "/#", "/", "/" },
	{ "/a#/../../..", "/a", "/a" },
	{ "/a/..#b", "/", "/" },
	{ "/a/.#", "/a/", "/a/" },
	{ "/a/%2e#x", "/a/", "/a/" },
	{ "/a//#x", "/a/", "/a//" },
	{ "/a%20#b?c", "/a ", "/a " },
	{ "/a?b", "/a", "/a" },
	{ "/a?b#c", "/a", "/a" },
	{ "/a/../b?c/../d", "/b", "/b" },
	{ "/a?", "/a", "/a" },
	{ "/?", "/", "/" },
	{ "/a/..?x", "/", "/" },
	{ "/a/.?x", "/a/", "/a/" },
	{ "/a//?x", "/a/", "/a//" },
	{ "/a%?x", NULL, NULL },
	{ "/a%2?x", NULL, NULL },
	{ "/%c3%a9", "/\303\251", "/\303\251" },
	{ "/%ff%fe", "/\377\376", "/\377\376" },
	{ "/%01%1f%7f", "/\001\037\177", "/\001\037\177" },
	{ "/%0a%0d", "/\n\r", "/\n\r" },
	{ "/a:b@c;d=e,f", "/a:b@c;d=e,f", "/a:b@c;d=e,f" },
	{ "/a;x/../b", "/b", "/b" },
	{ "/a;/..;/b", "/a;/..;/b", "/a;/..;/b" },
	{ "/..;/a", "/..;/a", "/..;/a" },
	{ "/a/..;/b", "/a/..;/b", "/a/..;/b" },
	{ "/a\\b", "/a\\b", "/a\\b" },
	{ "/a\\..\\b", "/a\\..\\b", "/a\\..\\b" },
	{ "/a%5c..%5cb", "/a\\..\\b", "/a\\..\\b" },
	{ "/\"<>^`{|}", "/\"<>^`{|}", "/\"<>^`{|}" },
	{ "/a/b/c/d/e/../../../../f", "/a/f", "/a/f" },
	{ "/a/b/c/../../../../f", NULL, NULL },
	{ "/~user/_x-y.z", "/~user/_x-y.z", "/~user/_x-y.z" },
	{ "/a/././././b", "/a/b", "/a/b" },
	{ "/a/./../b/./../c", "/c", "/c" },
	{ "/%2f", "/", "//" },
	{ "/%2f%2f", "/", "///" },
	{ "/a/%2f/b", "/a/b", "/a///b" },
	{ "/%2e/a", "/a", "/a" },
	{ "/%2e/%2e%2e", NULL, NULL },
	{ "/a%2e", "/a.", "/a." },
	{ "/a%2e%2e/b", "/a../b", "/a../b" },
	{ "/.%2f", "/", "/" },
	{ "/.%23/a", "/.#/a", "/.#/a" },
	{ "/..%23/a", "/..#/a", "/..#/a" },
	{ "/..%3f/a", "/..?/a", "/..?/a" },
	{ "/.%25", "/.%", "/.%" },
	{ "/a/.%2e", "/", "/" },
	{ "/a/%2e%2e?x", "/", "/" },
	{ "/a/%2e%2e/%2e%2e", NULL, NULL },
	{ "/a/../%2e", "/", "/" },
	{ "/%e2%82%ac/%2E./x", "/x", "/x" },
	{ "/a%2f%2e%2e%2f%2e%2e%2fb", NULL, NULL },
	{ "/a//..//b", "/b", "/a//b" },
	{ "/a///../b", "/b", "/a//b" },
	{ "/a///../../b", NULL, "/a/b" },
	{ "/a/b///../../c", "/c", "/a/b/c" },
	{ "//a/../..", NULL, "/" },
	{ "//a/../../b", NULL, "/b" },
};

static void
check(const char *target, bool merge_slashes, const char *expected)
{
	/* nginx was asked with whole targets; the parser cuts the query off before the path gets here. */
	struct bytes path = bytes_of(target, strcspn(target, "?"));
	uint8_t out[128], in_place[128];
	ssize_t len = http_uri_normalise(out, sizeof(out), path, merge_slashes);

	if (!expected) {
		assert_int_equal(len, -EINVAL);
		assert_false(http_uri_is_normal(path, merge_slashes));
		return;
	}
	if (len < 0)
		fail_msg("%s is refused", target);
	assert_bytes(bytes_of(out, (size_t)len), expected);
	if (http_uri_is_normal(path, merge_slashes))
		assert_bytes(path, expected);
	memcpy(in_place, path.data, path.len);
	assert_int_equal(http_uri_normalise(in_place, path.len, bytes_of(in_place, path.len), merge_slashes), len);
	assert_memory_equal(in_place, out, (size_t)len);
}

static void
paths_are_normalised_as_nginx_does(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check(rows[i].target, true, rows[i].merged);
		check(rows[i].target, false, rows[i].unmerged);
	}
}

static void
normalising_a_normalised_path_changes_nothing_unless_it_decodes_again(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *uri = rows[i].merged;
		if (uri && !strpbrk(uri, "%#?"))
			assert_true(http_uri_is_normal(bytes_of_string(uri), true));
	}
}

static void
plain_paths_are_seen_to_be_normal(void **state)
{
	static const char *const normal[] = { "/", "/a", "/a/b/", "/.a", "/..a/b..", "/...", "/a.b/c" };

	for (size_t i = 0; i < sizeof(normal) / sizeof(normal[0]); i++)
		assert_true(http_uri_is_normal(bytes_of_string(normal[i]), true));
	assert_true(http_uri_is_normal(bytes_of_string("//a"), false));
	assert_false(http_uri_is_normal(bytes_of_string("//a"), true));
	assert_false(http_uri_is_normal(bytes_of_string("/a%41"), true));
	assert_false(http_uri_is_normal(bytes_of_string("/a/."), true));
	assert_false(http_uri_is_normal(bytes_of_string("/.."), true));
	assert_false(http_uri_is_normal(bytes_of_string("*"), true));
	assert_false(http_uri_is_normal(bytes_of_string(""), true));
}

static void
what_is_no_path_or_does_not_fit_is_refused(void **state)
{
	uint8_t out[8];

	assert_int_equal(http_uri_normalise(out, sizeof(out), bytes_of_string(""), true), -EINVAL);
	assert_int_equal(http_uri_normalise(out, sizeof(out), bytes_of_string("*"), true), -EINVAL);
	assert_int_equal(http_uri_normalise(out, sizeof(out), bytes_of_string("a/b"), true), -EINVAL);
	assert_int_equal(http_uri_normalise(out, 3, bytes_of_string("/abc"), true), -ENOSPC);
	assert_int_equal(http_uri_normalise(out, 4, bytes_of_string("/abc"), true), 4);
	assert_int_equal(http_uri_normalise(out, 4, bytes_of("/a\0b", 4), true), -EINVAL);
}

/* What nginx 1.22.1 sends to a server for a path with every byte but NUL, '.' and '/'. */
static void
the_same_bytes_are_escaped_as_by_nginx(void **state)
{
	static const char expected[] =
		"%01%02%03%04%05%06%07%08%09%0A%0B%0C%0D%0E%0F%10%11%12%13%14%15%16%17%18%19%1A%1B%1C%1D%1E%1F%20!%22"
		"%23$%25&'()*+,-0123456789:;%3C=%3E%3F@ABCDEFGHIJKLMNOPQRSTUVWXYZ[%5C]%5E_%60abcdefghijklmnopqrstuvwxyz"
		"%7B%7C%7D~%7F%80%81%82%83%84%85%86%87%88%89%8A%8B%8C%8D%8E%8F%90%91%92%93%94%95%96%97%98%99%9A%9B%9C"
		"%9D%9E%9F%A0%A1%A2%A3%A4%A5%A6%A7%A8%A9%AA%AB%AC%AD%AE%AF%B0%B1%B2%B3%B4%B5%B6%B7%B8%B9%BA%BB%BC%BD%BE"
		"%BF%C0%C1%C2%C3%C4%C5%C6%C7%C8%C9%CA%CB%CC%CD%CE%CF%D0%D1%D2%D3%D4%D5%D6%D7%D8%D9%DA%DB%DC%DD%DE%DF%E0"
		"%E1%E2%E3%E4%E5%E6%E7%E8%E9%EA%EB%EC%ED%EE%EF%F0%F1%F2%F3%F4%F5%F6%F7%F8%F9%FA%FB%FC%FD%FE%FF";
	uint8_t all[256], out[3 * sizeof(all)];
	size_t count = 0;

	for (unsigned int c = 1; c < 256; c++)
		if (c != '.' && c != '/')
			all[count++] = (uint8_t)c;
	assert_int_equal(http_uri_escape(NULL, 0, bytes_of(all, count)), sizeof(expected) - 1);
	assert_int_equal(http_uri_escape(out, sizeof(out), bytes_of(all, count)), sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
}

static void
an_escaped_path_that_does_not_fit_is_not_written(void **state)
{
	uint8_t out[8] = "unmoved";

	assert_int_equal(http_uri_escape(out, 5, bytes_of_string("/a b/")), 7);
	assert_string_equal((char *)out, "unmoved");
	assert_int_equal(http_uri_escape(out, 7, bytes_of_string("/a b/")), 7);
	assert_memory_equal(out, "/a%20b/", 7);
}

static void
escaping_and_normalising_give_the_path_back(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t escaped[512], out[512];
		if (!rows[i].merged)
			continue;
		size_t len = http_uri_escape(escaped, sizeof(escaped), bytes_of_string(rows[i].merged));
		ssize_t back = http_uri_normalise(out, sizeof(out), bytes_of(escaped, len), true);
		assert_true(back >= 0);
		assert_bytes(bytes_of(out, (size_t)back), rows[i].merged);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_normalised_as_nginx_does),
		cmocka_unit_test(normalising_a_normalised_path_changes_nothing_unless_it_decodes_again),
		cmocka_unit_test(plain_paths_are_seen_to_be_normal),
		cmocka_unit_test(what_is_no_path_or_does_not_fit_is_refused),
		cmocka_unit_test(the_same_bytes_are_escaped_as_by_nginx),
		cmocka_unit_test(an_escaped_path_that_does_not_fit_is_not_written),
		cmocka_unit_test(escaping_and_normalising_give_the_path_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
