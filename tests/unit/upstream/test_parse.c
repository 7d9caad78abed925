#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

static struct upstream_group *
group_named(struct config *config, const char *name)
{
	struct upstream_group *group = upstream_group_find(config, bytes_of_string(name));

	assert_non_null(group);
	return group;
}

static void
expect_bytes(struct bytes have, const char *want)
{
	if (!bytes_equal_string(have, want))
		fail_msg("\"%.*s\" instead of \"%s\"", (int)have.len, (const char *)have.data, want);
}

static void
test_a_server_has_nginxs_defaults(void **state)
{
	struct config *config = fixture_parse_well("upstream a { server 10.1.2.3; }");
	struct upstream_group *group = group_named(config, "a");

	assert_int_equal(group->primary_count, 1);
	assert_int_equal(group->backup_count, 0);
	expect_bytes(group->servers[0].name, "10.1.2.3");
	expect_bytes(group->servers[0].address_text, "10.1.2.3:80");
	assert_int_equal(ntohs(group->servers[0].address.port_be), 80);
	assert_int_equal(group->servers[0].weight, 1);
	assert_int_equal(group->servers[0].max_fails, 1);
	assert_int_equal(group->servers[0].max_conns, 0);
	assert_int_equal(group->servers[0].fail_timeout_ms, 10000);
	assert_false(group->servers[0].down || group->servers[0].backup || group->implicit);
	assert_ptr_equal(group->method, balance_methods[0]);
	assert_int_equal(group->keepalive, 0);
	assert_int_equal(group->keepalive_requests, 1000);
	assert_int_equal(group->keepalive_timeout_ms, 60000);
	assert_int_equal(group->keepalive_time_ms, 3600000);
	assert_int_equal(group->line, 2);
	assert_string_equal(group->file, "test.conf");
	config_free(config);
}

static void
test_parameters_are_taken_and_backups_come_last(void **state)
{
	struct config *config =
		fixture_parse_well("upstream a { server 10.0.0.1:81 backup weight=7; server [::1]:82 down;\n"
				   "server 10.0.0.2:83 weight=5 max_fails=3 fail_timeout=1m30s max_conns=9;\n"
				   "server 10.0.0.3 weight=0;\n"
				   "keepalive 32; keepalive_requests 10; keepalive_timeout 5s;\n"
				   "keepalive_time 1500ms; }");
	struct upstream_group *group = group_named(config, "A");
	const struct upstream_server *servers = group->servers;

	assert_int_equal(group->primary_count, 3);
	assert_int_equal(group->backup_count, 1);
	expect_bytes(servers[0].address_text, "[::1]:82");
	assert_true(servers[0].down);
	expect_bytes(servers[1].address_text, "10.0.0.2:83");
	assert_int_equal(servers[1].weight, 5);
	assert_int_equal(servers[1].max_fails, 3);
	assert_int_equal(servers[1].fail_timeout_ms, 90000);
	assert_int_equal(servers[1].max_conns, 9);
	assert_int_equal(servers[2].weight, 0);
	expect_bytes(servers[3].address_text, "10.0.0.1:81");
	assert_true(servers[3].backup);
	assert_int_equal(group->keepalive, 32);
	assert_int_equal(group->keepalive_requests, 10);
	assert_int_equal(group->keepalive_timeout_ms, 5000);
	assert_int_equal(group->keepalive_time_ms, 1500);
	config_free(config);
}

static void
test_all_addresses_of_a_name_become_peers_ipv4_first(void **state)
{
	struct config *config = fixture_parse_well("upstream a { server two.test:8000 weight=2; server one.test; }");
	struct upstream_group *group = group_named(config, "a");

	assert_int_equal(group->primary_count, 4);
	expect_bytes(group->servers[0].address_text, "10.0.0.2:8000");
	expect_bytes(group->servers[1].address_text, "10.0.0.3:8000");
	expect_bytes(group->servers[2].address_text, "[2001:db8::2]:8000");
	expect_bytes(group->servers[3].address_text, "10.0.0.1:80");
	for (int i = 0; i < 3; i++) {
		expect_bytes(group->servers[i].name, "two.test:8000");
		assert_int_equal(group->servers[i].weight, 2);
	}
	config_free(config);
}

