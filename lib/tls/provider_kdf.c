/* TLS13-KDF and TLS1-PRF, as OpenSSL's ssl/ asks for them (tls13_enc.c, t1_enc.c). */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include "tls/internal.h"
#include "tls/kdf.h"

#define READY 2 /* what derives in turns: a secret of the schedule, and one of its traffic */

/* The handshake that a thread is at. */
static _Thread_local struct {
	bool under_way;
	uint8_t turn;
	struct tls_records *records;
	struct ready {
		uint8_t secret[TLS_HASH_MAX];
		struct tls_hmac hmac; /* hash NULL: none */
	} ready[READY];
} handshake;

void
tls_provider_begin(struct tls_records *records)
{
	handshake.under_way = true;
	handshake.records = records;
}

void
tls_provider_end(void)
{
	for (int i = 0; i < READY; i++)
		if (handshake.ready[i].hmac.hash)
			OPENSSL_cleanse(&handshake.ready[i], sizeof(handshake.ready[i]));
	handshake.under_way = false;
}

/* ---- what is the same in all handshakes without a PSK ---- */

static struct early {
	const struct tls_hash *hash;
	uint8_t nothing[TLS_HASH_MAX]; /* the hash of it */
	uint8_t secret[TLS_HASH_MAX];  /* the early secret */
	uint8_t salt[TLS_HASH_MAX];    /* what is derived from that for the next */
} earlies[] = { { .hash = &tls_sha256 }, { .hash = &tls_sha384 } };
#define EARLIES (sizeof(earlies) / sizeof(earlies[0]))

static const uint8_t zeros[TLS_HASH_MAX];

static void
derived(const struct tls_hmac *secret, const uint8_t *nothing, uint8_t *out)
{
	size_t size = tls_hash_size(secret->hash);

	tls_hkdf_expand(secret, (struct bytes)BYTES("tls13 "), (struct bytes)BYTES("derived"), bytes_of(nothing, size),
			out, size);
}

static void
earlies_make(void)
{
	for (struct early *early = earlies; early < earlies + EARLIES; early++) {
		size_t size = tls_hash_size(early->hash);
		struct tls_hmac hmac;

		tls_hash_of_nothing(early->hash, early->nothing);
		tls_hkdf_extract(early->hash, (struct bytes){ 0 }, bytes_of(zeros, size), early->secret);
		tls_hmac_key(&hmac, early->hash, bytes_of(early->secret, size));
		derived(&hmac, early->nothing, early->salt);
	}
}

static const struct early *
early_of(const struct tls_hash *hash)
{
	return hash == earlies[0].hash ? &earlies[0] : &earlies[1];
}

/* ---- TLS13-KDF ---- */

struct question {
	const struct tls_hash *hash;
	int mode;
	struct bytes key, salt, prefix, label, data;
};

/* One run over them: each look-up by name would be another. No two of the names begin alike but for the last three. */
static bool
question_read(const OSSL_PARAM *params, struct question *question)
{
	*question = (struct question){ .mode = -1 };
	for (; params->key; params++) {
		struct bytes value = bytes_of(params->data, params->data_size);

		switch (params->key[0]) {
		case 'm':
			OSSL_PARAM_get_int(params, &question->mode);
			break;
		case 'k':
			question->key = value;
			break;
		case 's':
			question->salt = value;
			break;
		case 'l':
			question->label = value;
			break;
		case 'd':
			if (strcmp(params->key, OSSL_KDF_PARAM_DIGEST) == 0)
				question->hash = tls_hash_named(params->data);
			else if (strcmp(params->key, OSSL_KDF_PARAM_DATA) == 0)
				question->data = value;
			break;
		case 'p':
			if (strcmp(params->key, OSSL_KDF_PARAM_PREFIX) == 0)
				question->prefix = value;
		}
	}
	return question->hash;
}

/* Two blocks of four are saved where it was used last or the time before. */
static const struct tls_hmac *
made_ready(const struct tls_hash *hash, struct bytes secret)
{
	struct ready *ready;

	for (ready = handshake.ready; ready < handshake.ready + READY; ready++)
		if (ready->hmac.hash == hash && CRYPTO_memcmp(ready->secret, secret.data, secret.len) == 0) {
			handshake.turn = ready == handshake.ready;
			return &ready->hmac;
		}
	ready = &handshake.ready[handshake.turn];
	handshake.turn ^= 1;
	memcpy(ready->secret, secret.data, secret.len);
	tls_hmac_key(&ready->hmac, hash, secret);
	return &ready->hmac;
}

