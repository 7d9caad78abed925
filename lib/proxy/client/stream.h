/*
 * HTTP/2 on a client's connection: a session that has streams, each the client of one exchange. Private to the room.
 *
 *     session_h2.c    the connection: what is read goes into the codec (http/h2.h), frames go out at the end of a round
 *     stream.c        a stream: content that has come in `in`, content to be sent in `out`
 *
 * How much there is of both is bounded: `in` by the stream's window, of which only what has left is given back, so a server
 * that reads slowly holds up its own stream alone; `out` by PROXY_STREAM_OUTPUT and by the client's windows, so that for a
 * stream that the client does not read, the rest stays in the server's connection, whose TCP window closes. Nothing is read
 * from a client that takes no frames.
 *
 * A stream lives from its first field until both sides have said all, or one has reset it; its exchange, as with HTTP/1,
 * until the answer is written. Both end within the codec's calls; the session ends only behind them.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include "http/h2.h"
#include "proxy/client/client.h"

/* Of all streams together: one client cannot fill the pool with bodies that servers do not take. */
#define PROXY_HTTP2_WINDOW (1024 * 1024)
#define PROXY_STREAM_OUTPUT 32768

struct proxy_http2 {
	struct proxy_session *session;
	struct http2_session *codec;
	struct list streams;       /* all that live */
	struct list output_wanted; /* those whose exchange waits for room */
	struct list writing;       /* in worker->http2_writing */
	uint32_t stream_count;
	bool going_away; /* GOAWAY is said, or soon */
	bool failed;     /* the connection ends when that has gone */
	bool moved;      /* the client has taken something since the last flush */
	bool broken;     /* in the middle of a frame: it ends at once */
};

struct proxy_stream {
	struct proxy_client client;
	struct proxy_http2 *http2;
	int32_t id;
	struct tcp_queue in, out;
	struct list node;          /* in http2->streams, then in worker->streams_gone */
	struct list output_wanted; /* in http2->output_wanted */
	struct bytes trailers;     /* allocated */
	uint32_t chunk_size;
	int64_t send_timeout_ms;
	bool head_too_large;
	enum http2_code reset_behind; /* the answer breaks off when `out` has gone */
	bool finished;                /* the answer ends with what is in `out` */
	bool closed;
};

extern const struct http2_events proxy_stream_events;

/* It is no more: the exchange ends, and its memory goes back behind the step. */
void proxy_stream_end(struct proxy_stream *stream);
/* Gives exchanges that wait for room what there is. True when one of them has gone on. */
bool proxy_streams_wake(struct proxy_http2 *http2);
void proxy_streams_reap(struct proxy_worker *worker);

/* There are frames to be sent, at the end of the round. */
void proxy_http2_wake(struct proxy_http2 *http2);
/* No more streams, but those that are there. */
void proxy_http2_go_away(struct proxy_http2 *http2);

#endif
