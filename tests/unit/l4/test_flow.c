/* The flow table: whose flow an entry is, how long it is there, and all of it against a model that is plain arrays. */
#include <rte_tcp.h>

#include "base/random.h"
#include "flow_table.h"

/* ---- keys ---- */

static void
full_keys_are_compared(void **state)
{
	const uint32_t hash = 0x80001234;
	struct l4_flow_key key[6], other;
	struct l4_flow *flow[6];

	table_new(1000);
	/* A bucket, a second and a third pair take ten of one hash. */
	for (uint32_t i = 0; i < 6; i++) {
		key[i] = key_of(i, 1, hash);
		flow[i] = insert(&key[i], 1, L4_FLOW_ESTABLISHED, 0);
		assert_non_null(flow[i]);
	}
	for (uint32_t i = 0; i < 6; i++)
		assert_ptr_equal(l4_flow_find(flows, &key[i], 0), flow[i]);
	other = key[0], other.client.bytes[0] ^= 1;
	assert_null(l4_flow_find(flows, &other, 0));
	other = key[0], other.client.bytes[15] ^= 0x80;
	assert_null(l4_flow_find(flows, &other, 0));
	other = key[0], other.client_port_be ^= 0x8000;
	assert_null(l4_flow_find(flows, &other, 0));
	other = key[0], other.service_port_be ^= 1;
	assert_null(l4_flow_find(flows, &other, 0));
	other = key[0], other.service_id++;
	assert_null(l4_flow_find(flows, &other, 0));
	table_free();
}

static void
the_same_ports_of_two_services_are_two_flows(void **state)
{
	struct l4_flow_key one = key_of(7, 1, 99), two = key_of(7, 2, 99);
	struct l4_flow *first, *second;

	table_new(1000);
	first = insert(&one, 1, L4_FLOW_ESTABLISHED, 0);
	second = insert(&two, 2, L4_FLOW_ESTABLISHED, 0);
	assert_ptr_not_equal(first, second);
	assert_ptr_equal(l4_flow_find(flows, &one, 0), first);
	assert_ptr_equal(l4_flow_find(flows, &two, 0), second);
	table_free();
}

static void
an_empty_table_has_not_even_the_zero_key(void **state)
{
	struct l4_flow_key key = { .service_id = 0 };
	struct l4_answer_key answer = { .ip_protocol = 0 };

	table_new(10);
	assert_null(l4_flow_find(flows, &key, 0));
	assert_null(l4_answer_find(flows, &answer, 0));
	table_free();
}

/* ---- answers ---- */

static void
answers_are_found_by_local_port_or_by_client(void **state)
{
	struct l4_flow_key key = key_of(1, 3, 5);
	struct l4_flow full_nat = model_of(&key, 3, L4_FLOW_OPENING), nat = full_nat;
	struct l4_answer_key by_port = { .server = targets[3].server,
					 .to = targets[3].local,
					 .to_port_be = htons(20000),
					 .ip_protocol = IPPROTO_TCP,
					 .hash = 5 },
			     by_client = by_port, other;
	struct l4_flow *a, *b;

	table_new(1000);
	full_nat.bits |= L4_FLOW_ANSWER, full_nat.local_port_be = htons(20000);
	nat.bits |= L4_FLOW_ANSWER;
	by_client.to = key.client, by_client.to_port_be = key.client_port_be;
	a = l4_flow_insert(flows, 5, &full_nat, 0);
	assert_null(l4_answer_find(flows, &by_client, 0));
	b = l4_flow_insert(flows, 5, &nat, 0);
	assert_ptr_equal(l4_answer_find(flows, &by_port, 0), a);
	assert_ptr_equal(l4_answer_find(flows, &by_client, 0), b);
	assert_null(l4_flow_find(flows, &key, 0));
	other = by_port, other.to_port_be ^= 1;
	assert_null(l4_answer_find(flows, &other, 0));
	other = by_port, other.to.bytes[15] ^= 1;
	assert_null(l4_answer_find(flows, &other, 0));
	other = by_port, other.server.ip.bytes[15] ^= 1;
	assert_null(l4_answer_find(flows, &other, 0));
	other = by_port, other.server.port_be ^= 1;
	assert_null(l4_answer_find(flows, &other, 0));
	other = by_port, other.ip_protocol = IPPROTO_UDP;
	assert_null(l4_answer_find(flows, &other, 0));
	assert_int_equal(counted(), 0);
	table_free();
}

