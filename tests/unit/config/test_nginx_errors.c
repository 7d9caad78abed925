/*
 * What nginx 1.22.1 says to broken configurations, word for word (`nginx -t`, with the directory taken off the paths),
 * and what we say to the same text.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "sample.h"

static const struct {
	const char *text, *error;
} nginx_errors[] = {
	{ "}\n", "unexpected \"}\" in t.conf:1" },
	{ "events { }\n}\nhttp {}\n", "unexpected \"}\" in t.conf:2" },
	{ "events {\n", "unexpected end of file, expecting \"}\" in t.conf:2" },
	{ "events {}\npid", "unexpected end of file, expecting \";\" or \"}\" in t.conf:2" },
	{ "events {}\nhttp {\n  server {\n listen 80", "unexpected end of file, expecting \";\" or \"}\" in t.conf:4" },
	{ "events {}\npid x.pid\n", "unexpected end of file, expecting \";\" or \"}\" in t.conf:3" },
	{ "events { worker_connections 10 }\n", "unexpected \"}\" in t.conf:1" },
	{ "events {}\nhttp {\n server {\n  listen 80\n }\n}\n", "unexpected \"}\" in t.conf:5" },
	{ "events;\n", "directive \"events\" has no opening \"{\" in t.conf:1" },
	{ "events {}\nhttp;\n", "directive \"http\" has no opening \"{\" in t.conf:2" },
	{ "events {}\nhttp { server; }\n", "directive \"server\" has no opening \"{\" in t.conf:2" },
	{ "events {}\nworker_processes 1 {\n}\n",
	  "directive \"worker_processes\" is not terminated by \";\" in t.conf:2" },
	{ "events {}\nfoo bar;\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nfoo bar { }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp {\n\n  foo;\n}\n", "unknown directive \"foo\" in t.conf:4" },
	{ "events {}\nlisten 80;\n", "\"listen\" directive is not allowed here in t.conf:2" },
	{ "events {}\nhttp { worker_processes 1; }\n",
	  "\"worker_processes\" directive is not allowed here in t.conf:2" },
	{ "events {}\nhttp { location / { } }\n", "\"location\" directive is not allowed here in t.conf:2" },
	{ "events {}\nserver { }\n", "\"server\" directive is not allowed here in t.conf:2" },
	{ "events {}\nhttp { http {} }\n", "\"http\" directive is not allowed here in t.conf:2" },
	{ "events {}\nworker_processes;\n",
	  "invalid number of arguments in \"worker_processes\" directive in t.conf:2" },
	{ "events {}\nworker_processes 1 2;\n",
	  "invalid number of arguments in \"worker_processes\" directive in t.conf:2" },
	{ "events x {}\n", "invalid number of arguments in \"events\" directive in t.conf:1" },
	{ "events {}\nhttp { server { location { } } }\n",
	  "invalid number of arguments in \"location\" directive in t.conf:2" },
	{ "events {}\ndaemon;\n", "invalid number of arguments in \"daemon\" directive in t.conf:2" },
	{ "events {}\ndaemon on off;\n", "invalid number of arguments in \"daemon\" directive in t.conf:2" },
	{ "events {}\npid a;\npid b;\n", "\"pid\" directive is duplicate in t.conf:3" },
	{ "events {}\ndaemon on;\ndaemon off;\n", "\"daemon\" directive is duplicate in t.conf:3" },
	{ "events {}\nworker_rlimit_nofile 1;\nworker_rlimit_nofile 2;\n",
	  "\"worker_rlimit_nofile\" directive is duplicate in t.conf:3" },
	{ "events {}\nevents {}\n", "\"events\" directive is duplicate in t.conf:2" },
	{ "events {}\nhttp {}\nhttp {}\n", "\"http\" directive is duplicate in t.conf:3" },
	{ "events {}\nhttp { client_max_body_size 1m; client_max_body_size 2m; }\n",
	  "\"client_max_body_size\" directive is duplicate in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1;\n\nsend_timeout 2; }\n",
	  "\"send_timeout\" directive is duplicate in t.conf:4" },
	{ "events {}\nhttp { satisfy all; satisfy any; }\n", "\"satisfy\" directive is duplicate in t.conf:2" },
	{ "events {}\nhttp { auth_basic a; auth_basic b; }\n", "\"auth_basic\" directive is duplicate in t.conf:2" },
	{ "events {}\ndaemon maybe;\n",
	  "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\" in t.conf:2" },
	{ "events {}\nhttp { tcp_nodelay yes; }\n",
	  "invalid value \"yes\" in \"tcp_nodelay\" directive, it must be \"on\" or \"off\" in t.conf:2" },
	{ "events {}\ndaemon ON;\nhttp { tcp_nodelay Off; foo; }\n", "unknown directive \"foo\" in t.conf:3" },
	{ "events {}\nworker_rlimit_nofile x;\n", "\"worker_rlimit_nofile\" directive invalid number in t.conf:2" },
	{ "events {}\nworker_rlimit_nofile -1;\n", "\"worker_rlimit_nofile\" directive invalid number in t.conf:2" },
	{ "events {}\nworker_rlimit_nofile 99999999999999999999;\n",
	  "\"worker_rlimit_nofile\" directive invalid number in t.conf:2" },
	{ "events {}\nhttp { keepalive_requests 1x; }\n",
	  "\"keepalive_requests\" directive invalid number in t.conf:2" },
	{ "events {}\nhttp { client_max_body_size 1q; }\n",
	  "\"client_max_body_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_body_buffer_size k; }\n",
	  "\"client_body_buffer_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_max_body_size 1t; }\n",
	  "\"client_max_body_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_max_body_size 9223372036854775807k; }\n",
	  "\"client_max_body_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1x; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1s1m; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1M; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout '1m 30s'; foo; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { send_timeout ''; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1ms; foo; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1s500ms; foo; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1s500; foo; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { satisfy some; }\n", "invalid value \"some\" in t.conf:2" },
	{ "events {}\ninclude nothere.conf;\n",
	  "open() \"nothere.conf\" failed (2: No such file or directory) in t.conf:2" },
	{ "events {}\ninclude none*.conf;\nfoo;\n", "unknown directive \"foo\" in t.conf:3" },
	{ "events {}\ninclude;\n", "invalid number of arguments in \"include\" directive in t.conf:2" },
	{ "events {}\ninclude a b;\n", "invalid number of arguments in \"include\" directive in t.conf:2" },
	{ "events {}\ninclude a { }\n", "directive \"include\" is not terminated by \";\" in t.conf:2" },
	{ "events {}\ninclude sub.conf;\n", "unknown directive \"qux\" in sub.conf:3" },
	{ "events {}\ninclude open.conf;\n", "unexpected end of file, expecting \"}\" in open.conf:2" },
	{ "events {}\nhttp { include close.conf;\n}\n", "unexpected \"}\" in close.conf:2" },
	{ "events {}\ninclude half.conf;\n", "unexpected end of file, expecting \";\" or \"}\" in half.conf:2" },
	{ "events {}\npid \"abc;\n", "unexpected end of file, expecting \";\" or \"}\" in t.conf:3" },
	{ "events {}\npid 'abc;\n\n\n", "unexpected end of file, expecting \";\" or \"}\" in t.conf:5" },
	{ "events {}\npid \"abc\"d;\n", "unexpected \"d\" in t.conf:2" },
	{ "events {}\npid \"abc\")d;\n", "invalid number of arguments in \"pid\" directive in t.conf:2" },
	{ "events {}\npid 'abc'{\n", "directive \"pid\" is not terminated by \";\" in t.conf:2" },
	{ ";\n", "unexpected \";\" in t.conf:1" },
	{ "events {};\n", "unexpected \";\" in t.conf:1" },
	{ "events {}\npid a;;\n", "unexpected \";\" in t.conf:2" },
	{ "{\n", "unexpected \"{\" in t.conf:1" },
	{ "events {}\nhttp { { } }\n", "unexpected \"{\" in t.conf:2" },
	{ "events {}\nhttp { server { return 200 \"${host\"; } }\n",
	  "the closing bracket in \"host\" variable is missing in t.conf:2" },
	{ "events {}\nhttp { server { return 200 ${host; } }\n",
	  "the closing bracket in \"host\" variable is missing in t.conf:2" },
	{ "events {}\nhttp { server { location ~ \"a(b\" { } } }\n",
	  "pcre2_compile() failed: missing closing parenthesis in \"a(b\" in t.conf:2" },
	{ "events {}\nhttp { server { location ~* [z-a] { } } }\n",
	  "pcre2_compile() failed: range out of order in character class in \"[z-a]\" at \"a]\" in t.conf:2" },
	{ "events {}\nhttp { server { server_name ~(; } }\n",
	  "pcre2_compile() failed: missing closing parenthesis in \"(\" in t.conf:2" },
	{ "events {}\nfoo#bar baz;\n", "unknown directive \"foo#bar\" in t.conf:2" },
	{ "events {}\nfoo #bar baz;\nqux;\n", "unknown directive \"foo\" in t.conf:3" },
	{ "events {}\nfoo${bar} baz;\n", "unknown directive \"foo${bar}\" in t.conf:2" },
	{ "events {}\n\"daemon\" on;\n'daemon' off;\n", "\"daemon\" directive is duplicate in t.conf:3" },
	{ "events {}\r\nfoo\r\nbar;\r\n", "unknown directive \"foo\" in t.conf:3" },
	{ "events {}\nfoo\\;bar;\n", "unknown directive \"foo\\;bar\" in t.conf:2" },
	{ "events {}\nfoo\\ bar;\n", "unknown directive \"foo\\ bar\" in t.conf:2" },
	{ "events {}\n\"\" x;\n", "unknown directive \"\" in t.conf:2" },
	{ "http {}\n", "no \"events\" section in configuration" },
	{ "", "no \"events\" section in configuration" },
	{ "events {}\n\n\nfoo\n\n\n bar;\n", "unknown directive \"foo\" in t.conf:7" },
	{ "events {}\nhttp { upstream u { server 127.0.0.1; listen 80; } }\n",
	  "\"listen\" directive is not allowed here in t.conf:2" },
	{ "events {}\nhttp { upstream u { server 127.0.0.1; keepalive_timeout 1x; } }\n",
	  "\"keepalive_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { types { text/html html { } } }\n", "unexpected \"{\" in t.conf:2" },
	{ "events {}\nhttp { types { text/html html } }\n", "unexpected \"}\" in t.conf:2" },
	{ "events {}\nhttp { types { include nothere; } }\n",
	  "open() \"nothere\" failed (2: No such file or directory) in t.conf:2" },
	{ "events {}\nhttp { types { a b;\n", "unexpected end of file, expecting \"}\" in t.conf:3" },
	{ "events {}\nfoo \"a\"\"b\";\n", "unexpected \"\"\" in t.conf:2" },
	{ "events {}\nworker_processes 1", "unexpected end of file, expecting \";\" or \"}\" in t.conf:2" },
	{ "events {}\nhttp { server { location / { include sub.conf; } } }\n",
	  "unknown directive \"qux\" in sub.conf:3" },
	{ "events {}\nhttp { send_timeout 1y; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1M; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 30m1h; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1d1d; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1s1s; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1mm; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 1_; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 99999999999999999999; foo; }\n",
	  "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 9223372036854775807; foo; }\n",
	  "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 106751991168d; foo; }\n",
	  "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { send_timeout 5ms1s; foo; }\n", "\"send_timeout\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_body_buffer_size 1kk; foo; }\n",
	  "\"client_body_buffer_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_body_buffer_size 9223372036854775808; foo; }\n",
	  "\"client_body_buffer_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_body_buffer_size 9007199254740992k; foo; }\n",
	  "\"client_body_buffer_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_body_buffer_size -1; foo; }\n",
	  "\"client_body_buffer_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_body_buffer_size 1.5k; foo; }\n",
	  "\"client_body_buffer_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { client_max_body_size 8589934592g; foo; }\n",
	  "\"client_max_body_size\" directive invalid value in t.conf:2" },
	{ "events {}\nhttp { gzip_comp_level 10; foo; }\n", "value must be between 1 and 9 in t.conf:2" },
	{ "events {}\nhttp { gzip_comp_level 0; foo; }\n", "value must be between 1 and 9 in t.conf:2" },
	{ "events {worker_connections 0; }\nhttp { foo; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { server { return 200 $HTTP_Foo$Host; } foo; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { server { server_name ~^(?<host>.*)$; } foo; }\n",
	  "the duplicate \"host\" variable in t.conf:2" },
	{ "events {}\nhttp { server { return 200 $bar; server_name ~^(?<Bar>.*)$; } foo; }\n",
	  "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp { server { return 200 $bar; server_name ~^(?<arg_x>.*)$; } foo; }\n",
	  "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nhttp {\n types { a/b c; }\n types { d/e c; }\n foo; }\n",
	  "unknown directive \"foo\" in t.conf:5" },
	{ "events {}\n foo 'a\n\nb'\n;\nfoo;\n", "unknown directive \"foo\" in t.conf:5" },
	{ "events\n\n{ foo; }\n", "unknown directive \"foo\" in t.conf:3" },
	{ "events {}\nserver\n\n{ foo; }\n", "\"server\" directive is not allowed here in t.conf:4" },
	{ "events {}\nfoo 'a;b' ;\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nfoo{bar; }\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nfoo bar};\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nfoo bar} baz;\n", "unknown directive \"foo\" in t.conf:2" },
	{ "events {}\nserver_name;\n", "\"server_name\" directive is not allowed here in t.conf:2" },
	{ "events {}\nunk {\n", "unknown directive \"unk\" in t.conf:2" },
	{ "events {}\nhttp { server {\n\n", "unexpected end of file, expecting \"}\" in t.conf:4" },
	{ "events {}\nfoo bar\\", "unexpected end of file, expecting \";\" or \"}\" in t.conf:2" },
	{ "events {}\nfoo bar # abc", "unexpected end of file, expecting \";\" or \"}\" in t.conf:2" },
	{ "events {}\nhttp{}\nfoo a#b;", "unknown directive \"foo\" in t.conf:3" },
	{ "events {}\nhttp{}\nf\001oo a#b;", "unknown directive \"f\001oo\" in t.conf:3" },
	{ "events {}\nhttp{}\nf\013oo a#b;", "unknown directive \"f\013oo\" in t.conf:3" },
};

static const struct {
	const char *path, *text;
} files[] = {
	{ "sub.conf", "\n\nqux 1;\n" },
	{ "open.conf", "http {\n" },
	{ "close.conf", "\n}\n" },
	{ "half.conf", "worker_processes 1\n" },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char directory[] = "/tmp/weir-test-config-XXXXXX";

static int
files_make(void **state)
{
	if (!mkdtemp(directory) || chdir(directory) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(files); i++) {
		FILE *file = fopen(files[i].path, "w");

		if (!file || fputs(files[i].text, file) < 0 || fclose(file) != 0)
			return -1;
	}
	return 0;
}

static int
files_remove(void **state)
{
	for (size_t i = 0; i < COUNT(files); i++)
		unlink(files[i].path);
	return chdir("/") < 0 || rmdir(directory) < 0 ? -1 : 0;
}

static void
broken_configurations_get_the_words_of_nginx(void **state)
{
	int different = 0;

	for (size_t i = 0; i < COUNT(nginx_errors); i++) {
		struct config *config = sample_parse(nginx_errors[i].text);
		const char *error = config_error(config) ? config_error(config) : "(none)";

		if (strcmp(error, nginx_errors[i].error) != 0) {
			print_error("%s\n  nginx: %s\n  ours:  %s\n", nginx_errors[i].text, nginx_errors[i].error,
				    error);
			different++;
		}
		config_free(config);
	}
	assert_int_equal(different, 0);
}

/* The same with words too long to be written into the table. */
static void
check_long_word(size_t len, const char *quote, const char *expected)
{
	char text[8192] = "events {}\npid ";
	size_t at = strlen(text);
	struct config *config;

	at += (size_t)sprintf(text + at, "%s", quote);
	memset(text + at, 'x', len);
	sprintf(text + at + len, "%s;\nfoo;\n", quote);
	config = sample_parse(text);
	assert_string_equal(config_error(config), expected);
	config_free(config);
}

