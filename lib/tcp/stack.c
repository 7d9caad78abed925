#include "tcp/stack.h"

#include <stdlib.h>

#include <rte_prefetch.h>

#include "base/clock.h"
#include "packet/view.h"
#include "tcp/output.h"
#include "tcp/reassembly.h"

/* The tick of the wheel: timestamps and the shortest delayed ACK count in milliseconds. */
#define TICK_NS NS_PER_MS

/* Timers fired, and TIME-WAIT records dropped, in one round at most. */
#define TIMER_BUDGET 1024

/* Answers without a connection (RST, ACK from TIME-WAIT): so many a second, and so many at once. */
#define STATELESS_ANSWERS_PER_SECOND 1000

/* A bit of a table's value that tells a TIME-WAIT record from a connection. */
#define VALUE_TIME_WAIT (1u << 31)

/* With fewer entries tables and control blocks are in a cache near the CPU (384 B each: 1.6 MB); and packets of a burst at most. */
#define PREFETCH_FROM 4096
#define PREFETCH_BURST 64

#define CONNECTIONS_LIMIT (1u << 28)

#define ROW(name) #name,
const char *const tcp_counter_names[] = { TCP_COUNTERS(ROW) };
#undef ROW
const size_t tcp_counter_count = TCP_COUNTER_COUNT;

/* ---- creation ---- */

static const char *
config_error(const struct tcp_config *config)
{
	if (config->connections_max == 0 || config->connections_max > CONNECTIONS_LIMIT)
		return "connections_max is out of range";
	if (config->time_wait_max == 0 || config->time_wait_max > CONNECTIONS_LIMIT)
		return "time_wait_max is out of range";
	if (config->receive_buffer < 2048 || config->receive_buffer > 1u << 30)
		return "receive_buffer is out of range";
	if (config->send_buffer < 2048 || config->send_buffer > 1u << 30)
		return "send_buffer is out of range";
	if (!config->pool || rte_pktmbuf_data_room_size(config->pool) < RTE_PKTMBUF_HEADROOM + 1024)
		return "the mbufs of the pool are too small";
	return NULL;
}

static uint8_t
scale_for(uint32_t buffer)
{
	uint8_t scale = 0;

	while (buffer >> scale > UINT16_MAX && scale < TCP_WINDOW_SCALE_MAX)
		scale++;
	return scale;
}

static const char *
stack_init(struct tcp_stack *stack)
{
	const struct tcp_config *config = &stack->config;
	uint64_t seed = siphash(config->secret, "table", 5);

	if (!tcp_ports_init(stack))
		return "no local port satisfies port_first, port_last, port_modulus and port_remainder";
	if (!tcp_table_init(&stack->table, config->connections_max + config->time_wait_max, seed))
		return "no memory for the connection table";
	stack->connections = slab_new(sizeof(struct tcp_connection), 64, config->connections_max);
	if (!stack->connections)
		return "no memory for connections";
	if (!tcp_troubles_init(stack))
		return "no memory for connections in trouble";
	if (!tcp_scoreboards_init(stack))
		return "no memory for scoreboards";
	if (!tcp_time_waits_init(stack, config->time_wait_max))
		return "no memory for TIME-WAIT records";
	stack->wheel = timer_wheel_new(TICK_NS, stack->now_ns, tcp_timer_expire, stack);
	if (!stack->wheel)
		return "no memory for timers";
	return NULL;
}

struct tcp_stack *
tcp_stack_new(const struct tcp_config *config, const struct tcp_env *env, uint64_t now_ns, const char **error)
{
	struct tcp_stack *stack;

	*error = config_error(config);
	if (*error)
		return NULL;
	stack = calloc(1, sizeof(*stack));
	if (!stack) {
		*error = "no memory";
		return NULL;
	}
	stack->config = *config;
	stack->env = *env;
	stack->congestion = tcp_congestion_of(config->congestion);
	stack->receive_scale = scale_for(config->receive_buffer);
	stack->segment_max = rte_pktmbuf_data_room_size(config->pool) - RTE_PKTMBUF_HEADROOM - 40;
	tcp_memory_init(stack);
	stack->orphans_max = RTE_MAX(config->connections_max / 4, 1u);
	stack->reset_tokens = STATELESS_ANSWERS_PER_SECOND;
	list_init(&stack->ready);
	list_init(&stack->pending);
	list_init(&stack->closed);
	list_init(&stack->opening);
	list_init(&stack->orphans);
	tcp_calendar_init(&stack->calendar);
	tcp_stack_time(stack, now_ns);
	stack->reset_tokens_ms = stack->now_ms;
	*error = stack_init(stack);
	if (*error) {
		tcp_stack_free(stack);
		return NULL;
	}
	return stack;
}

