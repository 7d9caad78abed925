/*
 * Our provider says what OpenSSL's says.
 */
#include "support/cmocka.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>

#include "files.h"
#include "peer.h"
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

/* ---- X25519 ---- */

#define KEY_SIZE 32

static void
from_hex(uint8_t out[KEY_SIZE], const char *text)
{
	size_t len;

	assert_int_equal(OPENSSL_hexstr2buf_ex(out, KEY_SIZE, &len, text, '\0'), 1);
	assert_int_equal(len, KEY_SIZE);
}

static EVP_PKEY *
key_made(const char *properties)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "X25519", properties);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(context), 1);
	assert_int_equal(EVP_PKEY_CTX_set_group_name(context, "X25519"), 1);
	assert_int_equal(EVP_PKEY_generate(context, &key), 1);
	EVP_PKEY_CTX_free(context);
	return key;
}

/* As libssl has the key of its peer. */
static EVP_PKEY *
key_heard(const char *properties, const uint8_t open[KEY_SIZE])
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "X25519", properties);
	EVP_PKEY *key = NULL;
	size_t len;

	assert_int_equal(EVP_PKEY_paramgen_init(context), 1);
	assert_int_equal(EVP_PKEY_CTX_set_group_name(context, "X25519"), 1);
	assert_int_equal(EVP_PKEY_generate(context, &key), 1);
	assert_int_not_equal(EVP_PKEY_get_raw_private_key(key, NULL, &len), 1);
	assert_int_equal(EVP_PKEY_set1_encoded_public_key(key, open, KEY_SIZE), 1);
	EVP_PKEY_CTX_free(context);
	return key;
}

static EVP_PKEY *
key_of(const char *properties, const uint8_t secret[KEY_SIZE])
{
	return EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", properties, secret, KEY_SIZE);
}

static void
open_of(const EVP_PKEY *key, uint8_t open[KEY_SIZE])
{
	size_t len = KEY_SIZE;

	assert_int_equal(EVP_PKEY_get_raw_public_key(key, open, &len), 1);
}

/* What is agreed on between `key` and who says `open`; takes `key`. */
static int
agree(const char *properties, EVP_PKEY *key, const uint8_t open[KEY_SIZE], uint8_t shared[KEY_SIZE])
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, properties);
	EVP_PKEY *heard = key_heard(properties, open);
	size_t len = KEY_SIZE;
	int result;

	assert_int_equal(EVP_PKEY_derive_init(context), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(context, heard), 1);
	result = EVP_PKEY_derive(context, shared, &len);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(heard);
	EVP_PKEY_free(key);
	return result;
}

static bool
is_ours(const EVP_PKEY *key)
{
	return strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "weir") == 0;
}

static void
keys_it_makes_are_those_of_their_secrets(void **state)
{
	uint8_t secrets[64][KEY_SIZE];

	for (int i = 0; i < 64; i++) {
		EVP_PKEY *key = key_made(TLS_PROPERTIES), *same;
		uint8_t open[KEY_SIZE], expected[KEY_SIZE];
		size_t len = KEY_SIZE;

		assert_true(is_ours(key));
		assert_int_equal(EVP_PKEY_get_raw_private_key(key, secrets[i], &len), 1);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(secrets[i], secrets[j], KEY_SIZE);
		same = key_of(TLS_PROPERTIES_OF_OTHERS, secrets[i]);
		assert_false(is_ours(same));
		open_of(key, open);
		open_of(same, expected);
		assert_memory_equal(open, expected, KEY_SIZE);
		EVP_PKEY_free(key);
		EVP_PKEY_free(same);
	}
}

static void
it_agrees_with_openssl(void **state)
{
	EVP_PKEY *ours = key_made(TLS_PROPERTIES), *theirs = key_made(TLS_PROPERTIES_OF_OTHERS);
	uint8_t our_open[KEY_SIZE], their_open[KEY_SIZE], here[KEY_SIZE], there[KEY_SIZE];

	open_of(ours, our_open);
	open_of(theirs, their_open);
	assert_int_equal(agree(TLS_PROPERTIES, ours, their_open, here), 1);
	assert_int_equal(agree(TLS_PROPERTIES_OF_OTHERS, theirs, our_open, there), 1);
	assert_memory_equal(here, there, KEY_SIZE);
}

