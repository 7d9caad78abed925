/*
 * Staples: whose answers are taken, and when they are asked for again. The responder is OpenSSL's code under another key.
 */
#include "support/cmocka.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "tls/staple.h"
#include "tls/tls.h"

/* a.crt is its own issuer. */
#define SERVER                                                                                                         \
	"server { ssl_certificate a.crt; ssl_certificate_key a.key; ssl_trusted_certificate a.crt; "                   \
	"ssl_stapling on; ssl_stapling_verify on; ssl_stapling_responder http://127.0.0.1:8888/x; }"

static BIO *
file(const char *name, const char *kind)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s.%s", files_directory(), name, kind);
	return BIO_new_file(path, "r");
}

static X509 *
certificate(const char *name)
{
	BIO *bio = file(name, "crt");
	X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(x509);
	return x509;
}

static EVP_PKEY *
key(const char *name)
{
	BIO *bio = file(name, "key");
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(pkey);
	return pkey;
}

/* What `signer` says about the certificate of `about`, for `seconds` from `from_s` on. */
static struct bytes
response(const char *about, const char *signer, int status, int64_t from_s, int64_t seconds)
{
	static uint8_t text[4096];
	uint8_t *at = text;
	X509 *subject = certificate(about), *by = certificate(signer);
	EVP_PKEY *private = key(signer);
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, subject, subject);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	ASN1_TIME *from = ASN1_TIME_adj(NULL, (time_t)from_s, 0, 0),
		  *to = ASN1_TIME_adj(NULL, (time_t)from_s, 0, seconds);
	OCSP_RESPONSE *whole;
	int len;

	assert_non_null(OCSP_basic_add1_status(basic, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL,
					       from, to));
	assert_int_equal(OCSP_basic_sign(basic, by, private, EVP_sha256(), NULL, 0), 1);
	whole = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(whole, &at);
	OCSP_RESPONSE_free(whole);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	X509_free(subject);
	X509_free(by);
	EVP_PKEY_free(private);
	assert_true(len > 0 && len <= (int)sizeof(text));
	return bytes_of(text, (size_t)len);
}

static struct config *
configured(void)
{
	struct config *config = files_config(SERVER);

	if (config_error(config))
		fail_msg("%s", config_error(config));
	return config;
}

static void
answer_is_taken_and_asked_for_anew_in_time(void **state)
{
	static const struct {
		int64_t seconds, again;
	} cases[] = { { 86400, 3600 }, { 1000, 700 }, { 400, 300 } };
	uint64_t now_s = (uint64_t)time(NULL), due_s = now_s;
	struct config *config = configured();
	struct tls_staple_answer *old;
	struct tls_staple_question question;
	struct tls_staple *staple;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		staple = tls_staple_due(due_s);
		assert_non_null(staple);
		assert_null(tls_staple_due(due_s)); /* it is asked about */
		tls_staple_ask(staple, &question);
		assert_string_equal(question.authority, "127.0.0.1:8888");
		assert_string_equal(question.path, "/x");
		assert_int_equal(question.responder.port_be, htons(8888));
		assert_true(question.body.len > 50);
		/* The answer has the time of day; when the next is due goes by what it says. */
		assert_true(tls_staple_answered(
			staple, response("a", "a", V_OCSP_CERTSTATUS_GOOD, (int64_t)now_s, cases[i].seconds), now_s,
			&old));
		assert_int_equal(old != NULL, i > 0);
		tls_staple_answer_free(old);
		due_s = now_s + (uint64_t)cases[i].again;
		assert_null(tls_staple_due(due_s - 1));
	}
	config_free(config);
}

