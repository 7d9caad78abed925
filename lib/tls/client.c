/* The client's side: contexts from proxy_ssl_* and grpc_ssl_*, connections to servers, and whether a server is who it should be. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/address.h"
#include "tls/internal.h"

/* ---- contexts: control ---- */

static bool
words_equal(const struct tls_words *a, const struct tls_words *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!bytes_equal(a->words[i].text, b->words[i].text))
			return false;
	return true;
}

/* All but the name, which each connection has its own of. */
static bool
settings_equal(const struct tls_client_settings *a, const struct tls_client_settings *b)
{
	return a->protocols == b->protocols && a->verify == b->verify && a->verify_depth == b->verify_depth &&
	       a->session_reuse == b->session_reuse && a->server_name == b->server_name &&
	       bytes_equal(a->ciphers.text, b->ciphers.text) &&
	       bytes_equal(a->trusted_certificate.text, b->trusted_certificate.text) &&
	       bytes_equal(a->crl.text, b->crl.text) && bytes_equal(a->password_file.text, b->password_file.text) &&
	       words_equal(&a->certificates, &b->certificates) && words_equal(&a->keys, &b->keys) &&
	       words_equal(&a->commands, &b->commands);
}

/* 1: the reference is the table's. What was not verified well is not worth going on from. */
static int
session_made(SSL *ssl, SSL_SESSION *made)
{
	const struct tls_session *session = tls_session_of(ssl);

	if (!session->sessions || (session->client->settings->verify && SSL_get_verify_result(ssl) != X509_V_OK))
		return 0;
	return tls_sessions_store(session->sessions, session->client, session->server, tls_server_name(session), made);
}

static int
nobody_asks(X509_STORE_CTX *store, void *context)
{
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static int
set_verify(struct config *config, const struct tls_client_settings *settings, SSL_CTX *ssl)
{
	/* The chain is checked in the handshake, the result is looked at behind it: then it can be told. */
	SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	if (!settings->verify) {
		SSL_CTX_set_cert_verify_callback(ssl, nobody_asks, NULL);
		return 0;
	}
	SSL_CTX_set_verify_depth(ssl, (int)settings->verify_depth);
	return tls_context_trust(config, &settings->trusted_certificate, &settings->crl, ssl);
}

static int
client_fill(struct config *config, const struct tls_client_settings *settings, const struct config_module *module,
	    SSL_CTX *ssl)
{
	static const uint8_t http2[] = { 2, 'h', '2' };

	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	tls_context_protocols(settings->protocols, ssl);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
						    SSL_SESS_CACHE_NO_AUTO_CLEAR);
	if (settings->session_reuse)
		SSL_CTX_sess_set_new_cb(ssl, session_made);
	if (module == &tls_grpc_module && SSL_CTX_set_alpn_protos(ssl, http2, sizeof(http2)) != 0)
		return -ENOMEM;
	if (tls_certificates_load(config, &settings->certificates, &settings->keys, &settings->password_file, ssl) <
		    0 ||
	    tls_context_ciphers(config, &settings->ciphers, ssl) < 0 || set_verify(config, settings, ssl) < 0)
		return -EINVAL;
	return tls_context_commands(config, &settings->commands, SSL_CONF_FLAG_CLIENT, ssl);
}

static int
settings_check(struct config *config, const struct config_scope *scope, const struct config_module *module,
	       const struct tls_client_settings *settings)
{
	const struct tls_word *certificate = settings->certificates.words;
	const char *words = module == &tls_grpc_module ? "grpc_ssl" : "proxy_ssl";

	if (settings->certificates.count && !settings->keys.count)
		return config_fail_at(config, certificate->file, certificate->line,
				      "no \"%s_certificate_key\" is defined for certificate \"%s\"", words,
				      (const char *)certificate->text.data);
	if (settings->verify && !settings->trusted_certificate.text.data)
		return config_fail_at(config, scope->file, scope->line, "no %s_trusted_certificate for %s_verify",
				      words, words);
	return 0;
}

static void
client_free(void *object)
{
	struct tls_client *client = object;

	SSL_CTX_free(client->ssl);
	free(client);
}

static struct tls_client *
client_new(struct config *config, const struct config_scope *scope, const struct config_module *module,
	   const struct tls_client_settings *settings)
{
	struct tls_client *client = calloc(1, sizeof(*client));

	ERR_clear_error();
	if (client)
		client->ssl = tls_context_openssl(TLS_client_method());
	if (!client || !client->ssl) {
		free(client);
		config_fail_at(config, scope->file, scope->line, "SSL_CTX_new() failed");
		return NULL;
	}
	client->settings = settings;
	arena_on_free(config_arena(config), client_free, client);
	return client_fill(config, settings, module, client->ssl) < 0 ? NULL : client;
}