/* The next secret of the key schedule; its salt is derived from the secret before, where there is one. */
static bool
extract(const struct question *question, uint8_t *out, size_t len)
{
	const struct tls_hash *hash = question->hash;
	const struct early *early = early_of(hash);
	size_t size = tls_hash_size(hash);
	struct bytes input = question->key.data ? question->key : bytes_of(zeros, size), before = question->salt;
	uint8_t salt[TLS_HASH_MAX];

	if (len != size || (before.data && before.len != size))
		return false;
	if (!before.data && !question->key.data)
		memcpy(out, early->secret, size);
	else if (!before.data)
		tls_hkdf_extract(hash, before, input, out);
	else if (bytes_equal(before, bytes_of(early->secret, size)))
		tls_hkdf_extract(hash, bytes_of(early->salt, size), input, out);
	else {
		derived(made_ready(hash, before), early->nothing, salt);
		tls_hkdf_extract(hash, bytes_of(salt, size), input, out);
		OPENSSL_cleanse(salt, sizeof(salt));
	}
	return true;
}

static bool
expand(const struct question *question, uint8_t *out, size_t len)
{
	struct bytes secret = question->key;

	if (secret.len != tls_hash_size(question->hash) ||
	    !tls_hkdf_expand(made_ready(question->hash, secret), question->prefix, question->label, question->data, out,
			     len))
		return false;
	if (handshake.under_way && handshake.records)
		tls_secret_heard(handshake.records, question->label, bytes_of(out, len));
	return true;
}

static int
tls13_answer(const struct question *question, uint8_t *out, size_t len)
{
	switch (question->mode) {
	case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
		return extract(question, out, len);
	case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
		return expand(question, out, len);
	default:
		return 0;
	}
}

static int
tls13_derive(void *context, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
	struct question question;
	int result = question_read(params, &question) && tls13_answer(&question, out, len);

	if (!handshake.under_way)
		tls_provider_end();
	return result;
}

/* ---- TLS1-PRF ---- */

/* That of others, for the hash of TLS 1.1 and before. */
static EVP_KDF *prf_of_others;

static int
prf_ask_others(unsigned char *out, size_t len, const OSSL_PARAM params[])
{
	EVP_KDF_CTX *context = prf_of_others ? EVP_KDF_CTX_new(prf_of_others) : NULL;
	int result = context ? EVP_KDF_derive(context, out, len, params) : 0;

	EVP_KDF_CTX_free(context);
	return result;
}

static int
prf_derive(void *context, unsigned char *out, size_t len, const OSSL_PARAM params[])
{
	struct bytes secret = { 0 }, seeds[TLS_PRF_SEEDS_MAX];
	const struct tls_hash *hash = NULL;
	unsigned int count = 0;
	struct tls_hmac hmac;

	for (const OSSL_PARAM *at = params; at->key; at++) {
		if (strcmp(at->key, OSSL_KDF_PARAM_SEED) == 0 && count < TLS_PRF_SEEDS_MAX)
			seeds[count++] = bytes_of(at->data, at->data_size);
		else if (strcmp(at->key, OSSL_KDF_PARAM_SECRET) == 0)
			secret = bytes_of(at->data, at->data_size);
		else if (strcmp(at->key, OSSL_KDF_PARAM_DIGEST) == 0)
			hash = tls_hash_named(at->data);
	}
	if (!hash || !secret.data || !count || count == TLS_PRF_SEEDS_MAX)
		return prf_ask_others(out, len, params);
	tls_hmac_key(&hmac, hash, secret);
	tls_prf(&hmac, seeds, count, out, len);
	tls_hmac_clear(&hmac);
	return 1;
}

/* ---- what the provider lists ---- */

/* Nothing is kept between what is asked and the answer, so any pointer will do for a context. */
static void *
context_new(void *provider)
{
	return provider;
}

static void
context_free(void *context)
{
}

const OSSL_DISPATCH tls_provider_tls13_kdf[] = {
	{ OSSL_FUNC_KDF_NEWCTX, (void (*)(void))context_new },
	{ OSSL_FUNC_KDF_FREECTX, (void (*)(void))context_free },
	{ OSSL_FUNC_KDF_DERIVE, (void (*)(void))tls13_derive },
	{ 0, NULL },
};

const OSSL_DISPATCH tls_provider_tls1_prf[] = {
	{ OSSL_FUNC_KDF_NEWCTX, (void (*)(void))context_new },
	{ OSSL_FUNC_KDF_FREECTX, (void (*)(void))context_free },
	{ OSSL_FUNC_KDF_DERIVE, (void (*)(void))prf_derive },
	{ 0, NULL },
};

int
tls_provider_kdf_prepare(void)
{
	earlies_make();
	prf_of_others = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_PRF, TLS_PROPERTIES_OF_OTHERS);
	return prf_of_others ? 0 : -1;
}
