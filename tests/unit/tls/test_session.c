/*
 * A connection: the handshake however its bytes arrive, records of all sizes, the end. The client is OpenSSL's own.
 */
#include "support/cmocka.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "peer.h"

#define ONE "server { ssl_certificate a.crt; ssl_certificate_key a.key; }"
/* Records are OpenSSL's with it. */
#define CBC(more)                                                                                                      \
	"server { ssl_certificate a.crt; ssl_certificate_key a.key; "                                                  \
	"ssl_ciphers ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0; " more " }"
#define TWO                                                                                                            \
	"server { ssl_certificate a.crt; ssl_certificate_key a.key; }"                                                 \
	"server { ssl_certificate b.crt; ssl_certificate_key b.key; %s }"

static struct config *config;

static const struct tls_settings *
configured(const char *text)
{
	return files_configured(&config, text);
}

static struct peer *
connected(const struct tls_settings *settings, int version)
{
	struct peer *peer = peer_new(settings, version, "a.test", NULL);

	assert_int_equal(peer_handshake(peer), TLS_OK);
	return peer;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* ---- the handshake ---- */

static void
handshake_may_be_cut_at_every_byte(void **state)
{
	const struct tls_settings *settings = configured(ONE);

	for (int v = 0; v < 2; v++)
		for (size_t cut = 1, len = 2; cut < len; cut++) {
			struct peer *peer = peer_new(settings, versions[v], "a.test", NULL);

			peer_client(peer);
			len = peer->in.len;
			peer->in.arrived = cut;
			assert_int_equal(tls_handshake(peer->session), TLS_WAIT);
			assert_int_equal(peer->out.len, 0);
			assert_int_equal(peer_handshake(peer), TLS_OK);
			peer_free(peer);
		}
}

static void
handshake_goes_on_byte_by_byte(void **state)
{
	const struct tls_settings *settings = configured(ONE);

	for (int v = 0; v < 2; v++) {
		struct peer *peer = peer_new(settings, versions[v], "a.test", NULL);
		enum tls_status status = TLS_WAIT;

		while (status == TLS_WAIT) {
			if (peer->in.arrived == peer->in.len)
				peer_client(peer);
			assert_true(peer->in.arrived < peer->in.len);
			peer->in.arrived++;
			status = tls_handshake(peer->session);
		}
		assert_int_equal(status, TLS_OK);
		assert_int_equal(peer->in.arrived, peer->in.len);
		peer_free(peer);
	}
}

static void
what_is_no_handshake_fails_with_an_alert_and_a_reason(void **state)
{
	struct peer *peer = peer_new(configured(ONE), 0, NULL, NULL);

	strcpy((char *)peer->in.data, "\x16\x03\x01\x00\x05nonsense");
	peer->in.arrived = peer->in.len = 13;
	assert_int_equal(tls_handshake(peer->session), TLS_FAILED);
	assert_non_null(strstr(tls_problem(), "SSL_do_handshake() failed (SSL: error:"));
	assert_true(peer->out.len >= 7);
	assert_int_equal(peer->out.data[0], 21); /* alert */
	peer_free(peer);
}

static void
protocols_that_are_off_are_refused(void **state)
{
	const struct tls_settings *settings =
		configured("server { ssl_certificate a.crt; ssl_certificate_key a.key; ssl_protocols TLSv1.3; }");
	struct peer *peer = peer_new(settings, TLS1_2_VERSION, "a.test", NULL);

	assert_int_equal(peer_handshake(peer), TLS_FAILED);
	assert_non_null(strstr(tls_problem(), "unsupported protocol"));
	peer_free(peer);
}

static void
alpn_finds_http_1_or_refuses(void **state)
{
	static const struct {
		const char *list;
		enum tls_status status;
	} cases[] = { { "\x02h2\x08http/1.1", TLS_OK }, { "\x02h2", TLS_FAILED } };

	for (int i = 0; i < 2; i++) {
		struct peer *peer = peer_new(configured(ONE), 0, NULL, NULL);
		const uint8_t *chosen;
		unsigned int len;

		SSL_set_alpn_protos(peer->ssl, (const uint8_t *)cases[i].list, (unsigned int)strlen(cases[i].list));
		assert_int_equal(peer_handshake(peer), cases[i].status);
		SSL_get0_alpn_selected(peer->ssl, &chosen, &len);
		if (cases[i].status == TLS_OK) {
			assert_int_equal(len, 8);
			assert_memory_equal(chosen, "http/1.1", 8);
		}
		peer_free(peer);
	}
}

/* ---- names ---- */

static void
assert_subject(const struct peer *peer, const char *name)
{
	char text[128] = "";
	X509 *certificate = SSL_get0_peer_certificate(peer->ssl);

	assert_non_null(certificate);
	X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof(text));
	assert_string_equal(text, name);
}

