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

static size_t
put_time(char *out, size_t size, const ASN1_TIME *when)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		return 0;
	ASN1_TIME_print(bio, when);
	return put_bio(out, size, bio);
}

static size_t
put_days_left(char *out, size_t size, const X509 *certificate)
{
	int days = 0, seconds = 0, len;

	if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)))
		return 0;
	len = snprintf(out, size, "%d", days > 0 ? days : 0);
	return (size_t)len >= size ? SIZE_MAX : (size_t)len;
}

/* A tab in front of each line but the first, no newline at the end. */
static size_t
put_lines(char *out, size_t size, const char *text, size_t text_len)
{
	size_t len = 0;

	while (text_len > 0 && text[text_len - 1] == '\n')
		text_len--;
	for (size_t i = 0; i < text_len; i++) {
		if (size - len < 2)
			return SIZE_MAX;
		out[len++] = text[i];
		if (text[i] == '\n')
			out[len++] = '\t';
	}
	return len;
}

/* RFC 3986 section 2.3. */
static bool
is_unreserved(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("-._~", c) != NULL);
}

static size_t
put_escaped(char *out, size_t size, const char *text, size_t text_len)
{
	size_t len = 0;

	for (size_t i = 0; i < text_len; i++) {
		if (size - len < 3)
			return SIZE_MAX;
		if (is_unreserved(text[i])) {
			out[len++] = text[i];
		} else {
			byte_escape((uint8_t *)out + len, (uint8_t)text[i]);
			len += 3;
		}
	}
	return len;
}

static size_t
put_certificate(char *out, size_t size, X509 *certificate, enum tls_fact how)
{
	BIO *bio = BIO_new(BIO_s_mem());
	size_t len = 0;
	char *text;
	long text_len;

	if (bio && PEM_write_bio_X509(bio, certificate)) {
		text_len = BIO_get_mem_data(bio, &text);
		len = how == TLS_FACT_CLIENT_CERTIFICATE       ? put_lines(out, size, text, (size_t)text_len)
		      : how == TLS_FACT_CLIENT_CERTIFICATE_RAW ? put(out, size, text, (size_t)text_len)
							       : put_escaped(out, size, text, (size_t)text_len);
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
	case TLS_FACT_CLIENT_START:
		return put_time(out, size, X509_get0_notBefore(certificate));
	case TLS_FACT_CLIENT_END:
		return put_time(out, size, X509_get0_notAfter(certificate));
	case TLS_FACT_CLIENT_REMAIN:
		return put_days_left(out, size, certificate);
	case TLS_FACT_CLIENT_CERTIFICATE:
	case TLS_FACT_CLIENT_CERTIFICATE_RAW:
	case TLS_FACT_CLIENT_CERTIFICATE_ESCAPED:
		return put_certificate(out, size, certificate, fact);
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
