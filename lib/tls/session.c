#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tls/internal.h"

static uint32_t
record_bound(const struct tls_settings *settings)
{
	size_t size = settings->buffer_size;

	return (uint32_t)(size < TLS_RECORD_MIN ? TLS_RECORD_MIN : size > TLS_RECORD_MAX ? TLS_RECORD_MAX : size);
}

struct tls_session *
tls_session_new(SSL_CTX *context, const struct tls_ends *ends, void *wire)
{
	struct tls_session *session = calloc(1, sizeof(*session));
	BIO *bio;

	if (!session)
		return NULL;
	session->ends = ends;
	session->wire = wire;
	session->record_max = TLS_RECORD_MAX;
	session->ssl = SSL_new(context);
	bio = session->ssl ? tls_bio_new(session) : NULL;
	if (!bio) {
		tls_free(session);
		return NULL;
	}
	SSL_set_bio(session->ssl, bio, bio);
	return session;
}

struct tls_session *
tls_accept(const struct tls_settings *settings, const struct tls_ends *ends, void *wire)
{
	struct tls_session *session = tls_session_new(settings->context->ssl, ends, wire);

	if (!session)
		return NULL;
	session->settings = settings;
	session->record_max = record_bound(settings);
	SSL_set_accept_state(session->ssl);
	if (settings->early_data)
		session->early = TLS_EARLY_WAITED_FOR;
	return session;
}

/* RFC 5246 section 7.2.1. */
void
tls_openssl_free(SSL *ssl)
{
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
}

void
tls_free(struct tls_session *session)
{
	if (!session)
		return;
	if (session->ssl)
		tls_openssl_free(session->ssl);
	tls_records_clear(&session->records);
	X509_free(session->agreed.certificate);
	free((void *)(uintptr_t)session->agreed.alpn.data);
	free(session->unsent);
	free(session->name);
	free(session);
}

/* ---- the client's hello ---- */

static void
name_keep(struct tls_session *session, const char *text)
{
	size_t said_len = text ? strnlen(text, 255) : 0, len = said_len;

	session->name_len = session->said_len = 0;
	if (len && text[len - 1] == '.')
		len--;
	session->name = len ? malloc(len + said_len) : NULL;
	if (!session->name)
		return;
	for (size_t i = 0; i < len; i++)
		session->name[i] = byte_lower((uint8_t)text[i]);
	memcpy(session->name + len, text, said_len);
	session->name_len = (uint8_t)len;
	session->said_len = (uint8_t)said_len;
}

/* A session made under one name must not get around the client certificate that another asks for. */
static bool
resumes_elsewhere(const struct tls_session *session, const struct tls_settings *settings)
{
	const SSL_SESSION *resumed = SSL_get0_session(session->ssl);
	const char *made_for = resumed ? SSL_SESSION_get0_hostname(resumed) : NULL;
	struct bytes made = bytes_of_string(made_for);

	return settings->verify && made.len && !bytes_equal_ignoring_case(made, tls_server_name(session));
}

static void
context_take(SSL *ssl, const struct tls_settings *settings)
{
	SSL_CTX *context = settings->context->ssl;

	SSL_set_SSL_CTX(ssl, context);
	SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), SSL_CTX_get_verify_callback(context));
	SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(context));
	SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(context));
	SSL_set_options(ssl, SSL_CTX_get_options(context));
}

