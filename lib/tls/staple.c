#include "tls/staple.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/internal.h"

#define ADDRESSES_MAX 8
#define CLOCK_SKEW_S 300 /* between the responder and us, as nginx allows */
#define ANSWER_MAX 65536

struct tls_staple_answer {
	uint64_t until_s;
	size_t len;
	uint8_t der[];
};

struct tls_staple {
	struct tls_staple *next;
	unsigned int users;
	bool asked, verify;
	uint8_t key[SHA256_DIGEST_LENGTH];
	char *file;             /* the certificate's */
	char *authority, *path; /* of the responder; NULL: there is none to ask */
	struct endpoint addresses[ADDRESSES_MAX];
	unsigned int address_count, address; /* which is asked */
	OCSP_CERTID *id;
	STACK_OF(X509) * chain; /* who may have signed */
	X509_STORE *store;
	uint8_t *question;
	int question_len;
	uint64_t due_s;
	struct tls_staple_answer *answer; /* lcores read it */
};

static struct tls_staple *staples; /* that can be asked about */

/* ---- making: control ---- */

static void
release_parts(struct tls_staple *staple)
{
	free(staple->file);
	free(staple->authority);
	free(staple->path);
	OCSP_CERTID_free(staple->id);
	sk_X509_pop_free(staple->chain, X509_free);
	X509_STORE_free(staple->store);
	OPENSSL_free(staple->question);
}

void
tls_staple_put(struct tls_staple *staple)
{
	struct tls_staple **link = &staples;

	if (!staple || --staple->users > 0)
		return;
	while (*link && *link != staple)
		link = &(*link)->next;
	if (*link)
		*link = staple->next;
	release_parts(staple);
	free(staple->answer);
	free(staple);
}

static struct tls_staple_answer *
answer_new(const uint8_t *der, size_t len, uint64_t until_s)
{
	struct tls_staple_answer *answer = malloc(sizeof(*answer) + len);

	if (!answer)
		return NULL;
	answer->until_s = until_s;
	answer->len = len;
	memcpy(answer->der, der, len);
	return answer;
}

/* ssl_stapling_file: shown as it is, as nginx does. */
static int
load_file(struct config *config, const struct tls_word *word, struct tls_staple *staple)
{
	const char *path = config_full_path(config, word->text);
	BIO *bio = BIO_new_file(path, "rb");
	OCSP_RESPONSE *response;
	uint8_t *der = NULL;
	int len;

	if (!bio)
		return tls_fail(config, word, "BIO_new_file(\"%s\") failed", path);
	response = d2i_OCSP_RESPONSE_bio(bio, NULL);
	BIO_free(bio);
	if (!response)
		return tls_fail(config, word, "d2i_OCSP_RESPONSE_bio(\"%s\") failed", path);
	len = i2d_OCSP_RESPONSE(response, &der);
	OCSP_RESPONSE_free(response);
	staple->answer = len > 0 ? answer_new(der, (size_t)len, UINT64_MAX) : NULL;
	OPENSSL_free(der);
	return staple->answer ? 0 : tls_fail(config, word, "i2d_OCSP_RESPONSE(\"%s\") failed", path);
}

/* What keeps a staple from being made is no error of the configuration: nginx warns, too. `url` may be NULL. */
static void
ignored(struct config *config, const struct tls_word *word, const char *why, const char *url)
{
	ERR_clear_error();
	config_warn_at(config, word->file, word->line, "\"ssl_stapling\" ignored, %s%s%s%s certificate \"%s\"", why,
		       url ? " \"" : "", url ? url : "", url ? "\" in the" : "", (const char *)word->text.data);
}

static X509 *
issuer_find(SSL_CTX *ssl, X509 *certificate)
{
	STACK_OF(X509) *chain = NULL;
	X509_STORE_CTX *lookup;
	X509 *issuer = NULL;

	SSL_CTX_get0_chain_certs(ssl, &chain);
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (X509_check_issued(sk_X509_value(chain, i), certificate) == X509_V_OK) {
			issuer = sk_X509_value(chain, i);
			X509_up_ref(issuer);
			return issuer;
		}
	lookup = X509_STORE_CTX_new();
	if (lookup && X509_STORE_CTX_init(lookup, SSL_CTX_get_cert_store(ssl), NULL, NULL) &&
	    X509_STORE_CTX_get1_issuer(&issuer, lookup, certificate) != 1)
		issuer = NULL;
	X509_STORE_CTX_free(lookup);
	ERR_clear_error();
	return issuer;
}

