#include "http/message.h"

/* The phrases are nginx's, which clients and scripts have come to match on; they differ from RFC 9110's here and
 * there. */
const char *
http_reason(uint16_t status)
{
	switch (status) {
#define ROW(code, phrase)                                                                                              \
	case code:                                                                                                     \
		return phrase;
		ROW(100, "Continue")
		ROW(101, "Switching Protocols")
		ROW(200, "OK")
		ROW(201, "Created")
		ROW(202, "Accepted")
		ROW(204, "No Content")
		ROW(206, "Partial Content")
		ROW(301, "Moved Permanently")
		ROW(302, "Moved Temporarily")
		ROW(303, "See Other")
		ROW(304, "Not Modified")
		ROW(307, "Temporary Redirect")
		ROW(308, "Permanent Redirect")
		ROW(400, "Bad Request")
		ROW(401, "Unauthorized")
		ROW(402, "Payment Required")
		ROW(403, "Forbidden")
		ROW(404, "Not Found")
		ROW(405, "Not Allowed")
		ROW(406, "Not Acceptable")
		ROW(408, "Request Time-out")
		ROW(409, "Conflict")
		ROW(410, "Gone")
		ROW(411, "Length Required")
		ROW(412, "Precondition Failed")
		ROW(413, "Request Entity Too Large")
		ROW(414, "Request-URI Too Large")
		ROW(415, "Unsupported Media Type")
		ROW(416, "Requested Range Not Satisfiable")
		ROW(421, "Misdirected Request")
		ROW(429, "Too Many Requests")
		ROW(500, "Internal Server Error")
		ROW(501, "Not Implemented")
		ROW(502, "Bad Gateway")
		ROW(503, "Service Temporarily Unavailable")
		ROW(504, "Gateway Time-out")
		ROW(505, "HTTP Version Not Supported")
		ROW(507, "Insufficient Storage")
#undef ROW
	default:
		return NULL;
	}
}
