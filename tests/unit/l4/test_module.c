#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration.h"
#include "stream/stream.h"
#include "support/cmocka.h"

/* A server on line 2, so that places show. */
#define SERVER(words) "stream {\nserver { " words " }\n}"
#define WELL "listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat;"
#define FAILS configuration_assert_error

static const struct l4_service *
only_service(const struct l4_generation *generation)
{
	assert_int_equal(l4_generation_service_count(generation), 1);
	return l4_generation_service(generation, 0);
}

static void
a_server_has_its_defaults(void **state)
{
	struct config *config = configuration_parse_well(SERVER(WELL));
	struct l4_registry *registry = l4_registry_new();
	struct l4_generation *generation = configuration_generation(registry, config, NULL);
	const struct l4_service *s = only_service(generation);

	assert_true(l4_configured(config));
	assert_int_equal(l4_settings(config)->flows, 262144);
	assert_int_equal(l4_settings(config)->hash_seed, 0);
	assert_string_equal(s->forwarder->name, "full_nat");
	assert_int_equal(s->ip_protocol, IPPROTO_TCP);
	assert_int_equal(s->port_first, 80);
	assert_int_equal(s->port_last, 80);
	assert_int_equal(s->timeout_s, 600);
	assert_int_equal(s->syn_rate, 0);
	assert_int_equal(s->options, 0);
	assert_int_equal(s->line, 2);
	assert_false(s->by_address);
	assert_null(s->method);
	assert_non_null(s->maglev);
	assert_int_equal(s->server_count, 1);
	l4_generation_free(generation);
	l4_registry_free(registry);
	config_free(config);
}

static void
settings_are_taken_and_inherited(void **state)
{
	struct config *config = configuration_parse_well(
		"stream { flows 2m; hash_seed 18446744073709551615; proxy_timeout 1h; syn_rate 1000; mss_clamp 1400;\n"
		"upstream a { hash $remote_addr consistent; server 10.0.2.1:80 weight=2; server 10.0.2.2:80 down; }\n"
		"server { listen 10.0.1.1:80; proxy_pass a; forward full_nat; proxy_protocol on; toa on; }\n"
		"server { listen [2001:db8::5]:53 udp; proxy_pass [2001:db8::6]:53; forward nat; proxy_timeout 30s;\n"
		"syn_rate 0; mss_clamp off; }\n"
		"server { listen 10.0.1.1:90; proxy_pass 10.0.2.3:90; forward gue port=6666; mss_clamp on; } }");
	struct l4_registry *registry = l4_registry_new();
	struct l4_generation *generation = configuration_generation(registry, config, NULL);
	const struct l4_service *s = l4_generation_service(generation, 0);
	const struct l4_target *target = &l4_registry_targets(registry)[s->targets[0]];

	assert_int_equal(l4_settings(config)->flows, 2097152);
	assert_true(l4_settings(config)->hash_seed == UINT64_MAX);
	assert_int_equal(s->options, L4_OPTION_TOA | L4_OPTION_PROXY_PROTOCOL | L4_OPTION_MSS_CLAMP);
	assert_int_equal(s->timeout_s, 3600);
	assert_int_equal(s->syn_rate, 1000);
	assert_true(s->by_address);
	assert_string_equal(s->method->name, "hash");
	assert_int_equal(target->mss_max, 1400);
	assert_int_equal(target->timeout_s, 3600);
	s = l4_generation_service(generation, 1);
	assert_int_equal(s->ip_protocol, IPPROTO_UDP);
	assert_int_equal(s->timeout_s, 30);
	assert_int_equal(s->syn_rate, 0);
	assert_int_equal(s->options, 0);
	s = l4_generation_service(generation, 2);
	target = &l4_registry_targets(registry)[s->targets[0]];
	assert_int_equal(s->options, L4_OPTION_MSS_CLAMP);
	assert_int_equal(target->mss_max, 0);
	assert_int_equal(ntohs(target->gue_port_be), 6666);
	l4_generation_free(generation);
	l4_registry_free(registry);
	config_free(config);
}

