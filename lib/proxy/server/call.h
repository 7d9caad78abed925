/*
 * The server's side of an exchange: where its request goes on to, and where the answer comes from.
 *
 * With HTTP/1 a link has one call at a time (call_h1.c), with HTTP/2 any number (call_h2.c). The rest of an exchange asks a call
 * what follows, and never how it speaks; client.h is the same for the other side.
 *
 * A call belongs to its exchange from the moment that it is opened until release(), which may leave something to be sent
 * behind it. Whoever has made a call that may end the exchange, or its attempt, asks `client->exchange == x` and
 * `x->call == call` before going on.
 */
#ifndef PROXY_CALL_H
#define PROXY_CALL_H

#include "http/h1.h"
#include "proxy/settings/settings.h"
#include "proxy/transport/place.h"
#include "run/timer.h"

struct proxy_call;
struct proxy_client;
struct proxy_exchange;

enum proxy_call_end {
	PROXY_CALL_BROKEN,   /* something is missing: the server need not go on */
	PROXY_CALL_DONE,     /* all that either side had to say has been read, and the server has said that it closes */
	PROXY_CALL_REUSABLE, /* likewise, and it takes more */
};

struct proxy_call_ops {
	/* Where a message ends is said below: bodies are content alone, both ways. */
	bool is_framed;

	/* ---- the request ---- */

	/* Its head: x->request_pending, in HTTP/1.1's form, of which what has gone is taken off. False: it cannot be said,
	 * or there is no memory. */
	bool (*head)(struct proxy_call *call, struct proxy_exchange *x);
	/* What write() and give() will take now; and asking for TCP_WRITABLE when it is more. */
	uint32_t (*writable)(const struct proxy_call *call);
	void (*want_writable)(struct proxy_call *call);
	uint32_t (*write)(struct proxy_call *call, const void *data, uint32_t len);
	/* Up to `len` bytes of what a client has said; returns how many went. */
	uint32_t (*give)(struct proxy_call *call, struct proxy_client *client, uint32_t len);
	/* All of it is written; `trailers` are field lines, and may be empty. NULL where nothing is framed. */
	void (*finish)(struct proxy_call *call, struct bytes trailers);
	/* Of a tunnel: no more will be written. NULL where all is framed. */
	void (*shutdown)(struct proxy_call *call);

	/* ---- the answer ---- */

	/* Its head, as far as it has come: DONE, and it is in x->response. BAD: *problem is what the server has sent. */
	enum http1_result (*read_head)(struct proxy_call *call, struct proxy_exchange *x, const char **problem);
	/* Its body: as tcp_...() of these names. */
	uint32_t (*readable)(const struct proxy_call *call);
	struct bytes (*peek)(const struct proxy_call *call);
	void (*consume)(struct proxy_call *call, uint32_t len);
	/* Up to `len` bytes of it to a client; returns how many went. */
	uint32_t (*take)(struct proxy_call *call, struct proxy_client *client, uint32_t len);
	/* No more will come. NULL: the server has ended it as it should; else how it did, in nginx's words. */
	const char *(*ending)(const struct proxy_call *call);

	/* The exchange goes on without it. */
	void (*release)(struct proxy_call *call, enum proxy_call_end end);
	/* `timeout` has passed. */
	void (*timed_out)(struct proxy_call *call);
};

struct proxy_call {
	const struct proxy_call_ops *ops;
	struct proxy_worker *worker;
	struct proxy_exchange *exchange; /* NULL in between */
	struct timer_deadline timeout;   /* whichever of nginx's times it is that runs */
	bool connected;                  /* the request can be given to it */
	bool secures;                    /* before that: the handshake of TLS has begun */
	bool reused;                     /* its connection was idle before: it may have become stale */
	bool shared;                     /* its connection was there before, with other calls */
	bool head_sent, finished;
	bool unprocessed; /* the server has said that it did nothing about it */
};

void proxy_call_arm(struct proxy_call *call, int64_t ms);

static inline void
proxy_call_disarm(struct proxy_call *call)
{
	timer_deadline_clear(&call->timeout);
}

static inline uint32_t
proxy_call_readable(const struct proxy_call *call)
{
	return call->ops->readable(call);
}

static inline uint32_t
proxy_call_writable(const struct proxy_call *call)
{
	return call->ops->writable(call);
}

static inline uint32_t
proxy_call_write(struct proxy_call *call, const void *data, uint32_t len)
{
	return call->ops->write(call, data, len);
}

#endif
