/* Certificates and keys from their files. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tls/internal.h"

#define PASSWORD_FILE_MAX 4096

/* Tried in turn: one per line of ssl_password_file. */
struct passwords {
	char text[PASSWORD_FILE_MAX + 1];
	size_t len;
	const char *next;
};

static int
passwords_read(struct config *config, const struct tls_word *word, struct passwords *passwords)
{
	const char *path;
	ssize_t len = -1;
	int fd, error;

	passwords->len = 0;
	if (!word->text.data)
		return 0;
	path = config_full_path(config, word->text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		len = read(fd, passwords->text, PASSWORD_FILE_MAX + 1);
	error = errno;
	if (fd >= 0)
		close(fd);
	if (len < 0)
		return config_fail_at(config, word->file, word->line, "%s() \"%s\" failed (%d: %s)",
				      fd < 0 ? "open" : "read", path, error, strerror(error));
	if (len > PASSWORD_FILE_MAX)
		return config_fail_at(config, word->file, word->line, "\"%s\" has more than %d bytes", path,
				      PASSWORD_FILE_MAX);
	passwords->len = (size_t)len;
	passwords->text[len] = '\0';
	return 0;
}

/* Nobody is asked at a terminal: a balancer starts without people. */
static int
password_give(char *out, int size, int writing, void *context)
{
	struct passwords *passwords = context;
	size_t len = passwords->next ? strcspn(passwords->next, "\r\n") : 0;

	if (!passwords->next || len > (size_t)size)
		return -1;
	memcpy(out, passwords->next, len);
	return (int)len;
}

static EVP_PKEY *
key_parse(BIO *bio, struct passwords *passwords)
{
	EVP_PKEY *key;

	passwords->next = passwords->len ? passwords->text : NULL;
	for (;;) {
		key = PEM_read_bio_PrivateKey(bio, NULL, password_give, passwords);
		if (key || !passwords->next)
			return key;
		passwords->next += strcspn(passwords->next, "\r\n");
		passwords->next += strspn(passwords->next, "\r\n");
		if (!*passwords->next || BIO_reset(bio) < 0)
			return NULL;
		ERR_clear_error();
	}
}

/* The library's buffer of a file would be freed as it is, the key's text in it. */
static EVP_PKEY *
key_read(BIO *bio, struct passwords *passwords)
{
	char buffer[4096];
	EVP_PKEY *key;
	FILE *file;

	BIO_get_fp(bio, &file);
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	key = key_parse(bio, passwords);
	BIO_free(bio);
	OPENSSL_cleanse(buffer, sizeof(buffer));
	return key;
}

static int
key_load(struct config *config, const struct tls_word *word, struct passwords *passwords, SSL_CTX *ssl)
{
	const char *path = config_full_path(config, word->text);
	BIO *bio = BIO_new_file(path, "r");
	EVP_PKEY *key;
	int result = 0;

	if (!bio)
		return tls_fail(config, word, "cannot load certificate key \"%s\": BIO_new_file() failed", path);
	key = key_read(bio, passwords);
	if (!key)
		return tls_fail(config, word, "cannot load certificate key \"%s\": PEM_read_bio_PrivateKey() failed",
				path);
	if (SSL_CTX_use_PrivateKey(ssl, key) != 1)
		result = tls_fail(config, word, "SSL_CTX_use_PrivateKey(\"%s\") failed", path);
	EVP_PKEY_free(key);
	return result;
}

/* What follows the certificate is its chain. NULL in *chain and errors in the queue where it is broken. */
static STACK_OF(X509) * chain_read(BIO *bio)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *certificate;

	while (chain && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (!sk_X509_push(chain, certificate)) {
			X509_free(certificate);
			break;
		}
	if (chain && ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_PEM &&
	    ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
		ERR_clear_error(); /* the end of the file */
		return chain;
	}
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

/* What clients will object to, though OpenSSL shows it to them: told and no more, as a balancer must start with it. */
static void
doubts_tell(struct config *config, const struct tls_word *word, X509 *certificate, STACK_OF(X509) * chain)
{
	const char *name = (const char *)word->text.data;

	for (int i = -1; i < sk_X509_num(chain); i++) {
		X509 *shown = i < 0 ? certificate : sk_X509_value(chain, i);
		X509 *issuer = i + 1 < sk_X509_num(chain) ? sk_X509_value(chain, i + 1) : NULL;

		if (X509_cmp_current_time(X509_get0_notAfter(shown)) < 0)
			config_warn_at(config, word->file, word->line, "certificate %d of \"%s\" has expired", i + 2,
				       name);
		if (X509_cmp_current_time(X509_get0_notBefore(shown)) > 0)
			config_warn_at(config, word->file, word->line, "certificate %d of \"%s\" is not yet valid",
				       i + 2, name);
		if (issuer && X509_check_issued(issuer, shown) != X509_V_OK)
			config_warn_at(config, word->file, word->line,
				       "certificate %d of \"%s\" is not signed by the one behind it", i + 2, name);
	}
	ERR_clear_error();
}

static int word_index = -1; /* among OpenSSL's ex_data */

const struct tls_word *
tls_certificate_word(const X509 *certificate)
{
	return X509_get_ex_data(certificate, word_index);
}

static int
certificate_load(struct config *config, const struct tls_word *word, SSL_CTX *ssl)
{
	const char *path = config_full_path(config, word->text);
	BIO *bio = BIO_new_file(path, "r");
	STACK_OF(X509) *chain = NULL;
	X509 *certificate = NULL;
	int result = 0;

	if (word_index < 0)
		word_index = X509_get_ex_new_index(0, NULL, NULL, NULL, NULL);

	if (!bio)
		return tls_fail(config, word, "cannot load certificate \"%s\": BIO_new_file() failed", path);
	certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	if (!certificate)
		result = tls_fail(config, word, "cannot load certificate \"%s\": PEM_read_bio_X509_AUX() failed", path);
	else if (!(chain = chain_read(bio)))
		result = tls_fail(config, word, "cannot load certificate \"%s\": PEM_read_bio_X509() failed", path);
	else if (SSL_CTX_use_certificate(ssl, certificate) != 1)
		result = tls_fail(config, word, "SSL_CTX_use_certificate(\"%s\") failed", path);
	else if (SSL_CTX_set1_chain(ssl, chain) != 1)
		result = tls_fail(config, word, "SSL_CTX_set1_chain(\"%s\") failed", path);
	else
		doubts_tell(config, word, certificate, chain);
	if (certificate)
		X509_set_ex_data(certificate, word_index, (void *)(uintptr_t)word);
	sk_X509_pop_free(chain, X509_free);
	X509_free(certificate);
	BIO_free(bio);
	return result;
}

int
tls_certificates_load(struct config *config, const struct tls_words *certificates, const struct tls_words *keys,
		      const struct tls_word *password_file, SSL_CTX *ssl)
{
	struct passwords passwords;
	int result = passwords_read(config, password_file, &passwords);

	for (size_t i = 0; i < certificates->count && result == 0; i++) {
		result = certificate_load(config, &certificates->words[i], ssl);
		if (result == 0)
			result = key_load(config, &keys->words[i], &passwords, ssl);
	}
	OPENSSL_cleanse(&passwords, sizeof(passwords));
	return result;
}
