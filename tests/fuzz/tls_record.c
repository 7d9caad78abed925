/*
 * A client behind its handshake, with the right keys: it says whatever it likes, in records that are well sealed or in bytes that
 * are none. The first byte is the version and how large the pieces are; then come a type, a length and as much content, again and
 * again, where a type from 128 on means bytes as they are.
 */
#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "tls/internal.h"

#define WIRE_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct tls_session *session;
	struct tls_record_key client; /* seals */
	struct tls_secret secret;     /* the client's */
	uint8_t wire[WIRE_MAX], said[WIRE_MAX];
	size_t wire_len, said_len, heard_len; /* `said`: data, in records that are whole */
	bool raw;                             /* from now on nothing is known about what it says */
	uint8_t piece;
};

static uint32_t
give(void *wire, const void *data, uint32_t len)
{
	return len / 2; /* the rest is kept */
}

static const struct tls_suite *
any_suite(void)
{
	struct config *config = files_config("server { ssl_certificate a.crt; ssl_certificate_key a.key; }");
	SSL *ssl = SSL_new(files_settings(config, 0)->context->ssl);
	const struct tls_suite *suite = tls_suite_of(SSL_CIPHER_find(ssl, (const uint8_t *)"\x13\x01"));

	SSL_free(ssl);
	config_free(config);
	return suite;
}

static void
keys_make(struct world *w, bool tls13)
{
	static const uint8_t master[TLS_MASTER_SIZE], randoms[64];
	static const struct tls_suite *suite;
	struct tls_records *records = &w->session->records;
	struct tls_record_key other = { 0 };

	if (!suite)
		suite = any_suite();
	records->suite = suite;
	records->read_secret.len = records->write_secret.len = w->secret.len = tls_suite_secret_size(suite);
	if (tls13) {
		assert(tls_traffic_key(suite, &w->secret, true, &w->client));
		assert(tls_traffic_key(suite, &w->secret, false, &records->read));
		assert(tls_traffic_key(suite, &records->write_secret, true, &records->write));
		return;
	}
	assert(tls_traffic_block(suite, master, randoms, &records->read, &records->write));
	assert(tls_traffic_block(suite, master, randoms, &w->client, &other));
	assert(EVP_CipherInit_ex(w->client.aead, NULL, NULL, NULL, NULL, 1) == 1);
	tls_traffic_clear(&other);
}

static void
say(struct world *w, uint8_t type, const uint8_t *content, uint32_t len)
{
	struct iovec from = { (void *)(uintptr_t)content, len }, to = { w->wire + w->wire_len, WIRE_MAX - w->wire_len };
	struct tls_pieces in = tls_pieces_of(&from, 1), out = tls_pieces_of(&to, 1);

	if (to.iov_len < len + TLS_RECORD_OVERHEAD)
		return;
	if (type >= 128) {
		w->raw |= len > 0;
		tls_pieces_put(&out, content, len);
	} else {
		assert(tls_record_seal(&w->client, type, &in, len, &out));
	}
	w->wire_len += out.used;
	if (w->raw)
		return;
	/* What is padding to us, the type in front of it included. */
	while (w->client.hides_type && !type && len)
		type = content[--len];
	if (type == TLS_CONTENT_DATA) {
		memcpy(w->said + w->said_len, content, len);
		w->said_len += len;
	} else if (type == TLS_CONTENT_HANDSHAKE && w->client.hides_type && len == 5 &&
		   !memcmp(content, "\x18\0\0\1", 4)) {
		assert(tls_traffic_update(w->session->records.suite, &w->secret, true, &w->client));
	}
}

static unsigned int
cut(uint8_t *data, size_t len, size_t piece, struct iovec pieces[WIRE_MAX])
{
	unsigned int count = 0;

	for (; len; count++) {
		size_t run = len < piece ? len : piece;

		pieces[count] = (struct iovec){ data, run };
		data += run;
		len -= run;
	}
	return count;
}

/* All that has come; false when the connection has ended. */
static bool
hear(struct world *w)
{
	static struct iovec in[WIRE_MAX], out[WIRE_MAX];
	uint32_t len, got;
	/* Exactly as much room as is asked for, so that a byte too many is seen. */
	uint8_t *opened;
	enum tls_status status;

	if (w->wire_len < TLS_HEADER_SIZE || tls_arriving(w->session, w->wire, &len) != TLS_OK || w->wire_len < len)
		return false;
	assert(len <= TLS_ARRIVING_MAX);
	opened = malloc(len - TLS_HEADER_SIZE);
	assert(opened);
	status = tls_open(w->session, in, cut(w->wire, len, w->piece, in), out,
			  cut(opened, len - TLS_HEADER_SIZE, (size_t)w->piece + 1, out), &got);
	if (status == TLS_OK) {
		assert(got && got <= TLS_RECORD_MAX && w->heard_len + got <= w->said_len);
		assert(memcmp(opened, w->said + w->heard_len, got) == 0);
		w->heard_len += got;
	}
	free(opened);
	assert(status != TLS_FAILED || *tls_problem());
	memmove(w->wire, w->wire + len, w->wire_len - len);
	w->wire_len -= len;
	return status == TLS_OK || status == TLS_WAIT;
}

/* It may be answered, at any time. */
static void
answer(struct world *w)
{
	uint8_t text[] = "answer", record[sizeof(text) + TLS_RECORD_OVERHEAD];
	struct iovec from = { text, sizeof(text) }, to = { record, tls_sealed_size(w->session, sizeof(text)) };

	assert(to.iov_len <= sizeof(record));
	assert(tls_seal(w->session, &from, 1, sizeof(text), &to, 1) == (w->session->failed ? TLS_FAILED : TLS_OK));
	tls_flush(w->session);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tls_ends ends = { .give = give };
	static struct world w;

	if (size < 1)
		return 0;
	memset(&w, 0, sizeof(w));
	w.session = calloc(1, sizeof(*w.session));
	assert(w.session);
	w.session->ends = &ends;
	w.session->done = true;
	w.session->record_max = TLS_RECORD_MAX;
	w.piece = (uint8_t)(data[0] >> 1) + 1;
	keys_make(&w, data[0] & 1);
	for (data++, size--; size >= 3;) {
		uint32_t len = (uint32_t)data[1] << 8 | data[2];
		bool goes_on = true;

		len = len < size - 3 ? len : (uint32_t)size - 3;
		len = len < 20000 ? len : 20000;
		say(&w, data[0], data + 3, len);
		data += 3 + len;
		size -= 3 + len;
		while (w.wire_len && (goes_on = hear(&w)))
			;
		answer(&w);
		if (w.session->failed)
			break;
	}
	tls_shutdown(w.session);
	tls_traffic_clear(&w.client);
	tls_free(w.session);
	ERR_clear_error();
	return 0;
}
