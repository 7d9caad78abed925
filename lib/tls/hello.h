/*
 * The client's first words (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), read without taking part: which name, protocols
 * and version it asks for, so that a connection can be routed that is not terminated.
 *
 * Pure, any lcore; nothing is kept between calls, so a hello in pieces is read from its beginning again, once `need` bytes are
 * there. A hello may be spread over records as it likes.
 */
#ifndef TLS_HELLO_H
#define TLS_HELLO_H

#include <stdint.h>

#include "base/bytes.h"

enum tls_hello_result {
	TLS_HELLO_MORE,
	TLS_HELLO_DONE,
	TLS_HELLO_NONE, /* it is none, or broken: all is empty then */
};

struct tls_hello {
	uint32_t need;    /* MORE: so many bytes of the connection at least */
	uint16_t version; /* the highest that the client speaks, as on the wire: 0x0304 is TLS 1.3 */
	uint8_t name_len;
	uint16_t protocols_len;
	char name[255];      /* server_name (RFC 6066), as sent */
	char protocols[255]; /* ALPN (RFC 7301): "h2,http/1.1"; those that fit */
};

enum tls_hello_result tls_hello_parse(struct bytes in, struct tls_hello *out);
/* "TLSv1.3"; "" where it has no name. Static. */
const char *tls_hello_version_name(const struct tls_hello *hello);

#endif