static void
the_name_in_the_hello_chooses_the_certificate(void **state)
{
	static const struct {
		const char *name, *asked, *subject;
	} cases[] = {
		{ "b.test", "b.test", "b.test" },
		{ "B.Test.", "b.test", "b.test" },
		{ "c.test", "c.test", "a.test" },
		{ NULL, "", "a.test" },
	};
	char text[512];

	snprintf(text, sizeof(text), TWO, "");
	for (size_t i = 0; i < 8; i++) {
		const struct tls_settings *settings = configured(text);
		struct peer *peer = peer_new(settings, versions[i % 2], cases[i / 2].name, NULL);

		peer->other = files_settings(config, 1);
		assert_int_equal(peer_handshake(peer), TLS_OK);
		assert_string_equal(peer->asked, cases[i / 2].asked);
		assert_int_equal(peer->chosen, 1);
		assert_subject(peer, cases[i / 2].subject);
		assert_true(bytes_equal_string(tls_server_name(peer->session), cases[i / 2].asked));
		peer_free(peer);
	}
}

static void
a_server_may_refuse_handshakes_under_its_name(void **state)
{
	const struct tls_settings *settings = configured("server { ssl_reject_handshake on; }" ONE);
	struct peer *peer = peer_new(settings, 0, "c.test", NULL);

	peer->other = files_settings(config, 1);
	assert_int_equal(peer_handshake(peer), TLS_FAILED);
	assert_non_null(strstr(tls_problem(), "handshake rejected"));
	peer_free(peer);
	peer = peer_new(settings, 0, "b.test", NULL);
	peer->other = files_settings(config, 1);
	assert_int_equal(peer_handshake(peer), TLS_OK);
	assert_subject(peer, "a.test");
	peer_free(peer);
}

static void
two_certificates_serve_two_kinds_of_clients(void **state)
{
	const struct tls_settings *settings =
		configured("server { ssl_certificate a.crt; ssl_certificate_key a.key; ssl_certificate rsa.crt; "
			   "ssl_certificate_key rsa.key; }");
	static const char *const lists[] = { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256" };
	static const int kinds[] = { EVP_PKEY_EC, EVP_PKEY_RSA };

	for (int i = 0; i < 2; i++) {
		struct peer *peer = peer_new(settings, TLS1_2_VERSION, NULL, NULL);
		char cipher[64];

		SSL_set_cipher_list(peer->ssl, lists[i]);
		assert_int_equal(peer_handshake(peer), TLS_OK);
		assert_int_equal(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(peer->ssl))),
				 kinds[i]);
		cipher[tls_fact_write(peer->session, TLS_FACT_CIPHER, cipher, sizeof(cipher))] = '\0';
		assert_string_equal(cipher, lists[i]);
		peer_free(peer);
	}
}

/* ---- records ---- */

static uint8_t pattern[1 << 18];

static void
pattern_make(void)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 131 + (i >> 8) * 17);
}

/* What the session can read now, in pieces of `piece`. */
static size_t
read_all(struct peer *peer, uint8_t *out, uint32_t piece)
{
	size_t len = 0;
	uint32_t got;

	while (peer_read(peer, out + len, piece, &got) == TLS_OK)
		len += got;
	return len;
}