/* The texts are those of nginx 1.22.1 where it refuses the same. */
static void
test_what_nginx_refuses_is_refused_in_its_words(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "upstream a { }", "no servers are inside upstream" },
		{ "upstream a { server 10.0.0.1 backup; }", "no servers in upstream \"a\"" },
		{ "upstream a { server 10.0.0.1; } upstream A { server 10.0.0.1; }", "duplicate upstream \"A\"" },
		{ "upstream { server 10.0.0.1; }", "invalid number of arguments in \"upstream\" directive" },
		{ "upstream a b { server 10.0.0.1; }", "invalid number of arguments in \"upstream\" directive" },
		{ "upstream a { server; }", "invalid number of arguments in \"server\" directive" },
		{ "upstream a { server 10.0.0.1 weight=x; }", "invalid parameter \"weight=x\"" },
		{ "upstream a { server 10.0.0.1 quic_id=0a; }", "parameter \"quic_id=0a\" is for upstreams of stream" },
		{ "upstream a { server 10.0.0.1 weight=; }", "invalid parameter \"weight=\"" },
		{ "upstream a { server 10.0.0.1 weight=-1; }", "invalid parameter \"weight=-1\"" },
		{ "upstream a { server 10.0.0.1 max_fails=x; }", "invalid parameter \"max_fails=x\"" },
		{ "upstream a { server 10.0.0.1 max_conns=x; }", "invalid parameter \"max_conns=x\"" },
		{ "upstream a { server 10.0.0.1 fail_timeout=x; }", "invalid parameter \"fail_timeout=x\"" },
		{ "upstream a { server 10.0.0.1 fail_timeout=500ms; }", "invalid parameter \"fail_timeout=500ms\"" },
		{ "upstream a { server 10.0.0.1 bogus; }", "invalid parameter \"bogus\"" },
		{ "upstream a { server 10.0.0.1 down=1; }", "invalid parameter \"down=1\"" },
		{ "upstream a { server nohost.test:8000; }", "host not found in upstream \"nohost.test:8000\"" },
		{ "upstream a { server *:80; }", "host not found in upstream \"*:80\"" },
		{ "upstream a { server 10.0.0.1:0; }", "invalid port in upstream \"10.0.0.1:0\"" },
		{ "upstream a { server 10.0.0.1:65536; }", "invalid port in upstream \"10.0.0.1:65536\"" },
		{ "upstream a { server 10.0.0.1:x; }", "invalid port in upstream \"10.0.0.1:x\"" },
		{ "upstream a { server 10.0.0.1:; }", "invalid port in upstream \"10.0.0.1:\"" },
		{ "upstream a { server 10.0.0.1:80-90; }", "invalid port in upstream \"10.0.0.1:80-90\"" },
		{ "upstream a { server :80; }", "no host in upstream \":80\"" },
		{ "upstream a { server \"\"; }", "no host in upstream \"\"" },
		{ "upstream a { server [::1; }", "invalid host in upstream \"[::1\"" },
		{ "upstream a { server [::1]x; }", "invalid host in upstream \"[::1]x\"" },
		{ "upstream a { server [::1]:; }", "invalid port in upstream \"[::1]:\"" },
		{ "upstream a { server [zz]:80; }", "invalid IPv6 address in upstream \"[zz]:80\"" },
		{ "upstream a { server [10.0.0.1]:80; }", "invalid IPv6 address in upstream \"[10.0.0.1]:80\"" },
		{ "upstream a { server ::1; }", "invalid port in upstream \"::1\"" },
		{ "upstream a { server 10.0.0.1:80/x; }", "invalid host in upstream \"10.0.0.1:80/x\"" },
		{ "upstream a { server http://10.0.0.1; }", "invalid host in upstream \"http://10.0.0.1\"" },
		{ "upstream a { server unix:; }", "no path in the unix domain socket in upstream \"unix:\"" },
		{ "upstream a { ip_hash; server 10.0.0.1 backup; }",
		  "balancing method does not support parameter \"backup\"" },
		{ "upstream a { hash $arg_k; server 10.0.0.1 backup; }",
		  "balancing method does not support parameter \"backup\"" },
		{ "upstream a { random; server 10.0.0.1 backup; }",
		  "balancing method does not support parameter \"backup\"" },
		{ "upstream a { keepalive 0; server 10.0.0.1; }", "invalid value \"0\" in \"keepalive\" directive" },
		{ "upstream a { keepalive -1; server 10.0.0.1; }", "invalid value \"-1\" in \"keepalive\" directive" },
		{ "upstream a { keepalive 5; keepalive 6; }", "\"keepalive\" directive is duplicate" },
		{ "upstream a { keepalive; }", "invalid number of arguments in \"keepalive\" directive" },
		{ "upstream a { keepalive_requests x; }", "\"keepalive_requests\" directive invalid number" },
		{ "upstream a { keepalive_requests 5; keepalive_requests 6; }",
		  "\"keepalive_requests\" directive is duplicate" },
		{ "upstream a { keepalive_timeout x; }", "\"keepalive_timeout\" directive invalid value" },
		{ "upstream a { keepalive_timeout 5s 6s; }",
		  "invalid number of arguments in \"keepalive_timeout\" directive" },
		{ "upstream a { keepalive_time x; }", "\"keepalive_time\" directive invalid value" },
		{ "upstream a { hash; }", "invalid number of arguments in \"hash\" directive" },
		{ "upstream a { hash $arg_k foo; }", "invalid parameter \"foo\"" },
		{ "upstream a { hash $arg_k consistent x; }", "invalid number of arguments in \"hash\" directive" },
		{ "upstream a { random three; }", "invalid parameter \"three\"" },
		{ "upstream a { random two least_time; }", "invalid parameter \"least_time\"" },
		{ "upstream a { random two least_conn x; }", "invalid number of arguments in \"random\" directive" },
		{ "upstream a { ip_hash x; }", "invalid number of arguments in \"ip_hash\" directive" },
		{ "upstream a { least_conn x; }", "invalid number of arguments in \"least_conn\" directive" },
		{ "ip_hash;", "\"ip_hash\" directive is not allowed here" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = fixture_parse(cases[i].text);
		char expected[256];

		snprintf(expected, sizeof(expected), "%s in test.conf:2", cases[i].error);
		if (!config_error(config))
			fail_msg("accepted: %s", cases[i].text);
		assert_string_equal(config_error(config), expected);
		config_free(config);
	}
}