/* Without a word to the peers: for the end of the process, or of a test. */
static void
connections_drop(struct tcp_stack *stack)
{
	struct list *node;

	for (uint32_t i = 0; stack->table.slots && i <= stack->table.mask; i++) {
		uint32_t value = stack->table.slots[i].value;
		struct tcp_connection *c;

		if (value == 0 || value & VALUE_TIME_WAIT)
			continue;
		c = slab_at(stack->connections, value - 1);
		tcp_queue_free(&c->sending);
		tcp_reassembly_free(c);
		tcp_queue_free(&c->received);
	}
	while ((node = list_take_first(&stack->closed)))
		tcp_queue_free(&container_of(node, struct tcp_connection, pending)->received);
}

void
tcp_stack_free(struct tcp_stack *stack)
{
	if (!stack)
		return;
	connections_drop(stack);
	timer_wheel_free(stack->wheel);
	tcp_time_waits_fini(stack);
	tcp_scoreboards_fini(stack);
	tcp_troubles_fini(stack);
	slab_free(stack->connections);
	tcp_table_fini(&stack->table);
	tcp_ports_fini(stack);
	free(stack);
}

/* ---- rounds ---- */

void
tcp_stack_time(struct tcp_stack *stack, uint64_t now_ns)
{
	uint32_t now_ms = (uint32_t)(now_ns / NS_PER_MS);

	stack->now_ns = now_ns;
	if (now_ms == stack->now_ms)
		return;
	stack->now_ms = now_ms;
	tcp_memory_look(stack);
}

unsigned int
tcp_timers(struct tcp_stack *stack)
{
	return timer_wheel_advance(stack->wheel, stack->now_ns, TIMER_BUDGET);
}

uint64_t
tcp_next_timer_ns(const struct tcp_stack *stack)
{
	return RTE_MIN(timer_wheel_next_ns(stack->wheel), tcp_calendar_next_ns(&stack->calendar));
}

void
tcp_flush(struct tcp_stack *stack)
{
	struct list *node;

	if (stack->calendar.occupied)
		tcp_calendar_advance(stack);
	while ((node = list_take_first(&stack->pending)))
		tcp_output(container_of(node, struct tcp_connection, pending));
}

bool
tcp_stateless_answer_allowed(struct tcp_stack *stack)
{
	uint32_t passed_ms = stack->now_ms - stack->reset_tokens_ms;

	if (passed_ms > 0) {
		uint64_t tokens = stack->reset_tokens + (uint64_t)passed_ms * STATELESS_ANSWERS_PER_SECOND / 1000;

		stack->reset_tokens = (uint32_t)RTE_MIN(tokens, (uint64_t)STATELESS_ANSWERS_PER_SECOND);
		stack->reset_tokens_ms = stack->now_ms;
	}
	if (stack->reset_tokens == 0)
		return false;
	stack->reset_tokens--;
	return true;
}

/* ---- finding ---- */

struct tcp_connection *
tcp_stack_find(const struct tcp_stack *stack, uint32_t hash, const struct endpoint *local,
	       const struct endpoint *remote, struct tcp_time_wait **record)
{
	uint32_t slot = hash, value;

	*record = NULL;
	while ((value = tcp_table_next(&stack->table, hash, &slot)) != 0) {
		if (value & VALUE_TIME_WAIT) {
			struct tcp_time_wait *wait = slab_at(stack->time_waits.records, (value & ~VALUE_TIME_WAIT) - 1);

			if (tcp_time_wait_is(wait, local, remote)) {
				*record = wait;
				return NULL;
			}
		} else {
			struct tcp_connection *c = slab_at(stack->connections, value - 1);

			if (endpoint_equal(&c->remote, remote) && endpoint_equal(&c->local, local))
				return c;
		}
	}
	return NULL;
}

