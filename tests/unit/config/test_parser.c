#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sample.h"

static char directory[] = "/tmp/weir-test-config-XXXXXX";

static int
directory_make(void **state)
{
	return !mkdtemp(directory) || chdir(directory) < 0 ? -1 : 0;
}

static int
directory_remove(void **state)
{
	return chdir("/") < 0 || rmdir(directory) < 0 ? -1 : 0;
}

static void
file_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct config *
parse_file(const char *path)
{
	struct config_source source = { .path = path, .unsupported = sample_unsupported };

	return config_parse(&source, sample_modules);
}

#define assert_error(text, expected)                                                                                   \
	do {                                                                                                           \
		struct config *config_ = sample_parse(text);                                                           \
		assert_non_null(config_error(config_));                                                                \
		assert_string_equal(config_error(config_), expected);                                                  \
		config_free(config_);                                                                                  \
	} while (0)

static struct config *
parse_well(const char *text)
{
	struct config *config = sample_parse(text);

	if (config_error(config))
		fail_msg("%s", config_error(config));
	return config;
}

static const struct sample_http *
http_of(struct config *config, enum config_context deepest)
{
	const struct config_scope *scope = config_root(config);
	enum config_context way[] = { CONFIG_HTTP, CONFIG_SERVER, CONFIG_LOCATION };

	for (size_t i = 0; i < 3 && way[i] <= deepest; i++)
		scope = config_child(scope, way[i]);
	return config_settings(scope, &sample_http_module);
}

static void
words_lose_their_quotes_and_known_escapes_alone(void **state)
{
	struct config *config = parse_well("events {}\n"
					   "pid 'a \\'b\\' \"c\" \\t\\r\\n \\\\ \\. {;}#'; # comment ; }\n");
	const struct sample_main *main_settings = config_settings(config_root(config), &sample_main_module);

	assert_string_equal((const char *)main_settings->pid.data, "a 'b' \"c\" \t\r\n \\ \\. {;}#");
	config_free(config);

	config = parse_well("events {}pid a\\ b\\;c\\{${x}y#z\"q';");
	main_settings = config_settings(config_root(config), &sample_main_module);
	assert_string_equal((const char *)main_settings->pid.data, "a\\ b\\;c\\{${x}y#z\"q'");
	config_free(config);
}

static void
a_printed_word_is_read_as_it_was(void **state)
{
	static const char *const words[] = {
		"plain:[::1]$x", "", "two words", "a;b", "{}", "#", "\"'\\", "\\n", "\t\n"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct sample_main *main_settings;
		char text[128] = "events {} pid ";
		FILE *out = fmemopen(text, sizeof(text), "a");
		struct config *config;

		config_print_word(out, words[i]);
		fputc(';', out);
		fclose(out);
		config = parse_well(text);
		main_settings = config_settings(config_root(config), &sample_main_module);
		assert_string_equal((const char *)main_settings->pid.data, words[i]);
		config_free(config);
	}
}

static void
an_empty_word_is_a_word(void **state)
{
	struct config *config = parse_well("events {} pid \"\";");
	const struct sample_main *main_settings = config_settings(config_root(config), &sample_main_module);

	assert_int_equal(main_settings->pid.len, 0);
	assert_non_null(main_settings->pid.data);
	config_free(config);
}

static void
scopes_keep_order_words_and_place(void **state)
{
	struct config *config = parse_well("events {}\n"
					   "http {\n"
					   "  server {\n"
					   "    location /a { }\n"
					   "    location\n"
					   "      ~ b { location /c {} }\n"
					   "  }\n"
					   "}\n");
	const struct config_scope *server = config_child(config_child(config_root(config), CONFIG_HTTP), CONFIG_SERVER);
	const struct config_scope *first = server->children, *second = first->next;

	assert_string_equal((const char *)first->words[1].data, "/a");
	assert_int_equal(first->line, 4);
	assert_int_equal(second->word_count, 3);
	assert_string_equal((const char *)second->words[2].data, "b");
	assert_int_equal(second->line, 6);
	assert_string_equal(second->file, "t.conf");
	assert_ptr_equal(second->children->parent, second);
	assert_null(second->next);
	assert_null(config_child(second, CONFIG_SERVER));
	config_free(config);
}

