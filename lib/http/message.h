/*
 * An HTTP message head as slices into the buffer it was parsed from, and how its body is framed.
 *
 * Version-neutral: http/h1.h and http/h2.h fill it. Knows no connections and no TCP.
 * Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1).
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define HTTP_FIELDS_MAX 128

/* Names Weir looks at while parsing; anything else is HTTP_FIELD_OTHER. One row each. */
#define HTTP_KNOWN_FIELDS(ROW)                                                                                         \
	ROW(OTHER, "")                                                                                                 \
	ROW(HOST, "host")                                                                                              \
	ROW(CONNECTION, "connection")                                                                                  \
	ROW(KEEP_ALIVE, "keep-alive")                                                                                  \
	ROW(PROXY_CONNECTION, "proxy-connection")                                                                      \
	ROW(TRANSFER_ENCODING, "transfer-encoding")                                                                    \
	ROW(CONTENT_LENGTH, "content-length")                                                                          \
	ROW(CONTENT_TYPE, "content-type")                                                                              \
	ROW(EXPECT, "expect")                                                                                          \
	ROW(UPGRADE, "upgrade")                                                                                        \
	ROW(TE, "te")                                                                                                  \
	ROW(TRAILER, "trailer")                                                                                        \
	ROW(DATE, "date")                                                                                              \
	ROW(SERVER, "server")                                                                                          \
	ROW(LOCATION, "location")                                                                                      \
	ROW(REFRESH, "refresh")                                                                                        \
	ROW(USER_AGENT, "user-agent")                                                                                  \
	ROW(REFERER, "referer")                                                                                        \
	ROW(X_FORWARDED_FOR, "x-forwarded-for")                                                                        \
	ROW(COOKIE, "cookie")                                                                                          \
	ROW(AUTHORIZATION, "authorization")                                                                            \
	ROW(ACCEPT_ENCODING, "accept-encoding")                                                                        \
	ROW(LAST_MODIFIED, "last-modified")                                                                            \
	ROW(ETAG, "etag")                                                                                              \
	ROW(X_ACCEL_REDIRECT, "x-accel-redirect")                                                                      \
	ROW(X_ACCEL_EXPIRES, "x-accel-expires")                                                                        \
	ROW(X_ACCEL_LIMIT_RATE, "x-accel-limit-rate")                                                                  \
	ROW(X_ACCEL_BUFFERING, "x-accel-buffering")                                                                    \
	ROW(X_ACCEL_CHARSET, "x-accel-charset")                                                                        \
	ROW(X_PAD, "x-pad")

enum http_field_id {
#define ROW(id, text) HTTP_FIELD_##id,
	HTTP_KNOWN_FIELDS(ROW)
#undef ROW
		HTTP_FIELD_COUNT
};

_Static_assert(HTTP_FIELD_COUNT <= 64, "the set of seen fields is one word");

struct http_field {
	struct bytes name, value; /* value without surrounding white space */
	uint8_t id;               /* enum http_field_id */
};

enum http_method {
	HTTP_METHOD_OTHER,
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_CONNECT,
	HTTP_OPTIONS,
	HTTP_TRACE,
	HTTP_PATCH,
};

enum http_framing {
	HTTP_NO_BODY,
	HTTP_LENGTH, /* content_length bytes */
	HTTP_CHUNKED,
	HTTP_TO_CLOSE, /* responses only */
};

struct http_message {
	/* request */
	struct bytes method_text, target; /* target as sent: "/a?b", "http://h/a", "*" */
	struct bytes authority;           /* host[:port] of an absolute target, else empty */
	struct bytes path,
		query; /* of the target: path still percent-encoded, query without '?'; path is "*" or empty for
				     OPTIONS * and CONNECT, and a constant "/" where an absolute target has none */
	enum http_method method;
	bool has_query;
	/* response */
	uint16_t status;
	struct bytes reason;
	/* both */
	struct bytes start_line; /* without line end, for $request and logs */
	uint8_t version_major;   /* 1 or 2 */
	uint8_t version_minor;   /* 0 or 1: HTTP/1.2 and above are spoken to as 1.1 (RFC 9110 section 2.5) */
	bool keep_alive;         /* by version and Connection */
	bool upgrade;            /* Connection: upgrade and an Upgrade field */
	bool expect_continue;
	bool connection_has_options; /* Connection names fields: they are hop-by-hop (RFC 9110 7.6.1) */
	enum http_framing framing;
	uint64_t content_length; /* with HTTP_LENGTH */
	uint64_t seen;           /* bit per enum http_field_id that occurs in `fields` */
	uint16_t field_count;
	struct http_field fields[HTTP_FIELDS_MAX];
};

/* The first field of that id, or NULL. O(1) misses: a bit set is kept by the parser. */
const struct http_field *http_message_field(const struct http_message *message, enum http_field_id id);
/* By name, ignoring case; NULL when absent. */
const struct http_field *http_message_field_named(const struct http_message *message, struct bytes name);
/* True when the field must not be forwarded: the fixed hop-by-hop names, and what Connection names. Host and
 * Content-Length are never hop-by-hop, whatever Connection says. */
bool http_field_is_hop_by_hop(const struct http_message *message, const struct http_field *field);

/* The next element of a comma-separated list, without surrounding white space; empty elements are passed over (RFC
 * 9110 section 5.6.1.2). Takes it off *list; false at the end. Quoted strings are not known here. */
bool http_list_next(struct bytes *list, struct bytes *element);

/* host[:port] as RFC 3986 writes it, without user information; the host not empty, without "..", the port at most
 * 65535. */
bool http_authority_is_valid(struct bytes authority);

/* nginx's phrase for a status line: "OK" for 200, "Moved Temporarily" for 302; NULL for codes it has none for. */
const char *http_reason(uint16_t status);

enum http_field_id http_field_identify(struct bytes name);
enum http_method http_method_identify(struct bytes text);

#endif