/* In the words of nginx 1.22's stream modules, where it has such an error. */
static void
errors_are_nginxs(void **state)
{
	FAILS("stream {}\nstream {}", "\"stream\" directive is duplicate in t.conf:2");
	FAILS(SERVER("proxy_pass 10.0.2.1:80; forward nat;"), "no \"listen\" is defined for server in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80; forward nat;"), "no handler for server in t.conf:2");
	FAILS(SERVER(WELL "\nproxy_pass 10.0.2.2:80;"), "\"proxy_pass\" directive is duplicate in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80;\nproxy_pass 10.0.2.1; forward nat;"),
	      "no port in upstream \"10.0.2.1\" in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80;\nproxy_pass web; forward nat;"), "no port in upstream \"web\" in t.conf:3");
	FAILS("stream {\nupstream a {\nserver 10.0.2.1:80;\nserver 10.0.2.2; }\n"
	      "server { listen 10.0.1.1:80; proxy_pass a; forward nat; } }",
	      "no port in upstream \"10.0.2.2\" in t.conf:4");
	FAILS("stream {\nupstream unused {\nserver 10.0.2.2; } }", "no port in upstream \"10.0.2.2\" in t.conf:3");
	FAILS("stream {\nupstream a { } }", "no servers are inside upstream in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80 backlogs;"), "the invalid \"backlogs\" parameter in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:0;"), "invalid port in \"10.0.1.1:0\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:65536;"),
	      "invalid port in \"10.0.1.1:65536\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:90-80;"),
	      "invalid port in \"10.0.1.1:90-80\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80-;"),
	      "invalid port in \"10.0.1.1:80-\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1;"), "no port in \"10.0.1.1\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen [::1];"), "no port in \"[::1]\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen [::1:80;"), "invalid host in \"[::1:80\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen [1.2.3.4]x:80;"),
	      "invalid port in \"[1.2.3.4]x:80\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen [x]:80;"), "invalid IPv6 address in \"[x]:80\" of the \"listen\" directive in t.conf:2");
	FAILS("stream {\nserver { " WELL " }\nserver { " WELL " } }",
	      "duplicate \"10.0.1.1:80\" address and port pair in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80;\nlisten 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward nat;"),
	      "duplicate \"10.0.1.1:80\" address and port pair in t.conf:3");
	FAILS("stream {\nupstream a { server 10.0.2.1:80; }\nupstream a { server 10.0.2.1:80; } }",
	      "duplicate upstream \"a\" in t.conf:3");
	FAILS("stream {\nupstream a { server 10.0.2.1:80; }\n"
	      "server { listen 10.0.1.1:80; proxy_pass a:80; forward nat; } }",
	      "upstream \"a\" may not have port 80 in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80; proxy_pass http://a; forward nat;"),
	      "invalid host in upstream \"http://a\" in t.conf:2");
	FAILS("stream { proxy_timeout x; }", "\"proxy_timeout\" directive invalid value in t.conf:1");
	FAILS("stream { syn_rate 1; syn_rate 2; }", "\"syn_rate\" directive is duplicate in t.conf:1");
	FAILS("stream { server { toa maybe; } }",
	      "invalid value \"maybe\" in \"toa\" directive, it must be \"on\" or \"off\" in t.conf:1");
	FAILS("server { }", "\"server\" directive is not allowed here in t.conf:1");
	FAILS("stream { listen 10.0.1.1:80; }", "\"listen\" directive is not allowed here in t.conf:1");
}

