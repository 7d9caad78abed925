#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

#include "l4/l4.h"
#include "proxy/proxy.h"
#include "proxy/relay/relay.h"
#include "proxy/settings/map.h"
#include "proxy/settings/settings.h"
#include "stream/stream.h"
#include "tcp/tcp.h"
#include "weir/core.h"

static struct config_module *const modules[] = {
	&core_module,         &events_module,    &upstream_module,     &stream_module,         &l4_module,
	&proxy_stream_module, &proxy_map_module, &proxy_server_module, &proxy_location_module, NULL
};
static struct config *config;

static const char *
parse(const char *text)
{
	struct config_source source = {
		.path = "t.conf", .text = bytes_of_string(text), .prefix = "/p/", .unsupported = core_unsupported
	};

	config_free(config);
	config = config_parse(&source, modules);
	return config_error(config);
}

static void
assert_error(const char *text, const char *wanted)
{
	const char *error = parse(text);

	if (!error != !wanted || (wanted && !strstr(error, wanted)))
		fail_msg("%s\n wanted: %s\n got:    %s", text, wanted ? wanted : "nothing", error ? error : "nothing");
}

static void
assert_warning_of(void *context, const char *text)
{
	bool *found = context;

	*found |= strstr(text, "has no effect") != NULL;
}

/* Taken from `nginx -t`. */
static void
errors_are_nginxs(void **state)
{
	assert_error("worker_processes x; events {}", "\"worker_processes\" directive invalid value in t.conf:1");
	assert_error("worker_processes 1; worker_processes 2; events {}",
		     "\"worker_processes\" directive is duplicate in t.conf:1");
	assert_error("worker_cpu_affinity 01 x; events {}",
		     "invalid character \"x\" in \"worker_cpu_affinity\" in t.conf:1");
	assert_error("worker_cpu_affinity 01; worker_cpu_affinity 10; events {}",
		     "\"worker_cpu_affinity\" directive is duplicate");
	assert_error("user nobodyx; events {}", "getpwnam(\"nobodyx\") failed in t.conf:1");
	assert_error("user root nogroupx; events {}", "getgrnam(\"nogroupx\") failed in t.conf:1");
	assert_error("user root; user root; events {}", "\"user\" directive is duplicate in t.conf:1");
	assert_error("daemon maybe; events {}",
		     "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\" in t.conf:1");
	assert_error("pid a; pid b; events {}", "\"pid\" directive is duplicate in t.conf:1");
	assert_error("events {} events {}", "\"events\" directive is duplicate in t.conf:1");
	assert_error("pid a;", "no \"events\" section in configuration");
	assert_error("events { use foo; }", "invalid event type \"foo\" in t.conf:1");
	assert_error("events { worker_connections 1; worker_connections 2; }",
		     "\"worker_connections\" directive is duplicate in t.conf:1");
	assert_error("events { multi_accept maybe; }",
		     "invalid value \"maybe\" in \"multi_accept\" directive, it must be \"on\" or \"off\" in t.conf:1");
	assert_error("worker_connections 5; events {}",
		     "\"worker_connections\" directive is not allowed here in t.conf:1");
}

static void
workers_have_both_roles_unless_some_are_set_aside(void **state)
{
	struct worker_roles roles;

	assert_error("worker_processes 3; events {}", NULL);
	roles = core_roles(core_settings(config));
	assert_int_equal(roles.count, 3);
	assert_int_equal(roles.io, 3);
	assert_int_equal(roles.stack_first, 0);
	assert_error("worker_processes 3; proxy_lcores 2; events {}", NULL);
	roles = core_roles(core_settings(config));
	assert_int_equal(roles.count, 5);
	assert_int_equal(roles.io, 3);
	assert_int_equal(roles.stack_first, 3);
}

