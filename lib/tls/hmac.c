/* SHA256_Init() and its like are deprecated for being no part of a provider, which is what is wanted here. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls/hmac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#define BLOCK_MAX SHA512_CBLOCK

struct tls_hash {
	const char *name, *old_name;
	uint8_t size, block;
	void (*begin)(union tls_hash_state *state);
	void (*add)(union tls_hash_state *state, const void *data, size_t len);
	void (*end)(union tls_hash_state *state, uint8_t *out);
};

static void
sha256_begin(union tls_hash_state *state)
{
	SHA256_Init(&state->sha256);
}

static void
sha256_add(union tls_hash_state *state, const void *data, size_t len)
{
	SHA256_Update(&state->sha256, data, len);
}

static void
sha256_end(union tls_hash_state *state, uint8_t *out)
{
	SHA256_Final(out, &state->sha256);
}

static void
sha384_begin(union tls_hash_state *state)
{
	SHA384_Init(&state->sha384);
}

static void
sha384_add(union tls_hash_state *state, const void *data, size_t len)
{
	SHA384_Update(&state->sha384, data, len);
}

static void
sha384_end(union tls_hash_state *state, uint8_t *out)
{
	SHA384_Final(out, &state->sha384);
}

const struct tls_hash tls_sha256 = { "SHA2-256", "SHA256",  SHA256_DIGEST_LENGTH, SHA256_CBLOCK, sha256_begin,
				     sha256_add, sha256_end };
const struct tls_hash tls_sha384 = { "SHA2-384", "SHA384",  SHA384_DIGEST_LENGTH, SHA512_CBLOCK, sha384_begin,
				     sha384_add, sha384_end };

static const struct tls_hash *const hashes[] = { &tls_sha256, &tls_sha384 };

const struct tls_hash *
tls_hash_named(const char *name)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (strcmp(name, hashes[i]->name) == 0 || strcmp(name, hashes[i]->old_name) == 0)
			return hashes[i];
	return NULL;
}

uint8_t
tls_hash_size(const struct tls_hash *hash)
{
	return hash->size;
}

void
tls_hash_of_nothing(const struct tls_hash *hash, uint8_t out[TLS_HASH_MAX])
{
	union tls_hash_state state;

	hash->begin(&state);
	hash->end(&state, out);
}

/* ---- HMAC ---- */

static void
pad_add(const struct tls_hash *hash, union tls_hash_state *state, const uint64_t key[BLOCK_MAX / 8], uint64_t pad)
{
	uint64_t block[BLOCK_MAX / 8];

	for (unsigned int i = 0; i < BLOCK_MAX / 8; i++)
		block[i] = key[i] ^ pad;
	hash->begin(state);
	hash->add(state, block, hash->block);
	OPENSSL_cleanse(block, sizeof(block));
}

void
tls_hmac_key(struct tls_hmac *hmac, const struct tls_hash *hash, struct bytes key)
{
	uint64_t block[BLOCK_MAX / 8] = { 0 };

	if (key.len > hash->block) {
		hash->begin(&hmac->inner);
		hash->add(&hmac->inner, key.data, key.len);
		hash->end(&hmac->inner, (uint8_t *)block);
	} else if (key.len) {
		memcpy(block, key.data, key.len);
	}
	hmac->hash = hash;
	pad_add(hash, &hmac->inner, block, 0x3636363636363636);
	pad_add(hash, &hmac->outer, block, 0x5c5c5c5c5c5c5c5c);
	OPENSSL_cleanse(block, sizeof(block));
}

void
tls_hmac_of(const struct tls_hmac *hmac, const struct bytes *pieces, unsigned int count, uint8_t out[TLS_HASH_MAX])
{
	const struct tls_hash *hash = hmac->hash;
	union tls_hash_state state = hmac->inner;

	for (unsigned int i = 0; i < count; i++)
		hash->add(&state, pieces[i].data, pieces[i].len);
	hash->end(&state, out);
	state = hmac->outer;
	hash->add(&state, out, hash->size);
	hash->end(&state, out);
	OPENSSL_cleanse(&state, sizeof(state));
}

void
tls_hmac_clear(struct tls_hmac *hmac)
{
	OPENSSL_cleanse(hmac, sizeof(*hmac));
}