static void
a_server_without_port_answers_from_the_services(void **state)
{
	struct l4_flow_key key = key_of(1, 4, 5);
	struct l4_flow model = model_of(&key, 4, L4_FLOW_ESTABLISHED);
	struct l4_answer_key answer = { .server = { .ip = targets[4].server.ip, .port_be = htons(80) },
					.to = key.client,
					.to_port_be = key.client_port_be,
					.ip_protocol = IPPROTO_TCP,
					.hash = 5 };
	uint16_t port_be = targets[4].server.port_be;

	table_new(1000);
	model.bits |= L4_FLOW_ANSWER;
	assert_non_null(l4_flow_insert(flows, 5, &model, 0));
	assert_null(l4_answer_find(flows, &answer, 0));
	targets[4].server.port_be = 0;
	assert_non_null(l4_answer_find(flows, &answer, 0));
	targets[4].server.port_be = port_be;
	table_free();
}

/* ---- time ---- */

static void
each_state_has_its_timeout(void **state)
{
	static const struct {
		enum l4_flow_state flow_state;
		uint32_t timeout_s;
	} rows[] = { { L4_FLOW_UDP, 600 },
		     { L4_FLOW_OPENING, L4_OPENING_S },
		     { L4_FLOW_ESTABLISHED, 600 },
		     { L4_FLOW_CLOSING, L4_CLOSING_S },
		     { L4_FLOW_CLOSED, L4_CLOSED_S } };

	table_new(1000);
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* On both sides of the wrap of the clock, and across it. */
		static const uint16_t starts[] = { 0, 30000, 65535, 65300, 65526 };

		for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
			struct l4_flow_key key = key_of(i, 1, hash_of(i));
			struct l4_flow *flow = insert(&key, 1, rows[i].flow_state, starts[s]);

			assert_int_equal(l4_flow_timeout_s(flows, flow), rows[i].timeout_s);
			for (uint32_t age = 0; age <= rows[i].timeout_s; age++)
				assert_ptr_equal(l4_flow_find(flows, &key, (uint16_t)(starts[s] + age)), flow);
			for (uint32_t age = rows[i].timeout_s + 1; age < 65536 - L4_CLOCKS_APART_S; age++)
				assert_null(l4_flow_find(flows, &key, (uint16_t)(starts[s] + age)));
			/* Touched a moment ago by one whose clock is ahead. */
			for (uint32_t ahead = 1; ahead < L4_CLOCKS_APART_S; ahead++)
				assert_ptr_equal(l4_flow_find(flows, &key, (uint16_t)(starts[s] - ahead)), flow);
			l4_flow_remove(flows, flow);
		}
	}
	table_free();
}

static void
the_longest_timeout_leaves_time_for_a_sweep(void **state)
{
	struct l4_flow_key key = key_of(0, 1, 0);

	table_new(1000);
	targets[1].timeout_s = UINT32_MAX;
	assert_non_null(insert(&key, 1, L4_FLOW_UDP, 0));
	assert_non_null(l4_flow_find(flows, &key, L4_TIMEOUT_MAX_S));
	assert_null(l4_flow_find(flows, &key, L4_TIMEOUT_MAX_S + 1));
	assert_null(l4_flow_find(flows, &key, UINT16_MAX - L4_CLOCKS_APART_S));
	assert_true(UINT16_MAX - L4_CLOCKS_APART_S - L4_TIMEOUT_MAX_S > 4 * 3600);
	targets[1].timeout_s = 600;
	table_free();
}

