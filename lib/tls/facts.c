/* What variables say about a session, as nginx prints it. */
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
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
put_verify(const struct tls_agreed *agreed, char *out, size_t size)
{
	int len;

	if (!agreed->certificate)
		return put_string(out, size, "NONE");
	if (agreed->verify_result == X509_V_OK)
		return put_string(out, size, "SUCCESS");
	len = snprintf(out, size, "FAILED:%s", X509_verify_cert_error_string(agreed->verify_result));
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
put_curve(int group, char *out, size_t size)
{
	int len;

	if (group == NID_undef)
		return 0;
	if (!(group & TLSEXT_nid_unknown))
		return put_string(out, size, OBJ_nid2sn(group));
	len = snprintf(out, size, "0x%04x", (unsigned int)group & 0xffff);
	return (size_t)len >= size ? SIZE_MAX : (size_t)len;
}

/* ---- what was agreed on ---- */

static struct bytes
alpn_of(const SSL *ssl)
{
	const uint8_t *name;
	unsigned int len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return bytes_of(name, len);
}

/* As OpenSSL has it now: what is pointed to is its own. */
static struct tls_agreed
agreed_of(SSL *ssl)
{
	const SSL_SESSION *session = SSL_get0_session(ssl);
	struct tls_agreed agreed = {
		.protocol = SSL_get_version(ssl),
		.cipher = SSL_get_cipher_name(ssl),
		/* OpenSSL looks for it where there may be nothing yet. */
		.group = session ? SSL_get_negotiated_group(ssl) : NID_undef,
		.verify_result = SSL_get_verify_result(ssl),
		.certificate = SSL_get0_peer_certificate(ssl),
		.alpn = alpn_of(ssl),
		.resumed = SSL_session_reused(ssl),
	};
	unsigned int len = 0;
	const uint8_t *id = session ? SSL_SESSION_get_id(session, &len) : NULL;

	memcpy(agreed.id, id ? id : agreed.id, len);
	agreed.id_len = (uint8_t)len;
	return agreed;
}

bool
tls_agreed_keep(struct tls_session *session)
{
	struct tls_agreed agreed = agreed_of(session->ssl);
	uint8_t *alpn = agreed.alpn.len ? malloc(agreed.alpn.len) : NULL;

	if (agreed.alpn.len && !alpn)
		return false;
	if (alpn)
		memcpy(alpn, agreed.alpn.data, agreed.alpn.len);
	agreed.alpn.data = alpn;
	if (agreed.certificate)
		X509_up_ref(agreed.certificate);
	session->agreed = agreed;
	return true;
}

size_t
tls_fact_write(const struct tls_session *session, enum tls_fact fact, char *out, size_t size)
{
	struct tls_agreed agreed = session->ssl ? agreed_of(session->ssl) : session->agreed;

	switch (fact) {
	case TLS_FACT_PROTOCOL:
		return put_string(out, size, agreed.protocol);
	case TLS_FACT_CIPHER:
		return put_string(out, size, agreed.cipher);
	case TLS_FACT_CURVE:
		return put_curve(agreed.group, out, size);
	case TLS_FACT_ALPN:
		return put(out, size, agreed.alpn.data, agreed.alpn.len);
	case TLS_FACT_SERVER_NAME:
		return session->said_len ? put(out, size, session->name + session->name_len, session->said_len) : 0;
	case TLS_FACT_SESSION_REUSED:
		return put_string(out, size, agreed.resumed ? "r" : ".");
	case TLS_FACT_EARLY_DATA:
		return put_string(out, size, tls_is_early(session) ? "1" : "");
	case TLS_FACT_SESSION_ID:
		return put_hex(out, size, agreed.id, agreed.id_len);
	case TLS_FACT_CLIENT_VERIFY:
		return put_verify(&agreed, out, size);
	default:
		return agreed.certificate ? put_of_certificate(agreed.certificate, fact, out, size) : 0;
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
	return session->ssl ? SSL_session_reused(session->ssl) : session->agreed.resumed;
}

bool
tls_client_has_certificate(const struct tls_session *session)
{
	return (session->ssl ? SSL_get0_peer_certificate(session->ssl) : session->agreed.certificate) != NULL;
}

struct bytes
tls_protocol(const struct tls_session *session)
{
	return session->ssl ? alpn_of(session->ssl) : session->agreed.alpn;
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
	long result = session->ssl ? SSL_get_verify_result(session->ssl) : session->agreed.verify_result;

	*text = X509_verify_cert_error_string(result);
	return verify == TLS_VERIFY_OPTIONAL_NO_CA && is_unknown_issuer(result) ? X509_V_OK : result;
}
