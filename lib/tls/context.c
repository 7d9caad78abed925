#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/internal.h"

/* ---- what OpenSSL asks ---- */

/* RFC 7301. */
static int
choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned int in_len, void *context)
{
	const struct tls_session *session = tls_session_of(ssl);
	struct bytes ours = session->ends->protocols(session->wire);

	if (!ours.len)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto((uint8_t **)(uintptr_t)out, out_len, ours.data, (unsigned int)ours.len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* What a client's certificate is worth is said when a request is there to be answered. */
static int
accept_any(int good, X509_STORE_CTX *store)
{
	return 1;
}

static int
ticket_callback(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct tls_ticket_keys *keys = tls_session_of(ssl)->settings->context->keys;
	int result = tls_ticket_apply(keys, name, iv, cipher, mac, encrypt);

	/* Tickets of TLS 1.3 are for one use (RFC 8446 appendix C.4): 2 gives the client another. */
	return !encrypt && result == 1 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : result;
}

static int
session_number(SSL *ssl, uint8_t *id, unsigned int *len)
{
	return tls_tickets_random(id, *len);
}

static struct bytes
id_of(const SSL_SESSION *session)
{
	unsigned int len;
	const uint8_t *id = SSL_SESSION_get_id(session, &len);

	return bytes_of(id, len);
}

/* 0: the reference stays OpenSSL's. */
static int
session_made(SSL *ssl, SSL_SESSION *session)
{
	struct tls_cache *cache = tls_session_of(ssl)->settings->context->cache;
	uint8_t text[TLS_CACHE_SESSION_MAX], *end = text;
	int len;

	/* A ticket of TLS 1.3 has everything in it; and a client whose certificate was no good may come with another. */
	if ((SSL_version(ssl) == TLS1_3_VERSION && !(SSL_get_options(ssl) & SSL_OP_NO_TICKET)) ||
	    SSL_get_verify_result(ssl) != X509_V_OK)
		return 0;
	len = i2d_SSL_SESSION(session, NULL);
	if (len <= 0 || len > (int)sizeof(text))
		return 0;
	i2d_SSL_SESSION(session, &end);
	tls_cache_store(cache, id_of(session), bytes_of(text, (size_t)len),
			(uint64_t)(SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session)),
			(uint64_t)time(NULL));
	OPENSSL_cleanse(text, (size_t)len);
	return 0;
}

static SSL_SESSION *
session_asked(SSL *ssl, const uint8_t *id, int id_len, int *copy)
{
	struct tls_cache *cache = tls_session_of(ssl)->settings->context->cache;
	uint8_t text[TLS_CACHE_SESSION_MAX];
	const uint8_t *at = text;
	size_t len = tls_cache_find(cache, bytes_of(id, (size_t)id_len), text, (uint64_t)time(NULL));
	SSL_SESSION *session = len ? d2i_SSL_SESSION(NULL, &at, (long)len) : NULL;

	*copy = 0;
	OPENSSL_cleanse(text, len);
	return session;
}

/* ---- building ---- */

static int
set_algorithms(struct config *config, const struct tls_settings *settings, SSL_CTX *ssl)
{
	const char *text = (const char *)settings->curves.text.data;

	if (tls_context_ciphers(config, &settings->ciphers, ssl) < 0)
		return -EINVAL;
	if (settings->prefer_server_ciphers)
		SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (strcmp(text, "auto") != 0 && SSL_CTX_set1_curves_list(ssl, text) != 1)
		return tls_fail(config, &settings->curves, "SSL_CTX_set1_curves_list(\"%s\") failed", text);
	return 0;
}

static int
set_dhparam(struct config *config, const struct tls_settings *settings, SSL_CTX *ssl)
{
	const struct tls_word *word = &settings->dhparam;
	const char *path;
	EVP_PKEY *parameters;
	BIO *bio;

	if (!word->text.data)
		return 0;
	path = config_full_path(config, word->text);
	bio = BIO_new_file(path, "r");
	if (!bio)
		return tls_fail(config, word, "BIO_new_file(\"%s\") failed", path);
	parameters = PEM_read_bio_Parameters(bio, NULL);
	BIO_free(bio);
	if (!parameters)
		return tls_fail(config, word, "PEM_read_bio_DHparams(\"%s\") failed", path);
	if (SSL_CTX_set0_tmp_dh_pkey(ssl, parameters) != 1) {
		EVP_PKEY_free(parameters);
		return tls_fail(config, word, "SSL_CTX_set0_tmp_dh_pkey(\"%s\") failed", path);
	}
	return 0;
}

static int
set_client_authorities(struct config *config, const struct tls_settings *settings, SSL_CTX *ssl)
{
	const struct tls_word *word = &settings->client_certificate;
	STACK_OF(X509_NAME) * names;
	const char *path;

	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_verify_depth(ssl, (int)settings->verify_depth);
	if (!word->text.data)
		return 0;
	path = config_full_path(config, word->text);
	if (SSL_CTX_load_verify_locations(ssl, path, NULL) != 1)
		return tls_fail(config, word, "SSL_CTX_load_verify_locations(\"%s\") failed", path);
	names = SSL_load_client_CA_file(path);
	if (!names)
		return tls_fail(config, word, "SSL_load_client_CA_file(\"%s\") failed", path);
	SSL_CTX_set_client_CA_list(ssl, names);
	return 0;
}

/* A session is resumed only where the same certificates are shown and the same authorities are asked for. */
static int
set_session_context(struct config *config, const struct config_scope *scope, const struct tls_settings *settings,
		    SSL_CTX *ssl)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(ssl);
	uint8_t digest[EVP_MAX_MD_SIZE], one[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, "HTTP", 4) &&
		    EVP_DigestUpdate(md, &settings->verify, sizeof(settings->verify));

	for (long more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_FIRST); good && more == 1;
	     more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_NEXT))
		good = X509_digest(SSL_CTX_get0_certificate(ssl), EVP_sha256(), one, &len) &&
		       EVP_DigestUpdate(md, one, len);
	for (int i = 0; good && i < sk_X509_NAME_num(names); i++)
		good = X509_NAME_digest(sk_X509_NAME_value(names, i), EVP_sha256(), one, &len) &&
		       EVP_DigestUpdate(md, one, len);
	good = good && EVP_DigestFinal_ex(md, digest, &len) && SSL_CTX_set_session_id_context(ssl, digest, len);
	EVP_MD_CTX_free(md);
	ERR_clear_error(); /* of the certificate behind the last */
	return good ? 0 : config_fail_at(config, scope->file, scope->line, "SSL_CTX_set_session_id_context() failed");
}

