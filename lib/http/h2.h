/*
 * HTTP/2 (RFC 9113), a server's side of a connection: bytes in; requests as fields and content, and events, out; answers
 * in, frames out. No I/O. nghttp2 knows frames, HPACK and the states of streams; here is what a proxy asks of them.
 *
 *     http2_receive()     what has come from the client: calls begin, field, head, content, end, closed
 *     http2_send()        what is to be sent, as far as there is room: calls write, body, body_send, sent, closed
 *
 * A stream's content stays in its window until http2_consumed(): a client can send no more than what has left. Content of
 * answers is never copied here: body_send() writes a frame's header and moves as much behind it.
 *
 * A session belongs to one lcore. What http2_receive() and http2_send() call may call all else here, but neither of these two
 * nor http2_session_free(). nghttp2 allocates from the heap; how much is bounded by http2_config and the floods below.
 */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include "http/h1.h"

struct http2_session;

/* What every connection of HTTP/2 with prior knowledge begins with (section 3.4). */
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* The error codes that are said here (section 7). */
enum http2_code {
	HTTP2_NO_ERROR = 0,
	HTTP2_PROTOCOL_ERROR = 1,
	HTTP2_INTERNAL_ERROR = 2,
	HTTP2_REFUSED_STREAM = 7,
	HTTP2_CANCEL = 8,
	HTTP2_ENHANCE_YOUR_CALM = 11,
};

/*
 * Frames that cost the receiver more than the sender, and do nothing for a request. Each kind has a budget: so many at once,
 * so many more per second, and some for each frame that carries a request or an answer. Beyond that the connection ends with
 * ENHANCE_YOUR_CALM.
 *
 * Resets are those of a client, and ours for what it does wrong: either way a request was begun for nothing ("rapid reset",
 * CVE-2023-44487; "MadeYouReset", CVE-2025-8671). A frame of an answer that a window makes tiny earns nothing ("data dribble",
 * CVE-2019-9511). Frames of padding alone are empty, others are those of kinds that mean nothing here. Continuations are
 * counted by nghttp2, per head.
 */
#define HTTP2_FLOODS(ROW)                                                                                              \
	ROW(RESETS, 1000, 33, 0, "reset") /* nghttp2's figures */                                                      \
	ROW(PINGS, 1000, 33, 1, "ping")                                                                                \
	ROW(SETTINGS, 100, 1, 0, "settings")                                                                           \
	ROW(PRIORITIES, 1000, 33, 2, "priority")                                                                       \
	ROW(WINDOW_UPDATES, 1000, 33, 4, "window_update")                                                              \
	ROW(EMPTY_FRAMES, 100, 1, 0, "empty_frame")                                                                    \
	ROW(OTHERS, 100, 1, 1, "other")                                                                                \
	ROW(CONTINUATIONS, 8, 0, 0, "continuation")

enum http2_flood {
#define ROW(name, burst, per_second, per_message, text) HTTP2_FLOOD_##name,
	HTTP2_FLOODS(ROW)
#undef ROW
		HTTP2_FLOOD_COUNT
};

extern const char *const http2_flood_names[HTTP2_FLOOD_COUNT];

struct http2_config {
	uint32_t streams_max;       /* SETTINGS_MAX_CONCURRENT_STREAMS */
	uint32_t stream_window;     /* of content that a stream may have under way */
	uint32_t connection_window; /* of all streams together */
};

/* `stream` is what begin() gave for it. */
struct http2_events {
	/* ---- of http2_receive() ---- */

	/* A request begins. NULL: it is refused, and the client may try again. */
	void *(*begin)(void *user, int32_t id);
	/* Of its head, and behind its content of its trailers. Valid during the call. */
	void (*field)(void *stream, struct bytes name, struct bytes value, bool is_trailer);
	/* All fields have come. `ended`: there is no content. */
	void (*head)(void *stream, bool ended);
	/* To be reported with http2_consumed() when it has left. */
	void (*content)(void *stream, struct bytes content);
	/* Content and trailers are complete. */
	void (*end)(void *stream);
	/* What came is no HTTP message; the stream is reset (section 8.1.1). `stream` may be NULL. */
	void (*malformed)(void *user, void *stream);