static void
what_is_no_packet_level_service_is_said(void **state)
{
	FAILS(SERVER("listen 80; proxy_pass 10.0.2.1:80; toa on;"),
	      "\"toa\" needs \"forward\": without it connections are terminated, and no packets forwarded in t.conf:2");
	FAILS(SERVER("forward l2;"), "invalid value \"l2\" in \"forward\" directive, it must be one of full_nat, nat, "
				     "dsr, ipip, gue in t.conf:2");
	FAILS(SERVER("forward nat; forward nat;"), "\"forward\" directive is duplicate in t.conf:2");
	FAILS(SERVER("forward ipip port=1;"), "invalid parameter \"port=1\" in t.conf:2");
	FAILS(SERVER("forward gue ports=1;"), "invalid parameter \"ports=1\" in t.conf:2");
	FAILS(SERVER("forward gue port=0;"), "invalid port in \"port=0\" of the \"forward\" directive in t.conf:2");
#define NO_ADDRESS                                                                                                     \
	"\" has no address: a packet-level service needs one, as it would take all of this host's own traffic to "     \
	"that port in t.conf:2"
	FAILS(SERVER("listen 80; proxy_pass 10.0.2.1:80; forward nat;"), "\"listen 0.0.0.0:80" NO_ADDRESS);
	FAILS(SERVER("listen *:80; proxy_pass 10.0.2.1:80; forward nat;"), "\"listen 0.0.0.0:80" NO_ADDRESS);
	FAILS(SERVER("listen *:*; proxy_pass 10.0.2.1; forward nat;"), "\"listen 0.0.0.0:*" NO_ADDRESS);
	FAILS(SERVER("listen [::]:80; proxy_pass [::1]:80; forward nat;"), "\"listen [::]:80" NO_ADDRESS);
	FAILS(SERVER("listen 224.0.0.1:80; proxy_pass 10.0.2.1:80; forward nat;"),
	      "\"listen 224.0.0.1:80\" is not the address of one host in t.conf:2");
	FAILS(SERVER("listen [ff02::1]:80; proxy_pass [::1]:80; forward nat;"),
	      "\"listen [ff02::1]:80\" is not the address of one host in t.conf:2");
	FAILS(SERVER("listen localhost:80;"),
	      "the host is no numeric address in \"localhost:80\" of the \"listen\" directive in t.conf:2");
	FAILS(SERVER("listen unix:/tmp/a;"),
	      "\"unix:/tmp/a\" is not supported: weir listens on IP addresses in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80 ssl; proxy_pass 10.0.2.1:80; forward nat;"),
	      "the \"ssl\" parameter of \"listen\" cannot be used with \"forward nat\": TLS is not terminated here in "
	      "t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80 proxy_protocol; proxy_pass 10.0.2.1:80; forward nat;"),
	      "the \"proxy_protocol\" parameter of \"listen\" cannot be used with \"forward nat\": packets are "
	      "forwarded "
	      "as they come in t.conf:2");
	FAILS("stream { flows 1023; }",
	      "invalid value \"1023\" in \"flows\" directive, it must be between 1024 and 4294967296 in t.conf:1");
	FAILS("stream { flows many; }", "invalid value \"many\" in \"flows\" directive in t.conf:1");
	FAILS("stream { flows 1k; flows 2k; }", "\"flows\" directive is duplicate in t.conf:1");
	FAILS("stream { hash_seed -1; }", "invalid number \"-1\" in t.conf:1");
	FAILS("stream { hash_seed 0; hash_seed 0; }", "\"hash_seed\" directive is duplicate in t.conf:1");
	FAILS("stream { mss_clamp 535; }",
	      "invalid value \"535\" in \"mss_clamp\" directive, it must be \"on\", \"off\" "
	      "or a number between 536 and 65495 in t.conf:1");
	FAILS(SERVER(WELL "proxy_timeout 500ms;"),
	      "\"proxy_timeout\" must be between 1s and 12h with \"forward full_nat\" in t.conf:2");
	FAILS(SERVER(WELL "proxy_timeout 13h;"),
	      "\"proxy_timeout\" must be between 1s and 12h with \"forward full_nat\" in t.conf:2");
}

#define PASSING_TO_A "server { listen 10.0.1.1:80; proxy_pass a; forward nat; } }"

