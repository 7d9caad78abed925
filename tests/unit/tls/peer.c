#include "peer.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
stop(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static uint32_t
take(void *wire, void *out, uint32_t len)
{
	struct peer_pipe *pipe = &((struct peer *)wire)->in;
	size_t left = pipe->arrived - pipe->taken;

	if (len > left)
		len = (uint32_t)left;
	memcpy(out, pipe->data + pipe->taken, len);
	pipe->taken += len;
	return len;
}

static uint32_t
give(void *wire, const void *data, uint32_t len)
{
	struct peer *peer = wire;

	if (len > peer->room)
		len = (uint32_t)peer->room;
	if (peer->out.len + len > PEER_WIRE_MAX)
		stop("the wire is full");
	memcpy(peer->out.data + peer->out.len, data, len);
	peer->out.len += len;
	peer->room -= len;
	return len;
}

static const struct tls_settings *settings_of_peer;

static const struct tls_settings *
choose(void *wire, struct bytes name)
{
	struct peer *peer = wire;

	peer->chosen++;
	snprintf(peer->asked, sizeof(peer->asked), "%.*s", (int)name.len, (const char *)name.data);
	return peer->other && strcmp(peer->asked, "b.test") == 0 ? peer->other : settings_of_peer;
}

static struct bytes
protocols(void *wire)
{
	return (struct bytes)BYTES("\x08http/1.1");
}

struct peer *
peer_new(const struct tls_settings *settings, int version, const char *name, SSL_SESSION *resume)
{
	static const struct tls_ends ends = { take, give, choose, protocols };
	struct peer *peer = calloc(1, sizeof(*peer));

	settings_of_peer = settings;
	peer->room = SIZE_MAX;
	peer->session = tls_accept(settings, &ends, peer);
	peer->context = SSL_CTX_new(TLS_client_method());
	peer->ssl = peer->context ? SSL_new(peer->context) : NULL;
	if (!peer->session || !peer->ssl)
		stop("no session");
	if (version) {
		SSL_set_min_proto_version(peer->ssl, version);
		SSL_set_max_proto_version(peer->ssl, version);
	}
	SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(peer->ssl);
	if (name)
		SSL_set_tlsext_host_name(peer->ssl, name);
	if (resume)
		SSL_set_session(peer->ssl, resume);
	return peer;
}

void
peer_free(struct peer *peer)
{
	tls_free(peer->session);
	SSL_free(peer->ssl);
	SSL_CTX_free(peer->context);
	free(peer);
}

void
peer_client(struct peer *peer)
{
	struct peer_pipe *in = &peer->in, *out = &peer->out;
	int got;

	BIO_write(SSL_get_rbio(peer->ssl), out->data + out->taken, (int)(out->len - out->taken));
	out->taken = out->len;
	if (!SSL_is_init_finished(peer->ssl))
		SSL_do_handshake(peer->ssl);
	while ((got = BIO_read(SSL_get_wbio(peer->ssl), in->data + in->len, (int)(PEER_WIRE_MAX - in->len))) > 0)
		in->len += (size_t)got;
	ERR_clear_error();
}

enum tls_status
peer_handshake(struct peer *peer)
{
	enum tls_status status = TLS_WAIT;

	for (int i = 0; i < 8 && status == TLS_WAIT; i++) {
		peer_client(peer);
		peer->in.arrived = peer->in.len;
		status = tls_handshake(peer->session);
	}
	peer_client(peer);
	return status;
}

static unsigned int
pieces_of(const struct peer *peer, void *data, size_t len, struct iovec *pieces)
{
	size_t most = peer->piece ? peer->piece : len;
	unsigned int count = 0;

	do {
		size_t run = len < most ? len : most;

		pieces[count++] = (struct iovec){ data, run };
		data = (uint8_t *)data + run;
		len -= run;
	} while (len);
	return count;
}

/* Up to one that brings something. */
static enum tls_status
open_next(struct peer *peer)
{
	static struct iovec in[TLS_ARRIVING_MAX], out[TLS_ARRIVING_MAX];
	struct peer_pipe *pipe = &peer->in;
	uint8_t *record = pipe->data + pipe->taken;
	size_t there = pipe->arrived - pipe->taken;
	enum tls_status status;
	uint32_t size, got;

	peer->opened_len = peer->opened_taken = 0;
	if (there < TLS_HEADER_SIZE)
		return TLS_WAIT;
	status = tls_arriving(peer->session, record, &size);
	if (status != TLS_OK || there < size)
		return status == TLS_OK ? TLS_WAIT : status;
	status = tls_open(peer->session, in, pieces_of(peer, record, size, in), out,
			  pieces_of(peer, peer->opened, size - TLS_HEADER_SIZE, out), &got);
	pipe->taken += size;
	if (status == TLS_OK)
		peer->opened_len = got;
	peer->ended = status == TLS_ENDED;
	return status == TLS_WAIT ? open_next(peer) : status;
}

enum tls_status
peer_read(struct peer *peer, void *out, uint32_t len, uint32_t *got)
{
	enum tls_status status = TLS_OK;

	if (!tls_has_own_records(peer->session))
		return tls_read(peer->session, out, len, got);
	if (peer->opened_taken == peer->opened_len)
		status = peer->ended ? TLS_ENDED : open_next(peer);
	if (status != TLS_OK)
		return status;
	*got = peer->opened_len - peer->opened_taken;
	*got = *got < len ? *got : len;
	memcpy(out, peer->opened + peer->opened_taken, *got);
	peer->opened_taken += *got;
	return TLS_OK;
}

enum tls_status
peer_write(struct peer *peer, const void *data, uint32_t len)
{
	static struct iovec in[TLS_ARRIVING_MAX], out[TLS_ARRIVING_MAX];
	static uint8_t record[TLS_ARRIVING_MAX];
	enum tls_status status;
	uint32_t size;

	if (!tls_has_own_records(peer->session))
		return tls_write(peer->session, data, len);
	size = tls_sealed_size(peer->session, len);
	if (size > len + TLS_RECORD_OVERHEAD)
		stop("the overhead is more than was said");
	status = tls_seal(peer->session, in, pieces_of(peer, (void *)(uintptr_t)data, len, in), len, out,
			  pieces_of(peer, record, size, out));
	if (status == TLS_OK && give(peer, record, size) != size)
		stop("the wire is full");
	return status;
}

SSL_SESSION *
peer_session(struct peer *peer)
{
	char byte;

	/* The tickets of TLS 1.3 come behind the handshake. */
	if (SSL_read(peer->ssl, &byte, 1) > 0)
		stop("data that nobody sent");
	ERR_clear_error();
	return SSL_get1_session(peer->ssl);
}

bool
peer_resumes(const struct tls_settings *settings, int version, const char *name, uint64_t client_options,
	     SSL_SESSION *resume, SSL_SESSION **session)
{
	struct peer *peer = peer_new(settings, version, name, resume);
	bool resumed;

	SSL_set_options(peer->ssl, client_options);
	if (peer_handshake(peer) != TLS_OK || !SSL_is_init_finished(peer->ssl))
		stop(tls_problem());
	resumed = tls_resumed(peer->session);
	if (resumed != (SSL_session_reused(peer->ssl) == 1))
		stop("the two ends do not agree");
	if (session)
		*session = peer_session(peer);
	SSL_set_shutdown(peer->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	peer_free(peer);
	return resumed;
}