/* As all names in Weir: now, and not again before the next reload. */
static bool
resolve(struct tls_staple *staple, const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return false;
	staple->address_count = 0;
	for (const struct addrinfo *a = list; a && staple->address_count < ADDRESSES_MAX; a = a->ai_next)
		if (endpoint_from_sockaddr(a->ai_addr, &staple->addresses[staple->address_count]) == 0)
			staple->address_count++;
	freeaddrinfo(list);
	return staple->address_count > 0;
}

/* "http://host[:port][/path]"; false after a warning. */
static bool
set_responder(struct config *config, const struct tls_word *word, struct tls_staple *staple, const char *url)
{
	char *host = NULL, *port = NULL, *path = NULL;
	int secure = 0;
	bool good = false;

	if (strncmp(url, "http://", 7) != 0) {
		ignored(config, word, "invalid URL prefix in OCSP responder", url);
	} else if (!OSSL_HTTP_parse_url(url, &secure, NULL, &host, &port, NULL, &path, NULL, NULL)) {
		ignored(config, word, "invalid URL in OCSP responder", url);
	} else if (!resolve(staple, host, port)) {
		ignored(config, word, "host not found in OCSP responder", url);
	} else {
		bool v6 = strchr(host, ':') != NULL;

		good = asprintf(&staple->authority, v6 ? "[%s]:%s" : "%s:%s", host, port) > 0;
		staple->path = strdup(path);
	}
	OPENSSL_free(host);
	OPENSSL_free(port);
	OPENSSL_free(path);
	return good && staple->path;
}

static bool
set_question(struct tls_staple *staple, X509 *certificate, X509 *issuer)
{
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, certificate, issuer);

	staple->id = OCSP_CERTID_dup(id);
	if (request && id && OCSP_request_add0_id(request, id))
		staple->question_len = i2d_OCSP_REQUEST(request, &staple->question);
	else
		OCSP_CERTID_free(id);
	OCSP_REQUEST_free(request);
	return staple->id && staple->question_len > 0;
}

static void
set_trust(struct tls_staple *staple, SSL_CTX *ssl, X509 *issuer)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(ssl, &chain);
	staple->chain = chain ? X509_chain_up_ref(chain) : sk_X509_new_null();
	if (staple->chain && X509_up_ref(issuer) && !sk_X509_push(staple->chain, issuer))
		X509_free(issuer);
	staple->store = SSL_CTX_get_cert_store(ssl);
	X509_STORE_up_ref(staple->store);
}

/* The certificate, who is asked about it, and what the answer has to fulfil: one answer serves all who have the same. */
static void
set_key(struct tls_staple *staple, const X509 *certificate, const char *url)
{
	uint8_t text[2 * SHA256_DIGEST_LENGTH + 1] = { 0 };
	unsigned int len;

	X509_digest(certificate, EVP_sha256(), text, &len);
	SHA256((const uint8_t *)url, strlen(url), text + SHA256_DIGEST_LENGTH);
	text[2 * SHA256_DIGEST_LENGTH] = staple->verify;
	SHA256(text, sizeof(text), staple->key);
}

/* What was there before, with the answer that it has, and what is new about whom to ask and whom to trust. */
static struct tls_staple *
registered(struct tls_staple *made)
{
	struct tls_staple *staple = staples;

	while (staple && memcmp(staple->key, made->key, sizeof(made->key)) != 0)
		staple = staple->next;
	if (!staple || staple->asked) {
		/* One that is asked about now stays as it is: the answer is meant for it. */
		if (staple && staple->answer)
			made->answer = answer_new(staple->answer->der, staple->answer->len, staple->answer->until_s);
		made->due_s = staple ? staple->due_s : 0;
		made->next = staples;
		staples = made;
		return made;
	}
	release_parts(staple);
	made->next = staple->next;
	made->answer = staple->answer;
	made->due_s = staple->due_s;
	made->users = staple->users + 1;
	*staple = *made;
	free(made);
	return staple;
}

