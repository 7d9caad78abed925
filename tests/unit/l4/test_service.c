#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "configuration.h"
#include "support/cmocka.h"

static struct l4_registry *registry;
static struct config *config;
static struct l4_generation *generation;

static void
make(const char *text)
{
	registry = l4_registry_new();
	assert_non_null(registry);
	config = configuration_parse_well(text);
	generation = configuration_generation(registry, config, NULL);
}

static void
unmake(void)
{
	l4_generation_free(generation);
	l4_registry_free(registry);
	config_free(config);
}

/* ---- finding services ---- */

static void
assert_found(const char *endpoint, uint8_t ip_protocol, const char *address, uint16_t first)
{
	const struct l4_service *s = configuration_service(generation, endpoint, ip_protocol);
	struct ip_address ip;

	if (!address) {
		assert_null(s);
		return;
	}
	assert_int_equal(ip_address_parse(bytes_of_string(address), &ip), 0);
	if (!s)
		fail_msg("%s is no service's", endpoint);
	assert_true(ip_address_equal(&s->ip, &ip));
	assert_int_equal(s->port_first, first);
	assert_int_equal(s->ip_protocol, ip_protocol);
	assert_ptr_equal(l4_service_by_id(generation, s->id), s);
}

static void
services_are_found_by_address_port_and_protocol(void **state)
{
	make("stream { upstream a { server 10.0.2.1; } upstream b { server [2001:db8:2::1]; }\n"
	     "upstream c { server 10.0.2.1:80; }\n"
	     "server { listen 10.0.1.1:80; listen 10.0.1.1:81 udp; listen 10.0.1.2:80; proxy_pass c; forward full_nat; "
	     "}\n"
	     "server { listen 10.0.1.1:8000-8100; listen 10.0.1.1:82-90; listen 10.0.1.3:* udp; proxy_pass a;\n"
	     "forward full_nat; }\n"
	     "server { listen [2001:db8::1]:8000-8001; listen [2001:db8::2]:*; proxy_pass b; forward nat; } }");
	assert_int_equal(l4_generation_service_count(generation), 8);
	assert_found("10.0.1.1:80", IPPROTO_TCP, "10.0.1.1", 80);
	assert_found("10.0.1.1:80", IPPROTO_UDP, NULL, 0);
	assert_found("10.0.1.1:81", IPPROTO_UDP, "10.0.1.1", 81);
	assert_found("10.0.1.1:81", IPPROTO_TCP, NULL, 0);
	assert_found("10.0.1.2:80", IPPROTO_TCP, "10.0.1.2", 80);
	assert_found("10.0.1.4:80", IPPROTO_TCP, NULL, 0);
	assert_found("10.0.1.1:82", IPPROTO_TCP, "10.0.1.1", 82);
	assert_found("10.0.1.1:90", IPPROTO_TCP, "10.0.1.1", 82);
	assert_found("10.0.1.1:91", IPPROTO_TCP, NULL, 0);
	assert_found("10.0.1.1:7999", IPPROTO_TCP, NULL, 0);
	assert_found("10.0.1.1:8000", IPPROTO_TCP, "10.0.1.1", 8000);
	assert_found("10.0.1.1:8100", IPPROTO_TCP, "10.0.1.1", 8000);
	assert_found("10.0.1.1:8101", IPPROTO_TCP, NULL, 0);
	assert_found("10.0.1.3:1", IPPROTO_UDP, "10.0.1.3", 1);
	assert_found("10.0.1.3:65535", IPPROTO_UDP, "10.0.1.3", 1);
	assert_null(l4_service_find(generation, &configuration_service(generation, "10.0.1.3:1", IPPROTO_UDP)->ip, 0,
				    IPPROTO_UDP));
	assert_found("10.0.1.3:80", IPPROTO_TCP, NULL, 0);
	assert_found("[2001:db8::1]:8001", IPPROTO_TCP, "2001:db8::1", 8000);
	assert_found("[2001:db8::2]:22", IPPROTO_TCP, "2001:db8::2", 1);
	assert_found("[2001:db8::3]:22", IPPROTO_TCP, NULL, 0);
	assert_null(l4_service_by_id(generation, 0));
	assert_null(l4_service_by_id(generation, UINT16_MAX));
	unmake();
}