static void
records_may_be_split_and_joined_at_every_byte(void **state)
{
	static uint8_t out[4096];
	const struct tls_settings *settings = configured(ONE);

	for (int v = 0; v < 2; v++) {
		struct peer *peer = connected(settings, versions[v]);

		for (size_t cut = 0, len = 1; cut <= len; cut++) {
			size_t before = peer->in.len, got;

			SSL_write(peer->ssl, pattern, 60);
			SSL_write(peer->ssl, pattern + 60, 1);
			SSL_write(peer->ssl, pattern + 61, 39);
			peer_client(peer);
			len = peer->in.len - before;
			peer->in.arrived = before + cut;
			got = read_all(peer, out, 7);
			peer->in.arrived = peer->in.len;
			got += read_all(peer, out + got, 1000);
			assert_int_equal(got, 100);
			assert_memory_equal(out, pattern, 100);
		}
		peer_free(peer);
	}
}

/* Writes in records as large as they should be, and notes their sizes. */
static unsigned int
write_all(struct peer *peer, const uint8_t *data, uint32_t len, uint64_t now_ns, uint32_t *sizes)
{
	unsigned int count = 0;

	while (len) {
		uint32_t size = tls_record_size(peer->session, now_ns);

		size = size < len ? size : len;
		assert_int_equal(peer_write(peer, data, size), TLS_OK);
		tls_record_written(peer->session, size, now_ns);
		sizes[count++] = size;
		data += size;
		len -= size;
	}
	return count;
}

static void
assert_client_reads(struct peer *peer, const uint8_t *data, size_t len)
{
	static uint8_t out[1 << 18];
	size_t have = 0;
	int got;

	peer_client(peer);
	while ((got = SSL_read(peer->ssl, out + have, (int)(sizeof(out) - have))) > 0)
		have += (size_t)got;
	assert_int_equal(have, len);
	assert_memory_equal(out, data, len);
}

static void
records_begin_small_and_double_up_to_the_buffer_size(void **state)
{
	struct peer *peer = connected(configured(ONE), TLS1_3_VERSION);
	uint32_t sizes[64];
	unsigned int count = write_all(peer, pattern, 100000, 1, sizes);

	assert_true(count > 6);
	for (unsigned int i = 0; i + 1 < count; i++)
		assert_int_equal(sizes[i], i < 4 ? TLS_RECORD_FIRST << i : TLS_RECORD_MAX);
	assert_client_reads(peer, pattern, 100000);
	/* A short pause changes nothing, a long one does. */
	assert_int_equal(tls_record_size(peer->session, 1 + TLS_RECORD_PAUSE_NS / 2), TLS_RECORD_MAX);
	write_all(peer, pattern, 50000, 2, sizes);
	assert_client_reads(peer, pattern, 50000);
	write_all(peer, pattern, TLS_RECORD_FIRST, 2 + 2 * TLS_RECORD_PAUSE_NS, sizes);
	assert_int_equal(sizes[0], TLS_RECORD_FIRST);
	peer_free(peer);
}

static void
the_room_that_is_told_is_enough(void **state)
{
	static const char *const texts[] = { ONE, CBC("ssl_buffer_size 1;") };

	for (int i = 0; i < 4; i++) {
		struct peer *peer = connected(configured(texts[i / 2]), versions[i % 2]);
		uint32_t sizes[512];

		for (uint32_t room = 1; room < 200000; room = room * 3 / 2 + 1) {
			size_t before = peer->out.len;
			uint32_t len = tls_record_room(peer->session, room);

			write_all(peer, pattern, len, room, sizes);
			assert_true(peer->out.len - before <= room);
			assert_true(room < 4000 || len > room / 100 * (i < 2 ? 97 : 80));
			assert_client_reads(peer, pattern, len);
		}
		peer_free(peer);
	}
}

