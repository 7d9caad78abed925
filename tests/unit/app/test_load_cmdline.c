#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weir-load/cmdline.h"

#define WORDS_MAX 64

static struct cmdline cmdline;

/* Of words with blanks in between; "~" in a word stands for a blank. */
static int
parse(const char *line)
{
	static char text[512], name[] = "weir-load";
	char *words[WORDS_MAX] = { name };
	int count = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
		for (char *c = word; *c; c++)
			if (*c == '~')
				*c = ' ';
		assert_true(count < WORDS_MAX);
		words[count++] = word;
	}
	return cmdline_parse(&cmdline, count, words);
}

static void
assert_refused(const char *line, const char *reason)
{
	assert_int_equal(parse(line), -EINVAL);
	if (!strstr(cmdline.error, reason))
		fail_msg("\"%s\": \"%s\" does not say \"%s\"", line, cmdline.error, reason);
}

static void
assert_request(const char *line, const char *wanted)
{
	size_t len;
	char *request;

	assert_int_equal(parse(line), 0);
	request = (char *)cmdline_request(&cmdline, &len);
	assert_non_null(request);
	assert_int_equal(len, strlen(wanted));
	assert_memory_equal(request, wanted, len);
	free(request);
}

static void
test_what_is_not_said_is_as_with_wrk(void **state)
{
	assert_int_equal(parse("http://10.0.0.1"), 0);
	assert_int_equal(cmdline.connections, 10);
	assert_int_equal(cmdline.lcores, 1);
	assert_int_equal(cmdline.duration_ms, 10000);
	assert_int_equal(cmdline.timeout_ms, 2000);
	assert_int_equal(cmdline.port, 80);
	assert_string_equal(cmdline.host, "10.0.0.1");
	assert_true(cmdline.rate == 0);
	assert_true(cmdline.size == UINT64_MAX);
	assert_int_equal(cmdline.interface_count, 0);
	assert_int_equal(cmdline.answer_port, 0);
}

static void
test_options(void **state)
{
	assert_int_equal(
		parse("-c 100 -t2 -d 500ms -R 20k --timeout 1m --warmup 2 --size 0 --close --latency --json - "
		      "--interface vdev:net_memif0,role=client --address 10.0.0.2/24 --address fd00::2/64 --twin w0 "
		      "--cpus 1,0 --busy http://[fd00::1]:8080/a?b -- --no-huge -m 64"),
		0);
	assert_int_equal(cmdline.connections, 100);
	assert_int_equal(cmdline.lcores, 2);
	assert_int_equal(cmdline.duration_ms, 500);
	assert_true(cmdline.rate == 20000);
	assert_int_equal(cmdline.timeout_ms, 60000);
	assert_int_equal(cmdline.warmup_ms, 2000);
	assert_int_equal(cmdline.size, 0);
	assert_true(cmdline.close && cmdline.latency && cmdline.busy);
	assert_string_equal(cmdline.json, "-");
	assert_int_equal(cmdline.interfaces[0].address_count, 2);
	assert_int_equal(cmdline.cpus[0], 1);
	assert_string_equal(cmdline.host, "fd00::1");
	assert_int_equal(cmdline.port, 8080);
	assert_string_equal(cmdline.target, "/a?b");
	assert_int_equal(cmdline.eal_argc, 4);
	assert_string_equal(cmdline.eal_argv[1], "--no-huge");
}

static void
test_bad_urls_are_refused_with_a_reason(void **state)
{
	assert_refused("", "no URL");
	assert_refused("ftp://10.0.0.1/", "must begin with http:// or https://");
	assert_refused("10.0.0.1/", "must begin with http://");
	assert_refused("http:///x", "names no host");
	assert_refused("http://:80/", "names no host");
	assert_refused("http://10.0.0.1:/", "port must be");
	assert_refused("http://10.0.0.1:0/", "port must be");
	assert_refused("http://10.0.0.1:65536/", "port must be");
	assert_refused("http://10.0.0.1:8a/", "port must be");
	assert_refused("http://[fd00::1/", "names no host");
	assert_refused("http://[fd00::1]x/", "no name and no address");
	assert_refused("http://me@10.0.0.1/", "user names");
	assert_refused("http://10.0.0.1/a~b", "blank");
	assert_refused("http://10.0.0.1/ http://10.0.0.2/", "unexpected argument \"http://10.0.0.2/\"");
}