static void
test_what_weir_does_not_have_is_refused_by_name(void **state)
{
	static const char *const cases[][2] = {
		{ "upstream a { zone z 64k; }", "\"zone\" directive is not supported" },
		{ "upstream a { ntlm; }", "\"ntlm\" directive is not supported" },
		{ "upstream a { least_time header; }", "\"least_time\" directive is not supported" },
		{ "upstream a { sticky cookie x; }", "\"sticky\" directive is not supported" },
		{ "upstream a { queue 10; }", "\"queue\" directive is not supported" },
		{ "upstream a { state file; }", "\"state\" directive is not supported" },
		{ "upstream a { server 10.0.0.1 slow_start=10s; }", "parameter \"slow_start=10s\" is not supported" },
		{ "upstream a { server 10.0.0.1 resolve; }", "parameter \"resolve\" is not supported" },
		{ "upstream a { server unix:/tmp/s; }", "unix domain sockets are not supported" },
		{ "pass unix:/tmp/s;", "unix domain sockets are not supported" },
		{ "upstream a { server 10.0.0.1 weight=1000001; }", "invalid parameter \"weight=1000001\"" },
		{ "upstream a { hash $arg_k consistent; server 10.0.0.1 weight=1000000; }",
		  "the weights in upstream \"a\" are too large for \"hash\"" },
		{ "upstream a { server many.test; }", "more than 1024 servers in upstream \"a\"" },
		{ "pass many.test;", "more than 1024 servers in upstream \"many.test\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = fixture_parse(cases[i][0]);

		assert_non_null(config_error(config));
		if (!strstr(config_error(config), cases[i][1]) || !strstr(config_error(config), " in test.conf:2"))
			fail_msg("%s", config_error(config));
		config_free(config);
	}
}

static void
test_every_registered_method_is_a_directive(void **state)
{
	for (const struct balance_method *const *method = balance_methods + 1; *method; method++) {
		bool keyed = (*method)->words_min > 0;
		struct config *config;
		char text[128];

		snprintf(text, sizeof(text), "upstream a { %s%s; server one.test; server two.test; }", (*method)->name,
			 keyed ? " $arg_k" : "");
		config = fixture_parse_well(text);
		assert_ptr_equal(group_named(config, "a")->method, *method);
		assert_int_equal(!group_named(config, "a")->plan.primary_table, !(*method)->table_size);
		assert_string_equal(fixture_warnings(config), "");
		config_free(config);
	}
}

static struct config *
parse_stream_well(const char *text)
{
	struct config *config = fixture_parse_stream(text);

	if (config_error(config))
		fail_msg("%s: %s", text, config_error(config));
	return config;
}

static void
test_groups_of_stream_are_their_own(void **state)
{
	struct config *config = parse_stream_well("upstream a { server 10.0.0.1:80; server 10.0.0.2; }\n"
						  "upstream b { ip_hash; server 10.0.0.1:80; }\n"
						  "upstream c { round_robin; server 10.0.0.1:80; }\n"
						  "upstream d { hash ${remote_addr}; server 10.0.0.1:80; }\n"
						  "pass a; pass 10.0.0.9:81; pass 10.0.0.9;");
	struct upstream_group *group = upstream_stream_group_find(config, bytes_of_string("A"));
	uint32_t count;

	assert_null(upstream_group_find(config, bytes_of_string("a")));
	upstream_groups(config, &count);
	assert_int_equal(count, 0);
	assert_int_equal(upstream_stream_groups(config, &count)[0]->index, 0);
	assert_int_equal(count, 6);
	assert_string_equal(group->method->name, "maglev");
	assert_false(group->by_address);
	assert_null(group->key);
	assert_null(group->plan.primary_table);
	assert_int_equal(group->servers[1].address.port_be, 0);
	assert_int_equal(group->servers[1].line, 2);
	expect_bytes(group->servers[1].address_text, "10.0.0.2");
	assert_true(upstream_stream_groups(config, &count)[1]->by_address);
	assert_string_equal(upstream_stream_groups(config, &count)[2]->method->name, "round_robin");
	assert_true(upstream_stream_groups(config, &count)[3]->by_address);
	assert_ptr_equal(fixture_passed(0)->servers, group->servers);
	assert_int_equal(ntohs(fixture_passed(1)->servers[0].address.port_be), 81);
	assert_int_equal(fixture_passed(2)->servers[0].address.port_be, 0);
	assert_int_equal(fixture_passed(2)->servers[0].line, 6);
	config_free(config);
}

static void
test_errors_in_stream_are_nginxs(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "pass web;", "no port in upstream \"web\" in test.conf:2" },
		{ "upstream a { keepalive 2; }", "\"keepalive\" directive is not allowed here in test.conf:2" },
		{ "upstream a { }", "no servers are inside upstream in test.conf:2" },
		{ "upstream a { server one.test:80 weight=1000000; server 10.0.0.1:80 weight=x; }",
		  "invalid parameter \"weight=x\" in test.conf:2" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = fixture_parse_stream(cases[i].text);

		assert_non_null(config_error(config));
		assert_string_equal(config_error(config), cases[i].error);
		config_free(config);
	}
}

