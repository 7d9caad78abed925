#include "weir-load/load.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "http/h1.h"
#include "weir-load/wire.h"

/* Connections that are being opened at a time, so that many do not overflow the server's backlog, or a queue. */
#define OPENING_MAX 128
/* After a failed connection, until the next attempt. */
#define PAUSE_NS (10 * NS_PER_MS)
#define HEAD_MAX 65536
/* A head that is the same as the last, byte for byte, means the same. */
#define KNOWN_HEAD_MAX 1024

enum state {
	CLOSED,     /* in load.closed */
	CONNECTING, /* or shaking hands; in load.waiting, like all below but FREE */
	FREE,       /* in load.free: may take a request, connected or, with `close`, not */
	HEAD,       /* a request was sent */
	BODY,
	ENDING, /* the answer is complete; the server will close */
};

struct connection {
	struct wire wire;
	struct list node;
	uint64_t due_ns; /* of the request under way */
	uint64_t
		deadline_ns; /* while in load.waiting: it is in the order of these. In load.closed: when to try again */
	uint32_t written;    /* of the request */
	uint8_t state;
	bool reusable; /* after this answer */
	bool checked;  /* its body's size matters */
	size_t scanned;
	uint64_t body_size;
	struct http1_body body;
};

/* What the parser made of a head. */
struct known_head {
	size_t len; /* 0: none */
	uint16_t status;
	bool keep_alive;
	struct http1_body body;
	uint8_t bytes[KNOWN_HEAD_MAX];
};

struct load {
	struct load_config config;
	struct wire_tls tls;
	struct list closed, free, waiting;
	uint32_t opening;
	uint64_t now_ns;
	uint64_t start_ns;
	uint64_t due_count; /* open loop: requests taken so far */
	uint64_t due_ns;    /* when the next is due */
	bool begun, ended;
	struct load_result result;
	struct known_head known;
	struct http_message message;
	uint8_t head[HEAD_MAX]; /* one that lies in several segments */
	struct connection connections[];
};

const char *const load_counter_names[LOAD_COUNTER_COUNT] = {
#define ROW(name, text) text,
	LOAD_COUNTERS(ROW)
#undef ROW
};

static void
count(struct load *load, enum load_counter counter)
{
	load->result.counters[counter]++;
}

/* ---- lists ---- */

static void
wait_for(struct load *load, struct connection *c, enum state state)
{
	c->state = state;
	c->deadline_ns = load->now_ns + load->config.timeout_ns;
	list_remove(&c->node);
	list_append(&load->waiting, &c->node);
}

static void
set_free(struct load *load, struct connection *c)
{
	c->state = FREE;
	list_remove(&c->node);
	list_append(&load->free, &c->node);
}

/* Without a TCP connection: with `close` the next request makes one. */
static void
set_closed(struct load *load, struct connection *c, uint64_t pause_ns)
{
	if (c->state == CONNECTING)
		load->opening--;
	if (load->config.close && pause_ns == 0) {
		set_free(load, c);
		return;
	}
	c->state = CLOSED;
	c->deadline_ns = load->now_ns + pause_ns;
	list_remove(&c->node);
	list_append(&load->closed, &c->node);
}

static void
fail(struct load *load, struct connection *c, enum load_counter counter)
{
	count(load, counter);
	if (c->wire.tcp)
		wire_abort(&c->wire);
	set_closed(load, c, PAUSE_NS);
}

static void
fail_tls(struct load *load, struct connection *c)
{
	if (!load->result.problem[0])
		snprintf(load->result.problem, sizeof(load->result.problem), "%s", tls_problem());
	fail(load, c, LOAD_TLS);
}

/* ---- requests ---- */

static void
write_request(struct load *load, struct connection *c)
{
	struct bytes left = bytes_from(load->config.request, c->written);

	if (left.len)
		c->written += wire_write(&c->wire, left.data, (uint32_t)left.len);
}

