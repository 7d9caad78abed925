/*
 * Early data: read and answered before the handshake is done, whatever the bytes arrive by; refused where it should be.
 */
#include "support/cmocka.h"

#include <openssl/ssl.h>
#include <string.h>

#include "files.h"
#include "peer.h"

#define SERVER(more) "server { ssl_certificate a.crt; ssl_certificate_key a.key; " more " }"
#define ON SERVER("ssl_early_data on;")
#define OFF SERVER("")
#define QUESTION "what the first flight says"

static struct config *config;

static const struct tls_settings *
configured(const char *text)
{
	return files_configured(&config, text);
}

static SSL_SESSION *
ticket(const struct tls_settings *settings, const char *name)
{
	SSL_SESSION *session = NULL;

	assert_false(peer_resumes(settings, TLS1_3_VERSION, name, 0, NULL, &session));
	return session;
}

/* A client that has said QUESTION with its hello. */
static struct peer *
asking(const struct tls_settings *settings, const char *name, SSL_SESSION *session)
{
	struct peer *peer = peer_new(settings, TLS1_3_VERSION, name, session);
	size_t written;

	assert_int_equal(SSL_write_early_data(peer->ssl, QUESTION, strlen(QUESTION), &written), 1);
	peer_client(peer);
	return peer;
}

/* What there is to read, behind `got` bytes. */
static enum tls_status
read_more(struct peer *peer, char *out, uint32_t *got)
{
	enum tls_status status;
	uint32_t more;

	while ((status = peer_read(peer, out + *got, 100 - *got, &more)) == TLS_OK)
		*got += more;
	return status;
}

static void
assert_client_reads(struct peer *peer, const char *text)
{
	char out[100];

	peer_client(peer);
	assert_int_equal(SSL_read(peer->ssl, out, sizeof(out)), (int)strlen(text));
	assert_memory_equal(out, text, strlen(text));
}

static void
early_data_is_answered_before_the_handshake_is_done(void **state)
{
	const struct tls_settings *settings = configured(ON);
	SSL_SESSION *session = ticket(settings, "a.test");
	struct peer *peer = asking(settings, "a.test", session);
	char in[100];
	uint32_t got = 0;

	assert_true(SSL_SESSION_get_max_early_data(session) > 0);
	peer->in.arrived = peer->in.len;
	assert_int_equal(tls_handshake(peer->session), TLS_EARLY);
	assert_true(tls_resumed(peer->session));
	assert_int_equal(read_more(peer, in, &got), TLS_WAIT);
	assert_int_equal(got, strlen(QUESTION));
	assert_memory_equal(in, QUESTION, got);
	assert_true(tls_is_early(peer->session));
	assert_int_equal(peer_write(peer, "answer", 6), TLS_OK);
	tls_shutdown(peer->session); /* says nothing yet */
	assert_client_reads(peer, "answer");
	assert_int_equal(SSL_get_early_data_status(peer->ssl), SSL_EARLY_DATA_ACCEPTED);

	/* The client's Finished; from here on it is a connection as any other. */
	peer->in.arrived = peer->in.len;
	assert_int_equal(read_more(peer, in, &got), TLS_WAIT);
	assert_false(tls_is_early(peer->session));
	assert_int_equal(peer_write(peer, "more", 4), TLS_OK);
	assert_client_reads(peer, "more");
	assert_int_equal(SSL_write(peer->ssl, "?", 1), 1);
	peer_client(peer);
	peer->in.arrived = peer->in.len;
	got = 0;
	assert_int_equal(read_more(peer, in, &got), TLS_WAIT);
	assert_int_equal(got, 1);
	peer_free(peer);
	SSL_SESSION_free(session);
}

static void
its_flights_may_come_byte_by_byte(void **state)
{
	const struct tls_settings *settings = configured(ON);
	SSL_SESSION *session = ticket(settings, "a.test");
	struct peer *peer = asking(settings, "a.test", session);
	enum tls_status status = TLS_WAIT;
	char in[100];
	uint32_t got = 0;

	while (status != TLS_EARLY || tls_is_early(peer->session)) {
		if (peer->in.arrived == peer->in.len)
			peer_client(peer);
		assert_true(peer->in.arrived < peer->in.len);
		peer->in.arrived++;
		if (status != TLS_EARLY)
			status = tls_handshake(peer->session);
		else
			assert_int_equal(read_more(peer, in, &got), TLS_WAIT);
	}
	assert_int_equal(peer->in.arrived, peer->in.len);
	assert_int_equal(got, strlen(QUESTION));
	assert_memory_equal(in, QUESTION, got);
	peer_free(peer);
	SSL_SESSION_free(session);
}

static void
assert_rejected(const struct tls_settings *settings, const struct tls_settings *other, const char *name,
		SSL_SESSION *session)
{
	struct peer *peer = asking(settings, name, session);
	char in[100];
	uint32_t got = 0;

	peer->other = other;
	assert_int_equal(peer_handshake(peer), TLS_OK);
	assert_false(tls_is_early(peer->session));
	assert_int_equal(SSL_get_early_data_status(peer->ssl), SSL_EARLY_DATA_REJECTED);
	assert_int_equal(read_more(peer, in, &got), TLS_WAIT);
	assert_int_equal(got, 0);
	peer_free(peer);
	SSL_SESSION_free(session);
}

static void
it_is_passed_over_where_it_is_off_by_now(void **state)
{
	SSL_SESSION *session = ticket(configured(ON), "a.test");

	assert_rejected(configured(OFF), NULL, "a.test", session);
}

static void
the_server_that_the_hello_names_may_refuse_it(void **state)
{
	const struct tls_settings *settings = configured(ON OFF);

	/* Its ticket was the default server's, who would allow it. */
	assert_rejected(settings, files_settings(config, 1), "b.test", ticket(settings, "b.test"));
}

static void
other_clients_shake_hands_as_ever(void **state)
{
	const struct tls_settings *settings = configured(ON);

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		assert_false(peer_resumes(settings, version, "a.test", 0, NULL, &session));
		assert_true(peer_resumes(settings, version, "a.test", 0, session, NULL));
		SSL_SESSION_free(session);
	}
}

static int
end(void **state)
{
	config_free(config);
	config = NULL;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(early_data_is_answered_before_the_handshake_is_done),
		cmocka_unit_test(its_flights_may_come_byte_by_byte),
		cmocka_unit_test(it_is_passed_over_where_it_is_off_by_now),
		cmocka_unit_test(the_server_that_the_hello_names_may_refuse_it),
		cmocka_unit_test(other_clients_shake_hands_as_ever),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