static void
groups_of_packets_have_their_own_rules(void **state)
{
	FAILS("stream { upstream a { hash $uri; server 10.0.0.1:80; }\n" PASSING_TO_A,
	      "the key \"$uri\" of \"hash\" is not supported with \"forward nat\": it may be $remote_addr in t.conf:1");
	FAILS("stream { upstream a { maglev x; server 10.0.0.1:80; }\n" PASSING_TO_A,
	      "the key \"x\" of \"maglev\" is not supported with \"forward nat\": it may be $remote_addr in t.conf:1");
	FAILS("stream { upstream a { keepalive 5; } }", "\"keepalive\" directive is not allowed here in t.conf:1");
	FAILS("stream { upstream a { server 10.0.0.1:80 max_conns=5; }\n" PASSING_TO_A,
	      "parameter \"max_conns\" is not supported with \"forward nat\": packets are forwarded, connections are "
	      "not "
	      "counted in t.conf:1");
	FAILS("stream { upstream a { ip_hash; server 10.0.0.1:80 backup; } }",
	      "balancing method does not support parameter \"backup\" in t.conf:1");
}

static void
servers_must_fit_the_mode(void **state)
{
	FAILS(SERVER("listen 10.0.1.1:80;\nproxy_pass [2001:db8::1]:80; forward full_nat;"),
	      "server \"[2001:db8::1]:80\" and \"listen 10.0.1.1:80\" of t.conf:2 are of different IP versions, which "
	      "\"forward full_nat\" cannot bring together in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80;\nproxy_pass [2001:db8::1]:80; forward dsr;"),
	      "server \"[2001:db8::1]:80\" and \"listen 10.0.1.1:80\" of t.conf:2 are of different IP versions, which "
	      "\"forward dsr\" cannot bring together in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80;\nproxy_pass 10.0.2.1:8080; forward dsr;"),
	      "\"forward dsr\" keeps the packet's port: server \"10.0.2.1:8080\" must have the same, as \"listen "
	      "10.0.1.1:80\" of t.conf:2 in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80-90;\nproxy_pass 10.0.2.1:80; forward ipip;"),
	      "\"forward ipip\" keeps the packet's port: server \"10.0.2.1:80\" must be written without one, as "
	      "\"listen "
	      "10.0.1.1:80-90\" of t.conf:2 in t.conf:3");
	FAILS("stream {\nupstream a {\nserver 10.0.2.1; }\nserver { listen 10.0.1.1:80-90; proxy_pass a; forward nat; "
	      "}\n"
	      "server { listen 10.0.1.1:100; proxy_pass a; forward nat; } }",
	      "no port in upstream \"10.0.2.1\" in t.conf:3");
	FAILS(SERVER("listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward nat; proxy_protocol on;"),
	      "\"proxy_protocol\" cannot be used with \"forward nat\": the server sees the client's address in "
	      "t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward dsr; toa on;"),
	      "\"toa\" cannot be used with \"forward dsr\": the server sees the client's address in t.conf:2");
	FAILS(SERVER("listen 10.0.1.1:80;\nlisten 10.0.1.1:80 udp; proxy_pass 10.0.2.1:80; forward full_nat; toa on;"),
	      "\"toa\" cannot be used with \"udp\" in t.conf:3");
}

#define QUIC(servers, listen) "stream {\nupstream a {\n" servers "}\nserver {\n" listen "proxy_pass a; forward dsr;\n"
#define QUIC_ON "quic_affinity on; } }"
#define UDP "listen 10.0.1.1:443 udp;\n"

static void
connection_ids_must_tell_servers_apart(void **state)
{
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0a;\nserver 10.0.2.2:443;\n", UDP) QUIC_ON,
	      "server \"10.0.2.2:443\" needs a \"quic_id\", by the \"quic_affinity\" of the server of t.conf:6 in "
	      "t.conf:4");
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0a;\nserver 10.0.2.2:443 quic_id=0b0c;\n", UDP) QUIC_ON,
	      "the \"quic_id\" of server \"10.0.2.2:443\" is not as long as that of t.conf:3 in t.conf:4");
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0A;\nserver 10.0.2.2:443 quic_id=0a backup;\n", UDP) QUIC_ON,
	      "server \"10.0.2.2:443\" has the \"quic_id\" of server \"10.0.2.1:443\" of t.conf:3 in t.conf:4");
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0a;\n", "listen 10.0.1.1:443;\n") QUIC_ON,
	      "\"quic_affinity\" can only be used with \"udp\" in t.conf:6");
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0a;\n", UDP "listen 10.0.1.1:443;\n") QUIC_ON,
	      "\"quic_affinity\" can only be used with \"udp\" in t.conf:7");
