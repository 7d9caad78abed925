/*
 * HTTP/1.x codec: bytes in; heads, body slices and a count out. No I/O, no allocation, any lcore.
 *
 * Strict where leniency smuggles requests (RFC 9112 sections 2.2, 5.1, 6.1, 6.3, 7.1, 11.2): bare CR, bare LF, NUL and
 * other control characters, white space before the colon, obs-fold, a Content-Length that is not one number,
 * Content-Length beside Transfer-Encoding, Transfer-Encoding in HTTP/1.0, codings other than one chunked.
 *
 * As nginx where that is safe: one empty line before a request, several spaces between the parts of a request line and
 * behind it, methods of A-Z, '-' and '_' only, any byte above 0x20 but DEL in a target, a fragment in a target dropped
 * from path and query, HTTP/1.2 to 1.9 taken as 1.1, HTTP/2.0 and above answered 505. HTTP/0.9 is refused.
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include "http/message.h"

/* Why a head or body was refused. One row each; the text goes to the error log and names the counter. */
#define HTTP1_ERRORS(ROW)                                                                                              \
	ROW(NONE, 0, "ok")                                                                                             \
	ROW(BAD_METHOD, 400, "invalid_method")                                                                         \
	ROW(BAD_TARGET, 400, "invalid_request_target")                                                                 \
	ROW(BAD_VERSION, 400, "invalid_version")                                                                       \
	ROW(UNSUPPORTED_VERSION, 505, "unsupported_version")                                                           \
	ROW(BAD_START_LINE, 400, "invalid_start_line")                                                                 \
	ROW(BAD_FIELD_NAME, 400, "invalid_field_name")                                                                 \
	ROW(BAD_FIELD_VALUE, 400, "invalid_field_value")                                                               \
	ROW(OBSOLETE_FOLD, 400, "folded_line")                                                                         \
	ROW(BARE_LINE_FEED, 400, "bare_line_feed")                                                                     \
	ROW(TOO_MANY_FIELDS, 400, "too_many_fields")                                                                   \
	ROW(NO_HOST, 400, "no_host")                                                                                   \
	ROW(BAD_HOST, 400, "invalid_host")                                                                             \
	ROW(BAD_CONTENT_LENGTH, 400, "invalid_content_length")                                                         \
	ROW(LENGTH_AND_CHUNKED, 400, "content_length_and_transfer_encoding")                                           \
	ROW(BAD_TRANSFER_ENCODING, 400, "invalid_transfer_encoding")                                                   \
	ROW(UNKNOWN_TRANSFER_ENCODING, 501, "unknown_transfer_encoding")                                               \
	ROW(BAD_CHUNK, 400, "invalid_chunk")                                                                           \
	ROW(BAD_TRAILER, 400, "invalid_trailer")                                                                       \
	ROW(BAD_STATUS, 502, "invalid_status_line")

enum http1_error {
#define ROW(name, status, text) HTTP1_##name,
	HTTP1_ERRORS(ROW)
#undef ROW
		HTTP1_ERROR_COUNT
};

extern const char *const http1_error_names[HTTP1_ERROR_COUNT];
/* What a client is answered when its request is refused. A refused response is 502 to the client, whatever the row
 * says. */
extern const uint16_t http1_error_status[HTTP1_ERROR_COUNT];

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_BAD };

/*
 * Parse the head in data[0..len). `*scanned` (0 at first) remembers how far earlier calls looked for the end of the
 * head, so that a head that comes byte by byte costs linear time. DONE: *head_len bytes are the head with its empty
 * line, the slices in `message` point into `data`. BAD: *error says why. Up to one empty line before a request is
 * skipped (RFC 9112 section 2.2). The caller bounds `len` and answers what is too long.
 */
enum http1_result http1_parse_request(struct http_message *message, const uint8_t *data, size_t len, size_t *scanned,
				      size_t *head_len, enum http1_error *error);

/* The same for a response. `to_head`: it answers a HEAD request, so it has no body (RFC 9112 section 6.3). 1xx
 * responses are returned like any other head, with no body. White space before a colon is taken off (section 5.1);
 * Content-Length may be repeated with the same value. */
enum http1_result http1_parse_response(struct http_message *message, const uint8_t *data, size_t len, size_t *scanned,
				       size_t *head_len, bool to_head, enum http1_error *error);

/* How much of an unfinished head is the start line, its line end and an empty line before it included (to tell 414
 * from 431): 0 when its end has not come. */
size_t http1_start_line_len(const uint8_t *data, size_t len);

/* ---- bodies ---- */

#define HTTP1_CHUNK_LINE_MAX 4096      /* bytes of a chunk-size line behind the digits */
#define HTTP1_TRAILERS_MAX (16 * 1024) /* bytes of trailer lines, line ends included */

struct http1_body {
	enum http_framing framing;
	uint8_t state;
	uint8_t size_digits;
	uint16_t line_len;    /* of the chunk extension so far, bounded */
	uint32_t trailer_len; /* bytes of trailer section seen, bounded */
	uint64_t left;        /* of the body, or of the current chunk */
};

void http1_body_init(struct http1_body *body, const struct http_message *message);

/*
 * Looks at data[0..len) and says what its beginning is. Consumes *consumed bytes, of which data[*offset ..
 * *offset+*size) are body content (size may be 0: framing only). DONE: the body ended at *consumed, this content
 * included; what is behind is the next message. MORE: call again with what is behind *consumed, at once where that is
 * not empty, else when more has come; with len > 0 it always consumes. BAD: what was consumed before the error is
 * still content. Trailers are consumed, checked and dropped; a proxy may discard them (RFC 9110 section 6.5.1).
 */
enum http1_result http1_body_decode(struct http1_body *body, const uint8_t *data, size_t len, size_t *consumed,
				    size_t *offset, size_t *size, enum http1_error *error);

/* True when the sender may close now without truncating (HTTP_TO_CLOSE, or already DONE). */
bool http1_body_may_end(const struct http1_body *body);

/* Chunk framing for sending: "1a2b\r\n" into out (at least 18 bytes), returns its length. */
#define HTTP1_CHUNK_HEAD_MAX 18
/* With the CRLF behind a chunk, and the last chunk. */
#define HTTP1_CHUNK_FRAMING (HTTP1_CHUNK_HEAD_MAX + 2 + 5)
size_t http1_chunk_head(uint8_t *out, uint64_t size);

#endif