	/* ---- of http2_send() ---- */

	/* Returns how many bytes it took: less than `len` when there is no room. */
	uint32_t (*write)(void *user, struct bytes data);
	/* Up to how many bytes of content can be sent now. *last: the answer ends with them. */
	uint32_t (*body)(void *stream, uint32_t len, bool *last);
	/* The 9 bytes of `header` and then `len` of the content that body() has promised. False: no room for all of that
	 * now. */
	bool (*body_send)(void *stream, struct bytes header, uint32_t len);
	/* ---- of either ---- */

	/* The stream is no more. `code` is NO_ERROR where both sides have said all. */
	void (*closed)(void *stream, uint32_t code);

	/* ---- of a client's alone (h2_client.h) ---- */

	/* The server's SETTINGS have come. */
	void (*settings)(void *user);
};

/* With our SETTINGS to be sent. NULL when memory is short. */
struct http2_session *http2_session_new(const struct http2_config *config, const struct http2_events *events,
					void *user, uint64_t now_ns);
void http2_session_free(struct http2_session *session);

/* False: the connection cannot go on; GOAWAY is to be sent, and http2_is_over() is true when it is. */
bool http2_receive(struct http2_session *session, struct bytes data, uint64_t now_ns);
/* False: as above. */
bool http2_send(struct http2_session *session);
/* There is something to be sent, room or not. */
bool http2_wants_to_send(const struct http2_session *session);
/* Nothing is to be sent or received any more. */
bool http2_is_over(const struct http2_session *session);
/* Why http2_receive() said false: nghttp2's words, or those of a flood. */
const char *http2_problem(const struct http2_session *session);
/* The flood that it was, or HTTP2_FLOOD_COUNT. */
enum http2_flood http2_flooded(const struct http2_session *session);

/* `len` bytes of content have left, of a stream that may be closed already. */
void http2_consumed(struct http2_session *session, int32_t id, uint32_t len);
/* How much content the other side would take now; of a request before its head has gone, as the server's SETTINGS say. */
uint32_t http2_window(const struct http2_session *session, int32_t id);

/*
 * A head of an answer, from HTTP/1.1's form: a start line, which is passed over, fields, an empty line. Names are made lower
 * case where they stand; fields that speak of a connection are left out (section 8.2.2). `status` below 200: more heads
 * follow. `has_body`: body() is asked from now on. False: no memory, or too many fields.
 */
bool http2_answer(struct http2_session *session, int32_t id, unsigned int status, struct bytes head, bool has_body);
/* body() has more to say. */
void http2_body_ready(struct http2_session *session, int32_t id);
/* In body(), with *last: field lines that end the answer. False: they are none. */
bool http2_trailers(struct http2_session *session, int32_t id, struct bytes lines);
void http2_reset(struct http2_session *session, int32_t id, enum http2_code code);
/* Nothing more is told of this stream, whose `stream` may go. */
void http2_forget(struct http2_session *session, int32_t id);
/* No more streams; those that are there go on. */
void http2_go_away(struct http2_session *session);

/* ---- requests: h2_request.c ---- */

/*
 * Fields of a head, as they come, into a message that was zeroed up to `fields`. `name` and `value` must live as long as the
 * message. Order and presence of pseudo fields, case and characters of names, and fields that speak of a connection have
 * been checked by nghttp2.
 */
enum http1_error http2_request_field(struct http_message *message, struct bytes name, struct bytes value);
/* Bytes of memory that http2_request_conclude() needs. */
size_t http2_request_memory(const struct http_message *message);
/*
 * All fields have come: what they mean, as http1_parse_request() says it. :authority is Host, crumbs of cookies are one
 * field, the start line is what HTTP/1 would have. `ended`: no content follows; else it is of HTTP_LENGTH or HTTP_TO_CLOSE,
 * which is the end of the stream.
 */
enum http1_error http2_request_conclude(struct http_message *message, uint8_t *memory, bool ended);

#endif
