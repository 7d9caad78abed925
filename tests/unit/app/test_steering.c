#include "support/cmocka.h"

#include <arpa/inet.h>
#include <rte_ethdev.h>
#include <stdio.h>

#include "port/rss.h"
#include "weir/steering.h"

#define FIRST 10240
#define LAST 32767

static struct endpoint
endpoint(const char *text)
{
	struct endpoint out;

	assert_int_equal(endpoint_parse(bytes_of_string(text), 80, &out), 0);
	return out;
}

static struct tcp_listener listeners[4];
static uint32_t listener_count;

static void
listen_on(const char *text)
{
	listeners[listener_count++].local = endpoint(text);
}

static struct steering *
steering_of(struct worker_roles roles)
{
	struct steering *s = steering_new(roles, 42, FIRST, LAST, listeners, listener_count);

	assert_non_null(s);
	return s;
}

static struct steering *
steering(unsigned int workers)
{
	return steering_of((struct worker_roles){ .count = workers, .io = workers });
}

static int
setup(void **state)
{
	listener_count = 0;
	return 0;
}

/* tcp/ gives worker i the ports p of the range with p % workers == i. */
static void
every_local_port_of_a_worker_leads_its_answers_back_to_it(void **state)
{
	struct endpoint server = endpoint("10.0.0.1:80"), local = endpoint("192.0.2.1:1");

	listen_on("0.0.0.0:80");
	for (unsigned int workers = 1; workers <= 64; workers++) {
		struct steering *s = steering(workers);

		for (unsigned int port = FIRST; port <= LAST; port++) {
			unsigned int self = port % 7 % workers;

			local.port_be = htons((uint16_t)port);
			assert_int_equal(steering_owner(s, self, port & 1, &server, &local), port % workers);
		}
		steering_free(s);
	}
}

static void
client_stays_where_the_device_puts_it_when_that_is_stable(void **state)
{
	struct endpoint client = endpoint("198.51.100.7:40000"), local = endpoint("192.0.2.1:80");

	listen_on("0.0.0.0:80");
	for (unsigned int workers = 2; workers <= 64; workers++) {
		struct steering *s = steering(workers);

		for (unsigned int self = 0; self < workers; self++)
			assert_int_equal(steering_owner(s, self, true, &client, &local), self);
		steering_free(s);
	}
}

static void
clients_spread_evenly_where_the_device_is_not_stable(void **state)
{
	struct endpoint client = endpoint("198.51.100.7:1"), local = endpoint("192.0.2.1:80");

	listen_on("0.0.0.0:80");
	for (unsigned int workers = 2; workers <= 64; workers *= 2) {
		struct steering *s = steering(workers);
		unsigned int counts[64] = { 0 }, flows = workers * 1000;

		for (unsigned int i = 0; i < flows; i++) {
			unsigned int owner;

			client.port_be = htons((uint16_t)(1024 + i % 60000));
			client.ip.bytes[15] = (uint8_t)(i / 60000 + 1);
			owner = steering_owner(s, 0, false, &client, &local);
			assert_true(owner < workers);
			assert_int_equal(owner, steering_owner(s, workers - 1, false, &client, &local));
			counts[owner]++;
		}
		/* 1000 each on average; the standard deviation is about 31. */
		for (unsigned int i = 0; i < workers; i++)
			assert_in_range(counts[i], 1000 - 160, 1000 + 160);
		steering_free(s);
	}
}

static void
workers_set_aside_own_every_connection_and_no_other_does(void **state)
{
	struct endpoint client = endpoint("198.51.100.7:40000"), server = endpoint("10.0.0.1:80"), local;

	listen_on("0.0.0.0:80");
	for (unsigned int io = 1; io <= 3; io++)
		for (unsigned int aside = 1; aside <= 5; aside++) {
			struct steering *s =
				steering_of((struct worker_roles){ .count = io + aside, .io = io, .stack_first = io });
			uint64_t owners = 0;

			for (unsigned int port = FIRST; port < FIRST + 1000; port++) {
				unsigned int self = port % io, owner;

				local = endpoint("192.0.2.1:80");
				client.port_be = htons((uint16_t)port);
				owner = steering_owner(s, self, true, &client, &local);
				assert_in_range(owner, io, io + aside - 1);
				assert_int_equal(owner, steering_owner(s, io - 1, false, &client, &local));
				owners |= 1ull << owner;
				local.port_be = htons((uint16_t)port);
				assert_int_equal(steering_owner(s, self, true, &server, &local), io + port % aside);
			}
			assert_int_equal(owners, ((1ull << aside) - 1) << io);
			steering_free(s);
		}
}