static void
connect_to_server(struct load *load, struct connection *c)
{
	int error;

	c->wire.tcp = tcp_connect(load->config.tcp, &load->config.server, c, &error);
	load->opening++;
	wait_for(load, c, CONNECTING);
	if (!c->wire.tcp)
		fail(load, c,
		     error == -ENETUNREACH || error == -EHOSTUNREACH ? LOAD_CONNECT_UNREACHABLE : LOAD_CONNECT_NO_PORT);
}

static void
send_request(struct load *load, struct connection *c)
{
	c->written = 0;
	c->scanned = 0;
	wait_for(load, c, HEAD);
	write_request(load, c);
}

static void
take_request(struct load *load, struct connection *c, uint64_t due_ns)
{
	c->due_ns = due_ns;
	if (c->wire.tcp)
		send_request(load, c);
	else
		connect_to_server(load, c);
}

/* ---- answers ---- */

static void
answer_complete(struct load *load, struct connection *c)
{
	histogram_add(&load->result.latency, load->now_ns - c->due_ns);
	count(load, LOAD_ANSWERS);
	if (c->checked && c->body_size != load->config.expected_size)
		count(load, LOAD_WRONG_SIZE);
	if (!c->reusable)
		wait_for(load, c, ENDING);
	else if (load->config.rate > 0)
		set_free(load, c);
	else
		take_request(load, c, load->now_ns);
}

static void
begin_body(struct load *load, struct connection *c, const struct known_head *head)
{
	load->result.counters[LOAD_BYTES] += head->len;
	wire_consume(&c->wire, (uint32_t)head->len);
	c->reusable = head->keep_alive && !load->config.close;
	c->body = head->body;
	c->body_size = 0;
	c->scanned = 0;
	c->checked = load->config.expected_size != LOAD_ANY_SIZE && head->status / 100 == 2;
	if (head->status / 100 != 2 && head->status / 100 != 3)
		count(load, LOAD_BAD_STATUS);
	c->state = BODY;
}

/* The head in `run`, or behind it when it is only its beginning. */
static enum http1_result
parse_head(struct load *load, struct connection *c, struct bytes run, struct known_head *out)
{
	enum http1_result result;
	enum http1_error error;

	result = http1_parse_response(&load->message, run.data, run.len, &c->scanned, &out->len, false, &error);
	if (result == HTTP1_MORE) {
		run = bytes_of(load->head, wire_peek_copy(&c->wire, load->head, HEAD_MAX));
		result = http1_parse_response(&load->message, run.data, run.len, &c->scanned, &out->len, false, &error);
	}
	if (result == HTTP1_MORE && run.len == HEAD_MAX)
		return HTTP1_BAD;
	if (result != HTTP1_DONE)
		return result;
	out->status = load->message.status;
	out->keep_alive = load->message.keep_alive;
	http1_body_init(&out->body, &load->message);
	if (out->len <= KNOWN_HEAD_MAX) {
		load->known = *out;
		memcpy(load->known.bytes, run.data, out->len);
	}
	return result;
}

/* True when there is more to do with what has come. */
static bool
read_head(struct load *load, struct connection *c)
{
	struct bytes run = wire_peek(&c->wire);
	struct known_head head;
	enum http1_result result;

	if (!run.len)
		return false;
	if (load->known.len && run.len >= load->known.len &&
	    memcmp(run.data, load->known.bytes, load->known.len) == 0) {
		begin_body(load, c, &load->known);
		return true;
	}
	result = parse_head(load, c, run, &head);
	if (result == HTTP1_BAD)
		fail(load, c, LOAD_BAD_ANSWER);
	if (result != HTTP1_DONE)
		return false;
	if (head.status / 100 == 1 && head.status != 101) {
		wire_consume(&c->wire, (uint32_t)head.len);
		c->scanned = 0;
		load->known.len = 0;
		return true;
	}
	begin_body(load, c, &head);
	return true;
}

static bool
read_body(struct load *load, struct connection *c)
{
	enum http1_result result = HTTP1_DONE;
	struct bytes run = wire_peek(&c->wire);
	size_t consumed, offset, size;
	enum http1_error error;

	if (c->body.framing != HTTP_NO_BODY) {
		if (!run.len)
			return false;
		result = http1_body_decode(&c->body, run.data, run.len, &consumed, &offset, &size, &error);
		load->result.counters[LOAD_BYTES] += consumed;
		c->body_size += size;
		wire_consume(&c->wire, (uint32_t)consumed);
	}
	if (result == HTTP1_BAD)
		fail(load, c, LOAD_BAD_ANSWER);
	else if (result == HTTP1_DONE)
		answer_complete(load, c);
	/* A new request's answer cannot have come yet. */
	return result == HTTP1_MORE;
}