const struct tls_client *
tls_client_get(struct config *config, const struct config_scope *scope, const struct config_module *module)
{
	const struct tls_client_settings *settings = config_settings(scope, module);
	const struct config_scope *http = scope;
	struct tls_client_settings *shared;
	struct tls_client *client;

	while (http->context != CONFIG_HTTP)
		http = http->parent;
	shared = config_settings(http, module);
	for (client = shared->clients; client; client = client->next)
		if (settings_equal(client->settings, settings))
			return client;
	if (settings_check(config, scope, module, settings) < 0)
		return NULL;
	client = client_new(config, scope, module, settings);
	if (!client)
		return NULL;
	client->next = shared->clients;
	shared->clients = client;
	return client;
}

/* ---- connections ---- */

struct bytes
tls_name_of_authority(struct bytes authority)
{
	ptrdiff_t bracket = authority.len && authority.data[0] == '[' ? bytes_index(authority, ']') : -1, colon;
	size_t from = bracket < 0 ? 0 : (size_t)bracket;

	colon = bytes_index(bytes_from(authority, from), ':');
	return colon < 0 ? authority : bytes_of(authority.data, from + (size_t)colon);
}

static bool
is_address(struct bytes name)
{
	struct ip_address address;

	return ip_address_parse(name, &address) == 0;
}

static bool
set_name(struct tls_session *session, const struct tls_client_settings *settings, struct bytes name)
{
	if (!name.len || name.len > TLS_NAME_MAX)
		return !name.len;
	session->name = malloc(name.len + 1);
	if (!session->name)
		return false;
	memcpy(session->name, name.data, name.len);
	session->name[name.len] = '\0';
	session->name_len = (uint8_t)name.len;
	return !settings->server_name || is_address(name) ||
	       SSL_set_tlsext_host_name(session->ssl, (const char *)session->name) == 1;
}

struct tls_session *
tls_connect(const struct tls_client *client, struct bytes name, struct tls_sessions *sessions, uint64_t server,
	    const struct tls_ends *ends, void *wire)
{
	struct tls_session *session = tls_session_new(client->ssl, ends, wire);
	SSL_SESSION *resumed;

	if (!session)
		return NULL;
	if (!set_name(session, client->settings, name)) {
		tls_free(session);
		return NULL;
	}
	session->client = client;
	session->sessions = client->settings->session_reuse ? sessions : NULL;
	session->server = server;
	resumed = session->sessions ? tls_sessions_find(sessions, client, server, name, (uint64_t)time(NULL)) : NULL;
	if (resumed)
		SSL_set_session(session->ssl, resumed);
	SSL_set_connect_state(session->ssl);
	return session;
}

bool
tls_serves(const struct tls_session *session, const struct tls_client *client, struct bytes name)
{
	return session->client == client && bytes_equal(tls_server_name(session), name);
}

/* ---- trust ---- */

static bool
has_name(const struct tls_session *session, struct bytes name)
{
	X509 *certificate = SSL_get0_peer_certificate(session->ssl);
	char address[TLS_NAME_MAX + 1];

	if (!certificate || !name.len)
		return false;
	if (X509_check_host(certificate, (const char *)name.data, name.len, 0, NULL) == 1)
		return true;
	if (!is_address(name))
		return false;
	if (name.data[0] == '[' && name.len > 2)
		name = bytes_of(name.data + 1, name.len - 2);
	memcpy(address, name.data, name.len);
	address[name.len] = '\0';
	return X509_check_ip_asc(certificate, address, 0) == 1;
}

bool
tls_server_trusted(struct tls_session *session)
{
	char text[TLS_NAME_MAX + 64];
	struct bytes name = tls_server_name(session);
	long result;

	if (!session->client->settings->verify)
		return true;
	result = SSL_get_verify_result(session->ssl);
	ERR_clear_error();
	if (result != X509_V_OK) {
		snprintf(text, sizeof(text), "upstream SSL certificate verify error: (%ld:%s)", result,
			 X509_verify_cert_error_string(result));
		tls_problem_set(text);
		return false;
	}
	if (has_name(session, name))
		return true;
	ERR_clear_error();
	snprintf(text, sizeof(text), "upstream SSL certificate does not match \"%.*s\"", (int)name.len,
		 name.len ? (const char *)name.data : "");
	tls_problem_set(text);
	return false;
}
