#include "tls/traffic.h"

#include <openssl/crypto.h>

#include "tls/kdf.h"

#define KEY_MAX 32
#define BLOCK_MAX (2 * (KEY_MAX + TLS_NONCE_SIZE))

struct tls_suite {
	const char *name;
	const struct tls_hash *hash;
	int nid, digest_nid;
	uint8_t key_size;
	uint8_t block_iv; /* bytes of the nonce that come from the key block of TLS 1.2 */
	EVP_CIPHER *cipher;
};

static struct tls_suite suites[] = {
	{ "AES-128-GCM", &tls_sha256, NID_aes_128_gcm, NID_sha256, 16, 4, NULL },
	{ "AES-256-GCM", &tls_sha384, NID_aes_256_gcm, NID_sha384, 32, 4, NULL },
	{ "ChaCha20-Poly1305", &tls_sha256, NID_chacha20_poly1305, NID_sha256, 32, 12, NULL },
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))

/* Fetched once: asking for them by name with each handshake takes OpenSSL's locks. */
int
tls_traffic_prepare(void)
{
	for (size_t i = 0; i < SUITES; i++)
		if (!suites[i].cipher && !(suites[i].cipher = EVP_CIPHER_fetch(NULL, suites[i].name, NULL)))
			return -1;
	return 0;
}

const struct tls_suite *
tls_suite_of(const SSL_CIPHER *cipher)
{
	const EVP_MD *digest = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;

	for (size_t i = 0; digest && i < SUITES; i++)
		if (suites[i].nid == SSL_CIPHER_get_cipher_nid(cipher) &&
		    suites[i].digest_nid == EVP_MD_get_type(digest))
			return &suites[i];
	return NULL;
}

uint8_t
tls_suite_secret_size(const struct tls_suite *suite)
{
	return tls_hash_size(suite->hash);
}

static bool
expand(const struct tls_hmac *secret, const char *label, uint8_t *out, size_t len)
{
	return tls_hkdf_expand(secret, (struct bytes)BYTES("tls13 "), bytes_of_string(label), (struct bytes){ 0 }, out,
			       len);
}

bool
tls_traffic_expand(const struct tls_suite *suite, const struct tls_secret *secret, const char *label, uint8_t *out,
		   size_t len)
{
	struct tls_hmac hmac;
	bool good;

	tls_hmac_key(&hmac, suite->hash, bytes_of(secret->data, secret->len));
	good = expand(&hmac, label, out, len);
	tls_hmac_clear(&hmac);
	return good;
}

static bool
key_set(struct tls_record_key *key, const struct tls_suite *suite, const uint8_t *bytes, bool seals)
{
	bool first = !key->aead;

	if (first)
		key->aead = EVP_CIPHER_CTX_new();
	key->sequence = 0;
	return key->aead && EVP_CipherInit_ex(key->aead, first ? suite->cipher : NULL, NULL, bytes, NULL, seals) == 1;
}

bool
tls_traffic_key(const struct tls_suite *suite, const struct tls_secret *secret, bool seals, struct tls_record_key *key)
{
	uint8_t bytes[KEY_MAX];
	struct tls_hmac hmac;
	bool good;

	tls_hmac_key(&hmac, suite->hash, bytes_of(secret->data, secret->len));
	good = expand(&hmac, "key", bytes, suite->key_size) && expand(&hmac, "iv", key->iv, TLS_NONCE_SIZE) &&
	       key_set(key, suite, bytes, seals);
	key->hides_type = true;
	tls_hmac_clear(&hmac);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return good;
}

bool
tls_traffic_update(const struct tls_suite *suite, struct tls_secret *secret, bool seals, struct tls_record_key *key)
{
	struct tls_secret next = { .len = secret->len };
	bool good = tls_traffic_expand(suite, secret, "traffic upd", next.data, next.len);

	if (good)
		*secret = next;
	OPENSSL_cleanse(&next, sizeof(next));
	return good && tls_traffic_key(suite, secret, seals, key);
}

bool
tls_traffic_block(const struct tls_suite *suite, const uint8_t master[TLS_MASTER_SIZE], const uint8_t randoms[64],
		  struct tls_record_key *client, struct tls_record_key *server)
{
	const struct bytes seeds[] = { BYTES("key expansion"), { randoms, 64 } };
	size_t key_size = suite->key_size, iv_size = suite->block_iv;
	uint8_t block[BLOCK_MAX];
	struct tls_hmac hmac;
	bool good;

	tls_hmac_key(&hmac, suite->hash, bytes_of(master, TLS_MASTER_SIZE));
	tls_prf(&hmac, seeds, 2, block, 2 * (key_size + iv_size));
	tls_hmac_clear(&hmac);
	good = key_set(client, suite, block, false) && key_set(server, suite, block + key_size, true);
	if (good) {
		memcpy(client->iv, block + 2 * key_size, iv_size);
		memcpy(server->iv, block + 2 * key_size + iv_size, iv_size);
		client->explicit_nonce = server->explicit_nonce = (uint8_t)(TLS_NONCE_SIZE - iv_size);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return good;
}

void
tls_traffic_clear(struct tls_record_key *key)
{
	EVP_CIPHER_CTX_free(key->aead);
	OPENSSL_cleanse(key, sizeof(*key));
}