static void
what_the_wire_does_not_take_is_kept_and_goes_first(void **state)
{
	struct peer *peer = connected(configured(CBC("")), TLS1_2_VERSION);
	uint32_t sizes[64];

	peer->room = 1000;
	write_all(peer, pattern, 30000, 1, sizes);
	assert_false(tls_flush(peer->session));
	assert_int_equal(tls_record_room(peer->session, 100000), 0);
	peer->room = 5;
	assert_false(tls_flush(peer->session));
	peer->room = SIZE_MAX;
	assert_true(tls_flush(peer->session));
	write_all(peer, pattern + 30000, 500, 1, sizes);
	assert_client_reads(peer, pattern, 30500);
	peer_free(peer);
}

static void
a_record_that_was_changed_on_the_way_fails(void **state)
{
	uint8_t out[100];
	uint32_t got;

	for (int v = 0; v < 2; v++) {
		struct peer *peer = connected(configured(ONE), versions[v]);

		SSL_write(peer->ssl, pattern, 60);
		peer_client(peer);
		peer->in.data[peer->in.len - 1] ^= 1;
		peer->in.arrived = peer->in.len;
		assert_int_equal(peer_read(peer, out, sizeof(out), &got), TLS_FAILED);
		assert_non_null(strstr(tls_problem(), "SSL_read() failed (SSL: error:"));
		assert_int_equal(peer_write(peer, pattern, 10), TLS_FAILED);
		tls_shutdown(peer->session);
		peer_free(peer);
	}
}

/* ---- the end ---- */

static void
close_notify_goes_both_ways(void **state)
{
	uint8_t out[100];
	uint32_t got;

	for (int v = 0; v < 2; v++) {
		struct peer *peer = connected(configured(ONE), versions[v]);
		size_t before;

		SSL_write(peer->ssl, pattern, 60);
		SSL_shutdown(peer->ssl);
		peer_client(peer);
		peer->in.arrived = peer->in.len;
		assert_int_equal(peer_read(peer, out, sizeof(out), &got), TLS_OK);
		assert_int_equal(got, 60);
		assert_int_equal(peer_read(peer, out, sizeof(out), &got), TLS_ENDED);
		assert_int_equal(peer_read(peer, out, sizeof(out), &got), TLS_ENDED);
		/* It hears on. */
		assert_int_equal(peer_write(peer, pattern, 10), TLS_OK);
		tls_shutdown(peer->session);
		before = peer->out.len;
		tls_shutdown(peer->session);
		assert_int_equal(peer->out.len, before);
		peer_client(peer);
		assert_int_equal(SSL_read(peer->ssl, out, sizeof(out)), 10);
		assert_int_equal(SSL_read(peer->ssl, out, sizeof(out)), 0);
		assert_int_equal(SSL_get_error(peer->ssl, 0), SSL_ERROR_ZERO_RETURN);
		peer_free(peer);
	}
}

static void
renegotiation_is_refused(void **state)
{
	struct peer *peer = connected(configured(ONE), TLS1_2_VERSION);
	uint8_t out[100];
	uint32_t got;

	assert_int_equal(SSL_renegotiate(peer->ssl), 1);
	SSL_do_handshake(peer->ssl);
	peer_client(peer);
	peer->in.arrived = peer->in.len;
	assert_int_not_equal(peer_read(peer, out, sizeof(out), &got), TLS_OK);
	peer_client(peer);
	assert_int_not_equal(SSL_do_handshake(peer->ssl), 1);
	peer_free(peer);
}

static void
facts_are_as_nginx_prints_them(void **state)
{
	static const struct {
		enum tls_fact fact;
		const char *text;
	} cases[] = {
		{ TLS_FACT_PROTOCOL, "TLSv1.3" },    { TLS_FACT_CURVE, "prime256v1" },
		{ TLS_FACT_SERVER_NAME, "a.test" },  { TLS_FACT_SESSION_REUSED, "." },
		{ TLS_FACT_CLIENT_VERIFY, "NONE" },  { TLS_FACT_CLIENT_SUBJECT, "" },
		{ TLS_FACT_CLIENT_CERTIFICATE, "" },
	};
	const struct tls_settings *settings =
		configured("server { ssl_certificate a.crt; ssl_certificate_key a.key; ssl_ecdh_curve prime256v1; }");
	struct peer *peer = connected(settings, TLS1_3_VERSION);
	char out[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = tls_fact_write(peer->session, cases[i].fact, out, sizeof(out));

		assert_true(len < sizeof(out));
		out[len] = '\0';
		assert_string_equal(out, cases[i].text);
	}
	assert_true(tls_fact_write(peer->session, TLS_FACT_PROTOCOL, out, 3) == SIZE_MAX);
	peer_free(peer);
}