/* A server may answer before it has all of the request; the answer waits for that. */
static void
read_answer(struct load *load, struct connection *c)
{
	bool more = c->written == load->config.request.len;

	while (more)
		if (c->state == HEAD)
			more = read_head(load, c);
		else
			more = c->state == BODY && read_body(load, c);
	if (c->wire.failed)
		fail_tls(load, c);
}

/* ---- events ---- */

static void
connected(struct load *load, struct connection *c)
{
	count(load, LOAD_CONNECTED);
	load->opening--;
	if (load->config.close)
		send_request(load, c);
	else if (load->config.rate > 0)
		set_free(load, c);
	else
		take_request(load, c, load->now_ns);
}

static void
connect_further(struct load *load, struct connection *c)
{
	enum tls_status status = wire_handshake(&c->wire, &load->tls);

	if (status == TLS_OK) {
		if (c->wire.tls && tls_resumed(c->wire.tls))
			count(load, LOAD_RESUMED);
		connected(load, c);
	} else if (status != TLS_WAIT) {
		fail_tls(load, c);
	}
}

static enum load_counter
reason_counter(enum tcp_close_reason reason)
{
	switch (reason) {
	case TCP_UNREACHABLE:
		return LOAD_CONNECT_UNREACHABLE;
	case TCP_TIMED_OUT:
		return LOAD_CONNECT_TIMED_OUT;
	case TCP_NO_MEMORY:
		return LOAD_CONNECT_NO_PORT;
	default:
		return LOAD_CONNECT_REFUSED;
	}
}

/* The server's FIN, or an end of the connection. */
static void
over(struct load *load, struct connection *c, bool closed)
{
	if (c->state == CONNECTING) {
		fail(load, c, c->wire.tls ? LOAD_READ : reason_counter(tcp_close_reason(c->wire.tcp)));
		return;
	}
	if (c->state == BODY && c->body.framing == HTTP_TO_CLOSE && !closed) {
		c->reusable = false;
		answer_complete(load, c);
	}
	if (c->state == HEAD || c->state == BODY) {
		fail(load, c, LOAD_READ);
		return;
	}
	count(load, LOAD_CLOSED_BY_SERVER);
	wire_close(&c->wire);
	set_closed(load, c, 0);
}

void
load_handle(struct load *load, struct tcp_connection *tcp, uint32_t events, uint64_t now_ns)
{
	struct connection *c = tcp_user(tcp);

	load->now_ns = now_ns;
	if (c->state == CONNECTING && (events & TCP_CONNECTED || c->wire.tls))
		connect_further(load, c);
	if (events & TCP_WRITABLE && c->state == HEAD)
		write_request(load, c);
	if (events & (TCP_READABLE | TCP_WRITABLE | TCP_END_OF_STREAM))
		read_answer(load, c);
	/* It may have gone while it was read. */
	if (c->wire.tcp == tcp && events & (TCP_END_OF_STREAM | TCP_CLOSED))
		over(load, c, events & TCP_CLOSED);
}

/* ---- time ---- */

static struct connection *
first_of(struct list *list)
{
	struct list *node = list_first(list);

	return node ? container_of(node, struct connection, node) : NULL;
}

static unsigned int
expire(struct load *load)
{
	unsigned int done = 0;
	struct connection *c;

	for (; (c = first_of(&load->waiting)) && c->deadline_ns <= load->now_ns; done++)
		fail(load, c, c->state == CONNECTING ? LOAD_CONNECT_TIMED_OUT : LOAD_TIMEOUT);
	return done;
}

static unsigned int
reopen(struct load *load)
{
	unsigned int done = 0;
	struct connection *c;

	for (; (c = first_of(&load->closed)) && c->deadline_ns <= load->now_ns; done++) {
		if (load->config.close)
			set_free(load, c);
		else if (load->opening < OPENING_MAX)
			connect_to_server(load, c);
		else
			break;
	}
	return done;
}

