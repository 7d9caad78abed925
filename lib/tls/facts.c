/* What variables say about a session, as nginx prints it. */
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "tls/internal.h"

static size_t
put(char *out, size_t size, const void *data, size_t len)
{
	if (len > size)
		return SIZE_MAX;
	if (len)
		memcpy(out, data, len);
	return len;
}

static size_t
put_string(char *out, size_t size, const char *text)
{
	return put(out, size, text, text ? strlen(text) : 0);
}

static size_t
put_hex(char *out, size_t size, const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	if (2 * len > size)
		return SIZE_MAX;
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	return 2 * len;
}

/* All that a memory BIO holds, and frees it. */
static size_t
put_bio(char *out, size_t size, BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	size_t put_len = put(out, size, data, len < 0 ? 0 : (size_t)len);

	BIO_free(bio);
	return put_len;
}

static size_t
put_name(char *out, size_t size, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		return 0;
	X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	return put_bio(out, size, bio);
}

static size_t
put_serial(char *out, size_t size, X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		return 0;
	i2a_ASN1_INTEGER(bio, X509_get_serialNumber(certificate));
	return put_bio(out, size, bio);
}

static size_t
put_fingerprint(char *out, size_t size, const X509 *certificate)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int len;

	return X509_digest(certificate, EVP_sha1(), digest, &len) ? put_hex(out, size, digest, len) : 0;
}

/* PEM as a header field can carry it: a tab in front of each line but the first, no newline at the end. */
static size_t
put_certificate(char *out, size_t size, X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());
	size_t len = 0;
	char *data;
	long data_len;

	if (!bio || !PEM_write_bio_X509(bio, certificate)) {
		BIO_free(bio);
		return 0;
	}
	data_len = BIO_get_mem_data(bio, &data);
	while (data_len > 0 && data[data_len - 1] == '\n')
		data_len--;
	for (long i = 0; i < data_len; i++) {
		if (size - len < 2) {
			BIO_free(bio);
			return SIZE_MAX;
		}
		out[len++] = data[i];
		if (data[i] == '\n')
			out[len++] = '\t';
	}
	BIO_free(bio);
	return len;
}

static size_t
put_verify(const struct tls_session *session, char *out, size_t size)
{
	long result = SSL_get_verify_result(session->ssl);
	int len;

	if (!tls_client_has_certificate(session))
		return put_string(out, size, "NONE");
	if (result == X509_V_OK)
		return put_string(out, size, "SUCCESS");
	len = snprintf(out, size, "FAILED:%s", X509_verify_cert_error_string(result));
	return (size_t)len >= size ? SIZE_MAX : (size_t)len;
}

static size_t
put_of_certificate(X509 *certificate, enum tls_fact fact, char *out, size_t size)
{
	switch (fact) {
	case TLS_FACT_CLIENT_SUBJECT:
		return put_name(out, size, X509_get_subject_name(certificate));
	case TLS_FACT_CLIENT_ISSUER:
		return put_name(out, size, X509_get_issuer_name(certificate));
	case TLS_FACT_CLIENT_SERIAL:
		return put_serial(out, size, certificate);
	case TLS_FACT_CLIENT_FINGERPRINT:
		return put_fingerprint(out, size, certificate);
	case TLS_FACT_CLIENT_CERTIFICATE:
		return put_certificate(out, size, certificate);
	default:
		return 0;
	}
}

static size_t
put_curve(SSL *ssl, char *out, size_t size)
{
	/* OpenSSL looks for it where there may be nothing yet. */
	int group = SSL_get0_session(ssl) ? SSL_get_negotiated_group(ssl) : NID_undef, len;

	if (group == NID_undef)
		return 0;
	if (!(group & TLSEXT_nid_unknown))
		return put_string(out, size, OBJ_nid2sn(group));
	len = snprintf(out, size, "0x%04x", (unsigned int)group & 0xffff);
	return (size_t)len >= size ? SIZE_MAX : (size_t)len;
}

size_t
tls_fact_write(const struct tls_session *session, enum tls_fact fact, char *out, size_t size)
{
	const uint8_t *id;
	unsigned int id_len;
	X509 *certificate;

	switch (fact) {
	case TLS_FACT_PROTOCOL:
		return put_string(out, size, SSL_get_version(session->ssl));
	case TLS_FACT_CIPHER:
		return put_string(out, size, SSL_get_cipher_name(session->ssl));
	case TLS_FACT_CURVE:
		return put_curve(session->ssl, out, size);
	case TLS_FACT_ALPN:
		return put(out, size, tls_protocol(session).data, tls_protocol(session).len);
	case TLS_FACT_SERVER_NAME:
		return put(out, size, session->name, session->name_len);
	case TLS_FACT_SESSION_REUSED:
		return put_string(out, size, SSL_session_reused(session->ssl) ? "r" : ".");
	case TLS_FACT_SESSION_ID:
		if (!SSL_get0_session(session->ssl))
			return 0;
		id = SSL_SESSION_get_id(SSL_get0_session(session->ssl), &id_len);
		return put_hex(out, size, id, id_len);
	case TLS_FACT_CLIENT_VERIFY:
		return put_verify(session, out, size);
	default:
		certificate = SSL_get0_peer_certificate(session->ssl);
		return certificate ? put_of_certificate(certificate, fact, out, size) : 0;
	}
}

struct bytes
tls_server_name(const struct tls_session *session)
{
	return bytes_of(session->name, session->name_len);
}

bool
tls_resumed(const struct tls_session *session)
{
	return SSL_session_reused(session->ssl);
}

bool
tls_client_has_certificate(const struct tls_session *session)
{
	return SSL_get0_peer_certificate(session->ssl) != NULL;
}

struct bytes
tls_protocol(const struct tls_session *session)
{
	const uint8_t *name;
	unsigned int len;

	SSL_get0_alpn_selected(session->ssl, &name, &len);
	return bytes_of(name, len);
}

/* nginx's list of what `optional_no_ca` puts up with. */
static bool
is_unknown_issuer(long result)
{
	return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	       result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || result == X509_V_ERR_CERT_UNTRUSTED ||
	       result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

long
tls_client_verify_result(const struct tls_session *session, enum tls_verify verify, const char **text)
{
	long result = SSL_get_verify_result(session->ssl);

	*text = X509_verify_cert_error_string(result);
	return verify == TLS_VERIFY_OPTIONAL_NO_CA && is_unknown_issuer(result) ? X509_V_OK : result;
}