/* Against a search by hand, with as many services as there may be. */
static void
the_largest_configuration_is_found_in_whole(void **state)
{
	char *text = malloc(1 << 18), *end = text;

	assert_non_null(text);
	end += sprintf(end, "stream { upstream a { server 10.0.2.1; } server { proxy_pass a; forward full_nat;\n");
	for (int i = 0; i < L4_SERVICES_MAX; i++)
		end += sprintf(end, "listen 10.1.%d.%d:%d-%d;\n", i / 64, i % 8, 1000 + i / 8 % 8 * 100,
			       1000 + i / 8 % 8 * 100 + i % 3 * 20 + 1);
	sprintf(end, "} }");
	make(text);
	free(text);
	for (uint32_t i = 0; i < l4_generation_service_count(generation); i++) {
		const struct l4_service *s = l4_generation_service(generation, i);

		assert_ptr_equal(l4_service_find(generation, &s->ip, htons(s->port_first), IPPROTO_TCP), s);
		assert_ptr_equal(l4_service_find(generation, &s->ip, htons(s->port_last), IPPROTO_TCP), s);
		assert_null(l4_service_find(generation, &s->ip, htons((uint16_t)(s->port_first - 1)), IPPROTO_TCP));
		assert_null(l4_service_find(generation, &s->ip, htons((uint16_t)(s->port_last + 1)), IPPROTO_TCP));
	}
	unmake();
}

static bool
is_server(const char *text, uint8_t ip_protocol)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(bytes_of_string(text), 0, &e), 0);
	return l4_is_server(generation, &e.ip, e.port_be, ip_protocol);
}

static bool
concerns(const char *destination, const char *source, uint8_t ip_protocol)
{
	struct ip_address to, from;

	assert_int_equal(ip_address_parse(bytes_of_string(destination), &to), 0);
	assert_int_equal(ip_address_parse(bytes_of_string(source), &from), 0);
	return l4_concerns(generation, &to, &from, ip_protocol);
}

static void
servers_that_answer_through_weir_are_known(void **state)
{
	make("stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:8080; forward full_nat; }\n"
	     "server { listen 10.0.1.1:90; proxy_pass 10.0.2.2:90; forward dsr; }\n"
	     "server { listen 10.0.1.1:* udp; proxy_pass 10.0.2.3; forward nat; } }");
	assert_true(is_server("10.0.2.1:8080", IPPROTO_TCP));
	assert_false(is_server("10.0.2.1:8080", IPPROTO_UDP));
	assert_false(is_server("10.0.2.1:80", IPPROTO_TCP));
	assert_false(is_server("10.0.2.2:90", IPPROTO_TCP));
	assert_true(is_server("10.0.2.3:1", IPPROTO_UDP));
	assert_true(is_server("10.0.2.3:65535", IPPROTO_UDP));
	assert_false(is_server("10.0.2.3:1", IPPROTO_TCP));
	assert_true(concerns("10.0.1.1", "192.0.2.9", IPPROTO_TCP));
	assert_true(concerns("192.0.2.9", "10.0.2.1", IPPROTO_TCP));
	assert_false(concerns("192.0.2.9", "10.0.2.2", IPPROTO_TCP));
	assert_true(concerns("192.0.2.9", "10.0.2.3", IPPROTO_UDP));
	assert_false(concerns("10.0.2.1", "10.0.1.1", IPPROTO_TCP));
	unmake();
}

static void
a_configuration_without_services_finds_nothing(void **state)
{
	make("");
	assert_int_equal(l4_generation_service_count(generation), 0);
	assert_found("10.0.1.1:80", IPPROTO_TCP, NULL, 0);
	assert_false(is_server("10.0.1.1:80", IPPROTO_TCP));
	unmake();
}

