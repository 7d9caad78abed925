#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/settings/location.h"
#include "world.h"

static struct world w;
static struct config *config;
static const struct proxy_server *server;

static void
parse(const char *text)
{
	char whole[65536];

	config_free(config);
	snprintf(whole, sizeof(whole), "server { %s }", text);
	config = world_parse(&w, whole);
	if (config_error(config))
		fail_msg("%s", config_error(config));
	server = config_settings(config_child(config_child(config_root(config), CONFIG_HTTP), CONFIG_SERVER),
				 &proxy_server_module);
}

static struct proxy_match
find(const char *path, size_t *offsets)
{
	struct proxy_match match;

	proxy_location_find(server->locations, bytes_of_string(path), offsets, 4, &match);
	return match;
}

/* The number that the location found returns. */
static int
status_of(const char *path)
{
	size_t offsets[8];
	struct proxy_match match = find(path, offsets);

	if (!match.location)
		return 0;
	return match.add_slash ? 301 : match.location->return_status;
}

/* Every row of this table is what nginx 1.22.1 answers to this configuration. */
static void
order_is_nginxs(void **state)
{
	static const struct {
		const char *path;
		int status;
	} rows[] = {
		{ "/", 200 },          { "/b", 200 },        { "/a", 210 },         { "/a/x", 213 },
		{ "/a/x.in", 212 },    { "/a/x.both", 214 }, { "/a/b/x.php", 231 }, { "/a/b/x.in", 211 },
		{ "/a/b", 211 },       { "/a/x.php", 231 },  { "/aa.php", 230 },    { "/p/x.php", 220 },
		{ "/p/q/x.php", 221 }, { "/p/q/x.in", 222 }, { "/p/q", 221 },       { "/x/x.php", 231 },
		{ "/y/y.php", 230 },   { "/y.both", 240 },   { "/dir", 301 },       { "/dir2", 301 },
		{ "/dir2/x", 250 },    { "/a/n", 301 },      { "/dir3", 200 },      { "/dir2x", 250 },
	};

	parse("location / { return 200; }"
	      "location /a { return 210; location ^~ /a/b { return 211; } location ~ \\.in$ { return 212; }"
	      "  location ~ \\.both$ { return 214; } location = /a/x { return 213; } }"
	      "location ^~ /p { return 220; location /p/q { return 221; } location ~ \\.in$ { return 222; } }"
	      "location ~ \\.php$ { return 230; location ~ x { return 231; } }"
	      "location ~ \\.both$ { return 240; }"
	      "location = /dir/ { proxy_pass http://10.0.0.1; }"
	      "location /dir2/ { proxy_pass http://10.0.0.1; }"
	      "location ~ dir2 { return 250; }"
	      "location /a/n/ { proxy_pass http://10.0.0.1; }"
	      "location /dir3/ { return 260; }");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (status_of(rows[i].path) != rows[i].status)
			fail_msg("%s: %d, not %d", rows[i].path, status_of(rows[i].path), rows[i].status);
}

static void
modifiers_may_be_glued_to_names(void **state)
{
	parse("location =/e { return 201; } location ^~/p { return 202; } location ~*\\.GIF$ { return 203; } "
	      "location ~\\.png$ { return 204; }");
	assert_int_equal(status_of("/e"), 201);
	assert_int_equal(status_of("/p/x.png"), 202);
	assert_int_equal(status_of("/x.gif"), 203);
	assert_int_equal(status_of("/x.png"), 204);
	assert_int_equal(status_of("/x.PNG"), 0);
}

static void
nothing_is_found_without_locations_or_without_a_match(void **state)
{
	parse("return 200;");
	assert_int_equal(status_of("/"), 0);
	parse("location /a { return 201; }");
	assert_int_equal(status_of("/"), 0);
	assert_int_equal(status_of("/b"), 0);
	assert_int_equal(status_of("*"), 0);
}

