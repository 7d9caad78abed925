/*
 * The client's side of an exchange: where its request comes from, and where the answer goes.
 *
 * With HTTP/1 a session is the client of one exchange at a time (session.c), with HTTP/2 each stream is one (stream.c). The
 * rest of an exchange (phases, filters, variables, servers, logs) asks a client what follows, and never how it speaks. What is
 * about the connection below (addresses, TLS, its number) is the session's.
 *
 * A client outlives its exchange, and is there until the end of the step (proxy_sessions_reap()): whoever has made a call
 * that may end the exchange asks `client->exchange == x` before going on.
 */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "base/bytes.h"
#include "proxy/transport/place.h"
#include "run/timer.h"

struct proxy_client;
struct proxy_exchange;
struct proxy_session;

struct proxy_client_ops {
	/* Where a message ends is said below: bodies are content alone, heads say nothing of the connection, and no other
	 * exchange follows on this client. */
	bool is_framed;

	/* It is in a proxy_stream; else in a session. */
	bool is_stream;

	/* The request's body, in the framing that http1_body_init() was told: as tcp_...() of these names. */
	uint32_t (*readable)(const struct proxy_client *client);
	struct bytes (*peek)(const struct proxy_client *client);
	void (*consume)(struct proxy_client *client, uint32_t len);
	/* Up to `len` bytes of it to where a call has its request; returns how many went. */
	uint32_t (*give)(struct proxy_client *client, struct proxy_place to, uint32_t len);

	/* "100 Continue", where there is room for it. */
	void (*go_on)(struct proxy_client *client);

	/* The answer. Its head is written in HTTP/1.1's form: the first `head_bytes` of *message, behind which an answer
	 * of our own has its body. What is left in *message then goes by write(). False: it cannot be sent. */
	bool (*head)(struct proxy_client *client, struct proxy_exchange *exchange, struct bytes *message,
		     bool has_body);
	/* What write() and take() will take now; and asking for proxy_exchange_client_output() when it is
	 * more. */
	uint32_t (*writable)(const struct proxy_client *client);
	void (*want_writable)(struct proxy_client *client);
	uint32_t (*write)(struct proxy_client *client, const void *data, uint32_t len);
	/* Up to `len` bytes from where a call has its answer; returns how many came. */
	uint32_t (*take)(struct proxy_client *client, struct proxy_place from, uint32_t len);

	/* All of it is written; `trailers` are field lines, and may be empty. */
	void (*finish)(struct proxy_client *client, struct bytes trailers);

	/* The exchange has ended, and is freed after this. */
	void (*ended)(struct proxy_client *client, const struct proxy_exchange *exchange);
	/* `timeout` has passed. */
	void (*timed_out)(struct proxy_client *client);
};

struct proxy_client {
	const struct proxy_client_ops *ops;
	struct proxy_exchange *exchange; /* NULL in between */
	struct timer_deadline timeout;   /* whichever of nginx's times it is that runs */
	bool input_ended;                /* what is readable is all there will be */
	uint32_t came_ms;                /* modulo 2^32: a session when it was accepted */
};

void proxy_client_arm(struct proxy_client *client, int64_t ms);

static inline void
proxy_client_disarm(struct proxy_client *client)
{
	timer_deadline_clear(&client->timeout);
}

static inline uint32_t
proxy_client_readable(const struct proxy_client *client)
{
	return client->ops->readable(client);
}

/* It is the client's turn: more of the request is to come than is here. */
static inline bool
proxy_client_is_awaited(const struct proxy_client *client)
{
	return !proxy_client_readable(client) && !(client->ops->is_framed && client->input_ended);
}

static inline uint32_t
proxy_client_writable(const struct proxy_client *client)
{
	return client->ops->writable(client);
}

static inline uint32_t
proxy_client_write(struct proxy_client *client, const void *data, uint32_t len)
{
	return client->ops->write(client, data, len);
}

#endif