/* ---- which servers take new flows ---- */

/* How many entries of the Maglev table each server has. */
static void
count_entries(const struct l4_service *s, uint32_t *counts)
{
	memset(counts, 0, s->server_count * sizeof(*counts));
	for (uint32_t i = 0; i < s->maglev->size; i++)
		counts[s->maglev->entries[i]]++;
}

static void
servers_that_are_down_or_drained_have_no_entries(void **state)
{
	uint32_t counts[5];
	const struct l4_service *s;

	make("stream { upstream a { server 10.0.2.1:80 backup; server 10.0.2.2:80 down; server 10.0.2.3:80 weight=0;\n"
	     "server 10.0.2.4:80 weight=3; server 10.0.2.5:80; }\n"
	     "server { listen 10.0.1.1:80; proxy_pass a; forward nat; } }");
	s = l4_generation_service(generation, 0);
	count_entries(s, counts);
	assert_int_equal(s->server_count, 5);
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], 0);
	assert_true(counts[2] > 2 * counts[3] && counts[3] > 0);
	assert_int_equal(counts[4], 0);
	assert_int_equal(s->usable[0], 1 << 2 | 1 << 3);
	assert_int_equal(s->weights[2], 3);
	for (uint32_t i = 0; i < s->server_count; i++) {
		const struct l4_target *t = &l4_registry_targets(registry)[s->targets[i]];

		assert_true(endpoint_equal(&t->server, &s->group->servers[i].address));
		assert_int_equal(t->service_id, s->id);
	}
	unmake();
}

static void
backups_take_over_when_no_primary_server_is_left(void **state)
{
	uint32_t counts[3];
	const struct l4_service *s;

	make("stream { upstream a { server 10.0.2.1:80 backup; server 10.0.2.2:80 down; server 10.0.2.3:80 backup "
	     "down; }\n"
	     "server { listen 10.0.1.1:80; proxy_pass a; forward nat; } }");
	s = l4_generation_service(generation, 0);
	count_entries(s, counts);
	assert_int_equal(counts[0], 0);
	assert_int_equal(counts[1], s->maglev->size);
	assert_int_equal(s->usable[0], 1 << 1);
	unmake();
	make("stream { upstream a { round_robin; server 10.0.2.1:80 down; server 10.0.2.2:80 weight=0; }\n"
	     "server { listen 10.0.1.1:80; proxy_pass a; forward nat; } }");
	s = l4_generation_service(generation, 0);
	assert_null(s->maglev);
	assert_int_equal(s->usable[0], 0);
	assert_int_equal(s->server_count, 2);
	unmake();
}

/* Every method that there is: what it picks is usable, whichever it is. */
static void
every_method_picks_servers_that_take_flows(void **state)
{
	for (const struct balance_method *const *m = balance_methods; *m; m++) {
		bool key = (*m)->properties & BALANCE_NEEDS_KEY;
		char text[512];
		const struct l4_service *s;
		struct random random = { .state = 1 };

		snprintf(text, sizeof(text),
			 "stream { upstream a { %s%s; server 10.0.2.1:80 down; server 10.0.2.2:80 weight=0;\n"
			 "server 10.0.2.3:80; server 10.0.2.4:80; }\n"
			 "server { listen 10.0.1.1:80; proxy_pass a; forward nat; } }",
			 (*m)->name, key ? " $remote_addr" : "");
		make(text);
		s = l4_generation_service(generation, 0);
		assert_int_equal(s->by_address, !!((*m)->properties & (BALANCE_NEEDS_KEY | BALANCE_NEEDS_ADDRESS)));
		if (strcmp((*m)->name, "maglev") == 0) {
			assert_null(s->method);
			unmake();
			continue;
		}
		assert_ptr_equal(s->method, *m);
		for (int i = 0; i < 1000; i++) {
			struct balance_peer peers[4] = { { .weight = 1, .effective_weight = 1 },
							 { 0 },
							 { .weight = 1, .effective_weight = 1 },
							 { .weight = 1, .effective_weight = 1 } };
			uint64_t bits = random_next(&random);
			struct balance_request request = { .key = (const uint8_t *)&bits,
							   .key_len = (*m)->properties & BALANCE_NEEDS_ADDRESS ? 3 : 8,
							   .random = random_next(&random) };
			int picked = s->method->pick(s->table, s->group->method_options, peers, s->server_count,
						     s->usable, &request);

			assert_true(picked == 2 || picked == 3);
		}
		unmake();
	}
}