static void
seed_decides_so_that_clients_cannot(void **state)
{
	struct endpoint client = endpoint("198.51.100.7:1"), local = endpoint("192.0.2.1:80");
	const struct worker_roles roles = { .count = 8, .io = 8 };
	struct steering *a = steering_new(roles, 1, FIRST, LAST, listeners, 0);
	struct steering *b = steering_new(roles, 2, FIRST, LAST, listeners, 0);
	unsigned int same = 0;

	for (uint16_t port = 1; port <= 1000; port++) {
		client.port_be = htons(port);
		same += steering_owner(a, 0, false, &client, &local) == steering_owner(b, 0, false, &client, &local);
	}
	assert_in_range(same, 60, 200);
	steering_free(a);
	steering_free(b);
}

static void
port_that_is_listened_on_too_takes_answers_from_servers_only(void **state)
{
	struct endpoint server = endpoint("10.0.0.1:8080"), client = endpoint("10.0.0.1:8081");
	struct endpoint local = endpoint("192.0.2.1:12345");
	struct steering *s;

	listen_on("0.0.0.0:12345");
	s = steering(4);
	assert_int_equal(steering_add_server(s, &server), 0);
	assert_int_equal(steering_add_server(s, &server), 0);
	assert_int_equal(s->server_count, 1);
	assert_int_equal(steering_owner(s, 3, true, &server, &local), 12345 % 4);
	assert_int_equal(steering_owner(s, 3, true, &client, &local), 3);
	steering_free(s);
}

static void
wildcard_takes_every_address_of_this_host_and_its_version(void **state)
{
	struct endpoint local = endpoint("192.0.2.1:80");
	struct steering *s;

	listen_on("0.0.0.0:80");
	s = steering(1);
	assert_true(steering_listens(s, &local, true));
	assert_false(steering_listens(s, &local, false));
	local = endpoint("192.0.2.1:81");
	assert_false(steering_listens(s, &local, true));
	local = endpoint("[2001:db8::1]:80");
	assert_false(steering_listens(s, &local, true));
	steering_free(s);
	listener_count = 0;
	listen_on("[::]:80");
	s = steering(1);
	assert_true(steering_listens(s, &local, true));
	local = endpoint("192.0.2.1:80");
	assert_false(steering_listens(s, &local, true));
	steering_free(s);
}

static void
exact_listener_takes_its_address_only(void **state)
{
	struct endpoint local = endpoint("192.0.2.1:80");
	struct steering *s;

	listen_on("192.0.2.1:80");
	listen_on("[2001:db8::1]:80");
	s = steering(1);
	assert_true(steering_listens(s, &local, true));
	local = endpoint("192.0.2.2:80");
	assert_false(steering_listens(s, &local, true));
	local = endpoint("[2001:db8::1]:80");
	assert_true(steering_listens(s, &local, true));
	local = endpoint("192.0.2.1:65535");
	assert_false(steering_listens(s, &local, true));
	steering_free(s);
}