static void
what_weir_has_not_or_bounds_is_said(void **state)
{
	assert_error("worker_processes 65; events {}", "\"worker_processes 65\" is more than the 64 that weir has");
	assert_error("worker_processes 0; events {}", "\"worker_processes\" directive invalid value");
	assert_error("proxy_lcores x; events {}", "invalid value \"x\" in \"proxy_lcores\" directive");
	assert_error("proxy_lcores 1; proxy_lcores 1; events {}", "\"proxy_lcores\" directive is duplicate");
	assert_error("proxy_lcores 3-2; events {}", "invalid CPUs \"3-2\" in \"proxy_lcores\"");
	assert_error("proxy_lcores 1,; events {}", "invalid CPUs \"1,\" in \"proxy_lcores\"");
	assert_error("proxy_lcores 1,64; events {}", "invalid CPUs \"1,64\" in \"proxy_lcores\"");
	assert_error("proxy_lcores 1-3,2; events {}", "CPU 2 is listed twice in \"proxy_lcores\"");
	assert_error("worker_processes 60; proxy_lcores 5; events {}",
		     "worker_processes 60 and proxy_lcores 5 are more than the 64 lcores that weir has");
	assert_error("events { worker_connections 0; }", "invalid number \"0\"");
	assert_error("events { worker_connections x; }", "invalid number \"x\"");
	assert_error("events { worker_connections 10000001; }", "invalid number \"10000001\"");
	assert_error("events { multi_accept off; }", "\"multi_accept off\" is not supported");
	assert_error("events { multi_accept on; }", NULL);
	assert_error("events { accept_mutex off; }", "workers share no listening socket");
	assert_error("mail {} events {}", "weir has no mail proxy");
	assert_error("worker_poll sometimes; events {}", "invalid value \"sometimes\"");
	assert_error("tcp_syn_cookies sometimes; events {}", "invalid value \"sometimes\"");
	assert_error("tcp_ecn always; events {}", "invalid value \"always\"");
	assert_error("tcp_congestion vegas; events {}", "invalid value \"vegas\"");
}

static void
assert_neighbor_warning(void *context, const char *text)
{
	bool *found = context;

	*found |= strstr(text, "\"neighbor\" is for weir-replay") != NULL;
}

static const char *const wrong_macs[] = { "02:00:00:00:00", "02:00:00:00:00:0", "02:00:00:00:00:0g",
					  "03:00:00:00:00:01", "02-00-00-00-00-01" };

static void
epoll_is_taken_with_a_warning(void **state)
{
	bool warned = false;

	assert_error("events { use epoll; }", NULL);
	config_each_warning(config, assert_warning_of, &warned);
	assert_true(warned);
}

static void
defaults_are_nginxs(void **state)
{
	assert_error("events {}", NULL);
	assert_int_equal(core_settings(config)->worker_processes, 1);
	assert_int_equal(core_settings(config)->daemon, 1);
	assert_int_equal(core_settings(config)->worker_poll, CORE_POLL_ADAPTIVE);
	assert_int_equal(core_settings(config)->tcp_congestion, TCP_CUBIC);
	assert_int_equal(core_settings(config)->tcp_syn_cookies, TCP_COOKIES_WHEN_FULL);
	assert_int_equal(core_settings(config)->tcp_ecn, TCP_ECN_ACCEPT);
	assert_int_equal(core_settings(config)->worker_shutdown_timeout_ms, 0);
	assert_int_equal(core_events(config)->worker_connections, 512);
	assert_null(core_settings(config)->interfaces);
	assert_int_equal(core_affinity(core_settings(config), 0), 0);
}

static void
settings_are_taken(void **state)
{
	assert_error("daemon off; worker_processes auto; worker_poll busy; worker_shutdown_timeout 5s; pid run/x.pid; "
		     "packet_buffers 16k; user root; tcp_congestion new_reno; tcp_ecn on; events { worker_connections "
		     "10000; }",
		     NULL);
	assert_int_equal(core_settings(config)->daemon, 0);
	assert_true(core_settings(config)->worker_processes >= 1);
	assert_true(core_settings(config)->worker_processes_auto);
	assert_int_equal(core_settings(config)->worker_poll, CORE_POLL_BUSY);
	assert_int_equal(core_settings(config)->tcp_congestion, TCP_NEW_RENO);
	assert_int_equal(core_settings(config)->tcp_ecn, TCP_ECN_ON);
	assert_int_equal(core_settings(config)->worker_shutdown_timeout_ms, 5000);
	assert_int_equal(core_settings(config)->packet_buffers, 16384);
	assert_string_equal((const char *)core_settings(config)->pid.data, "/p/run/x.pid");
	assert_string_equal((const char *)core_settings(config)->group.data, "root");
	assert_int_equal(core_events(config)->worker_connections, 10000);
}

