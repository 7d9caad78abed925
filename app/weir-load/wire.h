/*
 * A connection's bytes, with TLS or without: what is written goes as it is or into records, what has come is there to be read
 * as plaintext. On top of tcp.h and tls.h, for the lcore that owns the connection; whoever drives TCP's events has `tcp` for
 * that.
 *
 * With TLS nothing is decrypted before somebody looks at it, and about an mbuf's worth at a time, so that what a slow reader
 * leaves stays with TCP, whose window tells the server.
 */
#ifndef WEIR_LOAD_WIRE_H
#define WEIR_LOAD_WIRE_H

#include "tcp/tcp.h"
#include "tls/sessions.h"
#include "tls/tls.h"

/* How TLS is spoken with the server. */
struct wire_tls {
	const struct tls_client *client; /* NULL: not at all */
	struct bytes name;               /* of the server; at most TLS_NAME_MAX */
	struct tls_sessions *sessions;   /* the lcore's; NULL: every handshake is a full one */
};

struct wire {
	struct tcp_connection *tcp; /* NULL: none */
	struct tls_session *tls;    /* NULL: no TLS, or not begun */
	struct tcp_queue in;        /* plaintext that has come */
	bool ended;                 /* close_notify has come */
	bool failed;                /* the server does not speak TLS well, or memory is short */
};

/* After TCP_CONNECTED, and for each event until it says other than TLS_WAIT; where it fails tls_problem() says why. Without
 * TLS it is TLS_OK at once. */
enum tls_status wire_handshake(struct wire *wire, const struct wire_tls *tls);

/* Returns how many bytes were taken; where not all were, TCP_WRITABLE says when to try again. */
uint32_t wire_write(struct wire *wire, const void *data, uint32_t len);

/* The first run of what can be read; empty: nothing (any more). */
struct bytes wire_peek(struct wire *wire);
/* The first `len` bytes of what can be read, or all of it. */
uint32_t wire_peek_copy(struct wire *wire, void *out, uint32_t len);
/* At most as many as there were to see. */
void wire_consume(struct wire *wire, uint32_t len);

/* FIN, or RST; the wire is as new. */
void wire_close(struct wire *wire);
void wire_abort(struct wire *wire);

#endif
