/* What one message makes of a prefix's routes. */
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "support/cmocka.h"

#include "net/route.h"

/* Routes are written "METRIC:GATEWAY[+GATEWAY...]", gateways as the last byte of an address, in order of preference. */
#define TEXT_MAX 256

static struct route_row rows[ROUTE_ROWS_MAX];
static uint32_t count;

static int
setup(void **state)
{
	count = 0;
	return 0;
}

enum how { ADD = 0, APPEND = 1, REPLACE = 2, REMOVE = 4, SIX = 8 };

/* `gateways` ends with 0. */
static void
tell(int how, uint32_t metric, const uint8_t *gateways)
{
	static struct route_message message;

	memset(&message, 0, sizeof(message));
	message.ipv6 = how & SIX;
	message.remove = how & REMOVE;
	message.replace = how & REPLACE;
	message.append = how & APPEND;
	for (; *gateways; gateways++) {
		struct route_row *row = &message.rows[message.count++];

		row->gateway = ip_address_from_v4(htonl(0x0a000000u | *gateways));
		row->metric = metric;
		row->ifindex = 2;
		row->weight = 1;
		row->type = RTN_UNICAST;
		row->flags = ROUTE_HAS_GATEWAY | (how & SIX ? ROUTE_SIBLINGS : 0);
	}
	count = route_rows_apply(rows, count, &message);
}

#define TELL(how, metric, ...) tell(how, metric, (const uint8_t[]){ __VA_ARGS__, 0 })

static void
assert_routes(const char *expected)
{
	char text[TEXT_MAX] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < count; i++) {
		unsigned int gateway = rows[i].gateway.bytes[15];

		if (i > 0 && rows[i].member == rows[i - 1].member)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "+%u", gateway);
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u:%u", i ? " " : "", rows[i].metric,
						gateway);
		assert_true(i == 0 || rows[i].member - rows[i - 1].member <= 1);
	}
	assert_string_equal(text, expected);
}

static void
routes_are_ordered_by_metric(void **state)
{
	TELL(ADD, 20, 1);
	TELL(ADD, 10, 2);
	TELL(ADD, 30, 3);
	assert_routes("10:2 20:1 30:3");
	TELL(REMOVE, 10, 2);
	assert_routes("20:1 30:3");
	TELL(REMOVE, 20, 1);
	TELL(REMOVE, 30, 3);
	assert_routes("");
}

static void
appended_routes_come_last_of_their_metric_and_others_first(void **state)
{
	TELL(APPEND, 10, 1);
	TELL(APPEND, 10, 2);
	TELL(ADD, 10, 3);
	assert_routes("10:3 10:1 10:2");
}

static void
a_message_told_twice_changes_nothing(void **state)
{
	TELL(ADD, 10, 1, 2);
	TELL(APPEND, 10, 1, 2);
	assert_routes("10:1+2");
	TELL(REMOVE, 10, 1, 2);
	TELL(REMOVE, 10, 1, 2);
	assert_routes("");
}

static void
a_replacement_takes_the_place_of_its_metric_only(void **state)
{
	TELL(ADD, 10, 1);
	TELL(ADD, 20, 2);
	TELL(REPLACE, 10, 3, 4);
	assert_routes("10:3+4 20:2");
	TELL(REPLACE, 5, 9);
	assert_routes("5:9 10:3+4 20:2");
}

static void
an_ipv4_route_that_differs_from_what_is_remembered_is_removed_by_its_metric(void **state)
{
	TELL(ADD, 10, 1, 2);
	TELL(ADD, 20, 3);
	TELL(REMOVE, 10, 1);
	assert_routes("20:3");
}

static void
ipv6_siblings_come_as_a_whole_and_go_one_by_one(void **state)
{
	TELL(ADD | SIX, 1024, 1);
	TELL(APPEND | SIX, 1024, 1, 2);
	assert_routes("1024:1+2");
	TELL(APPEND | SIX, 1024, 1, 2, 3);
	assert_routes("1024:1+2+3");
	TELL(REMOVE | SIX, 1024, 2);
	assert_routes("1024:1+3");
	TELL(REMOVE | SIX, 1024, 7);
	assert_routes("1024:1+3");
	TELL(REMOVE | SIX, 1024, 1, 3);
	assert_routes("");
}

static void
too_many_hops_are_refused_as_a_whole(void **state)
{
	for (uint32_t i = 0; i < ROUTE_ROWS_MAX + 10; i++)
		TELL(APPEND, i, 1);
	assert_int_equal(count, ROUTE_ROWS_MAX);
	assert_int_equal(rows[ROUTE_ROWS_MAX - 1].metric, ROUTE_ROWS_MAX - 1);
}

static void
equal_sets_are_one_object(void **state)
{
	struct route_intern intern;
	struct route_set *a, *b, *c;

	assert_int_equal(route_intern_init(&intern), 0);
	TELL(ADD, 10, 1);
	a = route_set_get(&intern, rows, count);
	b = route_set_get(&intern, rows, count);
	assert_ptr_equal(a, b);
	for (uint32_t i = 0; i < 2000; i++) {
		rows[0].metric = 100 + i;
		c = route_set_get(&intern, rows, count);
		assert_ptr_not_equal(a, c);
		route_set_hold(c);
		route_set_drop(c, &intern);
		if (i % 2)
			route_set_drop(c, &intern);
	}
	assert_int_equal(intern.count, 1001);
	for (uint32_t i = 0; i < 2000; i += 2) {
		rows[0].metric = 100 + i;
		c = route_set_get(&intern, rows, count);
		assert_int_equal(c->references, 2);
		route_set_drop(c, &intern);
		route_set_drop(c, &intern);
	}
	route_set_drop(a, &intern);
	route_set_drop(b, &intern);
	assert_int_equal(intern.count, 0);
	route_intern_fini(&intern);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(routes_are_ordered_by_metric, setup),
		cmocka_unit_test_setup(appended_routes_come_last_of_their_metric_and_others_first, setup),
		cmocka_unit_test_setup(a_message_told_twice_changes_nothing, setup),
		cmocka_unit_test_setup(a_replacement_takes_the_place_of_its_metric_only, setup),
		cmocka_unit_test_setup(an_ipv4_route_that_differs_from_what_is_remembered_is_removed_by_its_metric,
				       setup),
		cmocka_unit_test_setup(ipv6_siblings_come_as_a_whole_and_go_one_by_one, setup),
		cmocka_unit_test_setup(too_many_hops_are_refused_as_a_whole, setup),
		cmocka_unit_test_setup(equal_sets_are_one_object, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