static void
a_word_may_have_4095_bytes_as_in_nginx(void **state)
{
	const char *fits = "unknown directive \"foo\" in t.conf:3";

	check_long_word(4095, "", fits);
	check_long_word(4096, "", "too long parameter \"xxxxxxxxxx...\" started in t.conf:2");
	check_long_word(4095, "\"", fits);
	check_long_word(5000, "\"", "too long parameter, probably missing terminating \"\"\" character in t.conf:2");
	check_long_word(4095, "'", fits);
	check_long_word(5000, "'", "too long parameter, probably missing terminating \"'\" character in t.conf:2");
}

static void
globals_of_the_command_line_get_the_words_of_nginx(void **state)
{
	static const struct {
		const char *globals, *error;
	} cases[] = {
		{ "foo;", "unknown directive \"foo\" in command line" },
		{ "foo", "unexpected end of parameter, expecting \";\" in command line" },
		{ "daemon off", "unexpected end of parameter, expecting \";\" in command line" },
		{ "daemon off; daemon on;", "\"daemon\" directive is duplicate in command line" },
		{ "daemon off; }", "unexpected \"}\" in command line" },
		{ "http {", "block directives are not supported in -g option in command line" },
		{ ";", "unexpected \";\" in command line" },
		{ "include nothere;", "open() \"nothere\" failed (2: No such file or directory) in command line" },
		{ "daemon off; # foo", NULL },
		{ "", NULL },
	};
	const char *text = "events {}\n";

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_source source = { .path = "t.conf",
						.text = bytes_of_string(text),
						.globals = bytes_of_string(cases[i].globals) };
		struct config *config = config_parse(&source, sample_modules);

		if (cases[i].error)
			assert_string_equal(config_error(config), cases[i].error);
		else
			assert_null(config_error(config));
		config_free(config);
	}
}

static void
a_main_file_that_cannot_be_read_gets_the_words_of_nginx(void **state)
{
	static const struct {
		const char *path, *error;
	} cases[] = {
		{ "nothere.conf", "open() \"nothere.conf\" failed (2: No such file or directory)" },
		{ "/tmp", "pread() \"/tmp\" failed (21: Is a directory)" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config_source source = { .path = cases[i].path };
		struct config *config = config_parse(&source, sample_modules);

		assert_string_equal(config_error(config), cases[i].error);
		config_free(config);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_configurations_get_the_words_of_nginx),
		cmocka_unit_test(a_word_may_have_4095_bytes_as_in_nginx),
		cmocka_unit_test(globals_of_the_command_line_get_the_words_of_nginx),
		cmocka_unit_test(a_main_file_that_cannot_be_read_gets_the_words_of_nginx),
	};

	return cmocka_run_group_tests(tests, files_make, files_remove);
}
