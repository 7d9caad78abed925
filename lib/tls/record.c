#include "tls/record.h"

#include <openssl/ssl.h>

#define CONTENT_MAX (1u << 14)
/* What padding may add in TLS 1.3 (RFC 8446 section 5.2); in TLS 1.2 an AEAD adds just its nonce and tag. */
#define EXPANSION_MAX 256u
#define VERSION_MAJOR 3
#define VERSION_MINOR 3 /* of TLS 1.2; TLS 1.3 says the same (RFC 8446 section 5.1) */

static void
put_be(uint8_t *out, unsigned int size, uint64_t value)
{
	while (size--) {
		out[size] = (uint8_t)value;
		value >>= 8;
	}
}

/* `explicit_nonce`: as the record carries it, where it does (RFC 5288 section 3); else the sequence number is mixed in
 * (RFC 8446 section 5.3, RFC 7905 section 2). */
static void
nonce_make(const struct tls_record_key *key, const uint8_t *explicit_nonce, uint8_t nonce[TLS_NONCE_SIZE])
{
	uint8_t sequence[8];

	memcpy(nonce, key->iv, TLS_NONCE_SIZE);
	if (key->explicit_nonce) {
		memcpy(nonce + TLS_NONCE_SIZE - 8, explicit_nonce, 8);
		return;
	}
	put_be(sequence, 8, key->sequence);
	for (int i = 0; i < 8; i++)
		nonce[TLS_NONCE_SIZE - 8 + i] ^= sequence[i];
}

/* What the tag also vouches for: the header (RFC 8446 section 5.2), in TLS 1.2 with the sequence number, and the length of the
 * content (RFC 5246 section 6.2.3.3). */
static bool
begin(struct tls_record_key *key, const uint8_t *nonce, const uint8_t header[TLS_HEADER_SIZE], uint32_t content)
{
	uint8_t data[8 + TLS_HEADER_SIZE];
	int len;

	if (EVP_CipherInit_ex(key->aead, NULL, NULL, NULL, nonce, -1) != 1)
		return false;
	if (key->hides_type)
		return EVP_CipherUpdate(key->aead, NULL, &len, header, TLS_HEADER_SIZE) == 1;
	put_be(data, 8, key->sequence);
	memcpy(data + 8, header, 3);
	put_be(data + 11, 2, content);
	return EVP_CipherUpdate(key->aead, NULL, &len, data, sizeof(data)) == 1;
}

static bool
crypt(EVP_CIPHER_CTX *aead, struct tls_pieces *in, struct tls_pieces *out, uint32_t left)
{
	while (left) {
		size_t run, room;
		const uint8_t *from = tls_pieces_run(in, &run);
		uint8_t *to = tls_pieces_run(out, &room);
		int len;

		run = run < room ? run : room;
		run = run < left ? run : left;
		if (EVP_CipherUpdate(aead, to, &len, from, (int)run) != 1)
			return false;
		in->used += run;
		out->used += run;
		left -= (uint32_t)run;
	}
	return true;
}

bool
tls_record_seal(struct tls_record_key *key, enum tls_content type, struct tls_pieces *in, uint32_t len,
		struct tls_pieces *out)
{
	uint8_t head[TLS_HEADER_SIZE + 8], nonce[TLS_NONCE_SIZE], tag[TLS_TAG_SIZE], inner = (uint8_t)type;
	struct iovec hidden = { &inner, 1 };
	struct tls_pieces behind = tls_pieces_of(&hidden, 1);
	int none;

