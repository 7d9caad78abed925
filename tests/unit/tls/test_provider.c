/*
 * Our provider says what OpenSSL's says.
 */
#include "support/cmocka.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>

#include "tls/provider.h"

struct question {
	int mode;
	const char *digest, *label;
	size_t key_len, salt_len, data_len, out_len; /* 0: not said */
};

static uint8_t bytes[256];

static int
answer(const char *properties, const struct question *question, uint8_t *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, properties);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[8], *at = params;
	int mode = question->mode, result;

	assert_non_null(context);
	*at++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	*at++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)question->digest, 0);
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, (char[]){ "tls13 " }, 6);
	*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)(uintptr_t)question->label,
						  strlen(question->label));
	if (question->key_len)
		*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, bytes, question->key_len);
	if (question->salt_len)
		*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, bytes + 64, question->salt_len);
	if (question->data_len)
		*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, bytes + 128, question->data_len);
	*at = OSSL_PARAM_construct_end();
	result = EVP_KDF_derive(context, out, question->out_len, params);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return result;
}

static void
it_derives_what_openssl_derives(void **state)
{
	static const struct question questions[] = {
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-256", "derived", 0, 0, 0, 32 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-384", "derived", 0, 0, 0, 48 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-256", "derived", 32, 32, 0, 32 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-384", "derived", 256, 48, 0, 48 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-384", "derived", 0, 48, 0, 48 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA2-256", "key", 32, 0, 0, 16 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA2-384", "iv", 48, 0, 0, 12 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA2-256", "c ap traffic", 32, 0, 32, 32 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA2-384", "s ap traffic", 48, 0, 48, 48 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA384", "exporter", 48, 0, 48, 1000 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA256", "", 32, 0, 1, 8160 },
	};

	RAND_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		uint8_t ours[8160], theirs[8160];

		assert_int_equal(answer(TLS_PROPERTIES, &questions[i], ours), 1);
		assert_int_equal(answer(TLS_PROPERTIES_OF_OTHERS, &questions[i], theirs), 1);
		assert_memory_equal(ours, theirs, questions[i].out_len);
	}
}

static void
what_it_cannot_answer_is_an_error(void **state)
{
	static const struct question questions[] = {
		{ EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, "SHA2-256", "key", 32, 0, 0, 16 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "MD5", "key", 32, 0, 0, 16 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-256", "derived", 32, 32, 0, 33 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_ONLY, "SHA2-256", "derived", 32, 65, 0, 32 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA2-256", "key", 65, 0, 0, 16 },
		{ EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA2-256", "key", 32, 0, 0, 8161 },
	};
	static uint8_t out[8161];

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		assert_int_not_equal(answer(TLS_PROPERTIES, &questions[i], out), 1);
}

static int
prf(const char *properties, const char *digest, size_t secret_len, unsigned int seeds, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_PRF, properties);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[12], *at = params;
	int result;

	assert_non_null(context);
	*at++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)digest, 0);
	if (secret_len)
		*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, bytes, secret_len);
	for (unsigned int i = 0; i < seeds; i++)
		*at++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, bytes + i, 13 + 20 * i);
	*at = OSSL_PARAM_construct_end();
	result = EVP_KDF_derive(context, out, len, params);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return result;
}

static void
its_prf_is_openssls(void **state)
{
	static const char *const digests[] = { "SHA2-256", "SHA256", "SHA2-384", "SHA2-512", "MD5-SHA1" };
	static const size_t secrets[] = { 48, 64, 128, 129, 256 }, lengths[] = { 12, 48, 96, 97, 255 };

	for (unsigned int i = 0; i < 5 * 5 * 9; i++) {
		const char *digest = digests[i % 5];
		size_t secret_len = secrets[i / 5 % 5], len = lengths[(i + i / 5) % 5];
		unsigned int seeds = 1 + i / 25;
		uint8_t ours[255], theirs[255];

		assert_int_equal(prf(TLS_PROPERTIES, digest, secret_len, seeds, ours, len), 1);
		assert_int_equal(prf(TLS_PROPERTIES_OF_OTHERS, digest, secret_len, seeds, theirs, len), 1);
		assert_memory_equal(ours, theirs, len);
	}
	assert_int_not_equal(prf(TLS_PROPERTIES, "SHA2-256", 0, 1, bytes, 12), 1);
	assert_int_not_equal(prf(TLS_PROPERTIES, "SHA2-256", 48, 0, bytes, 12), 1);
}

static int
begin(void **state)
{
	return tls_provider_prepare();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_derives_what_openssl_derives),
		cmocka_unit_test(its_prf_is_openssls),
		cmocka_unit_test(what_it_cannot_answer_is_an_error),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