static void
captures_are_those_of_the_expression_that_matched_last(void **state)
{
	size_t offsets[8];
	struct proxy_match match;

	parse("location ~ ^/(a)(b)? { return 201; location ~ (x)$ { return 202; } }");
	match = find("/abz", offsets);
	assert_int_equal(match.groups, 3);
	assert_int_equal(offsets[2], 1);
	assert_int_equal(offsets[3], 2);
	assert_ptr_equal(match.regex, match.location->regex);
	match = find("/abx", offsets);
	assert_int_equal(match.location->return_status, 202);
	assert_int_equal(match.groups, 2);
	assert_int_equal(offsets[2], 3);
	assert_ptr_equal(match.regex, match.location->regex);
}

static void
named_captures_of_two_expressions_live_side_by_side(void **state)
{
	struct peer *client;

	world_init(&w);
	/* The group with the name lies beyond those that are kept by number. */
	world_start(&w, "server { server_name ~^(?<sub>[a-z]+)\\.example$; "
			"location ~ ^/(?<first>[a-z]+)/ { return 200 $sub-$first-$1; } "
			"location ~ ^/n(1)(2)(3)(4)(5)(6)(7)(8)(9)(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)(l)(?<far>m) "
			"{ return 200 <$far>; } }");
	client = world_connect(&w);
	peer_say(client, "GET /abc/ HTTP/1.1\r\nHost: Www.Example\r\n\r\n");
	assert_non_null(strstr(peer_said(client), "\r\n\r\nwww-abc-abc"));
	peer_say(client, "GET /n123456789abcdefghijklm HTTP/1.1\r\nHost: www.example\r\n\r\n");
	assert_non_null(strstr(peer_said(client), "\r\n\r\n<"));
	world_stop(&w);
}

static uint32_t
chance(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* Short words over a small alphabet, so that prefixes of prefixes are common; '!' sorts before '/', '~' behind. */
static size_t
random_path(uint32_t *seed, char *out)
{
	size_t len = chance(seed, 8);

	*out++ = '/';
	for (size_t i = 0; i < len; i++)
		*out++ = "ab/!}"[chance(seed, 5)];
	*out = '\0';
	return len + 1;
}

static void
longest_prefix_is_what_a_naive_search_finds(void **state)
{
	uint32_t seed = 7;

	for (int round = 0; round < 60; round++) {
		char names[60][16], text[8192] = "", path[16];
		bool proxied[60];
		int count = 0, wanted = (int)chance(&seed, 60);

		for (int i = 0; i < wanted; i++) {
			bool known = false;

			random_path(&seed, names[count]);
			for (int j = 0; j < count; j++)
				known |= strcmp(names[j], names[count]) == 0;
			if (known)
				continue;
			proxied[count] = chance(&seed, 2);
			sprintf(text + strlen(text), "location \"%s\" { %s; }", names[count],
				proxied[count] ? "proxy_pass http://10.0.0.1" : "return 200");
			count++;
		}
		parse(text);
		for (int query = 0; query < 300; query++) {
			size_t offsets[8], len = random_path(&seed, path), best_len = 0;
			const char *best = NULL;
			bool slash = false;
			struct proxy_match match;

			for (int i = 0; i < count; i++) {
				size_t name_len = strlen(names[i]);

				if (name_len > best_len && strncmp(names[i], path, name_len) == 0) {
					best = names[i];
					best_len = name_len;
				}
				if (proxied[i] && name_len == len + 1 && names[i][len] == '/' &&
				    strncmp(names[i], path, len) == 0)
					slash = true;
			}
			slash &= best_len < len;
			match = find(path, offsets);
			assert_int_equal(match.add_slash, slash);
			if (slash)
				continue;
			assert_int_equal(match.location != NULL, best != NULL);
			if (best)
				assert_memory_equal(match.location->name.data, best, best_len + 1);
		}
	}
}

static int
teardown(void **state)
{
	config_free(config);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_nginxs),
		cmocka_unit_test(modifiers_may_be_glued_to_names),
		cmocka_unit_test(nothing_is_found_without_locations_or_without_a_match),
		cmocka_unit_test(captures_are_those_of_the_expression_that_matched_last),
		cmocka_unit_test(named_captures_of_two_expressions_live_side_by_side),
		cmocka_unit_test(longest_prefix_is_what_a_naive_search_finds),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