/* NULL in *out where stapling is ignored. */
static int
staple_make(struct config *config, const struct tls_settings *settings, SSL_CTX *ssl, struct tls_staple **out)
{
	X509 *certificate = SSL_CTX_get0_certificate(ssl), *issuer;
	const struct tls_word *word = tls_certificate_word(certificate);
	struct tls_staple *staple = calloc(1, sizeof(*staple));
	STACK_OF(OPENSSL_STRING) * urls;
	const char *url;

	*out = staple;
	if (!staple)
		return tls_fail(config, word, "out of memory");
	staple->users = 1;
	staple->verify = settings->stapling_verify;
	staple->file = strdup((const char *)word->text.data);
	if (settings->stapling_file.text.data)
		return load_file(config, &settings->stapling_file, staple);
	*out = NULL;
	issuer = issuer_find(ssl, certificate);
	urls = X509_get1_ocsp(certificate);
	url = settings->stapling_responder.text.data ? (const char *)settings->stapling_responder.text.data
	      : sk_OPENSSL_STRING_num(urls) > 0      ? sk_OPENSSL_STRING_value(urls, 0)
						     : NULL;
	if (!issuer) {
		ignored(config, word, "issuer certificate not found for", NULL);
	} else if (!url) {
		ignored(config, word, "no OCSP responder URL in the", NULL);
	} else if (set_responder(config, word, staple, url) && set_question(staple, certificate, issuer)) {
		set_trust(staple, ssl, issuer);
		set_key(staple, certificate, url);
		*out = registered(staple);
	}
	if (!*out)
		tls_staple_put(staple);
	X509_email_free(urls);
	X509_free(issuer);
	return 0;
}

/* ---- lcores ---- */

/* OpenSSL asks what to show to a client that wants it. */
static int
show(SSL *ssl, void *argument)
{
	const struct tls_context *context = argument;
	const X509 *certificate = SSL_get_certificate(ssl);
	const struct tls_staple_answer *answer = NULL;
	uint8_t *copy;

	for (size_t i = 0; i < context->staple_count; i++)
		if (context->stapled[i] == certificate)
			answer = __atomic_load_n(&context->staples[i]->answer, __ATOMIC_ACQUIRE);
	if (!answer || answer->until_s <= (uint64_t)time(NULL))
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(answer->der, answer->len);
	if (!copy)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)answer->len);
	return SSL_TLSEXT_ERR_OK;
}

int
tls_staples_make(struct config *config, const struct tls_settings *settings, struct tls_context *context)
{
	SSL_CTX *ssl = context->ssl;
	struct arena *arena = config_arena(config);
	int result = 0;

	if (!settings->stapling || !settings->certificates.count)
		return 0;
	context->staples = arena_alloc(arena, settings->certificates.count * sizeof(struct tls_staple *));
	context->stapled = arena_alloc(arena, settings->certificates.count * sizeof(X509 *));
	for (long more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_FIRST); more == 1 && result == 0;
	     more = SSL_CTX_set_current_cert(ssl, SSL_CERT_SET_NEXT)) {
		struct tls_staple *staple;

		result = staple_make(config, settings, ssl, &staple);
		if (!staple)
			continue;
		context->stapled[context->staple_count] = SSL_CTX_get0_certificate(ssl);
		context->staples[context->staple_count++] = staple;
	}
	ERR_clear_error(); /* of the certificate behind the last */
	SSL_CTX_set_tlsext_status_cb(ssl, show);
	SSL_CTX_set_tlsext_status_arg(ssl, context);
	return result;
}

/* ---- asking: control ---- */

struct tls_staple *
tls_staple_due(uint64_t now_s)
{
	for (struct tls_staple *staple = staples; staple; staple = staple->next)
		if (!staple->asked && staple->due_s <= now_s) {
			staple->asked = true;
			staple->users++;
			return staple;
		}
	return NULL;
}