static void
test_the_default_method_is_no_directive(void **state)
{
	struct config *config = fixture_parse("upstream a { round_robin; }");

	assert_string_equal(config_error(config), "\"round_robin\" directive is not allowed here in test.conf:2");
	config_free(config);
}

static void
test_a_second_method_is_warned_of_and_wins(void **state)
{
	struct config *config =
		fixture_parse_well("upstream a { hash $arg_k consistent;\nleast_conn; server one.test; }");

	assert_string_equal(group_named(config, "a")->method->name, "least_conn");
	assert_int_equal(group_named(config, "a")->method_options, 0);
	assert_null(group_named(config, "a")->key);
	assert_string_equal(fixture_warnings(config), "load balancing method redefined in test.conf:3\n");
	config_free(config);
}

static void
test_a_method_behind_keepalive_is_warned_of_and_both_stay(void **state)
{
	struct config *config = fixture_parse_well("upstream a { keepalive 4; ip_hash; server one.test; }");

	assert_string_equal(fixture_warnings(config), "load balancing method redefined in test.conf:2\n");
	assert_int_equal(group_named(config, "a")->keepalive, 4);
	assert_string_equal(group_named(config, "a")->method->name, "ip_hash");
	config_free(config);

	config = fixture_parse_well("upstream a { ip_hash; keepalive 4; server one.test; }");
	assert_string_equal(fixture_warnings(config), "");
	config_free(config);
}