/* Whole: what is behind the hot lines (round-trip times, delays) every segment needs a little of. */
static void
fetch(const struct tcp_stack *stack, uint32_t value)
{
	const uint8_t *at = value & VALUE_TIME_WAIT ? slab_at(stack->time_waits.records, (value & ~VALUE_TIME_WAIT) - 1)
						    : slab_at(stack->connections, value - 1);
	uint32_t lines = value & VALUE_TIME_WAIT ? 1 : sizeof(struct tcp_connection) / RTE_CACHE_LINE_SIZE;

	for (uint32_t i = 0; i < lines; i++)
		rte_prefetch0(at + i * RTE_CACHE_LINE_SIZE);
}

void
tcp_prefetch(const struct tcp_stack *stack, struct rte_mbuf *const *burst, uint16_t count)
{
	uint32_t hashes[PREFETCH_BURST];

	if (stack->table.used < PREFETCH_FROM)
		return;
	count = RTE_MIN(count, (uint16_t)PREFETCH_BURST);
	for (uint16_t i = 0; i < count; i++) {
		const struct packet_view *view = packet_view(burst[i]);
		struct endpoint local = { view->destination, view->destination_port_be };
		struct endpoint remote = { view->source, view->source_port_be };

		hashes[i] = tcp_table_hash(&stack->table, &local, &remote);
		rte_prefetch0(&stack->table.slots[hashes[i] & stack->table.mask]);
	}
	for (uint16_t i = 0; i < count; i++) {
		uint32_t slot = hashes[i], value = tcp_table_next(&stack->table, hashes[i], &slot);

		if (value)
			fetch(stack, value);
	}
}

static uint32_t
time_wait_value(const struct tcp_stack *stack, const struct tcp_time_wait *record)
{
	return (slab_index(stack->time_waits.records, record) + 1) | VALUE_TIME_WAIT;
}

void
tcp_stack_insert_time_wait(struct tcp_stack *stack, const struct tcp_time_wait *record, uint32_t hash)
{
	tcp_table_insert(&stack->table, hash, time_wait_value(stack, record));
}

void
tcp_stack_remove_time_wait(struct tcp_stack *stack, const struct tcp_time_wait *record)
{
	struct endpoint local = { record->local, record->local_port_be };
	struct endpoint remote = { record->remote, record->remote_port_be };

	tcp_table_remove(&stack->table, tcp_table_hash(&stack->table, &local, &remote), time_wait_value(stack, record));
}

bool
tcp_knows(const struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote)
{
	struct tcp_time_wait *record;

	return tcp_stack_find(stack, tcp_table_hash(&stack->table, local, remote), local, remote, &record) || record;
}

/* ---- secrets ---- */

uint64_t
tcp_pair_secret(const struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote)
{
	struct {
		struct ip_address local, remote;
		uint16_t local_port_be, remote_port_be;
		uint32_t zero;
	} input = { local->ip, remote->ip, local->port_be, remote->port_be, 0 };

	return siphash(stack->config.secret, &input, sizeof(input));
}

uint32_t
tcp_initial_sequence(const struct tcp_stack *stack, uint64_t pair_secret)
{
	/* A clock of 4 microseconds (RFC 9293 section 3.4.1). */
	return (uint32_t)pair_secret + (uint32_t)(stack->now_ns / (4 * NS_PER_US));
}

/* ---- numbers ---- */

void
tcp_usage(const struct tcp_stack *stack, struct tcp_usage *out)
{
	*out = (struct tcp_usage){
		.connections = slab_in_use(stack->connections),
		.half_open = stack->half_open,
		.time_wait = slab_in_use(stack->time_waits.records),
		.bytes_per_connection = sizeof(struct tcp_connection) + TCP_TABLE_BYTES_PER_ENTRY,
	};
}

const uint64_t *
tcp_counters(const struct tcp_stack *stack)
{
	return stack->counters;
}