#define UNUSED_ID "\"quic_id\" has no effect: no server with \"quic_affinity\" passes to upstream \"a\" in t.conf:3"
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0a;\n", UDP) "quic_affinity off; } }", UNUSED_ID);
	FAILS(QUIC("server 10.0.2.1:443 quic_id=0a;\n", UDP) "} }", UNUSED_ID);
	FAILS("stream {\nupstream a {\nserver 10.0.2.1:443 quic_id=0a; } }", UNUSED_ID);
#define BAD_ID(value)                                                                                                  \
	FAILS("stream { upstream a { server 10.0.2.1:443\n" value "; } }",                                             \
	      "invalid parameter \"" value "\" in t.conf:2")
	BAD_ID("quic_id=");
	BAD_ID("quic_id=a");
	BAD_ID("quic_id=0g");
	BAD_ID("quic_id=0x0a");
	BAD_ID("quic_id=0102030405060708ff");
	FAILS(SERVER("quic_affinity maybe;"),
	      "invalid value \"maybe\" in \"quic_affinity\" directive, it must be \"on\" or \"off\" in t.conf:2");
	FAILS(SERVER("quic_affinity on; quic_affinity on;"), "\"quic_affinity\" directive is duplicate in t.conf:2");
	FAILS("stream {\nquic_affinity on; }", "\"quic_affinity\" directive is not allowed here in t.conf:2");
}

/* HTTP/3 beside HTTP/1 and 2: the ids are looked at where UDP comes in. */
static void
a_group_with_ids_may_serve_tcp_too(void **state)
{
	struct config *config =
		configuration_parse_well(QUIC("server 10.0.2.1:443 quic_id=ff00000000000001;\n"
					      "server 10.0.2.2:443 quic_id=0000000000000002 weight=0;\n"
					      "server 10.0.2.3:443 quic_id=0000000000000003 down;\n",
					      UDP) "quic_affinity on; }\n"
						   "server { listen 10.0.1.1:443; proxy_pass a; forward dsr; } }");
	struct l4_registry *registry = l4_registry_new();
	struct l4_generation *generation = configuration_generation(registry, config, NULL);
	const struct l4_quic_ids *ids = configuration_service(generation, "10.0.1.1:443", IPPROTO_UDP)->quic;

	assert_null(configuration_service(generation, "10.0.1.1:443", IPPROTO_TCP)->quic);
	assert_non_null(ids);
	assert_int_equal(ids->id_len, 8);
	assert_int_equal(ids->count, 2);
	assert_true(ids->ids[0].id == 2 && ids->ids[0].server == 1);
	assert_true(ids->ids[1].id == 0xff00000000000001 && ids->ids[1].server == 0);
	l4_generation_free(generation);
	l4_registry_free(registry);
	config_free(config);
}

static void
ranges_must_not_overlap(void **state)
{
#define TWO(first, second) SERVER("listen " first ";\nlisten " second "; proxy_pass 10.0.2.1; forward full_nat;")
	FAILS(TWO("10.0.1.1:8000-8100", "10.0.1.1:8100-8200"),
	      "\"10.0.1.1:8100-8200\" overlaps with \"10.0.1.1:8000-8100\" of t.conf:2 in t.conf:3");
	FAILS(TWO("10.0.1.1:8050", "10.0.1.1:8000-8100"),
	      "\"10.0.1.1:8000-8100\" overlaps with \"10.0.1.1:8050\" of t.conf:2 in t.conf:3");
	FAILS(TWO("10.0.1.1:*", "10.0.1.1:65535"),
	      "\"10.0.1.1:65535\" overlaps with \"10.0.1.1:*\" of t.conf:2 in t.conf:3");
	FAILS(TWO("10.0.1.1:*", "10.0.1.1:*"), "duplicate \"10.0.1.1:*\" address and port pair in t.conf:3");
	config_free(configuration_parse_well(TWO("10.0.1.1:8000-8100", "10.0.1.1:8101-8200")));
	config_free(configuration_parse_well(TWO("10.0.1.1:8000-8100", "10.0.1.1:8000-8100 udp")));
	config_free(configuration_parse_well(TWO("10.0.1.1:*", "10.0.1.2:*")));
}