/* As of another process, which has gone: l4_flows_new_in() finds them as they were. */
static void
flows_in_shared_memory_go_on_in_another_table(void **state)
{
	struct l4_flow_pair *memory = calloc(l4_flows_pairs(3000), sizeof(*memory));
	struct l4_flows_usage first, second;
	struct xdp_lane lane = { 0 };
	uint32_t count = 0;

	assert_non_null(memory);
	memset(use, 0, L4_TARGETS_MAX * sizeof(*use));
	flows = l4_flows_new_in(memory, &lane, 3000, targets, use);
	assert_non_null(flows);
	for (uint32_t i = 0; i < 3000; i++) {
		struct l4_flow_key key = key_of(i, 1 + i % TARGETS, hash_of(i));

		count += insert(&key, (uint16_t)(1 + i % TARGETS), L4_FLOW_ESTABLISHED, 5) != NULL;
	}
	first = usage();
	table_free();
	use[1].flows = 12345;
	flows = l4_flows_new_in(memory, &lane, 3000, targets, use);
	second = usage();
	assert_int_equal(second.used, count);
	assert_int_equal(second.used, first.used);
	assert_int_equal(second.spilled, first.spilled);
	assert_true(second.spilled > 100);
	assert_int_equal(counted(), count);
	for (uint32_t i = 0; i < 3000; i++) {
		struct l4_flow_key key = key_of(i, 1 + i % TARGETS, hash_of(i));
		struct l4_flow *flow = l4_flow_find(flows, &key, 6);

		if (flow)
			l4_flow_remove(flows, flow);
		count -= flow != NULL;
	}
	assert_int_equal(count, 0);
	second = usage();
	assert_int_equal(second.used, 0);
	assert_int_equal(second.spilled, 0);
	assert_int_equal(counted(), 0);
	table_free();
	free(memory);
}

static void
a_sweep_clears_what_has_timed_out_and_nothing_else(void **state)
{
	uint32_t buckets, cleared = 0, kept = 0;

	table_new(10000);
	for (uint32_t i = 0; i < 8000; i++) {
		struct l4_flow_key key = key_of(i, 1 + i % TARGETS, hash_of(i));

		kept += insert(&key, (uint16_t)(1 + i % TARGETS), L4_FLOW_ESTABLISHED, i < 3000 ? 65000 : 65500) &&
			i >= 3000;
	}
	buckets = (uint32_t)(usage().places / L4_BUCKET_PLACES);
	assert_int_equal(l4_flows_sweep(flows, buckets, 64), 0);
	for (uint32_t done = 0; done < buckets; done += 100)
		cleared += l4_flows_sweep(flows, done + 100 > buckets ? buckets - done : 100, (uint16_t)(65000 + 601));
	assert_true(cleared > 2900 && cleared <= 3000);
	assert_int_equal(usage().used, kept);
	assert_int_equal(counted(), kept);
	assert_int_equal(l4_flows_sweep(flows, buckets, (uint16_t)(65500 + 601)), kept);
	assert_int_equal(usage().used, 0);
	assert_int_equal(usage().spilled, 0);
	assert_int_equal(counted(), 0);
	for (uint32_t i = 0; i < buckets * L4_BUCKET_PLACES; i++)
		assert_int_equal(flows->entries[i].bits, 0);
	table_free();
}

/* ---- against a model ---- */

#define MODEL_FLOWS 6000

struct model {
	struct l4_flow_key key;
	uint16_t target;
	bool present;
	uint8_t flow_state;
	uint64_t seen_s; /* a clock that does not wrap */
};

static bool
model_is_live(const struct model *m, uint64_t now_s)
{
	static const uint32_t timeouts_s[L4_FLOW_STATES] = { 0, 600, 60, 600, 120, 10 };

	return m->present && now_s - m->seen_s <= timeouts_s[m->flow_state];
}

