#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "configuration.h"
#include "l4/registry.h"
#include "support/cmocka.h"

/* In place of workers: how many flows they have of each target. */
static struct l4_target_use use_of_one[L4_TARGETS_MAX], use_of_other[L4_TARGETS_MAX];

const struct l4_target_use *
l4_worker_use(const struct l4_worker *worker)
{
	return worker == (const struct l4_worker *)1 ? use_of_one : use_of_other;
}

static struct l4_worker *const workers[] = { (struct l4_worker *)1, (struct l4_worker *)2 };

static struct l4_registry *registry;

/* Often enough for what is unused to go. */
static void
collect(void)
{
	for (int i = 0; i < L4_UNUSED_BEFORE_COLLECTED; i++)
		l4_registry_collect(registry, workers, 2);
}

static int
set_up(void **state)
{
	memset(use_of_one, 0, sizeof(use_of_one));
	memset(use_of_other, 0, sizeof(use_of_other));
	registry = l4_registry_new();
	return registry ? 0 : -1;
}

static int
tear_down(void **state)
{
	l4_registry_free(registry);
	return 0;
}

static void
count_one(void *context, const struct l4_target *target)
{
	++*(uint32_t *)context;
}

static uint32_t
target_count(void)
{
	uint32_t count = 0;

	l4_registry_each_target(registry, count_one, &count);
	return count;
}

struct made {
	struct config *config;
	struct l4_generation *generation;
};

static struct made
make(const char *text, const struct made *previous)
{
	struct made m = { configuration_parse_well(text), NULL };

	m.generation = configuration_generation(registry, m.config, previous ? previous->generation : NULL);
	return m;
}

static void
unmake(struct made *m)
{
	l4_generation_free(m->generation);
	config_free(m->config);
}

#define TWO_SERVERS "upstream a { server 10.0.2.1:80; server 10.0.2.2:80; }"
#define THREE_SERVERS "upstream a { server 10.0.2.3:80; server 10.0.2.2:80; server 10.0.2.1:80; }"
#define SERVICE "server { listen 10.0.1.1:80; proxy_pass a; forward full_nat; }"

static void
numbers_stay_over_a_reload(void **state)
{
	struct made old = make("stream { " TWO_SERVERS SERVICE " }", NULL);
	struct made new = make(
		"stream { server { listen 10.0.1.9:81; proxy_pass 10.0.9.1:81; forward nat; }" THREE_SERVERS SERVICE
		" }",
		&old);
	const struct l4_service *before = configuration_service(old.generation, "10.0.1.1:80", IPPROTO_TCP);
	const struct l4_service *after = configuration_service(new.generation, "10.0.1.1:80", IPPROTO_TCP);
	const uint32_t *fresh;
	uint32_t fresh_count;

	assert_int_equal(before->id, after->id);
	assert_int_equal(before->targets[0], after->targets[2]);
	assert_int_equal(before->targets[1], after->targets[1]);
	assert_true(after->targets[0] != L4_TARGET_NONE && after->targets[0] != before->targets[0] &&
		    after->targets[0] != before->targets[1]);
	assert_int_equal(target_count(), 4);
	fresh = l4_generation_fresh_targets(new.generation, &fresh_count);
	assert_int_equal(fresh_count, 2);
	assert_true(fresh[0] != before->targets[0] && fresh[0] != before->targets[1]);
	unmake(&old);
	unmake(&new);
}

static void
another_way_to_the_same_server_is_another_target(void **state)
{
	static const char *const others[] = {
		"stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward nat; } }",
		"stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat; toa on; } }",
		"stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat; mss_clamp 1400; } }",
		"stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat; proxy_timeout 5s; } }",
		"stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:81; forward full_nat; } }",
		"stream { server { listen 10.0.1.1:80 udp; proxy_pass 10.0.2.1:80; forward full_nat; } }",
		"stream { server { listen 10.0.1.1:80-81; proxy_pass 10.0.2.1:80; forward full_nat; } }",
	};
	struct made first =
		make("stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward full_nat; } }", NULL);
	uint32_t number = l4_generation_service(first.generation, 0)->targets[0];

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct made other = make(others[i], &first);

		assert_int_not_equal(l4_generation_service(other.generation, 0)->targets[0], number);
		unmake(&other);
		collect();
		assert_int_equal(target_count(), 1);
	}
	unmake(&first);
}