static void
bad_answers_are_refused_with_a_reason(void **state)
{
	int64_t now_s = (int64_t)time(NULL);
	const struct {
		const char *about, *signer;
		int status;
		int64_t from_s, seconds;
		const char *why;
	} cases[] = {
		{ "a", "b", V_OCSP_CERTSTATUS_GOOD, now_s, 3600, "OCSP_basic_verify() failed (SSL: error:" },
		{ "b", "a", V_OCSP_CERTSTATUS_GOOD, now_s, 3600, "certificate status not found in the OCSP response" },
		{ "a", "a", V_OCSP_CERTSTATUS_GOOD, now_s - 7200, 3600, "OCSP_check_validity() failed (SSL: error:" },
		{ "a", "a", V_OCSP_CERTSTATUS_GOOD, now_s + 7200, 3600, "OCSP_check_validity() failed (SSL: error:" },
		{ "a", "a", V_OCSP_CERTSTATUS_REVOKED, now_s, 3600,
		  "certificate status \"revoked\" in the OCSP response" },
		{ "a", "a", V_OCSP_CERTSTATUS_UNKNOWN, now_s, 3600,
		  "certificate status \"unknown\" in the OCSP response" },
	};
	struct config *config = configured();
	uint64_t due_s = (uint64_t)now_s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_staple *staple = tls_staple_due(due_s);
		struct tls_staple_answer *old;

		assert_non_null(staple);
		assert_false(tls_staple_answered(
			staple,
			response(cases[i].about, cases[i].signer, cases[i].status, cases[i].from_s, cases[i].seconds),
			due_s, &old));
		assert_null(old);
		assert_non_null(strstr(tls_problem(), cases[i].why));
		assert_null(tls_staple_due(due_s + TLS_STAPLE_RETRY_S - 1));
		due_s += TLS_STAPLE_RETRY_S;
	}
	config_free(config);
}

static void
answer_may_be_cut_at_every_byte(void **state)
{
	struct bytes whole = response("a", "a", V_OCSP_CERTSTATUS_GOOD, (int64_t)time(NULL), 3600);
	struct config *config = configured();
	uint64_t now_s = (uint64_t)time(NULL);

	for (size_t len = 0; len < whole.len; len++) {
		struct tls_staple_answer *old;
		struct tls_staple *staple = tls_staple_due(now_s);

		assert_false(tls_staple_answered(staple, bytes_of(whole.data, len), now_s, &old));
		now_s += TLS_STAPLE_RETRY_S;
	}
	config_free(config);
}

static void
staple_and_its_answer_outlive_a_reload(void **state)
{
	struct config *first = configured(), *second;
	uint64_t now_s = (uint64_t)time(NULL);
	struct tls_staple *staple = tls_staple_due(now_s);
	struct tls_staple_answer *old;

	assert_true(tls_staple_answered(staple, response("a", "a", V_OCSP_CERTSTATUS_GOOD, (int64_t)now_s, 3600), now_s,
					&old));
	second = configured();
	config_free(first);
	assert_null(tls_staple_due(now_s)); /* nothing to ask */
	assert_ptr_equal(tls_staple_due(now_s + 3600), staple);
	/* It goes only when what is asked has come back. */
	config_free(second);
	tls_staple_failed(staple, now_s);
	assert_null(tls_staple_due(UINT64_MAX));
}

static void
one_that_is_asked_about_leaves_a_new_one_to_the_next_configuration(void **state)
{
	struct config *first = configured(), *second;
	uint64_t now_s = (uint64_t)time(NULL);
	struct tls_staple *staple = tls_staple_due(now_s), *next;

	second = configured();
	config_free(first);
	next = tls_staple_due(now_s);
	assert_non_null(next);
	assert_ptr_not_equal(next, staple);
	tls_staple_failed(staple, now_s);
	tls_staple_failed(next, now_s);
	config_free(second);
	assert_null(tls_staple_due(UINT64_MAX));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_is_taken_and_asked_for_anew_in_time),
		cmocka_unit_test(bad_answers_are_refused_with_a_reason),
		cmocka_unit_test(answer_may_be_cut_at_every_byte),
		cmocka_unit_test(staple_and_its_answer_outlive_a_reload),
		cmocka_unit_test(one_that_is_asked_about_leaves_a_new_one_to_the_next_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