static void
test_bad_options_are_refused_with_a_reason(void **state)
{
	assert_refused("-c 0 http://a/", "invalid value \"0\" of option \"-c\"");
	assert_refused("-c x http://a/", "invalid value \"x\" of option \"-c\"");
	assert_refused("-c 1 -t 2 http://a/", "2 lcores need at least as many connections");
	assert_refused("-t 65 http://a/", "between 1 and 64");
	assert_refused("-d 10x http://a/", "invalid time \"10x\" of option \"-d\"");
	assert_refused("-d 0 http://a/", "a time of 0 for option \"-d\"");
	assert_refused("-R 0 http://a/", "invalid value \"0\" of option \"-R\"");
	assert_refused("-R nan http://a/", "invalid value");
	assert_refused("-R 10kk http://a/", "invalid value");
	assert_refused("-H Host http://a/", "must be \"NAME: VALUE\"");
	assert_refused("-H A~b:c http://a/", "must be \"NAME: VALUE\"");
	assert_refused("-H connection:~close http://a/", "weir-load's own");
	assert_refused("--cpus 0, http://a/", "numbers of CPUs");
	assert_refused("--cpus 0,1 http://a/", "2 CPUs for 1 lcores");
	assert_refused("--address 10.0.0.1/24 http://a/", "belong behind an --interface");
	assert_refused("--twin w --interface i http://a/", "belong behind an --interface");
	assert_refused("--interface a --interface b --interface c --interface d --interface e http://a/",
		       "more than 4 interfaces");
	assert_refused("--answer 0 http://a/", "invalid value \"0\" of option \"--answer\"");
	assert_refused("--answer-size 1 http://a/", "belongs to --answer");
	assert_refused("--resume http://a/", "belong to https://");
	assert_refused("--tls-version 1.1 https://a/", "it must be 1.2 or 1.3");
	assert_refused("--server-name= https://a/", "it must be a name");
	assert_refused("--nonsense http://a/", "unknown option \"--nonsense\"");
	assert_refused("-x http://a/", "unknown option \"-x\"");
	assert_refused("http://a/ -c", "option \"-c\" needs a value");
	assert_refused("http://a/ --json", "option \"--json\" needs a value");
}

static void
test_the_request(void **state)
{
	assert_request("http://10.0.0.1", "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n");
	assert_request("http://a:80?q#part", "GET /?q HTTP/1.1\r\nHost: a:80\r\n\r\n");
	assert_request("http://[::1]:81/x", "GET /x HTTP/1.1\r\nHost: [::1]:81\r\n\r\n");
	assert_request("--close -H hOst:~b -H A:~1 http://a/",
		       "GET / HTTP/1.1\r\nhOst: b\r\nA: 1\r\nConnection: close\r\n\r\n");
	assert_request("https://a:443/", "GET / HTTP/1.1\r\nHost: a:443\r\n\r\n");
	assert_request("--body 3 http://a/", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
}

static void
test_the_configuration_that_it_stands_for(void **state)
{
	char text[1024];
	size_t len;

	assert_int_equal(
		parse("-c 8 -t 2 --cpus 0,2 --busy --interface vdev:a\"b --address 10.0.0.2/24 --twin w http://a/"), 0);
	len = cmdline_configuration(&cmdline, text, sizeof(text));
	assert_int_equal(len, strlen(text));
	assert_string_equal(text, "worker_processes 2;\nworker_poll busy;\nworker_cpu_affinity 1 100;\n"
				  "events {\n\tworker_connections 5;\n}\ninterface \"vdev:a\\\"b\" {\n"
				  "\taddress 10.0.0.2/24;\n\ttwin w;\n}\n");
	assert_int_equal(cmdline_configuration(&cmdline, text, 20), 20);
}

static void
test_a_server_of_its_own_has_connections_and_interfaces_too(void **state)
{
	char text[1024];

	assert_int_equal(
		parse("-c 8 --answer 80 --answer-size 0 --interface a --address 10.0.0.2/24 --interface b --twin w "
		      "--address 10.0.1.2/24 --address fd00::2/64 http://a/"),
		0);
	assert_int_equal(cmdline.answer_port, 80);
	assert_int_equal(cmdline.answer_size, 0);
	cmdline_configuration(&cmdline, text, sizeof(text));
	assert_string_equal(text,
			    "worker_processes 1;\nworker_poll adaptive;\nevents {\n\tworker_connections 1042;\n}\n"
			    "interface a {\n\taddress 10.0.0.2/24;\n}\n"
			    "interface b {\n\taddress 10.0.1.2/24;\n\taddress fd00::2/64;\n"
			    "\ttwin w;\n}\n");
}

static void
test_tls_is_as_towards_a_server_of_the_proxy(void **state)
{
	char text[1024];

	assert_int_equal(parse("https://a/"), 0);
	assert_int_equal(cmdline.port, 443);
	assert_string_equal(cmdline.server_name, "a");
	cmdline_configuration(&cmdline, text, sizeof(text));
	assert_non_null(strstr(text, "http {\n\tproxy_ssl_server_name on;\n\tproxy_ssl_session_reuse off;\n}\n"));
	assert_int_equal(parse("--close --resume --tls-version 1.2 --server-name b https://a/"), 0);
	assert_string_equal(cmdline.server_name, "b");
	cmdline_configuration(&cmdline, text, sizeof(text));
	assert_non_null(strstr(text, "\tproxy_ssl_session_reuse on;\n\tproxy_ssl_protocols TLSv1.2;\n}\n"));
}

static void
test_addresses_need_no_resolver(void **state)
{
	struct endpoint server;
	char text[ENDPOINT_TEXT_MAX];

	assert_int_equal(parse("http://[fd00::1]:81/"), 0);
	assert_int_equal(cmdline_resolve(&cmdline, &server), 0);
	endpoint_format(&server, text, sizeof(text));
	assert_string_equal(text, "[fd00::1]:81");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_said_is_as_with_wrk),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_urls_are_refused_with_a_reason),
		cmocka_unit_test(test_bad_options_are_refused_with_a_reason),
		cmocka_unit_test(test_the_request),
		cmocka_unit_test(test_the_configuration_that_it_stands_for),
		cmocka_unit_test(test_a_server_of_its_own_has_connections_and_interfaces_too),
		cmocka_unit_test(test_tls_is_as_towards_a_server_of_the_proxy),
		cmocka_unit_test(test_addresses_need_no_resolver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