static void
settings_exist_only_where_their_module_lives(void **state)
{
	struct config *config = parse_well("events {} http { upstream u { server a; server b; } }");
	const struct config_scope *http = config_child(config_root(config), CONFIG_HTTP);
	const struct config_scope *upstream = config_child(http, CONFIG_UPSTREAM);

	assert_null(config_settings(config_root(config), &sample_http_module));
	assert_null(config_settings(http, &sample_main_module));
	assert_null(config_settings(upstream, &sample_http_module));
	assert_int_equal(((struct sample_upstream *)config_settings(upstream, &sample_upstream_module))->servers, 2);
	config_free(config);
}

static void
the_context_picks_among_rows_of_one_name(void **state)
{
	struct config *config =
		parse_well("events {} http { keepalive_timeout 3; upstream u { keepalive_timeout 5ms; } }");
	const struct config_scope *http = config_child(config_root(config), CONFIG_HTTP);
	const struct sample_upstream *upstream =
		config_settings(config_child(http, CONFIG_UPSTREAM), &sample_upstream_module);

	assert_int_equal(http_of(config, CONFIG_HTTP)->keepalive_timeout_s, 3);
	assert_int_equal(upstream->keepalive_timeout_ms, 5);
	config_free(config);
}

static void
inner_scopes_take_what_they_do_not_set_from_the_nearest_outer_one(void **state)
{
	struct config *config = parse_well("events {}\n"
					   "http {\n"
					   "  server { location / { tcp_nodelay on; } send_timeout 5; }\n"
					   "  tcp_nodelay off;\n" /* after the block that takes it */
					   "  client_max_body_size 2m;\n"
					   "}\n");
	const struct sample_http *http = http_of(config, CONFIG_HTTP), *server = http_of(config, CONFIG_SERVER),
				 *location = http_of(config, CONFIG_LOCATION);

	assert_null(http->merged_from);
	assert_ptr_equal(server->merged_from, http);
	assert_ptr_equal(location->merged_from, server);
	assert_int_equal(http->tcp_nodelay, 0);
	assert_int_equal(server->tcp_nodelay, 0);
	assert_int_equal(location->tcp_nodelay, 1);
	assert_int_equal(http->send_timeout_ms, 60000);
	assert_int_equal(location->send_timeout_ms, 5000);
	assert_int_equal(location->client_max_body_size, 2 << 20);
	assert_true(http->finished < server->finished && server->finished < location->finished);
	config_free(config);
}

static void
a_merge_that_fails_names_its_block(void **state)
{
	assert_error("events {}\nhttp {\n server {\n client_max_body_size 13; } }\n", "13 brings bad luck in t.conf:3");
	assert_error("http {}\n", "no \"events\" section in configuration");
}

static void
rows_of_free_form_blocks_go_to_their_directive(void **state)
{
	struct config *config;

	file_write("types.conf", "image/png png;\n");
	config = parse_well("events {} http { server { types { text/html html htm; include types.conf; } } }");
	assert_int_equal(http_of(config, CONFIG_SERVER)->types, 3);
	assert_int_equal(http_of(config, CONFIG_HTTP)->types, 0);
	config_free(config);
	unlink("types.conf");
}

static void
names_without_support_say_why(void **state)
{
	assert_error("events {}\nstream { }\n",
		     "\"stream\" directive is not supported by this version of weir: it has no "
		     "use for it yet in t.conf:2");
	assert_error(
		"events {}\nhttp { server {\nssl_certificate a; } }\n",
		"\"ssl_certificate\" directive is not supported by this version of weir: TLS comes later in t.conf:3");
}