/* A half-open flow may have given way to another. */
static void
model_give_way(struct model *m, const struct l4_flow *flow, uint64_t now_s)
{
	if (!flow && m->flow_state == L4_FLOW_OPENING && now_s - m->seen_s >= L4_OPENING_YIELDS_S)
		m->present = false;
}

static void
model_step(struct model *m, uint64_t now_s, struct random *random)
{
	struct l4_flow *flow = l4_flow_find(flows, &m->key, (uint16_t)now_s);
	uint64_t what = random_next(random) >> 32;

	model_give_way(m, flow, now_s);
	assert_int_equal(flow != NULL, model_is_live(m, now_s));
	if (!flow) {
		m->flow_state = (uint8_t)(1 + what % (L4_FLOW_STATES - 1));
		m->present = insert(&m->key, m->target, m->flow_state, (uint16_t)now_s) != NULL;
		m->seen_s = now_s;
		return;
	}
	assert_int_equal(flow->target, m->target);
	assert_int_equal(l4_flow_state(flow), m->flow_state);
	if (what % 3 == 0) {
		l4_flow_remove(flows, flow);
		m->present = false;
	} else if (what % 3 == 1) {
		l4_flow_track(flow, RTE_TCP_ACK_FLAG, false, (uint16_t)now_s);
		m->seen_s = now_s;
	}
}

/* Inserted, found, touched, removed, timed out and swept at random, by a clock that wraps three times. */
static void
a_model_agrees(void **state)
{
	struct random random = { .state = 4711 };
	struct model *models = calloc(MODEL_FLOWS, sizeof(*models));
	uint64_t now_s = 0, live = 0;
	struct l4_flows_usage u;

	table_new(4000);
	for (uint32_t i = 0; i < MODEL_FLOWS; i++) {
		models[i].target = (uint16_t)(1 + i % TARGETS);
		/* Few hashes, so that buckets overflow. */
		models[i].key = key_of(i, models[i].target, hash_of(i / 3));
	}
	for (uint32_t step = 0; step < 4000000; step++) {
		uint64_t r = random_next(&random) >> 32;

		model_step(&models[r % MODEL_FLOWS], now_s, &random);
		if (r % 64 == 0)
			now_s += r % 8192 == 0 ? 300 : 1;
		l4_flows_sweep(flows, r % 8 == 0, (uint16_t)now_s);
	}
	for (uint32_t i = 0; i < MODEL_FLOWS; i++) {
		const struct l4_flow *flow = l4_flow_find(flows, &models[i].key, (uint16_t)now_s);

		model_give_way(&models[i], flow, now_s);
		assert_int_equal(flow != NULL, model_is_live(&models[i], now_s));
		live += model_is_live(&models[i], now_s);
	}
	assert_true(now_s > 3 * 65536);
	assert_true(live > 1000);
	l4_flows_sweep(flows, flows->bucket_count, (uint16_t)now_s);
	u = usage();
	assert_int_equal(u.used, live);
	assert_int_equal(counted(), live);
	l4_flows_sweep(flows, flows->bucket_count, (uint16_t)(now_s + 601));
	u = usage();
	assert_int_equal(u.used, 0);
	assert_int_equal(u.spilled, 0);
	free(models);
	table_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_keys_are_compared),
		cmocka_unit_test(the_same_ports_of_two_services_are_two_flows),
		cmocka_unit_test(an_empty_table_has_not_even_the_zero_key),
		cmocka_unit_test(answers_are_found_by_local_port_or_by_client),
		cmocka_unit_test(a_server_without_port_answers_from_the_services),
		cmocka_unit_test(each_state_has_its_timeout),
		cmocka_unit_test(the_longest_timeout_leaves_time_for_a_sweep),
		cmocka_unit_test(flows_in_shared_memory_go_on_in_another_table),
		cmocka_unit_test(a_sweep_clears_what_has_timed_out_and_nothing_else),
		cmocka_unit_test(a_model_agrees),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