/* RSS of two queues, whose table has them by turns. */
static void
an_error_about_a_clients_flow_goes_where_rss_has_it(void **state)
{
	struct port_rss rss = { .types = RTE_ETH_RSS_NONFRAG_IPV4_TCP, .table_size = 4, .table = { 0, 1, 0, 1 } };
	struct endpoint client = endpoint("198.51.100.7:1"), service = endpoint("192.0.2.1:80");
	struct steering *s = steering(2);
	unsigned int seen = 0, elsewhere = 0;

	for (size_t i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (uint8_t)(i * 37 + 11);
	for (uint16_t port = 1; port < 1000; port++) {
		int queue;

		client.port_be = htons(port);
		queue = port_rss_queue(&rss, &client, &service, IPPROTO_TCP);
		assert_int_equal(steering_owner_of_error(s, &rss, &client, &service), queue);
		seen |= 1u << queue;
		elsewhere += steering_owner(s, 0, false, &client, &service) != (unsigned int)queue;
		assert_int_equal(steering_owner_of_error(s, NULL, &client, &service),
				 steering_owner(s, 0, false, &client, &service));
	}
	assert_int_equal(seen, 3);
	assert_true(elsewhere > 100);
	steering_free(s);
}

static void
an_error_about_a_connection_of_ours_goes_by_its_local_port(void **state)
{
	const struct port_rss rss = { .types = RTE_ETH_RSS_NONFRAG_IPV4_TCP, .table_size = 1, .table = { 0 } };
	struct endpoint server = endpoint("10.0.0.1:80"), local = endpoint("192.0.2.1:1");
	struct steering *s = steering(2);

	assert_int_equal(steering_add_server(s, &server), 0);
	for (unsigned int port = FIRST; port < FIRST + 10; port++) {
		local.port_be = htons((uint16_t)port);
		assert_int_equal(steering_owner_of_error(s, &rss, &server, &local), port % 2);
	}
	steering_free(s);
}

static void
answers_land_where_rss_has_them_as_far_as_it_is_known(void **state)
{
	struct port_rss rss = { .types = RTE_ETH_RSS_NONFRAG_IPV4_TCP, .table_size = 4, .table = { 0, 1, 0, 1 } };
	struct endpoint server = endpoint("10.0.0.1:80"), local = endpoint("192.0.2.1:1");
	struct steering *s = steering(2),
			*aside = steering_of((struct worker_roles){ .count = 3, .io = 2, .stack_first = 2 });

	for (size_t i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (uint8_t)(i * 37 + 11);
	for (uint16_t port = 1; port < 100; port++) {
		local.port_be = htons(port);
		for (unsigned int self = 0; self < 2; self++)
			assert_int_equal(steering_lands(s, &rss, self, &server, &local),
					 port_rss_queue(&rss, &server, &local, IPPROTO_TCP) == (int)self);
		/* Nobody knows, or it makes no difference. */
		assert_true(steering_lands(s, NULL, 1, &server, &local));
		assert_true(steering_lands(s, &port_rss_one_queue, 1, &server, &local));
		assert_true(steering_lands(aside, &rss, 2, &server, &local));
	}
	rss.types = RTE_ETH_RSS_NONFRAG_IPV6_TCP;
	assert_true(steering_lands(s, &rss, 0, &server, &local) && steering_lands(s, &rss, 1, &server, &local));
	steering_free(s);
	steering_free(aside);
}

/* Connections that are left there are Weir's as long as they last. */
static void
former_listener_takes_packets_but_is_none_twice(void **state)
{
	struct endpoint now = endpoint("192.0.2.1:80"), before = endpoint("192.0.2.1:81"),
			other = endpoint("192.0.2.2:81");
	struct steering *s;

	listen_on("192.0.2.1:80");
	s = steering(1);
	assert_false(steering_listens(s, &before, true));
	assert_int_equal(steering_add_former(s, &before), 0);
	assert_int_equal(steering_add_former(s, &before), 0);
	assert_int_equal(steering_add_former(s, &now), 0);
	assert_int_equal(s->former_count, 1);
	assert_true(steering_listens(s, &before, true));
	assert_true(steering_listens(s, &now, true));
	assert_false(steering_listens(s, &other, true));
	steering_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_local_port_of_a_worker_leads_its_answers_back_to_it, setup),
		cmocka_unit_test_setup(client_stays_where_the_device_puts_it_when_that_is_stable, setup),
		cmocka_unit_test_setup(clients_spread_evenly_where_the_device_is_not_stable, setup),
		cmocka_unit_test_setup(workers_set_aside_own_every_connection_and_no_other_does, setup),
		cmocka_unit_test_setup(an_error_about_a_clients_flow_goes_where_rss_has_it, setup),
		cmocka_unit_test_setup(an_error_about_a_connection_of_ours_goes_by_its_local_port, setup),
		cmocka_unit_test_setup(answers_land_where_rss_has_them_as_far_as_it_is_known, setup),
		cmocka_unit_test_setup(seed_decides_so_that_clients_cannot, setup),
		cmocka_unit_test_setup(port_that_is_listened_on_too_takes_answers_from_servers_only, setup),
		cmocka_unit_test_setup(wildcard_takes_every_address_of_this_host_and_its_version, setup),
		cmocka_unit_test_setup(exact_listener_takes_its_address_only, setup),
		cmocka_unit_test_setup(former_listener_takes_packets_but_is_none_twice, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
