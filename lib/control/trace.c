#include "control/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "control/server.h"

/* Decisions per lcore that the control thread has not fetched; a power of two. */
#define RING_SIZE 4096
#define FETCH_NS (10 * NS_PER_MS)
#define LINE_MAX_BYTES 2048
#define COUNT_MAX 1000000000
#define SECONDS_MAX 86400

struct filter {
	const struct l4_target *targets;
	bool has_server, has_client;
	struct endpoint server; /* port 0: any */
	struct ip_address client;
	int verdict; /* -1: any */
};

/* One producer, the lcore, and one consumer, the control thread. */
struct ring {
	const struct filter *filter;
	struct l4_decision *slots;
	uint64_t dropped;           /* the lcore's */
	_Alignas(64) uint32_t head; /* next to be written */
	_Alignas(64) uint32_t tail; /* next to be read */
};

struct control_trace {
	struct filter filter;
	struct control_client *client;
	const struct l4_generation *generation; /* read anew with each fetch */
	uint64_t left, end_ns, next_ns, shown, dropped;
	unsigned int worker_count;
	struct l4_worker *workers[CONTROL_WORKERS_MAX];
	struct ring rings[];
};

/* ---- on the lcore ---- */

static bool
passes(const struct filter *filter, const struct l4_decision *d)
{
	if (filter->verdict >= 0 && d->verdict != filter->verdict)
		return false;
	if (filter->has_client && !ip_address_equal(&d->source.ip, &filter->client) &&
	    !(d->verdict == L4_ANSWERED && ip_address_equal(&d->sent_destination.ip, &filter->client)))
		return false;
	if (!filter->has_server)
		return true;
	if (d->target != L4_TARGET_NONE) {
		const struct endpoint *server = &filter->targets[d->target].server;

		return ip_address_equal(&server->ip, &filter->server.ip) &&
		       (!filter->server.port_be || !server->port_be || server->port_be == filter->server.port_be);
	}
	/* A server's packet that belongs to no flow. */
	return ip_address_equal(&d->source.ip, &filter->server.ip) &&
	       (!filter->server.port_be || d->source.port_be == filter->server.port_be);
}

