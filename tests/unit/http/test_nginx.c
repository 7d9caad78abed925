/*
 * Every row was sent to nginx 1.22.1, as a proxy with its default settings; `nginx` is the status it answered with
 * (200 for what it passed on). Where Weir answers otherwise, the row says why.
 */
#include "parse.h"

static const struct row {
	struct bytes raw;
	uint16_t nginx;
	enum http1_error weir;
	const char *deviation;
} rows[] = {
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_BAD_METHOD,
	  "one empty line is enough for the clients that send it (RFC 9112 section 2.2)" },
	{ BYTES("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_BARE_LINE_FEED, "bare line feed" },
	{ BYTES(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1  \r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET /a\001b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET /a\177b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET /\303\251 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET /a\000b HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET /{|}^`\"<>\\ HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET /\r\n\r\n"), 200, HTTP1_BAD_VERSION, "HTTP/0.9 cannot say that an answer is complete" },
	{ BYTES("GET /\r\n"), 200, HTTP1_BAD_VERSION, "HTTP/0.9 cannot say that an answer is complete" },
	{ BYTES("GET / \r\n\r\n"), 200, HTTP1_BAD_VERSION, "HTTP/0.9 cannot say that an answer is complete" },
	{ BYTES("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("Get / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("FOO / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("A_B / HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET2 / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("G!T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("GET HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_NONE,
	  "asterisk-form is valid (RFC 9112 section 3.2.4)" },
	{ BYTES("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), 400, HTTP1_NONE,
	  "authority-form is valid (RFC 9112 section 3.2.3); the proxy answers 405" },
	{ BYTES("CONNECT / HTTP/1.1\r\nHost: a:443\r\n\r\n"), 405, HTTP1_BAD_TARGET,
	  "CONNECT has authority-form only" },
	{ BYTES("GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET http://b?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET http://b#x HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET http://b:8080/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET http://b:/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET http://b:99999/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_BAD_TARGET, "no such port" },
	{ BYTES("GET http://b:x/c HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET http://u@b/c HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET http:///c HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
	{ BYTES("GET http://[::1]/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET http://b_c/d HTTP/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_NONE,
	  "RFC 3986 allows the underscore, and nginx itself does in Host" },
	{ BYTES("GET HTTP://B/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET https://b/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET ftp://b/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_BAD_TARGET,
	  "not for an HTTP proxy to answer" },
	{ BYTES("GET http://b/c HTTP/1.1\r\n\r\n"), 400, HTTP1_NO_HOST, NULL },
	{ BYTES("GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / http/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), 200, HTTP1_BAD_VERSION,
	  "DIGIT \".\" DIGIT (RFC 9112 section 2.3)" },
	{ BYTES("GET / HTTP/1.01\r\nHost: a\r\n\r\n"), 200, HTTP1_BAD_VERSION,
	  "DIGIT \".\" DIGIT (RFC 9112 section 2.3)" },
	{ BYTES("GET / HTTP/01.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505, HTTP1_UNSUPPORTED_VERSION, NULL },
	{ BYTES("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), 505, HTTP1_UNSUPPORTED_VERSION, NULL },
	{ BYTES("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/1.\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/11\r\nHost: a\r\n\r\n"), 505, HTTP1_BAD_VERSION,
	  "DIGIT \".\" DIGIT (RFC 9112 section 2.3)" },
	{ BYTES("GET / HTTX/1.1\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/1.1\nHost: a\n\n"), 200, HTTP1_BARE_LINE_FEED, "bare line feed" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\n\r\n"), 200, HTTP1_BARE_LINE_FEED, "bare line feed" },
	{ BYTES("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400, HTTP1_BAD_VERSION, NULL },
	{ BYTES("GET / HTTP/1.0\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\n\r\n"), 400, HTTP1_NO_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.0\r\nHost:\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), 200, HTTP1_BAD_HOST,
	  "user information can hide the host from an eye or a filter" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a..b\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: .\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a.\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: .a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a:80:90\r\n\r\n"), 200, HTTP1_BAD_HOST, "not host[:port]" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), 200, HTTP1_BAD_HOST, "not host[:port]" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), 200, HTTP1_BAD_HOST, "no such port" },
	{ BYTES("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 200, HTTP1_BAD_HOST, "not host[:port]" },
	{ BYTES("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 200, HTTP1_BAD_HOST, "not host[:port]" },
	{ BYTES("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), 400, HTTP1_BAD_HOST, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a_b\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: \351\r\n\r\n"), 200, HTTP1_BAD_HOST,
	  "not a registered name (RFC 3986 section 3.2.2)" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"), 200, HTTP1_BAD_HOST,
	  "ends an authority: the server behind may see another host" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"), 200, HTTP1_BAD_HOST,
	  "ends an authority: the server behind may see another host" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a<b\r\n\r\n"), 200, HTTP1_BAD_HOST,
	  "not a registered name (RFC 3986 section 3.2.2)" },
	{ BYTES("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400, HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400, HTTP1_OBSOLETE_FOLD, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"), 400, HTTP1_OBSOLETE_FOLD, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"), 400, HTTP1_OBSOLETE_FOLD, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n"), 400, HTTP1_OBSOLETE_FOLD, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n"), 400, HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX\t: a\r\n\r\n"), 400, HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"), 200, HTTP1_BAD_FIELD_NAME,
	  "nginx takes it for a field without a value" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n"), 400, HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX@Y: a\r\n\r\n"), 200, HTTP1_BAD_FIELD_NAME,
	  "nginx drops the field, which hides it from filters only" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX(Y: a\r\n\r\n"), 200, HTTP1_BAD_FIELD_NAME,
	  "nginx drops the field, which hides it from filters only" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX!Y: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX_Y: a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX\200: a\r\n\r\n"), 200, HTTP1_BAD_FIELD_NAME,
	  "nginx drops the field, which hides it from filters only" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX\000: a\r\n\r\n"), 400, HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX:a\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX:\ta\t\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\000b\r\n\r\n"), 400, HTTP1_BAD_FIELD_VALUE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\001b\r\n\r\n"), 200, HTTP1_BAD_FIELD_VALUE,
	  "control characters are refused (RFC 9110 section 5.5)" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\177b\r\n\r\n"), 200, HTTP1_BAD_FIELD_VALUE,
	  "control characters are refused (RFC 9110 section 5.5)" },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"), 400, HTTP1_BAD_FIELD_VALUE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: \351\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\nx"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \r\n\r\nx"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,\r\n\r\nx"), 400, HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 400,
	  HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"), 400,
	  HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx"), 400,
	  HTTP1_BAD_CONTENT_LENGTH, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\nx"), 400, HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\nx"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:chunked\r\n\r\n0\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"), 501, HTTP1_NONE,
	  "a tab is white space around a value (RFC 9110 section 5.6.3)" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"), 501, HTTP1_NONE,
	  "a tab is white space around a value (RFC 9110 section 5.6.3)" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\013chunked\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_BAD_FIELD_VALUE, "the same refusal, as a control character" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400,
	  HTTP1_BAD_FIELD_NAME, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_BAD_TRANSFER_ENCODING,
	  "the same refusal, by a different name: RFC 9112 section 6.3 wants 400 where chunked is not last and once" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_BAD_TRANSFER_ENCODING,
	  "the same refusal, by a different name: RFC 9112 section 6.3 wants 400 where chunked is not last and once" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		"chunked\r\n\r\n0\r\n\r\n"),
	  400, HTTP1_BAD_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		"identity\r\n\r\n0\r\n\r\n"),
	  400, HTTP1_BAD_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_BAD_TRANSFER_ENCODING,
	  "the same refusal, by a different name: RFC 9112 section 6.3 wants 400 where chunked is not last and once" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"), 501,
	  HTTP1_UNKNOWN_TRANSFER_ENCODING, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"), 501, HTTP1_BAD_TRANSFER_ENCODING,
	  "the same refusal, by a different name: RFC 9112 section 6.3 wants 400 where chunked is not last and once" },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400,
	  HTTP1_OBSOLETE_FOLD, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400,
	  HTTP1_LENGTH_AND_CHUNKED, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400,
	  HTTP1_LENGTH_AND_CHUNKED, NULL },
	{ BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n"), 501,
	  HTTP1_LENGTH_AND_CHUNKED, "the same refusal, for having both" },
	{ BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, HTTP1_BAD_TRANSFER_ENCODING,
	  NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n"), 200, HTTP1_NONE, NULL },
	{ BYTES("\026\003\001\002\000\001\000\001\374\003\003"), 400, HTTP1_BAD_METHOD, NULL },
	{ BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, HTTP1_BAD_TARGET, NULL },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct http_message message;

static void
every_request_is_answered_as_nginx_does_or_as_its_row_explains(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		size_t head_len;
		enum http1_error error = parse_request(&message, row->raw, &head_len);
		unsigned int status = error ? http1_error_status[error] : 200;

		if (error != row->weir)
			fail_msg("row %zu: %s, expected %s: %s", i, http1_error_names[error],
				 http1_error_names[row->weir], (const char *)row->raw.data);
		if ((status == row->nginx) != (row->deviation == NULL))
			fail_msg("row %zu: status %u beside nginx's %u is not explained", i, status, row->nginx);
	}
}

/* The same answer, however the bytes come: in two pieces at every place, and one by one. */
static void
a_split_request_is_answered_like_a_whole_one(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		struct bytes raw = rows[i].raw;
		for (size_t split = 1; split <= raw.len; split++) {
			size_t scanned = 0, head_len;
			enum http1_error error = HTTP1_NONE;
			if (http1_parse_request(&message, raw.data, split, &scanned, &head_len, &error) == HTTP1_MORE)
				http1_parse_request(&message, raw.data, raw.len, &scanned, &head_len, &error);
			if (error != rows[i].weir)
				fail_msg("row %zu split at %zu: %s", i, split, http1_error_names[error]);
		}
		size_t scanned = 0, head_len;
		enum http1_error error = HTTP1_NONE;
		enum http1_result result = HTTP1_MORE;
		for (size_t len = 1; len <= raw.len && result == HTTP1_MORE; len++)
			result = http1_parse_request(&message, raw.data, len, &scanned, &head_len, &error);
		assert_int_equal(error, rows[i].weir);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_is_answered_as_nginx_does_or_as_its_row_explains),
		cmocka_unit_test(a_split_request_is_answered_like_a_whole_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