void
tls_staple_ask(const struct tls_staple *staple, struct tls_staple_question *out)
{
	*out = (struct tls_staple_question){
		.body = bytes_of(staple->question, (size_t)staple->question_len),
		.authority = staple->authority,
		.path = staple->path,
		.responder = staple->addresses[staple->address % staple->address_count],
		.certificate = staple->file,
	};
}

static void
asked(struct tls_staple *staple, uint64_t due_s)
{
	staple->asked = false;
	staple->due_s = due_s;
	tls_staple_put(staple);
}

void
tls_staple_failed(struct tls_staple *staple, uint64_t now_s)
{
	bool has = staple->answer && staple->answer->until_s > now_s;

	staple->address++;
	asked(staple, now_s + (has ? TLS_STAPLE_LEAST_S : TLS_STAPLE_RETRY_S));
}

__attribute__((format(printf, 1, 2))) static bool
refused(const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tls_problem_set(text);
	return false;
}

static uint64_t
seconds_of(const ASN1_GENERALIZEDTIME *time)
{
	struct tm parts;

	return time && ASN1_TIME_to_tm(time, &parts) ? (uint64_t)timegm(&parts) : UINT64_MAX;
}

/* *until_s: when it expires; UINT64_MAX: it does not say. */
static bool
check(const struct tls_staple *staple, OCSP_BASICRESP *basic, uint64_t *until_s)
{
	ASN1_GENERALIZEDTIME *from, *until;
	int status;

	if (OCSP_basic_verify(basic, staple->chain, staple->store, staple->verify ? OCSP_TRUSTOTHER : OCSP_NOVERIFY) !=
	    1)
		return refused("OCSP_basic_verify() failed");
	if (!OCSP_resp_find_status(basic, staple->id, &status, NULL, NULL, &from, &until))
		return refused("certificate status not found in the OCSP response");
	if (OCSP_check_validity(from, until, CLOCK_SKEW_S, -1) != 1)
		return refused("OCSP_check_validity() failed");
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return refused("certificate status \"%s\" in the OCSP response", OCSP_cert_status_str(status));
	*until_s = seconds_of(until);
	return true;
}

static bool
parse(const struct tls_staple *staple, struct bytes text, uint64_t *until_s)
{
	const uint8_t *at = text.data;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)text.len);
	OCSP_BASICRESP *basic = NULL;
	bool good;

	if (!response)
		return refused("d2i_OCSP_RESPONSE() failed");
	if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		good = refused("OCSP response not successful (%s)",
			       OCSP_response_status_str(OCSP_response_status(response)));
	else if (!(basic = OCSP_response_get1_basic(response)))
		good = refused("OCSP_response_get1_basic() failed");
	else
		good = check(staple, basic, until_s);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return good;
}

static uint64_t
refresh_s(uint64_t until_s, uint64_t now_s)
{
	uint64_t due_s = now_s + TLS_STAPLE_MOST_S;

	if (until_s - TLS_STAPLE_BEFORE_S < due_s)
		due_s = until_s - TLS_STAPLE_BEFORE_S;
	return due_s < now_s + TLS_STAPLE_LEAST_S ? now_s + TLS_STAPLE_LEAST_S : due_s;
}

bool
tls_staple_answered(struct tls_staple *staple, struct bytes text, uint64_t now_s, struct tls_staple_answer **old)
{
	struct tls_staple_answer *answer;
	uint64_t until_s = 0;

	*old = NULL;
	ERR_clear_error();
	answer = text.len <= ANSWER_MAX && parse(staple, text, &until_s) ? answer_new(text.data, text.len, until_s)
									 : NULL;
	if (!answer) {
		tls_staple_failed(staple, now_s);
		return false;
	}
	*old = staple->answer;
	__atomic_store_n(&staple->answer, answer, __ATOMIC_RELEASE);
	asked(staple, refresh_s(until_s, now_s));
	return true;
}

void
tls_staple_answer_free(struct tls_staple_answer *answer)
{
	free(answer);
}