static void
test_a_backup_before_the_method_is_accepted_as_in_nginx(void **state)
{
	struct config *config = fixture_parse_well("upstream a { server one.test; server two.test backup; ip_hash; }");
	struct upstream_group *group = group_named(config, "a");

	assert_int_equal(group->backup_count, 3);
	assert_non_null(group->plan.primary_table);
	assert_null(group->plan.backup_table);
	config_free(config);
}

static void
expect_key(const char *directive, enum upstream_key kind, const char *value)
{
	struct config *config;
	char text[128];

	snprintf(text, sizeof(text), "upstream a { %s; server one.test; }", directive);
	config = fixture_parse_well(text);
	assert_int_equal(upstream_group_key(group_named(config, "a")), kind);
	if (value) {
		uint8_t out[64];
		size_t len = config_value_write(group_named(config, "a")->key, NULL, out, sizeof(out),
						CONFIG_MISSING_EMPTY, NULL);

		expect_bytes(bytes_of(out, len), value);
	}
	config_free(config);
}

static void
test_a_group_says_what_key_it_needs(void **state)
{
	struct ip_address v4, v6;

	expect_key("least_conn", UPSTREAM_KEY_NONE, NULL);
	expect_key("ip_hash", UPSTREAM_KEY_ADDRESS, NULL);
	expect_key("hash x$arg_k", UPSTREAM_KEY_VALUE, "xargument");
	expect_key("maglev $arg_k", UPSTREAM_KEY_VALUE, "argument");
	expect_key("maglev", UPSTREAM_KEY_VALUE, "192.0.2.1"); /* the client's address as text, as Envoy hashes it */

	assert_int_equal(ip_address_parse(bytes_of_string("192.0.2.77"), &v4), 0);
	assert_int_equal(ip_address_parse(bytes_of_string("2001:db8::1"), &v6), 0);
	assert_int_equal(upstream_key_of_address(&v4).len, 3);
	assert_memory_equal(upstream_key_of_address(&v4).data, "\xc0\x00\x02", 3);
	assert_int_equal(upstream_key_of_address(&v6).len, 16);
	assert_int_equal(upstream_key_of_address(&v6).data[0], 0x20);
}

static void
test_a_group_may_be_referred_to_before_it_is_defined(void **state)
{
	struct config *config =
		fixture_parse_well("pass a; pass A 443; upstream a { least_conn; server one.test:81; }\n"
				   "pass a;");
	uint32_t count;

	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(fixture_passed(i)->method->name, "least_conn");
		expect_bytes(fixture_passed(i)->servers[0].address_text, "10.0.0.1:81");
		assert_int_equal(fixture_passed(i)->index, 0);
		assert_false(fixture_passed(i)->implicit);
	}
	upstream_groups(config, &count);
	assert_int_equal(count, 1);
	config_free(config);
}