static void
more_listeners_than_services_are_refused(void **state)
{
	char *text = malloc(1 << 18), *end = text, wanted[128];

	assert_non_null(text);
	end += sprintf(end, "stream { server { proxy_pass 10.0.2.1:80; forward nat;\n");
	for (int i = 0; i <= L4_SERVICES_MAX; i++)
		end += sprintf(end, "listen 10.1.%d.%d:80;\n", i / 256, i % 256);
	sprintf(end, "} }");
	snprintf(wanted, sizeof(wanted), "more than %d \"listen\" directives in stream in t.conf:%d", L4_SERVICES_MAX,
		 L4_SERVICES_MAX + 2);
	FAILS(text, wanted);
	free(text);
}

static void
an_address_of_no_interface_is_noted_once(void **state)
{
	struct config *config =
		configuration_parse_well("stream { server { listen 127.0.0.1:1081;\nlisten 198.51.100.9:80;\n"
					 "listen 198.51.100.9:81; proxy_pass 10.0.2.1:80; forward full_nat; } }");

	assert_string_equal(configuration_warnings(config),
			    "note: no interface of this host has the address 198.51.100.9: its packets must be routed "
			    "here in t.conf:2\n");
	config_free(config);
}

static void
thresholds_that_cannot_work_are_warned_of(void **state)
{
	struct config *config =
		configuration_parse_well("stream { upstream a { server 127.0.0.1:80 max_fails=3; }\n"
					 "server { listen 127.0.0.1:80; proxy_pass a; forward nat; } }");

	assert_string_equal(configuration_warnings(config),
			    "\"max_fails\" and \"fail_timeout\" have no effect with \"forward nat\": packets are "
			    "forwarded, failures are not seen in t.conf:1\n");
	config_free(config);
}

static void
listeners_are_found_by_endpoint(void **state)
{
	struct config *config = configuration_parse_well(SERVER("listen 10.0.1.1:80-90;"
								"proxy_pass 10.0.2.1:80; forward full_nat;"));
	struct endpoint endpoint;
	const char *file;
	unsigned int line;

	assert_int_equal(endpoint_parse(bytes_of_string("10.0.1.1:85"), 0, &endpoint), 0);
	assert_true(stream_listens_on(config, &endpoint, IPPROTO_TCP, &file, &line));
	assert_string_equal(file, "t.conf");
	assert_int_equal(line, 2);
	assert_false(stream_listens_on(config, &endpoint, IPPROTO_UDP, &file, &line));
	endpoint.port_be = htons(91);
	assert_false(stream_listens_on(config, &endpoint, IPPROTO_TCP, &file, &line));
	config_free(config);
	config = configuration_parse_well("");
	assert_false(l4_configured(config));
	assert_null(l4_settings(config));
	assert_false(stream_listens_on(config, &endpoint, IPPROTO_TCP, &file, &line));
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_has_its_defaults),
		cmocka_unit_test(settings_are_taken_and_inherited),
		cmocka_unit_test(errors_are_nginxs),
		cmocka_unit_test(what_is_no_packet_level_service_is_said),
		cmocka_unit_test(groups_of_packets_have_their_own_rules),
		cmocka_unit_test(servers_must_fit_the_mode),
		cmocka_unit_test(connection_ids_must_tell_servers_apart),
		cmocka_unit_test(a_group_with_ids_may_serve_tcp_too),
		cmocka_unit_test(ranges_must_not_overlap),
		cmocka_unit_test(more_listeners_than_services_are_refused),
		cmocka_unit_test(an_address_of_no_interface_is_noted_once),
		cmocka_unit_test(thresholds_that_cannot_work_are_warned_of),
		cmocka_unit_test(listeners_are_found_by_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
