/*
 * HTTP/2 on a client's connection: a session that has streams, each the client of one exchange. Private to the room.
 *
 *     session_h2.c    the connection, on what transport/http2.h has: its time, its end, what is read and when
 *     stream.c        a stream: requests from it, answers to it
 *
 * `in` is bounded by http2_body_preread_size. Nothing is read from a client that takes no frames.
 *
 * A stream lives from its first field until both sides have said all, or one has reset it; its exchange, as with HTTP/1,
 * until the answer is written.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include "proxy/client/client.h"
#include "proxy/transport/http2.h"

/* Of all streams together: one client cannot fill the pool with bodies that servers do not take. */
#define PROXY_SESSION_WINDOW (1024 * 1024)

struct proxy_session_http2 {
	struct proxy_http2 base; /* first: the codec's `user` is both */
	struct proxy_session *session;
	struct list streams; /* all that live */
	uint32_t stream_count;
	bool going_away; /* GOAWAY is said, or soon */
};

struct proxy_stream {
	struct proxy_client client;
	struct proxy_session *session;
	struct proxy_http2_stream base;
	struct list node; /* in session->http2->streams, then in worker->streams_gone */
	uint32_t chunk_size;
	int64_t send_timeout_ms;
	bool head_too_large;
	enum http2_code reset_behind; /* the answer breaks off when base.out has gone */
};

extern const struct http2_events proxy_stream_events;

/* It is no more: the exchange ends, and its memory goes back behind the step. */
void proxy_stream_end(struct proxy_stream *stream);
void proxy_streams_reap(struct proxy_worker *worker);

/* No more streams, but those that are there. */
void proxy_session_http2_go_away(struct proxy_session_http2 *http2);

#endif
