#include "weir-load/answers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/slab.h"
#include "http/h1.h"

#define HEAD_MAX 65536
#define ANSWER_HEAD_MAX 128

enum state {
	HEAD, /* of a request, is waited for */
	BODY, /* of a request */
	ANSWER,
	DONE, /* no other request is taken */
};

struct connection {
	struct tcp_connection *tcp;
	struct list node; /* of answers.connections */
	size_t scanned;
	struct http1_body body; /* of the request */
	struct bytes head;      /* of the answer */
	size_t body_len;        /* likewise */
	size_t sent;            /* of both */
	uint8_t state;
	bool last;  /* the answer ends the connection */
	bool ended; /* the client has said all */
};

struct answers {
	struct answers_config config;
	struct slab *slab;
	struct list connections;
	uint64_t count;
	bool ended;
	char kept[ANSWER_HEAD_MAX], last[ANSWER_HEAD_MAX];
	struct http_message message;
	uint8_t head[HEAD_MAX]; /* one that lies in several segments */
};

/* ---- requests ---- */

static void
refuse(struct connection *c)
{
	c->head = bytes_of_string("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	c->body_len = 0;
	c->last = true;
	c->state = ANSWER;
}

static enum http1_result
parse_head(struct answers *answers, struct connection *c, size_t *len)
{
	struct bytes run = tcp_peek(c->tcp);
	enum http1_result result;
	enum http1_error error;

	result = http1_parse_request(&answers->message, run.data, run.len, &c->scanned, len, &error);
	if (result == HTTP1_MORE && tcp_readable(c->tcp) > run.len) {
		run = bytes_of(answers->head, tcp_peek_copy(c->tcp, 0, answers->head, HEAD_MAX));
		result = http1_parse_request(&answers->message, run.data, run.len, &c->scanned, len, &error);
	}
	return result == HTTP1_MORE && run.len >= HEAD_MAX ? HTTP1_BAD : result;
}

/* These three return true when there is more to do. */
static bool
read_head(struct answers *answers, struct connection *c)
{
	const struct http_message *message = &answers->message;
	enum http1_result result;
	size_t len;

	if (!tcp_readable(c->tcp))
		return false;
	result = parse_head(answers, c, &len);
	if (result == HTTP1_MORE)
		return false;
	c->sent = 0;
	c->scanned = 0;
	if (result == HTTP1_BAD) {
		refuse(c);
		return true;
	}
	c->last = !message->keep_alive;
	c->head = bytes_of_string(c->last ? answers->last : answers->kept);
	c->body_len = message->method == HTTP_HEAD ? 0 : answers->config.body.len;
	http1_body_init(&c->body, message);
	c->state = c->body.framing == HTTP_NO_BODY ? ANSWER : BODY;
	tcp_consume(c->tcp, (uint32_t)len);
	return true;
}

static bool
read_body(struct connection *c)
{
	struct bytes run = tcp_peek(c->tcp);
	size_t consumed, offset, size;
	enum http1_result result;
	enum http1_error error;

	if (!run.len)
		return false;
	result = http1_body_decode(&c->body, run.data, run.len, &consumed, &offset, &size, &error);
	tcp_consume(c->tcp, (uint32_t)consumed);
	if (result == HTTP1_BAD)
		refuse(c);
	else if (result == HTTP1_DONE)
		c->state = ANSWER;
	return true;
}

/* ---- answers ---- */

static bool
write_answer(struct answers *answers, struct connection *c)
{
	struct bytes left;

	if (c->sent < c->head.len) {
		left = bytes_from(c->head, c->sent);
		c->sent += tcp_write(c->tcp, left.data, (uint32_t)left.len);
	}
	if (c->sent >= c->head.len && c->sent < c->head.len + c->body_len) {
		left = bytes_from(answers->config.body, c->sent - c->head.len);
		c->sent += tcp_write(c->tcp, left.data, (uint32_t)left.len);
	}
	if (c->sent < c->head.len + c->body_len)
		return false;
	answers->count++;
	c->state = c->last ? DONE : HEAD;
	return true;
}

static bool
go_on(struct answers *answers, struct connection *c)
{
	switch (c->state) {
	case HEAD:
		return read_head(answers, c);
	case BODY:
		return read_body(c);
	case ANSWER:
		return write_answer(answers, c);
	default:
		return false;
	}
}

/* ---- events ---- */

/* NULL: it has been reset. */
static struct connection *
accept_connection(struct answers *answers, struct tcp_connection *tcp)
{
	struct connection *c = answers->ended ? NULL : slab_get(answers->slab);

	if (!c) {
		tcp_abort(tcp);
		return NULL;
	}
	*c = (struct connection){ .tcp = tcp };
	list_init(&c->node);
	list_append(&answers->connections, &c->node);
	tcp_set_user(tcp, c);
	return c;
}

static void
forget(struct answers *answers, struct connection *c)
{
	list_remove(&c->node);
	slab_put(answers->slab, c);
}

static void
abort_connection(struct answers *answers, struct connection *c)
{
	tcp_abort(c->tcp);
	forget(answers, c);
}

static void
close_connection(struct answers *answers, struct connection *c)
{
	/* What is unread, behind the last request, is no reason for a reset, which would take the answer back. */
	tcp_consume(c->tcp, tcp_readable(c->tcp));
	tcp_close(c->tcp);
	forget(answers, c);
}

bool
answers_own(const struct answers *answers, const struct tcp_connection *tcp)
{
	return answers && tcp_local(tcp)->port_be == answers->config.listeners[0].local.port_be;
}

void
answers_handle(struct answers *answers, struct tcp_connection *tcp, uint32_t events)
{
	struct connection *c = events & TCP_ACCEPTED ? accept_connection(answers, tcp) : tcp_user(tcp);

	if (!c)
		return;
	while (go_on(answers, c))
		;
	c->ended = c->ended || events & TCP_END_OF_STREAM;
	if (events & TCP_CLOSED)
		abort_connection(answers, c);
	else if (c->state == DONE || (c->ended && c->state != ANSWER))
		close_connection(answers, c);
}

/* ---- life ---- */

void
answers_begin(struct answers *answers)
{
	if (answers)
		answers->count = 0;
}

void
answers_end(struct answers *answers)
{
	struct list *node;

	if (!answers)
		return;
	answers->ended = true;
	while ((node = list_first(&answers->connections)))
		abort_connection(answers, container_of(node, struct connection, node));
}

struct answers *
answers_new(const struct answers_config *config)
{
	struct answers *answers = calloc(1, sizeof(*answers));

	if (!answers)
		return NULL;
	answers->config = *config;
	list_init(&answers->connections);
	snprintf(answers->kept, sizeof(answers->kept), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		 config->body.len);
	snprintf(answers->last, sizeof(answers->last),
		 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", config->body.len);
	answers->slab = slab_new(sizeof(struct connection), sizeof(void *), config->connections_max);
	if (!answers->slab) {
		free(answers);
		return NULL;
	}
	tcp_listen(config->tcp, config->listeners, config->listener_count);
	return answers;
}

void
answers_free(struct answers *answers)
{
	if (!answers)
		return;
	slab_free(answers->slab);
	free(answers);
}

uint64_t
answers_count(const struct answers *answers)
{
	return answers ? answers->count : 0;
}