static void
a_target_lives_until_its_last_flow_has_ended(void **state)
{
	struct made old = make("stream { " TWO_SERVERS SERVICE " }", NULL);
	struct made new = make("stream { upstream a { server 10.0.2.1:80; } " SERVICE " }", &old);
	uint32_t gone = l4_generation_service(old.generation, 0)->targets[1];
	struct endpoint server;

	endpoint_parse(bytes_of_string("10.0.2.2:80"), 0, &server);
	use_of_other[gone].flows = 1;
	collect();
	assert_int_equal(target_count(), 2); /* the old generation holds it */
	unmake(&old);
	collect();
	assert_int_equal(target_count(), 2);
	assert_non_null(l4_registry_targets(registry)[gone].forwarder);
	assert_true(l4_is_server(new.generation, &server.ip, server.port_be, IPPROTO_TCP));
	use_of_other[gone].flows = 0;
	l4_registry_collect(registry, workers, 2);
	assert_int_equal(target_count(), 2); /* the answers' entries may still be there */
	collect();
	assert_int_equal(target_count(), 1);
	assert_null(l4_registry_targets(registry)[gone].forwarder);
	unmake(&new);
}

static void
a_number_given_back_is_not_the_next_to_be_used(void **state)
{
	struct made first = make("stream { " TWO_SERVERS SERVICE " }", NULL);
	uint32_t number = l4_generation_service(first.generation, 0)->targets[1];
	uint16_t id = l4_generation_service(first.generation, 0)->id;
	struct made second;

	unmake(&first);
	collect();
	assert_int_equal(target_count(), 0);
	second = make("stream { server { listen 10.0.1.2:80; proxy_pass 10.0.2.9:80; forward full_nat; } }", NULL);
	assert_true(l4_generation_service(second.generation, 0)->targets[0] > number);
	assert_true(l4_generation_service(second.generation, 0)->id > id);
	unmake(&second);
}

static void
numbers_run_out_and_come_back(void **state)
{
	struct l4_service_key key = { .port_first = 1, .port_last = 1, .ip_protocol = IPPROTO_UDP };
	uint16_t last = 0;

	for (uint32_t i = 0; i < L4_SERVICES_MAX; i++) {
		key.ip.words_be[0] = i;
		last = l4_registry_service_get(registry, &key);
		assert_int_equal(last, i + 1);
	}
	key.ip.words_be[0] = L4_SERVICES_MAX;
	assert_int_equal(l4_registry_service_get(registry, &key), 0);
	l4_registry_service_put(registry, 77);
	assert_int_equal(l4_registry_service_get(registry, &key), 77);
	/* Held twice, it stays. */
	assert_int_equal(l4_registry_service_get(registry, &key), 77);
	l4_registry_service_put(registry, 77);
	assert_int_equal(l4_registry_service_get(registry, &key), 77);
}

static void
targets_run_out_with_a_reason(void **state)
{
	struct l4_target model = { .forwarder = l4_forwarders[0] };
	struct l4_service_key key = { .port_first = 1, .port_last = 1, .ip_protocol = IPPROTO_UDP };
	struct l4_generation_config wanted = { .registry = registry };
	struct l4_generation *generation = NULL;
	char error[256];

	/* dsr needs no local address: source_of is not asked. */
	wanted.config = configuration_parse_well(
		"stream { server { listen 10.0.1.1:80; proxy_pass 10.0.2.1:80; forward dsr; } }");
	model.service_id = l4_registry_service_get(registry, &key);
	for (uint32_t i = 1; i < L4_TARGETS_MAX; i++) {
		model.server.ip.words_be[0] = i;
		assert_int_equal(l4_registry_target_get(registry, &model), i);
	}
	assert_int_equal(l4_generation_new(&wanted, &generation, error, sizeof(error)), -ENOSPC);
	assert_non_null(strstr(error, "more than 65535 ways to servers"));
	for (uint32_t i = 1; i < L4_TARGETS_MAX; i++)
		l4_registry_target_put(registry, i);
	collect();
	assert_int_equal(target_count(), 0);
	assert_int_equal(l4_generation_new(&wanted, &generation, error, sizeof(error)), 0);
	l4_generation_free(generation);
	config_free(wanted.config);
}