static void
globals_come_before_the_file(void **state)
{
	struct config_source source = { .path = "t.conf",
					.text = BYTES("events {}\ndaemon on;\n"),
					.globals = BYTES("daemon off;") };
	struct config *config = config_parse(&source, sample_modules);

	assert_string_equal(config_error(config), "\"daemon\" directive is duplicate in t.conf:2");
	config_free(config);
}

static void
include_goes_by_the_directory_of_the_main_file_and_sorts_matches(void **state)
{
	struct config *config;
	const struct config_scope *server;

	file_write("main.conf", "events {}\nhttp { include servers-*.conf; include none-*.conf; }\n");
	file_write("servers-2.conf", "server { location /2 {} }\n");
	file_write("servers-1.conf", "server { location /1 {} }\n");
	config = parse_file("/proc/self/cwd/main.conf");
	assert_null(config_error(config));
	server = config_child(config_child(config_root(config), CONFIG_HTTP), CONFIG_SERVER);
	assert_string_equal((const char *)server->children->words[1].data, "/1");
	assert_string_equal((const char *)server->next->children->words[1].data, "/2");
	assert_string_equal(server->file, "/proc/self/cwd/servers-1.conf");
	config_free(config);
	unlink("main.conf");
	unlink("servers-1.conf");
	unlink("servers-2.conf");
}

static void
a_file_that_includes_itself_is_told(void **state)
{
	struct config *config;

	file_write("loop.conf", "\ninclude loop.conf;\n");
	config = parse_file("loop.conf");
	assert_string_equal(config_error(config),
			    "\"include\" directives are nested deeper than 32: does a file include "
			    "itself? in loop.conf:2");
	config_free(config);
	unlink("loop.conf");
}

static void
an_include_that_cannot_be_read_is_told_with_its_place(void **state)
{
	assert_error("events {}\ninclude /tmp;\n", "pread() \"/tmp\" failed (21: Is a directory) in t.conf:2");
	assert_error("include /proc/self/mem;\n",
		     "pread() \"/proc/self/mem\" failed (5: Input/output error) in t.conf:1");
	assert_error("\ninclude '';\n", "open() \"\" failed (2: No such file or directory) in t.conf:2");
}

static void
text_without_files_cannot_include(void **state)
{
	struct config_source source = { .path = "t.conf", .text = BYTES("include /etc/hosts;"), .without_files = true };
	struct config *config = config_parse(&source, sample_modules);

	assert_string_equal(config_error(config), "\"include\" directive is not allowed here in t.conf:1");
	config_free(config);
}