static void
masks_are_bits_from_the_right_and_the_last_holds_for_the_rest(void **state)
{
	assert_error("worker_cpu_affinity 0001 0110 10000000; events {}", NULL);
	assert_int_equal(core_affinity(core_settings(config), 0), 1);
	assert_int_equal(core_affinity(core_settings(config), 1), 6);
	assert_int_equal(core_affinity(core_settings(config), 2), 128);
	assert_int_equal(core_affinity(core_settings(config), 9), 128);
	assert_error("worker_processes 2; worker_cpu_affinity 0001; proxy_lcores 5,2-3; events {}", NULL);
	assert_int_equal(core_affinity(core_settings(config), 1), 1);
	assert_int_equal(core_affinity(core_settings(config), 2), 1 << 5);
	assert_int_equal(core_affinity(core_settings(config), 3), 1 << 2);
	assert_int_equal(core_affinity(core_settings(config), 4), 1 << 3);
	assert_error("worker_cpu_affinity 1000000000000000000000000000000000000000000000000000000000000000; events {}",
		     NULL);
	assert_int_equal(core_affinity(core_settings(config), 0), 1ull << 63);
	assert_error("worker_cpu_affinity 00000000000000000000000000000000000000000000000000000000000000001; events {}",
		     "\"worker_cpu_affinity\" supports up to 64 CPUs only");
}

static void
automatic_affinity_takes_one_cpu_of_the_mask_after_the_other(void **state)
{
	assert_error("worker_cpu_affinity auto 01010100; events {}", NULL);
	assert_int_equal(core_affinity(core_settings(config), 0), 4);
	assert_int_equal(core_affinity(core_settings(config), 1), 16);
	assert_int_equal(core_affinity(core_settings(config), 2), 64);
	assert_int_equal(core_affinity(core_settings(config), 3), 4);
	assert_error("worker_cpu_affinity auto; events {}", NULL);
	assert_int_equal(core_affinity(core_settings(config), 0), 1);
	assert_int_equal(__builtin_popcountll(core_affinity(core_settings(config), 63)), 1);
	assert_error("worker_cpu_affinity auto 01 10; events {}",
		     "invalid number of arguments in \"worker_cpu_affinity\"");
}

static void
interfaces_keep_what_their_blocks_say(void **state)
{
	const struct core_interface *first, *second;

	assert_error("interface eth0 { driver xdp; xdp_mode generic; queues 4; mtu 9000; rx_descriptors 512; "
		     "tx_descriptors 64; } "
		     "interface vdev:net_tap0 { driver dpdk; twin weir0; address 10.0.0.1/24; address 2001:db8::1/64; "
		     "} events {}",
		     NULL);
	first = core_settings(config)->interfaces;
	second = first->next;
	assert_string_equal(first->port.name, "eth0");
	assert_int_equal(first->port.driver, PORT_DRIVER_XDP);
	assert_int_equal(first->port.xdp_mode, PORT_XDP_GENERIC);
	assert_int_equal(first->port.queues, 4);
	assert_int_equal(first->port.mtu, 9000);
	assert_int_equal(first->port.rx_descriptors, 512);
	assert_int_equal(first->port.tx_descriptors, 64);
	assert_string_equal(second->port.name, "vdev:net_tap0");
	assert_int_equal(second->port.driver, PORT_DRIVER_DPDK);
	assert_string_equal(second->port.twin, "weir0");
	assert_string_equal(second->port.addresses[0], "10.0.0.1/24");
	assert_string_equal(second->port.addresses[1], "2001:db8::1/64");
	assert_null(second->port.addresses[2]);
	assert_null(second->next);
}