static void
groups_with_the_same_servers_share_a_table(void **state)
{
	static const char text[] =
		"stream { upstream a { server 10.0.2.1:80; server 10.0.2.2:80 weight=2; }\n"
		"upstream b { maglev $remote_addr; server 10.0.2.1:80; server 10.0.2.2:80 weight=2; }\n"
		"upstream c { server 10.0.2.1:80; server 10.0.2.2:80; }\n"
		"server { listen 10.0.1.1:80; proxy_pass a; forward nat; }\n"
		"server { listen 10.0.1.2:80; proxy_pass b; forward nat; }\n"
		"server { listen 10.0.1.3:80; proxy_pass c; forward nat; } }";
	struct made old = make(text, NULL), new = make(text, &old);
	const struct balance_maglev *table = l4_generation_service(old.generation, 0)->maglev;

	assert_ptr_equal(l4_generation_service(old.generation, 1)->maglev, table);
	assert_ptr_not_equal(l4_generation_service(old.generation, 2)->maglev, table);
	assert_ptr_equal(l4_generation_service(new.generation, 0)->maglev, table);
	unmake(&old);
	assert_int_equal(table->size, 65537);
	assert_int_equal(l4_generation_service(new.generation, 1)->maglev->count, 2);
	unmake(&new);
}

static void
weigh_first(const struct made *m, int64_t weight)
{
	const struct upstream_group *group = upstream_stream_group_find(m->config, bytes_of_string("A"));
	struct upstream_weights *weights = l4_registry_weights(registry);

	assert_int_equal(upstream_weights_set(weights, group, bytes_of_string("10.0.2.1:80"), weight), 0);
}

static void
what_the_operator_says_outlasts_reloads(void **state)
{
	struct made m = make("stream { " TWO_SERVERS SERVICE " }", NULL);
	const struct l4_service *s = l4_generation_service(m.generation, 0);

	weigh_first(&m, 0);
	assert_int_equal(s->weights[0], 1); /* this one stays as it is */
	for (int i = 0; i < 2; i++) {
		unmake(&m);
		m = make("stream { " THREE_SERVERS SERVICE " }", NULL);
		s = l4_generation_service(m.generation, 0);
		assert_int_equal(s->weights[0], 1);
		assert_int_equal(s->weights[2], 0);
		for (uint32_t e = 0; e < s->maglev->size; e++)
			assert_int_not_equal(s->maglev->entries[e], 2);
	}
	weigh_first(&m, 7);
	unmake(&m);
	m = make("stream { " TWO_SERVERS SERVICE " }", NULL);
	assert_int_equal(l4_generation_service(m.generation, 0)->weights[0], 7);
	weigh_first(&m, -1);
	weigh_first(&m, -1);
	unmake(&m);
	m = make("stream { " TWO_SERVERS SERVICE " }", NULL);
	assert_int_equal(l4_generation_service(m.generation, 0)->weights[0], 1);
	unmake(&m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers_stay_over_a_reload),
		TEST(another_way_to_the_same_server_is_another_target),
		TEST(a_target_lives_until_its_last_flow_has_ended),
		TEST(a_number_given_back_is_not_the_next_to_be_used),
		TEST(numbers_run_out_and_come_back),
		TEST(targets_run_out_with_a_reason),
		TEST(groups_with_the_same_servers_share_a_table),
		TEST(what_the_operator_says_outlasts_reloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