static void
test_a_reference_to_nothing_defined_is_a_group_of_its_own(void **state)
{
	struct config *config =
		fixture_parse_well("pass two.test:8080; pass one.test; pass one.test 443; pass [::1]:90;\n"
				   "pass one.test; upstream a { server one.test; }");
	static const char *const first[] = { "10.0.0.2:8080", "10.0.0.1:80", "10.0.0.1:443", "[::1]:90" };
	struct upstream_group **groups;
	uint32_t count;

	for (size_t i = 0; i < 4; i++) {
		assert_true(fixture_passed(i)->implicit);
		assert_int_equal(fixture_passed(i)->index, i + 1);
		expect_bytes(fixture_passed(i)->servers[0].address_text, first[i]);
		assert_int_equal(fixture_passed(i)->servers[0].max_fails, 1);
		assert_int_equal(fixture_passed(i)->servers[0].fail_timeout_ms, 10000);
	}
	assert_int_equal(fixture_passed(0)->primary_count, 3);
	assert_ptr_equal(fixture_passed(4), fixture_passed(1)); /* one state for both */
	groups = upstream_groups(config, &count);
	assert_int_equal(count, 5);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(groups[i]->index, i);
	expect_bytes(groups[0]->name, "a");
	assert_null(upstream_group_find(config, bytes_of_string("b")));
	config_free(config);
}

static void
test_a_wrong_reference_is_refused_in_nginxs_words(void **state)
{
	static const char *const cases[][2] = {
		{ "\npass a:8080; upstream a { server one.test; }", "upstream \"a\" may not have port 8080" },
		{ "upstream a { server one.test; }\npass a:80;", "upstream \"a\" may not have port 80" },
		{ "\npass nohost.test:88;", "host not found in upstream \"nohost.test\"" },
		{ "\npass 10.0.0.1:x;", "invalid port in upstream \"10.0.0.1:x\"" },
		{ "\npass :80;", "no host in upstream \":80\"" },
		{ "\npass \"\";", "no host in upstream \"\"" },
		{ "\npass [::1;", "invalid host in upstream \"[::1\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = fixture_parse(cases[i][0]);
		char expected[256];

		snprintf(expected, sizeof(expected), "%s in test.conf:3", cases[i][1]);
		assert_string_equal(config_error(config), expected);
		config_free(config);
	}
}

static void
test_a_configuration_without_http_has_no_groups(void **state)
{
	struct config_module *const modules[] = { &upstream_module, NULL };
	struct config_source source = { .path = "empty.conf", .text = { (const uint8_t *)" ", 1 } };
	struct config *config = config_parse(&source, modules);
	uint32_t count = 7;

	assert_null(config_error(config));
	upstream_groups(config, &count);
	assert_int_equal(count, 0);
	assert_null(upstream_group_find(config, bytes_of_string("a")));
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_server_has_nginxs_defaults),
		cmocka_unit_test(test_parameters_are_taken_and_backups_come_last),
		cmocka_unit_test(test_all_addresses_of_a_name_become_peers_ipv4_first),
		cmocka_unit_test(test_what_nginx_refuses_is_refused_in_its_words),
		cmocka_unit_test(test_what_weir_does_not_have_is_refused_by_name),
		cmocka_unit_test(test_every_registered_method_is_a_directive),
		cmocka_unit_test(test_the_default_method_is_no_directive),
		cmocka_unit_test(test_groups_of_stream_are_their_own),
		cmocka_unit_test(test_errors_in_stream_are_nginxs),
		cmocka_unit_test(test_a_second_method_is_warned_of_and_wins),
		cmocka_unit_test(test_a_method_behind_keepalive_is_warned_of_and_both_stay),
		cmocka_unit_test(test_a_backup_before_the_method_is_accepted_as_in_nginx),
		cmocka_unit_test(test_a_group_says_what_key_it_needs),
		cmocka_unit_test(test_a_group_may_be_referred_to_before_it_is_defined),
		cmocka_unit_test(test_a_reference_to_nothing_defined_is_a_group_of_its_own),
		cmocka_unit_test(test_a_wrong_reference_is_refused_in_nginxs_words),
		cmocka_unit_test(test_a_configuration_without_http_has_no_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
