/* What an operator says at run time: noted per server, put in force as a plan. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"
#include "upstream/weights.h"

#define SERVERS 3

struct world {
	struct config *config;
	struct upstream_group *group;
	struct upstream_state *state;
	struct upstream_weights weights;
	struct arena *arena;
};

static struct world
world_of(const char *upstream)
{
	struct world w = { .arena = arena_new() };
	char text[512];

	snprintf(text, sizeof(text), "upstream a { %s }", upstream);
	w.config = fixture_parse_well(text);
	w.group = upstream_group_find(w.config, bytes_of_string("a"));
	w.state = upstream_state_new(w.group, 1);
	assert_non_null(w.state);
	return w;
}

static void
world_end(struct world *w)
{
	upstream_state_free(w->state);
	upstream_weights_clear(&w->weights);
	arena_free(w->arena);
	config_free(w->config);
}

static int
say(struct world *w, const char *server, int64_t weight)
{
	return upstream_weights_set(&w->weights, w->group, bytes_of_string(server), weight);
}

static void
put_in_force(struct world *w)
{
	uint32_t count = upstream_server_count(w->group);
	uint32_t *weights = arena_alloc(w->arena, count * sizeof(*weights));
	struct upstream_plan *plan = arena_alloc(w->arena, sizeof(*plan));

	for (uint32_t i = 0; i < count; i++)
		weights[i] = upstream_weight_in_force(&w->weights, w->group, &w->group->servers[i]);
	assert_int_equal(upstream_plan_build(w->arena, w->group, weights, plan), 0);
	upstream_state_adopt(w->state, plan);
}

/* Requests per server, of 6000 from as many clients; those of a server are over before the next one comes. */
static void
count_requests(struct world *w, uint32_t counts[SERVERS])
{
	memset(counts, 0, SERVERS * sizeof(*counts));
	for (uint32_t i = 0; i < 6000; i++) {
		struct upstream_attempts attempts = { 0 };
		uint8_t key[3] = { (uint8_t)i, (uint8_t)(i >> 8), 7 };
		int index = upstream_pick(w->state, &attempts, bytes_of(key, sizeof(key)), 1);

		assert_in_range(index, 0, SERVERS - 1);
		counts[index]++;
		upstream_done(w->state, (uint32_t)index, UPSTREAM_OK, 1);
	}
}

static const char *const methods[] = { "",        "least_conn;", "ip_hash;", "hash $arg_a;", "hash $arg_a consistent;",
				       "random;", "random two;", "maglev;" };

static void
a_drained_server_gets_no_request_by_any_method(void **state)
{
	for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
		char text[256];
		uint32_t counts[SERVERS];
		struct world w;

		snprintf(text, sizeof(text), "%s server 10.0.0.1; server 10.0.0.2; server 10.0.0.3;", methods[m]);
		w = world_of(text);
		assert_int_equal(upstream_tries(w.state), 3);
		assert_int_equal(say(&w, "10.0.0.2:80", 0), 0);
		put_in_force(&w);
		count_requests(&w, counts);
		assert_int_equal(counts[1], 0);
		assert_true(counts[0] > 2000 && counts[2] > 2000);
		assert_int_equal(upstream_tries(w.state), 2);

		assert_int_equal(say(&w, "10.0.0.2:80", -1), 0);
		put_in_force(&w);
		count_requests(&w, counts);
		for (int i = 0; i < SERVERS; i++)
			assert_in_range(counts[i], 1400, 2600);
		world_end(&w);
	}
}

static void
another_weight_changes_the_shares_of_every_weighted_method(void **state)
{
	/* least_conn goes by weights only where requests are under way, and here none are. */
	static const char *const weighted[] = { "",        "ip_hash;", "hash $arg_a;", "hash $arg_a consistent;",
						"random;", "maglev;" };

	for (size_t m = 0; m < sizeof(weighted) / sizeof(weighted[0]); m++) {
		char text[256];
		uint32_t counts[SERVERS];
		struct world w;

		snprintf(text, sizeof(text), "%s server 10.0.0.1; server 10.0.0.2; server 10.0.0.3;", weighted[m]);
		w = world_of(text);
		assert_int_equal(say(&w, "10.0.0.1:80", 4), 0);
		put_in_force(&w);
		count_requests(&w, counts);
		/* Two thirds; 160 points per weight are not exact. */
		assert_in_range(counts[0], 3600, 4400);
		world_end(&w);
	}
}

static void
a_request_under_way_ends_well_on_another_plan(void **state)
{
	struct world w = world_of("server 10.0.0.1 max_conns=1; server 10.0.0.2; server 10.0.0.3;");
	struct upstream_attempts attempts = { 0 };

	assert_int_equal(upstream_pick(w.state, &attempts, bytes_of("", 0), 1), 0);
	assert_int_equal(say(&w, "10.0.0.1:80", 0), 0);
	put_in_force(&w);
	assert_int_equal(upstream_active(w.state, 0), 1);
	assert_false(upstream_done(w.state, 0, UPSTREAM_OK, 2));
	assert_int_equal(upstream_active(w.state, 0), 0);
	world_end(&w);
}

static void
backups_take_over_when_all_others_are_drained(void **state)
{
	struct world w = world_of("server 10.0.0.1; server 10.0.0.2; server 10.0.0.3 backup;");
	uint32_t counts[SERVERS];

	say(&w, "10.0.0.1:80", 0);
	say(&w, "10.0.0.2:80", 0);
	put_in_force(&w);
	count_requests(&w, counts);
	assert_int_equal(counts[2], 6000);
	world_end(&w);
}

static void
a_name_means_all_of_its_addresses(void **state)
{
	struct world w = world_of("server two.test:8000 weight=2; server one.test;");

	assert_int_equal(upstream_server_count(w.group), 4);
	assert_int_equal(say(&w, "two.test:8000", 0), 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(upstream_weight_in_force(&w.weights, w.group, &w.group->servers[i]), i == 3);
	world_end(&w);
}

static void
what_cannot_be_is_refused_and_changes_nothing(void **state)
{
	struct world w = world_of("hash $arg_a consistent; server 10.0.0.1; server 10.0.0.2; server 10.0.0.3;");

	assert_int_equal(upstream_weights_set(&w.weights, NULL, bytes_of_string("10.0.0.1:80"), 0), -ENOENT);
	assert_int_equal(say(&w, "10.0.0.9:80", 0), -ENOENT);
	assert_int_equal(say(&w, "10.0.0.1:80", -2), -EINVAL);
	assert_int_equal(say(&w, "10.0.0.1:80", UPSTREAM_WEIGHT_MAX + 1), -EINVAL);
	assert_int_equal(say(&w, "10.0.0.1:80", UPSTREAM_WEIGHT_MAX), -ERANGE);
	assert_int_equal(upstream_weight_in_force(&w.weights, w.group, &w.group->servers[0]), 1);
	assert_int_equal(say(&w, "10.0.0.1:80", -1), 0);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drained_server_gets_no_request_by_any_method),
		cmocka_unit_test(another_weight_changes_the_shares_of_every_weighted_method),
		cmocka_unit_test(a_request_under_way_ends_well_on_another_plan),
		cmocka_unit_test(backups_take_over_when_all_others_are_drained),
		cmocka_unit_test(a_name_means_all_of_its_addresses),
		cmocka_unit_test(what_cannot_be_is_refused_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