static void
stateless_choices_follow_the_table(void **state)
{
	const struct l4_service *s;

	make("stream { upstream a { server 10.0.2.1:80; server 10.0.2.2:80; }\n"
	     "server { listen 10.0.1.1:80; proxy_pass a; forward ipip; } }");
	s = l4_generation_service(generation, 0);
	for (uint32_t hash = 0; hash < 200000; hash += 77)
		assert_int_equal(l4_service_stateless(s, hash), s->maglev->entries[hash % 65537]);
	unmake();
}

/* ---- local addresses, and whom the topology asks about ---- */

static void
local_addresses_are_for_those_who_need_one(void **state)
{
	struct ip_address local, none = { 0 };

	assert_int_equal(ip_address_parse(bytes_of_string("2001:db8::1"), &local), 0);
	make("stream { server { listen 10.0.1.1:80; proxy_pass [2001:db8:5::1]:80; forward ipip; }\n"
	     "server { listen 10.0.1.1:81; proxy_pass 10.0.2.1:81; forward nat; }\n"
	     "server { listen 10.0.1.1:82-83; proxy_pass 10.0.2.1:81; forward full_nat; } }");
	for (uint32_t i = 0; i < 3; i++) {
		const struct l4_service *s = l4_generation_service(generation, i);
		const struct l4_target *t = &l4_registry_targets(registry)[s->targets[0]];

		if (i == 2)
			assert_int_equal(ip_address_parse(bytes_of_string("192.0.2.1"), &local), 0);
		assert_true(ip_address_equal(&t->local, i == 1 ? &none : &local));
		assert_true(ip_address_equal(&t->vip.ip, &s->ip));
		assert_int_equal(ntohs(t->vip.port_be), i == 2 ? 0 : s->port_first);
	}
	unmake();
}

static void
note_server(void *context, const struct l4_target *target, bool answers)
{
	char text[ENDPOINT_TEXT_MAX], *seen = context;

	endpoint_format(&target->server, text, sizeof(text));
	sprintf(seen + strlen(seen), "%s/%u%s ", text, target->ip_protocol, answers ? "+" : "");
}

static void
every_server_is_told_once(void **state)
{
	char seen[512] = "";

	make("stream { upstream a { server 10.0.2.2:80; server 10.0.2.1:80; }\n"
	     "server { listen 10.0.1.1:80; listen 10.0.1.2:80; listen 10.0.1.1:80 udp; proxy_pass a; forward nat; }\n"
	     "server { listen 10.0.1.3:80; proxy_pass a; forward dsr; }\n"
	     "server { listen 10.0.1.4:80; proxy_pass a; forward full_nat; } }");
	l4_generation_each_server(generation, note_server, seen);
	assert_string_equal(seen, "10.0.2.1:80/6 10.0.2.1:80/6+ 10.0.2.1:80/17+ "
				  "10.0.2.2:80/6 10.0.2.2:80/6+ 10.0.2.2:80/17+ ");
	unmake();
}

/* ---- decisions ---- */