	head[0] = (uint8_t)(key->hides_type ? TLS_CONTENT_DATA : type);
	head[1] = VERSION_MAJOR;
	head[2] = VERSION_MINOR;
	put_be(head + 3, 2, len + tls_record_overhead(key) - TLS_HEADER_SIZE);
	put_be(head + TLS_HEADER_SIZE, 8, key->sequence);
	nonce_make(key, head + TLS_HEADER_SIZE, nonce);
	tls_pieces_put(out, head, TLS_HEADER_SIZE + key->explicit_nonce);
	if (!begin(key, nonce, head, len) || !crypt(key->aead, in, out, len) ||
	    !crypt(key->aead, &behind, out, key->hides_type) ||
	    EVP_CipherFinal_ex(key->aead, tag /* takes nothing */, &none) != 1 ||
	    EVP_CIPHER_CTX_ctrl(key->aead, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_SIZE, tag) != 1)
		return false;
	tls_pieces_put(out, tag, TLS_TAG_SIZE);
	key->sequence++;
	return true;
}

int
tls_record_length(const struct tls_record_key *key, const uint8_t header[TLS_HEADER_SIZE], uint32_t *len)
{
	uint32_t overhead = tls_record_overhead(key), length = (uint32_t)header[3] << 8 | header[4];

	*len = TLS_HEADER_SIZE + length;
	if (header[1] != VERSION_MAJOR || header[2] != VERSION_MINOR)
		return SSL_AD_PROTOCOL_VERSION;
	if (key->hides_type ? header[0] != TLS_CONTENT_DATA
			    : header[0] < TLS_CONTENT_CHANGE_CIPHER_SPEC || header[0] > TLS_CONTENT_DATA)
		return SSL_AD_UNEXPECTED_MESSAGE;
	if (length > CONTENT_MAX + (key->hides_type ? EXPANSION_MAX : (uint32_t)key->explicit_nonce + TLS_TAG_SIZE))
		return SSL_AD_RECORD_OVERFLOW;
	return *len < overhead ? SSL_AD_BAD_RECORD_MAC : 0;
}

/* The last byte of `len` that is not zero is the type, what is before it the content (RFC 8446 section 5.4). */
static int
type_find(struct tls_pieces whole, enum tls_content *type, uint32_t *len)
{
	uint32_t at = 0, found = UINT32_MAX;

	while (at < *len) {
		size_t run;
		const uint8_t *from = tls_pieces_run(&whole, &run);
		size_t i;

		run = run < *len - at ? run : *len - at;
		for (i = run; i > 0 && !from[i - 1]; i--)
			;
		if (i) {
			found = at + (uint32_t)i - 1;
			*type = (enum tls_content)from[i - 1];
		}
		whole.used += run;
		at += (uint32_t)run;
	}
	if (found == UINT32_MAX)
		return SSL_AD_UNEXPECTED_MESSAGE;
	*len = found;
	return 0;
}

int
tls_record_open(struct tls_record_key *key, struct tls_pieces *in, struct tls_pieces *out, enum tls_content *type,
		uint32_t *len)
{
	uint8_t head[TLS_HEADER_SIZE + 8], nonce[TLS_NONCE_SIZE], tag[TLS_TAG_SIZE], nothing[TLS_TAG_SIZE];
	struct tls_pieces whole = *out;
	uint32_t record;
	int none, alert;

	tls_pieces_get(in, head, TLS_HEADER_SIZE);
	alert = tls_record_length(key, head, &record);
	if (alert)
		return alert;
	tls_pieces_get(in, head + TLS_HEADER_SIZE, key->explicit_nonce);
	nonce_make(key, head + TLS_HEADER_SIZE, nonce);
	*len = record - tls_record_overhead(key);
	*type = (enum tls_content)head[0];
	if (!begin(key, nonce, head, *len) || !crypt(key->aead, in, out, *len + key->hides_type))
		return SSL_AD_INTERNAL_ERROR;
	tls_pieces_get(in, tag, TLS_TAG_SIZE);
	if (EVP_CIPHER_CTX_ctrl(key->aead, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_SIZE, tag) != 1 ||
	    EVP_CipherFinal_ex(key->aead, nothing, &none) != 1)
		return SSL_AD_BAD_RECORD_MAC;
	key->sequence++;
	if (!key->hides_type)
		return 0;
	*len += 1;
	alert = type_find(whole, type, len);
	return alert ? alert : *len > CONTENT_MAX ? SSL_AD_RECORD_OVERFLOW : 0;
}
