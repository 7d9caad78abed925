/*
 * Records of our own, with OpenSSL as the peer: every suite, in every kind of pieces, and all that a client with the right keys
 * may do that it should not.
 */
#include "support/cmocka.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "peer.h"
#include "tls/internal.h"

#define ONE "server { ssl_certificate a.crt; ssl_certificate_key a.key; ssl_ciphers ALL; }"

static const struct suite {
	int version;
	const char *name;
	bool own;
} suites[] = {
	{ TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", true },
	{ TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", true },
	{ TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", true },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", true },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", false },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", false },
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))

static struct config *config;
static const struct tls_settings *settings;
static uint8_t pattern[TLS_RECORD_MAX], out[TLS_ARRIVING_MAX];

static struct peer *
connected(const struct suite *suite)
{
	struct peer *peer = peer_new(settings, suite->version, "a.test", NULL);

	if (suite->version == TLS1_3_VERSION)
		SSL_set_ciphersuites(peer->ssl, suite->name);
	else
		SSL_set_cipher_list(peer->ssl, suite->name);
	assert_int_equal(peer_handshake(peer), TLS_OK);
	assert_string_equal(SSL_get_cipher_name(peer->ssl), suite->name);
	assert_int_equal(tls_has_own_records(peer->session), suite->own);
	return peer;
}

static void
assert_client_reads(struct peer *peer, uint32_t len)
{
	size_t got;

	peer_client(peer);
	assert_int_equal(SSL_read_ex(peer->ssl, out, sizeof(out), &got), 1);
	assert_int_equal(got, len);
	assert_memory_equal(out, pattern, len);
}

static void
assert_session_reads(struct peer *peer, uint32_t len)
{
	uint32_t got;

	peer_client(peer);
	peer->in.arrived = peer->in.len;
	assert_int_equal(peer_read(peer, out, sizeof(out), &got), TLS_OK);
	assert_int_equal(got, len);
	assert_memory_equal(out, pattern, len);
}

static void
assert_talk(struct peer *peer, uint32_t len)
{
	assert_int_equal(peer_write(peer, pattern, len), TLS_OK);
	assert_client_reads(peer, len);
	assert_int_equal(SSL_write(peer->ssl, pattern, (int)len), (int)len);
	assert_session_reads(peer, len);
}

static void
every_suite_in_every_kind_of_pieces(void **state)
{
	static const uint32_t pieces[] = { 0, 1, 7, 16, 100, 1448 }, sizes[] = { 1, 15, 16, 17, 1360, 5000, 16384 };

	for (size_t s = 0; s < SUITES; s++) {
		struct peer *peer = connected(&suites[s]);

		for (int p = 0; p < 6; p++)
			for (int i = 0; i < 7; i++) {
				peer->piece = pieces[p];
				assert_talk(peer, sizes[i]);
				peer->in.len = peer->in.arrived = peer->in.taken = 0;
				peer->out.len = peer->out.taken = 0;
			}
		peer_free(peer);
	}
}