static void
next_due(struct load *load)
{
	load->due_count++;
	load->due_ns = load->start_ns + (uint64_t)((double)load->due_count * 1e9 / load->config.rate);
}

/* Gives requests to free connections. */
static unsigned int
issue(struct load *load)
{
	bool open_loop = load->config.rate > 0;
	unsigned int done = 0;
	struct connection *c;

	for (; (c = first_of(&load->free)); done++) {
		if (open_loop && load->due_ns > load->now_ns)
			break;
		take_request(load, c, open_loop ? load->due_ns : load->now_ns);
		if (open_loop)
			next_due(load);
	}
	return done;
}

unsigned int
load_run(struct load *load, uint64_t now_ns)
{
	load->now_ns = now_ns;
	if (!load->begun || load->ended)
		return 0;
	return expire(load) + reopen(load) + issue(load);
}

uint64_t
load_next_ns(const struct load *load)
{
	uint64_t next_ns = UINT64_MAX;
	struct connection *first;

	if (!load->begun || load->ended)
		return UINT64_MAX;
	first = first_of((struct list *)&load->waiting);
	if (first)
		next_ns = first->deadline_ns;
	first = first_of((struct list *)&load->closed);
	if (first && (load->config.close || load->opening < OPENING_MAX) && first->deadline_ns < next_ns)
		next_ns = first->deadline_ns;
	if (load->config.rate > 0 && !list_empty(&load->free) && load->due_ns < next_ns)
		next_ns = load->due_ns;
	return next_ns;
}

/* ---- life ---- */

/* Requests due before now, whether they have found a connection or not. */
static uint64_t
due_before(const struct load *load, uint64_t now_ns)
{
	return (uint64_t)ceil((double)(now_ns - load->start_ns) * load->config.rate / 1e9);
}

void
load_begin(struct load *load, uint64_t now_ns)
{
	memset(load->result.counters, 0, sizeof(load->result.counters));
	histogram_clear(&load->result.latency);
	load->result.begin_ns = now_ns;
	/* What is due counts from here: a warm-up that began before there was a way to the server is not caught up with. */
	load->start_ns = load->due_ns = now_ns;
	load->due_count = 0;
	load->begun = true;
}

void
load_end(struct load *load, uint64_t now_ns)
{
	struct load_result *result = &load->result;

	if (load->ended)
		return;
	load->ended = true;
	result->end_ns = now_ns;
	result->counters[LOAD_DUE] = due_before(load, now_ns) - due_before(load, result->begin_ns);
	for (uint32_t i = 0; i < load->config.connections; i++) {
		struct connection *c = &load->connections[i];

		if (c->wire.tcp)
			wire_abort(&c->wire);
		c->state = CLOSED;
		list_remove(&c->node);
	}
}

struct load *
load_new(const struct load_config *config, uint64_t now_ns)
{
	struct load *load = calloc(1, sizeof(*load) + config->connections * sizeof(load->connections[0]));

	if (!load)
		return NULL;
	load->config = *config;
	load->tls = (struct wire_tls){ .client = config->tls, .name = config->server_name };
	if (config->tls && !(load->tls.sessions = tls_sessions_new(1))) {
		free(load);
		return NULL;
	}
	load->now_ns = now_ns;
	list_init(&load->closed);
	list_init(&load->free);
	list_init(&load->waiting);
	histogram_clear(&load->result.latency);
	for (uint32_t i = 0; i < config->connections; i++) {
		list_init(&load->connections[i].node);
		set_closed(load, &load->connections[i], 0);
	}
	return load;
}

void
load_free(struct load *load)
{
	if (!load)
		return;
	tls_sessions_free(load->tls.sessions);
	free(load);
}

const struct load_result *
load_result(const struct load *load)
{
	return &load->result;
}

uint64_t
load_answers(const struct load *load)
{
	return __atomic_load_n(&load->result.counters[LOAD_ANSWERS], __ATOMIC_RELAXED);
}