static void
a_client_with_a_certificate_is_told_apart(void **state)
{
	const struct tls_settings *settings =
		configured("server { ssl_certificate a.crt; ssl_certificate_key a.key; ssl_verify_client optional; "
			   "ssl_client_certificate b.crt; }");
	char path[128], out[4096];
	const char *why;

	for (int good = 0; good < 2; good++) {
		struct peer *peer = peer_new(settings, 0, NULL, NULL);
		size_t len;

		snprintf(path, sizeof(path), "%s/%s.crt", files_directory(), good ? "b" : "a");
		assert_int_equal(SSL_use_certificate_file(peer->ssl, path, SSL_FILETYPE_PEM), 1);
		snprintf(path, sizeof(path), "%s/%s.key", files_directory(), good ? "b" : "a");
		assert_int_equal(SSL_use_PrivateKey_file(peer->ssl, path, SSL_FILETYPE_PEM), 1);
		assert_int_equal(peer_handshake(peer), TLS_OK);
		assert_true(tls_client_has_certificate(peer->session));
		assert_int_equal(tls_client_verify_result(peer->session, TLS_VERIFY_ON, &why) == 0, good);
		assert_int_equal(tls_client_verify_result(peer->session, TLS_VERIFY_OPTIONAL_NO_CA, &why), 0);
		len = tls_fact_write(peer->session, TLS_FACT_CLIENT_VERIFY, out, sizeof(out));
		assert_memory_equal(out, good ? "SUCCESS" : "FAILED:", 7);
		len = tls_fact_write(peer->session, TLS_FACT_CLIENT_SUBJECT, out, sizeof(out));
		assert_int_equal(len, 9);
		assert_memory_equal(out, good ? "CN=b.test" : "CN=a.test", 9);
		assert_int_equal(tls_fact_write(peer->session, TLS_FACT_CLIENT_FINGERPRINT, out, sizeof(out)), 40);
		len = tls_fact_write(peer->session, TLS_FACT_CLIENT_CERTIFICATE, out, sizeof(out) - 1);
		out[len] = '\0';
		assert_non_null(strstr(out, "-----BEGIN CERTIFICATE-----\n\tMII"));
		assert_memory_equal(out + len - 25, "-----END CERTIFICATE-----", 25);
		peer_free(peer);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_may_be_cut_at_every_byte),
		cmocka_unit_test(handshake_goes_on_byte_by_byte),
		cmocka_unit_test(what_is_no_handshake_fails_with_an_alert_and_a_reason),
		cmocka_unit_test(protocols_that_are_off_are_refused),
		cmocka_unit_test(alpn_finds_http_1_or_refuses),
		cmocka_unit_test(the_name_in_the_hello_chooses_the_certificate),
		cmocka_unit_test(a_server_may_refuse_handshakes_under_its_name),
		cmocka_unit_test(two_certificates_serve_two_kinds_of_clients),
		cmocka_unit_test(records_may_be_split_and_joined_at_every_byte),
		cmocka_unit_test(records_begin_small_and_double_up_to_the_buffer_size),
		cmocka_unit_test(the_room_that_is_told_is_enough),
		cmocka_unit_test(what_the_wire_does_not_take_is_kept_and_goes_first),
		cmocka_unit_test(a_record_that_was_changed_on_the_way_fails),
		cmocka_unit_test(close_notify_goes_both_ways),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(facts_are_as_nginx_prints_them),
		cmocka_unit_test(a_client_with_a_certificate_is_told_apart),
	};
	int failed;

	pattern_make();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	config_free(config);
	return failed;
}
