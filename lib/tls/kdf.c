#include "tls/kdf.h"

#include <openssl/crypto.h>

/* Two lengths in front of label and context, and that of what is wanted (RFC 8446 section 7.1). */
#define INFO_MAX (2 + 1 + 255 + 1 + 255)

void
tls_hkdf_extract(const struct tls_hash *hash, struct bytes salt, struct bytes input, uint8_t out[TLS_HASH_MAX])
{
	struct tls_hmac hmac;

	tls_hmac_key(&hmac, hash, salt);
	tls_hmac_of(&hmac, &input, 1, out);
	tls_hmac_clear(&hmac);
}

static uint8_t *
put(uint8_t *at, struct bytes bytes)
{
	if (bytes.len)
		memcpy(at, bytes.data, bytes.len);
	return at + bytes.len;
}

static size_t
info_make(uint8_t info[INFO_MAX], struct bytes prefix, struct bytes label, struct bytes context, size_t len)
{
	uint8_t *at = info;

	*at++ = (uint8_t)(len >> 8);
	*at++ = (uint8_t)len;
	*at++ = (uint8_t)(prefix.len + label.len);
	at = put(put(at, prefix), label);
	*at++ = (uint8_t)context.len;
	return (size_t)(put(at, context) - info);
}

bool
tls_hkdf_expand(const struct tls_hmac *secret, struct bytes prefix, struct bytes label, struct bytes context,
		uint8_t *out, size_t len)
{
	uint8_t info[INFO_MAX + 1], block[TLS_HASH_MAX], size = tls_hash_size(secret->hash);
	struct bytes pieces[2] = { { block, 0 }, { info, 0 } };
	size_t info_len;

	if (prefix.len + label.len > 255 || context.len > 255 || len > 255u * size)
		return false;
	info_len = info_make(info, prefix, label, context, len);
	pieces[1].len = info_len + 1;
	for (uint8_t round = 1; len; round++) {
		size_t run = len < size ? len : size;

		info[info_len] = round;
		tls_hmac_of(secret, pieces, 2, block);
		memcpy(out, block, run);
		pieces[0].len = size;
		out += run;
		len -= run;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return true;
}

void
tls_prf(const struct tls_hmac *secret, const struct bytes *seeds, unsigned int count, uint8_t *out, size_t len)
{
	uint8_t chain[TLS_HASH_MAX], block[TLS_HASH_MAX], size = tls_hash_size(secret->hash);
	struct bytes pieces[1 + TLS_PRF_SEEDS_MAX] = { { chain, size } };

	memcpy(pieces + 1, seeds, count * sizeof(*seeds));
	tls_hmac_of(secret, seeds, count, chain);
	while (len) {
		size_t run = len < size ? len : size;

		tls_hmac_of(secret, pieces, 1 + count, block);
		memcpy(out, block, run);
		out += run;
		len -= run;
		if (len)
			tls_hmac_of(secret, pieces, 1, chain);
	}
	OPENSSL_cleanse(chain, sizeof(chain));
	OPENSSL_cleanse(block, sizeof(block));
}