/* The example of RFC 8448 section 3: a client's secret, its key, and its first record. */
static void
keys_and_records_are_those_of_rfc_8448(void **state)
{
	static const struct tls_secret secret = {
		32, { 0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52,
		      0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf, 0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5 }
	};
	static const uint8_t key[] = { 0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9,
				       0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51 };
	static const uint8_t iv[] = { 0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9 };
	static const uint8_t record[] = { 0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94,
					  0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea,
					  0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8,
					  0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b,
					  0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
					  0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4 };
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	SSL *ssl = SSL_new(context);
	const struct tls_suite *suite = tls_suite_of(SSL_CIPHER_find(ssl, (const uint8_t *)"\x13\x01"));
	struct tls_record_key sealing = { 0 }, opening = { 0 };
	uint8_t got[32], content[50];
	struct iovec from = { content, sizeof(content) }, to = { out, sizeof(out) };
	struct tls_pieces in = tls_pieces_of(&from, 1), sealed = tls_pieces_of(&to, 1);
	enum tls_content type;
	uint32_t len;

	assert_true(tls_traffic_expand(suite, &secret, "key", got, sizeof(key)));
	assert_memory_equal(got, key, sizeof(key));
	assert_true(tls_traffic_key(suite, &secret, true, &sealing));
	assert_memory_equal(sealing.iv, iv, sizeof(iv));
	for (uint8_t i = 0; i < sizeof(content); i++)
		content[i] = i;
	assert_true(tls_record_seal(&sealing, TLS_CONTENT_DATA, &in, sizeof(content), &sealed));
	assert_int_equal(sealed.used, sizeof(record));
	assert_memory_equal(out, record, sizeof(record));

	assert_true(tls_traffic_key(suite, &secret, false, &opening));
	in = tls_pieces_of(&to, 1);
	from.iov_base = got;
	to.iov_len = sizeof(record);
	assert_int_equal(tls_record_open(&opening, &in, &(struct tls_pieces){ &(struct iovec){ pattern, 100 }, 1, 0 },
					 &type, &len),
			 0);
	assert_int_equal(type, TLS_CONTENT_DATA);
	assert_int_equal(len, sizeof(content));
	assert_memory_equal(pattern, content, len);
	tls_traffic_clear(&sealing);
	tls_traffic_clear(&opening);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void
a_record_is_good_for_nothing_when_any_bit_of_it_is_changed(void **state)
{
	for (size_t s = 0; suites[s].own; s++) {
		struct peer *peer = connected(&suites[s]);
		struct tls_record_key *key = &peer->session->records.read;
		size_t before = peer->in.len, len;

		SSL_write(peer->ssl, pattern, 11);
		peer_client(peer);
		len = peer->in.len - before;
		for (size_t bit = 0; bit < 8 * len; bit++) {
			struct iovec from = { peer->in.data + before, len }, to = { out, len };
			struct tls_pieces in = tls_pieces_of(&from, 1), opened = tls_pieces_of(&to, 1);
			enum tls_content type;
			uint32_t size, got;

			peer->in.data[before + bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (tls_record_length(key, peer->in.data + before, &size) == 0 && size <= len)
				assert_int_equal(tls_record_open(key, &in, &opened, &type, &got),
						 SSL_AD_BAD_RECORD_MAC);
			peer->in.data[before + bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_session_reads(peer, 11);
		peer_free(peer);
	}
}

/* ---- a client with its keys in our hands ---- */

struct forger {
	struct peer *peer;
	struct tls_record_key key; /* the client's, to seal with */
};

static struct forger
forger_new(int version)
{
	struct forger forger = { .peer = connected(&suites[version == TLS1_3_VERSION ? 0 : 3]) };
	struct tls_records *records = &forger.peer->session->records;
	struct tls_record_key other = { 0 };
	uint8_t master[TLS_MASTER_SIZE], randoms[64];

	if (version == TLS1_3_VERSION) {
		assert_true(tls_traffic_key(records->suite, &records->read_secret, true, &forger.key));
	} else {
		SSL_SESSION_get_master_key(SSL_get_session(forger.peer->ssl), master, sizeof(master));
		SSL_get_server_random(forger.peer->ssl, randoms, 32);
		SSL_get_client_random(forger.peer->ssl, randoms + 32, 32);
		assert_true(tls_traffic_block(records->suite, master, randoms, &forger.key, &other));
		assert_int_equal(EVP_CipherInit_ex(forger.key.aead, NULL, NULL, NULL, NULL, 1), 1);
		tls_traffic_clear(&other);
	}
	forger.key.sequence = records->read.sequence;
	return forger;
}

static void
forger_free(struct forger *forger)
{
	tls_traffic_clear(&forger->key);
	peer_free(forger->peer);
}

static void
say(struct forger *forger, int type, const void *data, size_t len)
{
	struct peer_pipe *pipe = &forger->peer->in;
	struct iovec from = { (void *)(uintptr_t)data, len },
		     to = { pipe->data + pipe->len, PEER_WIRE_MAX - pipe->len };
	struct tls_pieces in = tls_pieces_of(&from, 1), sealed = tls_pieces_of(&to, 1);

	assert_true(tls_record_seal(&forger->key, (enum tls_content)type, &in, (uint32_t)len, &sealed));
	pipe->len += sealed.used;
	pipe->arrived = pipe->len;
}

static enum tls_status
heard(struct forger *forger)
{
	uint32_t got;

	return peer_read(forger->peer, out, sizeof(out), &got);
}

/* It failed, for that reason, and the client is told so. */
static void
assert_refused(struct forger *forger, int alert, const char *reason)
{
	struct peer *peer = forger->peer;
	size_t said;
	char byte;

	assert_int_equal(heard(forger), TLS_FAILED);
	assert_non_null(strstr(tls_problem(), "SSL_read() failed (SSL: error:"));
	if (!strstr(tls_problem(), reason))
		fail_msg("%s", tls_problem());
	peer_client(peer);
	assert_true(SSL_read(peer->ssl, &byte, 1) <= 0);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + alert);
	said = peer->out.len;
	assert_int_equal(peer_write(peer, pattern, 1), TLS_FAILED);
	tls_shutdown(peer->session);
	assert_int_equal(peer->out.len, said);
	forger_free(forger);
}

static void
contents_that_have_no_place_here_are_unexpected(void **state)
{
	static const struct {
		int version, type;
		const char *data;
		size_t len;
	} cases[] = {
		{ TLS1_3_VERSION, TLS_CONTENT_CHANGE_CIPHER_SPEC, "\1", 1 },
		{ TLS1_3_VERSION, 0, "\0\0\0", 3 }, /* only padding */
		{ TLS1_3_VERSION, 24, "heartbeat", 9 },
		{ TLS1_3_VERSION, TLS_CONTENT_HANDSHAKE, "", 0 },
		{ TLS1_3_VERSION, TLS_CONTENT_HANDSHAKE, "\1\0\0\1x", 5 },        /* client_hello */
		{ TLS1_3_VERSION, TLS_CONTENT_HANDSHAKE, "\x18\0\0\1\0\x18", 6 }, /* more behind a KeyUpdate */
		{ TLS1_2_VERSION, TLS_CONTENT_CHANGE_CIPHER_SPEC, "\1", 1 },
		{ TLS1_2_VERSION, TLS_CONTENT_HANDSHAKE, "", 0 },
		{ TLS1_2_VERSION, TLS_CONTENT_HANDSHAKE, "\x14\0\0\0", 4 }, /* finished */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct forger forger = forger_new(cases[i].version);

		say(&forger, cases[i].type, cases[i].data, cases[i].len);
		assert_refused(&forger, SSL_AD_UNEXPECTED_MESSAGE, "unexpected message");
	}
}

static void
headers_that_cannot_be_right_are_refused_before_the_rest_has_come(void **state)
{
	static const struct {
		int version, alert;
		const char *header, *reason;
	} cases[] = {
		{ TLS1_3_VERSION, SSL_AD_PROTOCOL_VERSION, "\x17\3\1\0\x20", "wrong version" },
		{ TLS1_3_VERSION, SSL_AD_UNEXPECTED_MESSAGE, "\x15\3\3\0\2", "unexpected" },
		{ TLS1_3_VERSION, SSL_AD_UNEXPECTED_MESSAGE, "\x14\3\3\0\1", "unexpected" },
		{ TLS1_3_VERSION, SSL_AD_RECORD_OVERFLOW, "\x17\3\3\x41\1", "too long" },
		{ TLS1_3_VERSION, SSL_AD_BAD_RECORD_MAC, "\x17\3\3\0\x10", "bad record mac" },
		{ TLS1_2_VERSION, SSL_AD_UNEXPECTED_MESSAGE, "\x18\3\3\0\x20", "unexpected" },
		{ TLS1_2_VERSION, SSL_AD_RECORD_OVERFLOW, "\x17\3\3\x40\x19", "too long" },
		{ TLS1_2_VERSION, SSL_AD_BAD_RECORD_MAC, "\x17\3\3\0\x17", "bad record mac" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct forger forger = forger_new(cases[i].version);
		struct peer_pipe *pipe = &forger.peer->in;

		memcpy(pipe->data + pipe->len, cases[i].header, TLS_HEADER_SIZE);
		pipe->arrived = pipe->len += TLS_HEADER_SIZE;
		assert_refused(&forger, cases[i].alert, cases[i].reason);
	}
}

static void
padding_is_no_content(void **state)
{
	struct forger forger = forger_new(TLS1_3_VERSION);
	uint8_t padded[200] = "data\x17"; /* the type that follows is padding, too */

	say(&forger, 0, padded, sizeof(padded));
	assert_int_equal(heard(&forger), TLS_OK);
	assert_memory_equal(out, "data", 4);
	assert_int_equal(forger.peer->opened_len, 4);
	/* With a full record of it there is still room for its type. */
	say(&forger, TLS_CONTENT_DATA, pattern, TLS_RECORD_MAX);
	assert_int_equal(heard(&forger), TLS_OK);
	say(&forger, TLS_CONTENT_DATA, pattern, TLS_RECORD_MAX + 1);
	assert_refused(&forger, SSL_AD_RECORD_OVERFLOW, "too long");
}

static void
records_that_bring_nothing_are_borne_with_for_a_while(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	for (int v = 0; v < 2; v++) {
		struct forger forger = forger_new(versions[v]);

		for (int round = 0; round < 2; round++) {
			for (int i = 0; i < 32; i++)
				say(&forger, TLS_CONTENT_DATA, "", 0);
			assert_int_equal(heard(&forger), TLS_WAIT);
			say(&forger, TLS_CONTENT_DATA, "x", 1);
			assert_int_equal(heard(&forger), TLS_OK);
		}
		for (int i = 0; i < 33; i++)
			say(&forger, TLS_CONTENT_DATA, "", 0);
		assert_refused(&forger, SSL_AD_UNEXPECTED_MESSAGE, "unexpected message");
	}
}

/* ---- KeyUpdate ---- */

static void
keys_are_updated_by_either_side(void **state)
{
	for (size_t s = 0; suites[s].version == TLS1_3_VERSION; s++) {
		struct peer *peer = connected(&suites[s]);

		for (int i = 0; i < 3; i++) {
			SSL_key_update(peer->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
			assert_talk(peer, 100);
			SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED);
			/* Two of them are answered by one (section 4.6.3). */
			SSL_do_handshake(peer->ssl);
			SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED);
			SSL_write(peer->ssl, pattern, 100);
			assert_session_reads(peer, 100);
			assert_true(peer->session->records.update_due);
			assert_talk(peer, TLS_RECORD_MAX);
			assert_false(peer->session->records.update_due);
			assert_int_equal(peer->session->records.write.sequence, 1);
		}
		peer_free(peer);
	}
}

static void
a_key_is_not_used_for_too_many_records(void **state)
{
	struct peer *peer = connected(&suites[0]);
	struct tls_record_key *key = &peer->session->records.write;
	uint32_t usual = tls_sealed_size(peer->session, 100);

	key->sequence = (1 << 24) - 1;
	assert_int_equal(tls_sealed_size(peer->session, 100), usual);
	assert_int_equal(peer_write(peer, pattern, 100), TLS_OK);
	assert_true(tls_sealed_size(peer->session, 100) > usual);
	assert_int_equal(peer_write(peer, pattern, 100), TLS_OK);
	assert_int_equal(key->sequence, 1);
	peer_free(peer);
}

static void
a_key_update_may_come_in_pieces_but_with_nothing_in_between(void **state)
{
	for (int between = 0; between < 2; between++) {
		struct forger forger = forger_new(TLS1_3_VERSION);
		struct tls_records *records = &forger.peer->session->records;
		struct tls_secret secret = records->read_secret;

		for (int i = 0; i < 5; i++) {
			say(&forger, TLS_CONTENT_HANDSHAKE, &"\x18\0\0\1\0"[i], 1);
			if (between && i == 2) {
				say(&forger, TLS_CONTENT_DATA, "x", 1);
				break;
			}
		}
		if (between) {
			assert_refused(&forger, SSL_AD_UNEXPECTED_MESSAGE, "unexpected message");
			continue;
		}
		assert_int_equal(heard(&forger), TLS_WAIT);
		assert_true(tls_traffic_update(records->suite, &secret, true, &forger.key));
		say(&forger, TLS_CONTENT_DATA, "x", 1);
		assert_int_equal(heard(&forger), TLS_OK);
		forger_free(&forger);
	}
}

static void
a_key_update_that_is_wrong_is_refused(void **state)
{
	struct forger forger = forger_new(TLS1_3_VERSION);

	say(&forger, TLS_CONTENT_HANDSHAKE, "\x18\0\0\1\2", 5);
	assert_refused(&forger, SSL_AD_ILLEGAL_PARAMETER, "bad key update");
	forger = forger_new(TLS1_3_VERSION);
	say(&forger, TLS_CONTENT_HANDSHAKE, "\x18\0\0\2\0", 5);
	assert_refused(&forger, SSL_AD_DECODE_ERROR, "bad length");
}

/* ---- alerts ---- */

static void
alerts_end_the_session_but_for_warnings(void **state)
{
	static const struct {
		int version;
		const char *alert;
		enum tls_status status;
	} cases[] = {
		{ TLS1_3_VERSION, "\2\x14", TLS_FAILED }, /* bad_record_mac */
		{ TLS1_3_VERSION, "\1\x14", TLS_FAILED }, /* the level says nothing (RFC 8446 section 6) */
		{ TLS1_3_VERSION, "\1\x5a", TLS_WAIT },   /* user_canceled */
		{ TLS1_3_VERSION, "\1\0", TLS_ENDED },    { TLS1_2_VERSION, "\2\x14", TLS_FAILED },
		{ TLS1_2_VERSION, "\1\x64", TLS_WAIT }, /* no_renegotiation */
		{ TLS1_2_VERSION, "\1\0", TLS_ENDED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct forger forger = forger_new(cases[i].version);
		size_t said = forger.peer->out.len;

		say(&forger, TLS_CONTENT_ALERT, cases[i].alert, 2);
		assert_int_equal(heard(&forger), cases[i].status);
		if (cases[i].status == TLS_FAILED)
			assert_non_null(strstr(tls_problem(), "alert bad record mac:SSL alert number 20"));
		assert_int_equal(forger.peer->out.len, said);
		forger_free(&forger);
	}
}

static void
hellos_are_answered_only_while_the_answers_are_read(void **state)
{
	struct forger forger = forger_new(TLS1_2_VERSION);
	size_t said = forger.peer->out.len;

	for (int i = 0; i < 1000; i++) {
		forger.peer->room = i ? 0 : 10;
		say(&forger, TLS_CONTENT_HANDSHAKE, "\1\0\0\0", 4);
		say(&forger, TLS_CONTENT_DATA, "x", 1);
		assert_int_equal(heard(&forger), TLS_OK);
	}
	assert_true(forger.peer->session->unsent_len < 32);
	forger.peer->room = SIZE_MAX;
	assert_true(tls_flush(forger.peer->session));
	assert_int_equal(forger.peer->out.len - said, 31);
	forger_free(&forger);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_in_every_kind_of_pieces),
		cmocka_unit_test(keys_and_records_are_those_of_rfc_8448),
		cmocka_unit_test(a_record_is_good_for_nothing_when_any_bit_of_it_is_changed),
		cmocka_unit_test(contents_that_have_no_place_here_are_unexpected),
		cmocka_unit_test(headers_that_cannot_be_right_are_refused_before_the_rest_has_come),
		cmocka_unit_test(padding_is_no_content),
		cmocka_unit_test(records_that_bring_nothing_are_borne_with_for_a_while),
		cmocka_unit_test(keys_are_updated_by_either_side),
		cmocka_unit_test(a_key_is_not_used_for_too_many_records),
		cmocka_unit_test(a_key_update_may_come_in_pieces_but_with_nothing_in_between),
		cmocka_unit_test(a_key_update_that_is_wrong_is_refused),
		cmocka_unit_test(alerts_end_the_session_but_for_warnings),
		cmocka_unit_test(hellos_are_answered_only_while_the_answers_are_read),
	};
	int failed;

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 131 + (i >> 8) * 17);
	config = files_config(ONE);
	if (config_error(config)) {
		print_error("%s\n", config_error(config));
		return 1;
	}
	settings = files_settings(config, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	config_free(config);
	return failed;
}
