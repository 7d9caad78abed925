/*
 * What HTTP/2 with clients (client/stream.h) and with servers (server/call_h2.h) have in common: a connection between the codec and
 * the transport, and streams on it between the codec and their exchanges. Private to the room.
 *
 * How much there is of content is bounded both ways. What has come waits in `in`, and of the stream's window only what has left
 * is given back: whoever takes it slowly holds up this stream alone. What is to be sent waits in `out`, PROXY_HTTP2_OUTPUT at
 * most and no more than the peer's windows have room for: what a peer does not read stays in the connection that it comes from,
 * whose TCP window closes.
 *
 * Frames are made at the end of a round, for whoever was woken in it. Streams end within the codec's calls, connections only
 * behind them.
 */
#ifndef PROXY_TRANSPORT_HTTP2_H
#define PROXY_TRANSPORT_HTTP2_H

#include "base/list.h"
#include "http/h2.h"
#include "proxy/transport/place.h"

struct proxy_worker;

#define PROXY_HTTP2_OUTPUT 32768

/* The codec's `user`. */
struct proxy_http2 {
	struct proxy_worker *worker;
	struct proxy_transport *transport;
	struct http2_session *codec;
	struct list output_wanted; /* streams whose exchange waits for room */
	struct list writing;       /* in `woken` */
	struct list *woken;        /* of the worker: connections that have frames to be sent */
	bool failed;               /* it ends when GOAWAY has gone */
	bool broken;               /* in the middle of a frame: it ends at once */
	bool moved;                /* the peer has taken something since that was last asked */
};

struct proxy_http2_stream {
	struct proxy_http2 *connection; /* NULL: it has left it */
	struct rte_mempool *pool;
	int32_t id; /* 0: not begun */
	struct tcp_queue in, out;
	struct list output_wanted; /* in connection->output_wanted */
	struct bytes trailers;     /* behind what is in `out`; of whoever has the stream */
	bool finished;             /* the message ends with what is in `out` */
	bool closed;               /* the codec does not know it any more */
};

/* ---- a connection ---- */

/* All but the codec. */
void proxy_http2_init(struct proxy_http2 *http2, struct proxy_worker *worker, struct proxy_transport *transport,
		      struct list *woken);
/* There are frames to be sent, at the end of the round. */
void proxy_http2_wake(struct proxy_http2 *http2);
/* A run of what has come goes into the codec; `failed` is set where it is wrong. False: there was none. */
bool proxy_http2_receive(struct proxy_http2 *http2);
/* Sends what there is room for. `broken` is set where the codec cannot go on. */
void proxy_http2_send(struct proxy_http2 *http2);
/* Lets the exchanges of those streams go on that wait for room and have some, with `output`. True: one of them has. */
bool proxy_http2_output(struct proxy_http2 *http2, void (*output)(struct proxy_http2_stream *stream));
/* All is said and heard. */
bool proxy_http2_is_over(const struct proxy_http2 *http2);
/* The codec's write(). */
uint32_t proxy_http2_write(void *http2, struct bytes data);

/* ---- a stream ---- */

/* On a connection whose transport has its TCP. */
void proxy_http2_stream_init(struct proxy_http2_stream *stream, struct proxy_http2 *connection, int32_t id);
/* So much of what had come has left. */
void proxy_http2_consumed(struct proxy_http2_stream *stream, uint32_t len);
/* Nobody wants what has come any more. */
void proxy_http2_drop_input(struct proxy_http2_stream *stream);

/* How much goes into `out` now; 0 where none can any more. */
uint32_t proxy_http2_writable(const struct proxy_http2_stream *stream);
void proxy_http2_want_writable(struct proxy_http2_stream *stream);
uint32_t proxy_http2_stream_write(struct proxy_http2_stream *stream, const void *data, uint32_t len);
/* There is more in `out`, or it is finished. */
void proxy_http2_body_ready(struct proxy_http2_stream *stream);
void proxy_http2_finish(struct proxy_http2_stream *stream, struct bytes trailers);

/* The codec's body() and body_send(), of a struct proxy_http2_stream. */
uint32_t proxy_http2_body(void *stream, uint32_t len, bool *last);
bool proxy_http2_body_send(void *stream, struct bytes header, uint32_t len);

static inline struct proxy_place
proxy_http2_place(const struct proxy_http2_stream *stream, struct tcp_queue *queue)
{
	return (struct proxy_place){ .queue = queue, .pool = stream->pool };
}

#endif
