/* What the contexts of both sides are made of. */
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

#include "tls/internal.h"

int
tls_fail(struct config *config, const struct tls_word *word, const char *format, ...)
{
	char text[512], reasons[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tls_error_drain(reasons, sizeof(reasons));
	return config_fail_at(config, word->file, word->line, "%s%s", text, reasons);
}

SSL_CTX *
tls_context_openssl(const SSL_METHOD *method)
{
	if (tls_bio_prepare() < 0 || tls_provider_prepare() < 0)
		return NULL;
	return SSL_CTX_new_ex(NULL, TLS_PROPERTIES, method);
}

void
tls_context_protocols(uint32_t protocols, SSL_CTX *ssl)
{
	static const struct {
		uint32_t bit;
		uint64_t option;
	} all[] = {
		{ TLS_PROTOCOL_1_0, SSL_OP_NO_TLSv1 },
		{ TLS_PROTOCOL_1_1, SSL_OP_NO_TLSv1_1 },
		{ TLS_PROTOCOL_1_2, SSL_OP_NO_TLSv1_2 },
		{ TLS_PROTOCOL_1_3, SSL_OP_NO_TLSv1_3 },
	};

	SSL_CTX_set_min_proto_version(ssl, 0);
	SSL_CTX_set_max_proto_version(ssl, 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!(protocols & all[i].bit))
			SSL_CTX_set_options(ssl, all[i].option);
}

int
tls_context_ciphers(struct config *config, const struct tls_word *ciphers, SSL_CTX *ssl)
{
	const char *text = (const char *)ciphers->text.data;

	if (SSL_CTX_set_cipher_list(ssl, text) != 1)
		return tls_fail(config, ciphers, "SSL_CTX_set_cipher_list(\"%s\") failed", text);
	return 0;
}

int
tls_context_trust(struct config *config, const struct tls_word *trusted, const struct tls_word *crl, SSL_CTX *ssl)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	X509_LOOKUP *lookup;
	const char *path;

	if (trusted->text.data) {
		path = config_full_path(config, trusted->text);
		if (SSL_CTX_load_verify_locations(ssl, path, NULL) != 1)
			return tls_fail(config, trusted, "SSL_CTX_load_verify_locations(\"%s\") failed", path);
		ERR_clear_error();
	}
	if (!crl->text.data)
		return 0;
	path = config_full_path(config, crl->text);
	lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (!lookup || X509_LOOKUP_load_file(lookup, path, X509_FILETYPE_PEM) != 1)
		return tls_fail(config, crl, "X509_LOOKUP_load_file(\"%s\") failed", path);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

int
tls_context_commands(struct config *config, const struct tls_words *words, unsigned int side, SSL_CTX *ssl)
{
	SSL_CONF_CTX *commands;
	int result = 0;

	if (!words->count)
		return 0;
	commands = SSL_CONF_CTX_new();
	if (!commands)
		return tls_fail(config, &words->words[0], "SSL_CONF_CTX_new() failed");
	SSL_CONF_CTX_set_flags(commands,
			       SSL_CONF_FLAG_FILE | side | SSL_CONF_FLAG_CERTIFICATE | SSL_CONF_FLAG_SHOW_ERRORS);
	SSL_CONF_CTX_set_ssl_ctx(commands, ssl);
	for (size_t i = 0; i < words->count && result == 0; i += 2) {
		const struct tls_word *name = &words->words[i], *value = name + 1;
		const char *command = (const char *)name->text.data, *text = (const char *)value->text.data;
		int type = SSL_CONF_cmd_value_type(commands, command);

		if (type == SSL_CONF_TYPE_FILE || type == SSL_CONF_TYPE_DIR)
			text = config_full_path(config, value->text);
		if (SSL_CONF_cmd(commands, command, text) <= 0)
			result = tls_fail(config, name, "SSL_CONF_cmd(\"%s\", \"%s\") failed", command, text);
	}
	if (result == 0 && SSL_CONF_CTX_finish(commands) != 1)
		result = tls_fail(config, &words->words[0], "SSL_CONF_CTX_finish() failed");
	SSL_CONF_CTX_free(commands);
	return result;
}