int
tls_hello_callback(SSL *ssl, int *alert, void *unused)
{
	struct tls_session *session = tls_session_of(ssl);
	const struct tls_settings *settings;

	free(session->name);
	name_keep(session, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	settings = session->ends->choose(session->wire, tls_server_name(session));
	if (settings->reject_handshake || resumes_elsewhere(session, settings)) {
		session->refused = true;
		*alert = settings->reject_handshake ? SSL_AD_UNRECOGNIZED_NAME : SSL_AD_ACCESS_DENIED;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	session->record_max = record_bound(settings);
	if (settings->context)
		context_take(ssl, settings);
	tls_early_allow(ssl, settings->early_data);
	return SSL_TLSEXT_ERR_OK;
}

/* ---- driving ---- */

static void
begin(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

/* A client's secrets are for us to know; a server's connection stays with OpenSSL. */
static void
derivations_begin(struct tls_session *session)
{
	tls_provider_begin(session->client ? NULL : &session->records);
}

enum tls_status
tls_status_of(struct tls_session *session, int result, const char *what)
{
	switch (SSL_get_error(session->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return TLS_WAIT;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_ENDED;
	default:
		session->failed = true;
		if (session->refused)
			ERR_clear_error(); /* the reason is ours */
		tls_problem_set(what);
		return TLS_FAILED;
	}
}

void
tls_handshake_done(struct tls_session *session)
{
	session->done = true;
	session->settings = NULL;
	if (!session->client)
		tls_records_take(session);
}

enum tls_status
tls_handshake(struct tls_session *session)
{
	int result;

	begin();
	derivations_begin(session);
	result = session->early ? tls_early_handshake(session) : SSL_do_handshake(session->ssl);
	tls_provider_end();
	if (result == 1 && session->early)
		return TLS_EARLY;
	if (result == 1) {
		tls_handshake_done(session);
		return TLS_OK;
	}
	if (tls_status_of(session, result, session->refused ? "handshake rejected" : "SSL_do_handshake() failed") ==
	    TLS_WAIT)
		return TLS_WAIT;
	session->failed = true;
	return TLS_FAILED;
}

enum tls_status
tls_read(struct tls_session *session, void *out, uint32_t len, uint32_t *got)
{
	size_t read = 0;
	int result;

	begin();
	if (session->early) {
		enum tls_status status;

		derivations_begin(session);
		status = tls_early_read(session, out, len, got);
		tls_provider_end();
		return status;
	}
	result = SSL_read_ex(session->ssl, out, len, &read);
	*got = (uint32_t)read;
	return result == 1 ? TLS_OK : tls_status_of(session, result, "SSL_read() failed");
}

enum tls_status
tls_write(struct tls_session *session, const void *data, uint32_t len)
{
	size_t written;
	int result;

	begin();
	result = session->early ? tls_early_write(session, data, len) : SSL_write_ex(session->ssl, data, len, &written);
	return result == 1 ? TLS_OK : tls_status_of(session, result, "SSL_write() failed");
}

bool
tls_flush(struct tls_session *session)
{
	uint32_t taken;

	if (!session->unsent_len)
		return true;
	taken = session->ends->give(session->wire, session->unsent, session->unsent_len);
	session->unsent_len -= taken;
	if (session->unsent_len) {
		memmove(session->unsent, session->unsent + taken, session->unsent_len);
		return false;
	}
	free(session->unsent);
	session->unsent = NULL;
	return true;
}

void
tls_shutdown(struct tls_session *session)
{
	if (!session->done || session->failed || session->shut)
		return;
	session->shut = true;
	begin();
	if (session->ssl)
		SSL_shutdown(session->ssl);
	else
		tls_records_close(session);
	begin();
}

/* ---- records ---- */

uint32_t
tls_record_size(const struct tls_session *session, uint64_t now_ns)
{
	uint32_t size = session->record;

	if (!size || now_ns - session->written_ns > TLS_RECORD_PAUSE_NS)
		size = TLS_RECORD_FIRST;
	return size < session->record_max ? size : session->record_max;
}

uint32_t
tls_record_room(const struct tls_session *session, uint32_t room)
{
	uint64_t least = session->record_max < TLS_RECORD_FIRST ? session->record_max : TLS_RECORD_FIRST;
	uint32_t overhead = tls_has_own_records(session) ? tls_sealed_size(session, 0) : TLS_RECORD_OVERHEAD;

	if (session->unsent_len || room <= overhead)
		return 0;
	return (uint32_t)((room - overhead) * least / (least + overhead));
}

void
tls_record_written(struct tls_session *session, uint32_t len, uint64_t now_ns)
{
	uint32_t size = tls_record_size(session, now_ns);

	/* Only bulk makes them larger: a full one. */
	session->record = len < size ? size : 2 * size;
	if (session->record > session->record_max)
		session->record = session->record_max;
	session->written_ns = now_ns;
}