static void
a_pipe_is_read_to_its_end(void **state)
{
	struct config *config;
	char path[64];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "events {}\nfoo;\n", 15), 15);
	close(ends[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	config = parse_file(path);
	assert_non_null(strstr(config_error(config), "unknown directive \"foo\""));
	config_free(config);
	close(ends[0]);
}

static void
a_nul_byte_is_refused(void **state)
{
	static const char plain[] = "events {}\npid a\0b;", quoted[] = "events {}\n\npid 'a\0b';";
	struct config_source source = { .path = "t.conf", .text = bytes_of(plain, sizeof(plain) - 1) };
	struct config *config = config_parse(&source, sample_modules);

	assert_string_equal(config_error(config), "unexpected NUL byte in t.conf:2");
	config_free(config);
	source.text = bytes_of(quoted, sizeof(quoted) - 1);
	config = config_parse(&source, sample_modules);
	assert_string_equal(config_error(config), "unexpected NUL byte in t.conf:3");
	config_free(config);
}

static void
nesting_is_bounded(void **state)
{
	char text[64 * 1024] = "events {} http { server {\n", *end = text + strlen(text);

	for (int i = 0; i < 1000; i++)
		end = stpcpy(end, "location / {\n");
	assert_error(text, "blocks are nested deeper than 64 in t.conf:64");
}

static void
a_path_is_relative_to_the_prefix(void **state)
{
	struct config_source source = { .path = "t.conf", .text = BYTES("events {}"), .prefix = "/etc/weir" };
	struct config *config = config_parse(&source, sample_modules);

	assert_string_equal(config_prefix(config), "/etc/weir/");
	assert_string_equal(config_full_path(config, bytes_of_string("a.log")), "/etc/weir/a.log");
	assert_string_equal(config_full_path(config, bytes_of_string("/a.log")), "/a.log");
	config_free(config);
}

static void
append(void *context, const char *text, size_t len)
{
	strncat(context, text, len);
}

static void
dump_shows_each_file_once_in_the_order_of_reading(void **state)
{
	struct config *config;
	char dump[512] = "";

	file_write("one.conf", "# one\n");
	config = parse_well("events {}\ninclude one.conf;\ninclude one.conf;\n");
	config_dump(config, append, dump);
	assert_string_equal(dump, "# configuration file t.conf:\n"
				  "events {}\ninclude one.conf;\ninclude one.conf;\n\n"
				  "# configuration file one.conf:\n# one\n\n");
	config_free(config);
	unlink("one.conf");
}

static void
two_configurations_live_side_by_side(void **state)
{
	struct config *old = parse_well("events {} http { send_timeout 1; }");
	struct config *new = parse_well("events {} http { send_timeout 2; }");

	assert_int_equal(http_of(old, CONFIG_HTTP)->send_timeout_ms, 1000);
	config_free(old);
	assert_int_equal(http_of(new, CONFIG_HTTP)->send_timeout_ms, 2000);
	config_free(new);
}

static void
a_hundred_thousand_lines_take_less_than_a_second(void **state)
{
	size_t size = 8 << 20, servers = 20000;
	char *text = malloc(size), *end = text;
	struct timespec start, stop;
	struct config *config;

	assert_non_null(text);
	end = stpcpy(end, "events {}\nhttp {\n");
	for (size_t i = 0; i < servers; i++)
		end += sprintf(end,
			       "server {\n listen %zu;\n server_name s%zu.example.com www.s%zu.example.com;\n"
			       " return 200 \"$host and $http_x_%zu\";\n}\n",
			       i % 65535 + 1, i, i, i);
	stpcpy(end, "}\n");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	config = parse_well(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &stop);
	print_message("%.3f s\n", (double)(stop.tv_sec - start.tv_sec) + (double)(stop.tv_nsec - start.tv_nsec) / 1e9);
	/* Room for sanitizers and a busy machine; it takes about a tenth of this. */
	assert_true(stop.tv_sec - start.tv_sec < 3);
	config_free(config);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_lose_their_quotes_and_known_escapes_alone),
		cmocka_unit_test(a_printed_word_is_read_as_it_was),
		cmocka_unit_test(an_empty_word_is_a_word),
		cmocka_unit_test(scopes_keep_order_words_and_place),
		cmocka_unit_test(settings_exist_only_where_their_module_lives),
		cmocka_unit_test(the_context_picks_among_rows_of_one_name),
		cmocka_unit_test(inner_scopes_take_what_they_do_not_set_from_the_nearest_outer_one),
		cmocka_unit_test(a_merge_that_fails_names_its_block),
		cmocka_unit_test(rows_of_free_form_blocks_go_to_their_directive),
		cmocka_unit_test(names_without_support_say_why),
		cmocka_unit_test(globals_come_before_the_file),
		cmocka_unit_test(include_goes_by_the_directory_of_the_main_file_and_sorts_matches),
		cmocka_unit_test(a_file_that_includes_itself_is_told),
		cmocka_unit_test(an_include_that_cannot_be_read_is_told_with_its_place),
		cmocka_unit_test(text_without_files_cannot_include),
		cmocka_unit_test(a_pipe_is_read_to_its_end),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_path_is_relative_to_the_prefix),
		cmocka_unit_test(dump_shows_each_file_once_in_the_order_of_reading),
		cmocka_unit_test(two_configurations_live_side_by_side),
		cmocka_unit_test(a_hundred_thousand_lines_take_less_than_a_second),
	};

	return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
