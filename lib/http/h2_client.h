/*
 * HTTP/2, a client's side of a connection: as h2.h says it of a server's, with the two roles exchanged. What comes are answers:
 *
 *     begin       is not called: a stream is what http2_request() was given for it
 *     head        for each head, those below 200 included; behind the last, the fields that come are trailers
 *     settings    the server has said how many requests it takes at once
 *     closed      with REFUSED_STREAM where the server has not looked at the request, and it may be made again: it said so, or
 *                 has said GOAWAY, before or after the request had gone
 *
 * Resets of streams are no flood here: there is one for each request at most. There is no server push.
 */
#ifndef HTTP_H2_CLIENT_H
#define HTTP_H2_CLIENT_H

#include "http/h2.h"

/* With our preface and SETTINGS to be sent; config->streams_max has no meaning. NULL when memory is short. */
struct http2_session *http2_client_new(const struct http2_config *config, const struct http2_events *events, void *user,
				       uint64_t now_ns);

/*
 * A request, from HTTP/1.1's form: a start line with a method and a target, fields, an empty line. Host becomes :authority
 * (RFC 9113 section 8.3.1); all else as in http2_answer(). `has_body`: body() is asked from now on. Returns the stream's
 * number, which is positive; less: no memory, too many fields, or no start line.
 */
int32_t http2_request(struct http2_session *session, void *stream, struct bytes scheme, struct bytes head,
		      bool has_body);

/* There may be further requests: the server has not said GOAWAY, and there are numbers left. */
bool http2_may_request(const struct http2_session *session);
/* How many the server takes at once; before its SETTINGS have come, a guess. */
uint32_t http2_requests_max(const struct http2_session *session);
/* All of the request has gone. */
bool http2_request_went(const struct http2_session *session, int32_t id);

/* ---- answers: h2_response.c ---- */

/* Fields of a head, as they come, into a message that was zeroed up to `fields`; as http2_request_field(). */
enum http1_error http2_response_field(struct http_message *message, struct bytes name, struct bytes value);
/* All of them have come: what they mean, as http1_parse_response() says it. `ended`: no content follows; else it is of
 * HTTP_TO_CLOSE, up to the end of the stream, whatever Content-Length says: nghttp2 holds the server to that. */
void http2_response_conclude(struct http_message *message, bool to_head, bool ended);

#endif