static int
set_cache(struct config *config, const struct config_scope *scope, const struct tls_settings *settings,
	  struct tls_context *context)
{
	const struct tls_cache_settings *wanted = &settings->cache;
	bool builtin = wanted->mode == TLS_CACHE_BUILTIN;

	SSL_CTX_set_timeout(context->ssl, settings->session_timeout_s);
	SSL_CTX_set_generate_session_id(context->ssl, session_number);
	if (wanted->mode == TLS_CACHE_OFF) {
		SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
		return 0;
	}
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL |
							     SSL_SESS_CACHE_NO_AUTO_CLEAR);
	if (wanted->mode == TLS_CACHE_NONE)
		return 0;
	context->cache = tls_cache_get(builtin ? (struct bytes){ 0 } : wanted->name.text,
				       builtin ? wanted->sessions * 512 : wanted->size);
	if (!context->cache)
		return config_fail_at(config, scope->file, scope->line, "no memory for \"ssl_session_cache\"");
	SSL_CTX_sess_set_new_cb(context->ssl, session_made);
	SSL_CTX_sess_set_get_cb(context->ssl, session_asked);
	return 0;
}

static int
set_tickets(struct config *config, const struct tls_settings *settings, struct tls_context *context)
{
	if (!settings->session_tickets)
		SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
	if (settings->ticket_keys.count && tls_ticket_keys_load(config, &settings->ticket_keys, &context->keys) < 0)
		return -EINVAL;
	/* TLS 1.3: each is 0.18 million of the three million instructions of a handshake. A client with several connections gets
	 * one with each, and one is enough for the next; none where nothing would be resumed with it. */
	SSL_CTX_set_num_tickets(context->ssl, settings->session_tickets || context->cache);
	tls_tickets_lifetime((uint64_t)settings->session_timeout_s);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ssl, ticket_callback);
	return 0;
}

static int
context_fill(struct config *config, const struct config_scope *scope, const struct tls_settings *settings,
	     struct tls_context *context)
{
	SSL_CTX *ssl = context->ssl;

	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_NO_ANTI_REPLAY);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_tlsext_servername_callback(ssl, tls_hello_callback);
	SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
	SSL_CTX_set_msg_callback(ssl, tls_message_callback);
	tls_context_protocols(settings->protocols, ssl);
	if (tls_certificates_load(config, &settings->certificates, &settings->keys, &settings->password_file, ssl) <
		    0 ||
	    set_algorithms(config, settings, ssl) < 0 ||
	    (settings->verify && set_client_authorities(config, settings, ssl) < 0) ||
	    tls_context_trust(config, &settings->trusted_certificate, &settings->crl, ssl) < 0 ||
	    set_dhparam(config, settings, ssl) < 0 || set_session_context(config, scope, settings, ssl) < 0 ||
	    set_cache(config, scope, settings, context) < 0 || set_tickets(config, settings, context) < 0 ||
	    tls_staples_make(config, settings, context) < 0)
		return -EINVAL;
	return tls_context_commands(config, &settings->commands, SSL_CONF_FLAG_SERVER, ssl);
}

static void
context_free(void *object)
{
	struct tls_context *context = object;

	for (size_t i = 0; i < context->staple_count; i++)
		tls_staple_put(context->staples[i]);
	SSL_CTX_free(context->ssl);
	tls_cache_put(context->cache);
	tls_ticket_keys_free(context->keys);
	free(context);
}

struct tls_context *
tls_context_new(struct config *config, const struct config_scope *scope, const struct tls_settings *settings)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	ERR_clear_error();
	if (context && tls_traffic_prepare() == 0 && tls_tickets_prepare() == 0)
		context->ssl = tls_context_openssl(TLS_server_method());
	if (!context || !context->ssl) {
		free(context);
		config_fail_at(config, scope->file, scope->line, "SSL_CTX_new() failed");
		return NULL;
	}
	arena_on_free(config_arena(config), context_free, context);
	return context_fill(config, scope, settings, context) < 0 ? NULL : context;
}
