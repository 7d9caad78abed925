/*
 * A session of ours and a client of OpenSSL's, with the bytes between them in memory: the test says how many arrive.
 */
#ifndef TESTS_TLS_PEER_H
#define TESTS_TLS_PEER_H

#include <openssl/ssl.h>

#include "tls/tls.h"

#define PEER_WIRE_MAX (1 << 20)

struct peer_pipe {
	uint8_t data[PEER_WIRE_MAX];
	size_t len, taken;
	size_t arrived; /* up to here the receiver may see */
};

struct peer {
	struct tls_session *session;
	SSL_CTX *context;
	SSL *ssl;
	struct peer_pipe in, out;         /* towards the session, and from it */
	size_t room;                      /* what the wire takes from the session, in all */
	const struct tls_settings *other; /* chosen when the client asks for b.test */
	char asked[256];                  /* the name that `choose` was given */
	unsigned int chosen;
	uint8_t opened[TLS_ARRIVING_MAX]; /* of the session's records, where they are its own */
	uint32_t opened_len, opened_taken;
	bool ended;
	uint32_t piece; /* these are sealed and opened in pieces of so many bytes; 0: in one */
};

/* Both ends ready, nothing said. `version`: the only one of the client, 0: any; `name`: SNI, NULL: none; `resume` may be
 * NULL. */
struct peer *peer_new(const struct tls_settings *settings, int version, const char *name, SSL_SESSION *resume);
void peer_free(struct peer *peer);

/* The client says what it has to, and it arrives; it hears what the session said. */
void peer_client(struct peer *peer);
/* Handshakes until both are done or one fails: TLS_OK or TLS_FAILED. */
enum tls_status peer_handshake(struct peer *peer);
/* As tls_read() and tls_write(), whoever has the records. Of its own ones the wire has to have room for all. */
enum tls_status peer_read(struct peer *peer, void *out, uint32_t len, uint32_t *got);
enum tls_status peer_write(struct peer *peer, const void *data, uint32_t len);
/* The client's session, with its ticket: to be freed. The handshake is done. */
SSL_SESSION *peer_session(struct peer *peer);
/* A handshake from start to end with that; whether it was resumed. *session, where not NULL, is what the next can resume.
 * Ends the program where the handshake fails. */
bool peer_resumes(const struct tls_settings *settings, int version, const char *name, uint64_t client_options,
		  SSL_SESSION *resume, SSL_SESSION **session);

#endif