static void
observe(void *context, const struct l4_decision *decision)
{
	struct ring *ring = context;

	if (!passes(ring->filter, decision))
		return;
	if (ring->head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == RING_SIZE) {
		__atomic_store_n(&ring->dropped, ring->dropped + 1, __ATOMIC_RELAXED);
		return;
	}
	ring->slots[ring->head % RING_SIZE] = *decision;
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

struct observation {
	struct l4_worker *worker;
	struct ring *ring; /* NULL: no more */
};

static void
set_observer(void *argument)
{
	struct observation *o = argument;

	l4_worker_observe(o->worker, o->ring ? observe : NULL, o->ring);
}

/* ---- control ---- */

static int
parse_filter(struct control_call *call, struct control_words *words, struct filter *filter)
{
	const char *text;
	int found;

	filter->verdict = -1;
	found = control_words_option(call, words, "--server", &text);
	if (found > 0 && endpoint_parse(bytes_of_string(text), 0, &filter->server) < 0)
		found = control_call_fail(call, "invalid address \"%.64s\"", text);
	if (found < 0)
		return found;
	filter->has_server = found;
	found = control_words_option(call, words, "--client", &text);
	if (found > 0 && ip_address_parse(bytes_of_string(text), &filter->client) < 0)
		found = control_call_fail(call, "invalid address \"%.64s\"", text);
	if (found < 0)
		return found;
	filter->has_client = found;
	found = control_words_option(call, words, "--verdict", &text);
	if (found <= 0)
		return found;
	for (int i = 0; i < L4_VERDICT_COUNT; i++)
		if (strcmp(l4_verdict_names[i], text) == 0)
			filter->verdict = i;
	return filter->verdict < 0 ? control_call_fail(call, "no verdict is called \"%.64s\"", text) : 0;
}

static struct control_trace *
trace_new(unsigned int worker_count)
{
	size_t size = sizeof(struct control_trace) + worker_count * sizeof(struct ring);
	struct control_trace *trace = aligned_alloc(64, (size + 63) / 64 * 64);

	if (!trace)
		return NULL;
	memset(trace, 0, size);
	trace->worker_count = worker_count;
	for (unsigned int i = 0; i < worker_count; i++) {
		trace->rings[i].filter = &trace->filter;
		trace->rings[i].slots = calloc(RING_SIZE, sizeof(struct l4_decision));
		if (!trace->rings[i].slots)
			worker_count = 0; /* the rest is NULL; told below */
	}
	return trace;
}

static void
trace_free(struct control_trace *trace)
{
	for (unsigned int i = 0; i < trace->worker_count; i++)
		free(trace->rings[i].slots);
	free(trace);
}

static bool
trace_is_whole(const struct control_trace *trace)
{
	for (unsigned int i = 0; i < trace->worker_count; i++)
		if (!trace->rings[i].slots)
			return false;
	return true;
}

int
control_trace(struct control_call *call)
{
	const struct control_facts *facts = call->facts;
	uint64_t count = UINT64_MAX, seconds = 0;
	struct control_trace *trace;
	struct control_words words;
	struct filter filter = { 0 };

	control_words_of(call, &words);
	if (control_words_number(call, &words, "--count", 1, COUNT_MAX, &count) < 0 ||
	    control_words_number(call, &words, "--seconds", 1, SECONDS_MAX, &seconds) < 0 ||
	    parse_filter(call, &words, &filter) < 0 || control_words_end(call, &words, 0, 0) < 0)
		return -EINVAL;
	if (!facts->registry || !facts->l4)
		return control_call_fail(call, "there are no packet-level services");
	if (call->server->trace)
		return control_call_fail(call, "another trace is running");
	trace = trace_new(facts->worker_count);
	if (!trace || !trace_is_whole(trace)) {
		if (trace)
			trace_free(trace);
		return control_call_fail(call, "out of memory");
	}
	filter.targets = l4_registry_targets(facts->registry);
	trace->filter = filter;
	trace->client = call->client;
	trace->left = count;
	trace->end_ns = seconds ? clock_monotonic_ns() + seconds * NS_PER_SECOND : UINT64_MAX;
	for (unsigned int i = 0; i < facts->worker_count; i++) {
		struct observation o = { facts->workers[i].l4, &trace->rings[i] };

		trace->workers[i] = o.worker;
		if (o.worker)
			call->host->run(call->host->context, i, set_observer, &o);
	}
	call->server->trace = trace;
	call->client->streaming = true;
	return CONTROL_STREAMS;
}

static void
show(struct control_trace *trace, const struct l4_decision *decision)
{
	char line[LINE_MAX_BYTES];
	size_t len = l4_decision_format(decision, trace->generation, line, sizeof(line));

	if (len >= sizeof(line)) {
		trace->dropped++;
		return;
	}
	control_client_add(trace->client, line, len);
	trace->shown++;
	trace->left--;
}

/* In turns, so that a busy lcore does not hide the others. True when a ring may hold more. */
static bool
fetch(struct control_trace *trace, size_t space)
{
	bool any = true;

	while (any && trace->left && !trace->client->failed) {
		any = false;
		for (unsigned int i = 0; i < trace->worker_count && trace->left; i++) {
			struct ring *ring = &trace->rings[i];

			if (__atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ring->tail)
				continue;
			if (control_client_pending(trace->client) + LINE_MAX_BYTES > space)
				return true;
			show(trace, &ring->slots[ring->tail % RING_SIZE]);
			__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
			any = true;
		}
	}
	return false;
}

static void
refresh_generation(struct control_server *server)
{
	struct control_facts facts = { 0 };

	server->host.facts(server->host.context, &facts);
	server->trace->generation = facts.l4;
}

void
control_trace_pump(struct control_server *server, uint64_t now_ns)
{
	struct control_trace *trace = server->trace;

	if (!trace)
		return;
	trace->next_ns = now_ns + FETCH_NS;
	/* Silence begins when there is something to take. */
	if (!control_client_pending(trace->client))
		trace->client->deadline_ns = now_ns + CONTROL_SILENCE_MS * NS_PER_MS;
	refresh_generation(server);
	fetch(trace, CONTROL_STREAM_BUFFER);
	if (!trace->left || now_ns >= trace->end_ns || trace->client->failed)
		control_trace_end(server);
	else
		control_client_write(trace->client, now_ns);
}

uint64_t
control_trace_next_ns(const struct control_trace *trace)
{
	if (!trace)
		return UINT64_MAX;
	return trace->next_ns < trace->end_ns ? trace->next_ns : trace->end_ns;
}

void
control_trace_end(struct control_server *server)
{
	struct control_trace *trace = server->trace;
	json_t *last;

	if (!trace)
		return;
	for (unsigned int i = 0; i < trace->worker_count; i++) {
		struct observation o = { trace->workers[i], NULL };

		if (o.worker)
			server->host.run(server->host.context, i, set_observer, &o);
	}
	refresh_generation(server);
	fetch(trace, CONTROL_STREAM_BUFFER * 2);
	for (unsigned int i = 0; i < trace->worker_count; i++) {
		const struct ring *ring = &trace->rings[i];

		/* What --count leaves behind was not asked for. */
		trace->dropped += ring->dropped + (trace->left ? ring->head - ring->tail : 0);
	}
	last = json_pack("{s:{s:I,s:I}}", "end", "decisions", (json_int_t)trace->shown, "dropped",
			 (json_int_t)trace->dropped);
	control_client_answer(trace->client, last);
	json_decref(last);
	trace->client->streaming = false;
	trace->client->deadline_ns = clock_monotonic_ns() + CONTROL_SILENCE_MS * NS_PER_MS;
	server->trace = NULL;
	trace_free(trace);
}

/* ---- text ---- */

static void
render_value(const json_t *value, FILE *out)
{
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else
		json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

void
control_trace_render(const json_t *line, FILE *out)
{
	json_t *end = json_object_get(line, "end"), *value;
	const char *key, *space = "";

	if (end) {
		fprintf(out, "%lld decisions, %lld dropped\n",
			(long long)json_integer_value(json_object_get(end, "decisions")),
			(long long)json_integer_value(json_object_get(end, "dropped")));
		return;
	}
	json_object_foreach((json_t *)line, key, value)
	{
		if (json_is_null(value))
			continue;
		fprintf(out, "%s%s=", space, key);
		render_value(value, out);
		space = " ";
	}
	fputc('\n', out);
	fflush(out);
}