/* RFC 7748 sections 5.2 and 6.1. */
static void
it_multiplies_as_the_rfc_does(void **state)
{
	static const char *const vectors[][3] = {
		{ "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
		{ "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
		{ "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
		{ "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
	};
	uint8_t secret[KEY_SIZE] = { 9 }, open[KEY_SIZE] = { 9 }, shared[KEY_SIZE], expected[KEY_SIZE];

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(agree(TLS_PROPERTIES, key_of(TLS_PROPERTIES, secret), open, shared), 1);
		memcpy(open, secret, KEY_SIZE);
		memcpy(secret, shared, KEY_SIZE);
	}
	from_hex(expected, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
	assert_memory_equal(shared, expected, KEY_SIZE);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		from_hex(secret, vectors[i][0]);
		from_hex(open, vectors[i][1]);
		from_hex(expected, vectors[i][2]);
		assert_int_equal(agree(TLS_PROPERTIES, key_of(TLS_PROPERTIES, secret), open, shared), 1);
		assert_memory_equal(shared, expected, KEY_SIZE);
	}
}

/* A secret of zeros, which a peer chose (RFC 7748 section 6.1): of the points whose order divides 8, however they are written. */
static void
a_secret_that_the_peer_chose_is_refused(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t open[KEY_SIZE], shared[KEY_SIZE];

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		from_hex(open, points[i]);
		assert_int_not_equal(agree(TLS_PROPERTIES, key_made(TLS_PROPERTIES), open, shared), 1);
	}
}

static void
it_has_no_other_group(void **state)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "X25519", TLS_PROPERTIES);

	assert_int_equal(EVP_PKEY_keygen_init(context), 1);
	assert_int_not_equal(EVP_PKEY_CTX_set_group_name(context, "X448"), 1);
	EVP_PKEY_CTX_free(context);
}

static void
handshakes_have_it_and_all_other_groups(void **state)
{
	static const char *const groups[] = { "X25519", "P-256", "X448", "P-384" };
	struct config *config = NULL;
	const struct tls_settings *settings =
		files_configured(&config, "server { ssl_certificate rsa.crt; ssl_certificate_key rsa.key; "
					  "ssl_ecdh_curve X25519:P-256:X448:P-384; }");

	for (int i = 0; i < 4; i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct peer *peer = peer_new(settings, version, NULL, NULL);
			EVP_PKEY *key;

			assert_int_equal(SSL_set1_groups_list(peer->ssl, groups[i]), 1);
			assert_int_equal(peer_handshake(peer), TLS_OK);
			assert_int_equal(SSL_get_peer_tmp_key(peer->ssl, &key), 1);
			assert_string_equal(EVP_PKEY_get0_type_name(key), i == 0 ? "X25519" : i == 2 ? "X448" : "EC");
			EVP_PKEY_free(key);
			peer_free(peer);
		}
	config_free(config);
}

/* It takes a group only from whose keys it gets by the context's properties: from us. */
static void
libssl_has_the_group_with_our_keys(void **state)
{
	SSL_CTX *context = SSL_CTX_new_ex(NULL, TLS_PROPERTIES, TLS_method());

	assert_int_equal(SSL_CTX_set1_groups_list(context, "X25519"), 1);
	SSL_CTX_free(context);
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
		cmocka_unit_test(keys_it_makes_are_those_of_their_secrets),
		cmocka_unit_test(it_agrees_with_openssl),
		cmocka_unit_test(it_multiplies_as_the_rfc_does),
		cmocka_unit_test(a_secret_that_the_peer_chose_is_refused),
		cmocka_unit_test(it_has_no_other_group),
		cmocka_unit_test(libssl_has_the_group_with_our_keys),
		cmocka_unit_test(handshakes_have_it_and_all_other_groups),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