static void
interfaces_that_are_wrong_are_refused(void **state)
{
	static const char *const rows[][2] = {
		{ "interface a {} interface a {} events {}", "duplicate interface \"a\" in t.conf:1" },
		{ "interface {} events {}", "invalid number of arguments in \"interface\" directive" },
		{ "interface a { driver x; } events {}", "invalid value \"x\" in \"driver\" directive in t.conf:1" },
		{ "interface a { xdp_mode x; } events {}", "invalid value \"x\" in \"xdp_mode\" directive" },
		{ "interface a { queues 0; } events {}",
		  "invalid value \"0\" in \"queues\" directive, it must be between 1 and" },
		{ "interface a { queues 70000; } events {}", "invalid value \"70000\" in \"queues\" directive" },
		{ "interface a { mtu 575; } events {}", "\"mtu\" directive, it must be between 576 and 9000" },
		{ "interface a { mtu -1; } events {}", "invalid value \"-1\" in \"mtu\" directive" },
		{ "interface a { rx_descriptors 8193; } events {}", "it must be between 64 and 8192" },
		{ "interface a { twin abcdefghijklmnop; } events {}", "invalid interface name \"abcdefghijklmnop\"" },
		{ "interface a { address 10.0.0.1; } events {}",
		  "invalid address \"10.0.0.1\", it must be ADDRESS/PREFIX" },
		{ "interface a { address 10.0.0.1/33; } events {}", "invalid address \"10.0.0.1/33\"" },
		{ "interface a { address x/24; } events {}", "invalid address \"x/24\"" },
		{ "interface a { listen 80; } events {}", "\"listen\" directive is not allowed here" },
		{ "queues 4; events {}", "\"queues\" directive is not allowed here" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_error(rows[i][0], rows[i][1]);
}

static int
teardown(void **state)
{
	config_free(config);
	return 0;
}

static void
neighbors_are_taken_and_warned_of(void **state)
{
	const struct core_interface *interface;
	bool warned = false;

	assert_error("events {} interface a { neighbor default 02:00:00:00:00:01; neighbor 10.0.0.2 0A:bc:00:00:00:ff; "
		     "neighbor 2001:db8::1 02:00:00:00:00:03; }",
		     NULL);
	interface = core_settings(config)->interfaces;
	assert_int_equal(interface->neighbor_count, 3);
	assert_true(ip_address_is_any(&interface->neighbors[0].address));
	assert_int_equal(interface->neighbors[1].mac[0], 0x0a);
	assert_int_equal(interface->neighbors[1].mac[1], 0xbc);
	assert_int_equal(interface->neighbors[1].mac[5], 0xff);
	config_each_warning(config, assert_neighbor_warning, &warned);
	assert_true(warned);
	assert_error("events {} interface a { neighbor x 02:00:00:00:00:01; }",
		     "invalid address \"x\", it must be an IP address or \"default\" in t.conf:1");
	assert_error("events {} interface a { neighbor 0.0.0.0 02:00:00:00:00:01; }", "invalid address \"0.0.0.0\"");
	for (size_t i = 0; i < sizeof(wrong_macs) / sizeof(wrong_macs[0]); i++) {
		char text[128];

		snprintf(text, sizeof(text), "events {} interface a { neighbor 10.0.0.1 %s; }", wrong_macs[i]);
		assert_error(text, "invalid MAC \"");
	}
	assert_error("events {} interface a { neighbor 10.0.0.1 02:00:00:00:00:01; neighbor 10.0.0.1 "
		     "02:00:00:00:00:02; }",
		     "duplicate neighbor \"10.0.0.1\" in t.conf:1");
}

static void
one_endpoint_is_not_http_and_streams(void **state)
{
	static const char stream[] = "events {}\nstream { server { listen 10.0.1.1:80-90; proxy_pass 10.0.0.1:80; "
				     "forward full_nat; } }\n";
	char text[512];

	snprintf(text, sizeof(text), "%shttp { server {\nlisten 10.0.1.1:85; } }", stream);
	assert_error(text, "\"listen 10.0.1.1:85\" in http is taken by the \"listen\" in stream of t.conf:2 in "
			   "t.conf:4");
	snprintf(text, sizeof(text), "%shttp { server { listen 85; listen 10.0.1.1:91; } }", stream);
	assert_error(text, NULL);
	assert_error(
		"events {} stream { server { proxy_bind 10.0.0.1; } }",
		"\"proxy_bind\" directive is not supported by this version of weir: the source is the address that "
		"Linux's route to the server prefers in t.conf:1");
	assert_error(
		"events {} stream { server { listen 10.0.1.1:80; proxy_pass 10.0.0.1:80; forward nat;\n"
		"preread_timeout 1s; } }",
		"\"preread_timeout\" cannot be used with \"forward nat\": nothing of a connection is read before it "
		"is forwarded in t.conf:1");
	assert_error("events {} http { server { listen 81; } }\n"
		     "stream { server { listen 81; proxy_pass 10.0.0.1:80; } }",
		     "\"listen 0.0.0.0:81\" in http is taken by the \"listen\" in stream of t.conf:2 in t.conf:1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_nginxs),
		cmocka_unit_test(neighbors_are_taken_and_warned_of),
		cmocka_unit_test(one_endpoint_is_not_http_and_streams),
		cmocka_unit_test(workers_have_both_roles_unless_some_are_set_aside),
		cmocka_unit_test(what_weir_has_not_or_bounds_is_said),
		cmocka_unit_test(epoll_is_taken_with_a_warning),
		cmocka_unit_test(defaults_are_nginxs),
		cmocka_unit_test(settings_are_taken),
		cmocka_unit_test(masks_are_bits_from_the_right_and_the_last_holds_for_the_rest),
		cmocka_unit_test(automatic_affinity_takes_one_cpu_of_the_mask_after_the_other),
		cmocka_unit_test(interfaces_keep_what_their_blocks_say),
		cmocka_unit_test(interfaces_that_are_wrong_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
