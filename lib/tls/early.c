/*
 * Early data (0-RTT, RFC 8446 section 2.3) from clients: what a client that resumes says in its first flight is read, and
 * answered, before its handshake is done, that is before it has proved that the flight is not somebody's copy of it.
 *
 * So a request may be a replay. As in nginx nothing is kept to find that out: a fleet that shares ticket keys is one server to
 * its clients, and no host of it can know what another has seen. OpenSSL takes a flight only within ten seconds of when its
 * ticket says it was made; within these, and beyond what is harmless when it is done twice, it is the server's to look at
 * `Early-Data: 1` and to answer 425 (RFC 8470).
 *
 * The rest of the handshake (the client's Finished, the next tickets) is done by tls_read() when it comes.
 */
#include "tls/internal.h"

void
tls_early_allow(SSL *ssl, bool allowed)
{
	SSL_set_max_early_data(ssl, allowed ? TLS_EARLY_MAX : 0);
}

/* A byte is read with the handshake, as OpenSSL tells by no other sign that there is data. */
int
tls_early_handshake(struct tls_session *session)
{
	size_t got;

	switch (SSL_read_early_data(session->ssl, &session->early_first, 1, &got)) {
	case SSL_READ_EARLY_DATA_SUCCESS:
		session->early = TLS_EARLY_FIRST;
		return 1;
	case SSL_READ_EARLY_DATA_FINISH:
		session->early = TLS_EARLY_NONE;
		return SSL_do_handshake(session->ssl);
	default:
		return 0;
	}
}

/* The client's, until it says that there is no more. */
static enum tls_status
read_data(struct tls_session *session, void *out, uint32_t len, uint32_t *got)
{
	size_t read = 0;

	switch (SSL_read_early_data(session->ssl, out, len, &read)) {
	case SSL_READ_EARLY_DATA_SUCCESS:
		*got = (uint32_t)read;
		return TLS_OK;
	case SSL_READ_EARLY_DATA_FINISH:
		session->early = TLS_EARLY_READ;
		return TLS_ENDED;
	default:
		return tls_status_of(session, 0, "SSL_read_early_data() failed");
	}
}

enum tls_status
tls_early_read(struct tls_session *session, void *out, uint32_t len, uint32_t *got)
{
	enum tls_status status;
	int result;

	*got = 0;
	if (session->early == TLS_EARLY_FIRST) {
		*(uint8_t *)out = session->early_first;
		*got = 1;
		session->early = TLS_EARLY_READING;
		return TLS_OK;
	}
	if (session->early == TLS_EARLY_READING && (status = read_data(session, out, len, got)) != TLS_ENDED)
		return status;
	result = SSL_do_handshake(session->ssl);
	if (result != 1)
		return tls_status_of(session, result, "SSL_do_handshake() failed");
	session->early = TLS_EARLY_NONE;
	tls_handshake_done(session);
	return tls_has_own_records(session) ? TLS_OK : tls_read(session, out, len, got);
}

int
tls_early_write(struct tls_session *session, const void *data, uint32_t len)
{
	size_t written;

	return SSL_write_early_data(session->ssl, data, len, &written);
}

bool
tls_is_early(const struct tls_session *session)
{
	return session->early > TLS_EARLY_WAITED_FOR;
}