static void
assert_decision(const struct l4_decision *decision, const char *wanted)
{
	char text[1024], cut[20];
	size_t len = l4_decision_format(decision, generation, text, sizeof(text));

	assert_string_equal(text, wanted);
	assert_int_equal(len, strlen(wanted));
	assert_int_equal(l4_decision_format(decision, generation, cut, sizeof(cut)), len);
	assert_memory_equal(cut, wanted, sizeof(cut) - 1);
	assert_int_equal(l4_decision_format(decision, generation, NULL, 0), len);
}

static void
decisions_are_lines_of_json(void **state)
{
	struct l4_decision d = { .time_ns = 1234567890123,
				 .hash = 77,
				 .entry = 77,
				 .port_index = 1,
				 .length = 60,
				 .sent_length = 64,
				 .hop = 3,
				 .ip_protocol = IPPROTO_TCP,
				 .tcp_flags = 0x12,
				 .verdict = L4_STARTED };
	struct l4_decision bad = { .entry = UINT32_MAX, .length = 14, .verdict = L4_DROP_PARSE, .lcore = 2 };

	make("stream { upstream \"a\\\"b\" { server [2001:db8:5::1]:80; }\n"
	     "server { listen 10.0.1.1:80; proxy_pass \"a\\\"b\"; forward ipip; } }");
	d.service_id = l4_generation_service(generation, 0)->id;
	d.target = l4_generation_service(generation, 0)->targets[0];
	endpoint_parse(bytes_of_string("192.0.2.7:1000"), 0, &d.source);
	endpoint_parse(bytes_of_string("10.0.1.1:80"), 0, &d.destination);
	d.sent_source = d.source;
	d.sent_destination = d.destination;
	ip_address_parse(bytes_of_string("2001:db8::1"), &d.outer_source);
	ip_address_parse(bytes_of_string("2001:db8:5::1"), &d.outer_destination);
	assert_decision(&d, "{\"time_ns\":1234567890123,\"lcore\":0,\"port\":1,\"protocol\":\"tcp\","
			    "\"source\":\"192.0.2.7:1000\",\"destination\":\"10.0.1.1:80\",\"tcp_flags\":\"SA\","
			    "\"length\":60,\"service\":\"10.0.1.1:80\",\"group\":\"a\\\"b\",\"forward\":\"ipip\","
			    "\"hash\":77,\"entry\":77,\"flow\":\"none\",\"server\":\"[2001:db8:5::1]:80\","
			    "\"sent_source\":\"192.0.2.7:1000\",\"sent_destination\":\"10.0.1.1:80\","
			    "\"outer_source\":\"2001:db8::1\",\"outer_destination\":\"2001:db8:5::1\","
			    "\"sent_length\":64,\"hop\":3,\"verdict\":\"started\"}");
	assert_decision(&bad, "{\"time_ns\":0,\"lcore\":2,\"port\":0,\"protocol\":null,\"source\":null,"
			      "\"destination\":null,\"tcp_flags\":null,\"length\":14,\"service\":null,\"group\":null,"
			      "\"forward\":null,\"hash\":0,\"entry\":null,\"flow\":\"none\",\"server\":null,"
			      "\"sent_source\":null,\"sent_destination\":null,\"outer_source\":null,"
			      "\"outer_destination\":null,\"sent_length\":0,\"hop\":0,\"verdict\":\"drop_parse\"}");
	unmake();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_are_found_by_address_port_and_protocol),
		cmocka_unit_test(the_largest_configuration_is_found_in_whole),
		cmocka_unit_test(servers_that_answer_through_weir_are_known),
		cmocka_unit_test(a_configuration_without_services_finds_nothing),
		cmocka_unit_test(servers_that_are_down_or_drained_have_no_entries),
		cmocka_unit_test(backups_take_over_when_no_primary_server_is_left),
		cmocka_unit_test(every_method_picks_servers_that_take_flows),
		cmocka_unit_test(stateless_choices_follow_the_table),
		cmocka_unit_test(local_addresses_are_for_those_who_need_one),
		cmocka_unit_test(every_server_is_told_once),
		cmocka_unit_test(decisions_are_lines_of_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
