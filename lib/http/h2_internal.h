/*
 * What the files of HTTP/2 share: a session around nghttp2's, of either role. Private to the room.
 */
#ifndef HTTP_H2_INTERNAL_H
#define HTTP_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "http/h2.h"
#include "http/h2_frames.h"
#include "http/h2_streams.h"

#define HTTP2_FIELDS_MAX 256 /* that are written, of a head or of trailers */

struct http2_budget {
	uint32_t left, burst, per_second, per_message;
};

#define HTTP2_EARLY_MAX 32

/*
 * Streams of a client that were answered before it had said all. Such a client is told to stop (RFC 9113 section 8.1), but not before
 * what it sent without knowing has come: that may be wrong, or the end, and is for its stream and not for one that is no more. A
 * PING behind the answers tells, as its answer comes behind all that.
 */
struct http2_early {
	int32_t ids[HTTP2_EARLY_MAX];
	uint8_t count;
	uint8_t asked; /* the first so many: the PING that has gone is behind their answers; 0: none has gone */
};

struct http2_session {
	nghttp2_session *nghttp2;
	const struct http2_events *events;
	void *user;
	const char *problem;
	bool is_client;
	bool in_trailers;  /* of the fields that come: no head has begun with them */
	bool has_trailers; /* of the stream whose body() is asked */
	bool is_dribble;   /* what it gave is little, as there is no window for more */
	enum http2_flood flooded;
	uint32_t broken; /* the code of a connection error that nghttp2 lets pass; 0: none */
	struct http2_frames frames;
	struct http2_streams streams; /* of a client, as the next too */
	struct http2_early early;
	uint64_t refilled_ns; /* budgets, last */
	struct http2_budget budgets[HTTP2_FLOOD_COUNT];
};

/* Of either role, with these SETTINGS to be sent. NULL when memory is short. */
struct http2_session *http2_session_make(bool is_client, const struct http2_config *config,
					 const nghttp2_settings_entry *settings, size_t setting_count,
					 const struct http2_events *events, void *user, uint64_t now_ns);

/* From a budget. False: there is nothing left in it, and the connection ends. */
bool http2_charge(struct http2_session *session, enum http2_flood kind);

/* A client's next frame, of which nghttp2 has seen nothing: the error that it is and that nghttp2 will not see, because it reads no
 * priorities, or has forgotten the stream. 0: none. */
uint32_t http2_server_error_of(struct http2_session *session, const struct http2_frame *frame);
/* A client's stream has been answered in whole; and a PING of ours. */
void http2_server_answered(struct http2_session *session, int32_t id);
void http2_server_pong(struct http2_session *session, const uint8_t *word);

/* Fields that speak of a connection: not in HTTP/2 (RFC 9113 section 8.2.2). */
#define HTTP2_NOT_IN_HEADS                                                                                             \
	(1ull << HTTP_FIELD_CONNECTION | 1ull << HTTP_FIELD_KEEP_ALIVE | 1ull << HTTP_FIELD_PROXY_CONNECTION |         \
	 1ull << HTTP_FIELD_TRANSFER_ENCODING | 1ull << HTTP_FIELD_UPGRADE)

/* Field lines of HTTP/1 but those `left_out`, 1 << enum http_field_id, into nv[] from nv[*count] on. False: too many. */
bool http2_read_lines(struct bytes text, uint64_t left_out, nghttp2_nv *nv, size_t *count);
/* Asks body() and body_send(). */
extern const nghttp2_data_provider http2_body;

/* A field that has come, its value then without white space around it, as a line of HTTP/1 could have it: h2_request.c. */
enum http1_error http2_check_field(struct bytes name, struct bytes *value);

static inline bool
http2_is_pseudo(struct bytes name)
{
	return name.len && name.data[0] == ':';
}

/* NULL: there are too many. */
struct http_field *http2_field_add(struct http_message *message, struct bytes name, struct bytes value);

static inline nghttp2_nv
http2_field(const char *name, struct bytes value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.data, __builtin_strlen(name),
			     value.len, NGHTTP2_NV_FLAG_NONE };
}

#endif
