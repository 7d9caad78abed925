/*
 * Sessions are resumed by ticket and by number, wherever and whenever they may be, and nowhere else.
 */
#include "support/cmocka.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "peer.h"
#include "tls/tickets.h"

#define SERVER(words) "server { ssl_certificate a.crt; ssl_certificate_key a.key; " words " }"

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static struct config *
configured(const char *text)
{
	struct config *config = files_config(text);

	if (config_error(config))
		fail_msg("%s", config_error(config));
	return config;
}

/* A session made under one configuration, offered under another: as before and after a reload. */
static bool
survives(const char *before, const char *after, int version, uint64_t client_options)
{
	struct config *first = configured(before), *second = configured(after);
	SSL_SESSION *session;
	bool resumed;

	assert_false(peer_resumes(files_settings(first, 0), version, "a.test", client_options, NULL, &session));
	resumed = peer_resumes(files_settings(second, 0), version, "a.test", client_options, session, NULL);
	SSL_SESSION_free(session);
	config_free(first);
	config_free(second);
	return resumed;
}

static void
a_ticket_is_good_after_a_reload(void **state)
{
	for (int v = 0; v < 2; v++) {
		assert_true(survives(SERVER(""), SERVER(""), versions[v], 0));
		assert_false(survives(SERVER("ssl_session_tickets off;"), SERVER(""), versions[v], 0));
		assert_false(survives(SERVER(""), SERVER("ssl_session_tickets off;"), versions[v], 0));
	}
}

static int
count_ticket(SSL *ssl, SSL_SESSION *session)
{
	++*(unsigned int *)SSL_get_app_data(ssl);
	return 0;
}

static void
tls_1_3_has_one_ticket_if_it_is_good_for_anything(void **state)
{
	static const struct {
		const char *server;
		unsigned int tickets;
	} cases[] = {
		{ SERVER(""), 1 },
		{ SERVER("ssl_session_tickets off;"), 0 },
		{ SERVER("ssl_session_tickets off; ssl_session_cache builtin;"), 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = configured(cases[i].server);
		struct peer *peer = peer_new(files_settings(config, 0), TLS1_3_VERSION, "a.test", NULL);
		unsigned int tickets = 0;

		SSL_CTX_set_session_cache_mode(peer->context, SSL_SESS_CACHE_CLIENT);
		SSL_CTX_sess_set_new_cb(peer->context, count_ticket);
		SSL_set_app_data(peer->ssl, &tickets);
		assert_int_equal(peer_handshake(peer), TLS_OK);
		SSL_SESSION_free(peer_session(peer));
		assert_int_equal(tickets, cases[i].tickets);
		peer_free(peer);
		config_free(config);
	}
}

static void
a_resumed_session_can_be_resumed_again(void **state)
{
	struct config *config = files_config(SERVER(""));
	SSL_SESSION *first, *session;

	for (int v = 0; v < 2; v++) {
		peer_resumes(files_settings(config, 0), versions[v], "a.test", 0, NULL, &first);
		assert_true(peer_resumes(files_settings(config, 0), versions[v], "a.test", 0, first, &session));
		/* TLS 1.3: with a ticket of its own. */
		assert_int_equal(first != session, versions[v] == TLS1_3_VERSION);
		assert_true(peer_resumes(files_settings(config, 0), versions[v], "a.test", 0, session, NULL));
		SSL_SESSION_free(first);
		SSL_SESSION_free(session);
	}
	config_free(config);
}

static void
a_ticket_is_not_good_under_another_certificate_or_for_other_clients(void **state)
{
	for (int v = 0; v < 2; v++) {
		assert_false(survives(SERVER(""), "server { ssl_certificate b.crt; ssl_certificate_key b.key; }",
				      versions[v], 0));
		assert_false(survives(SERVER(""), SERVER("ssl_verify_client optional; ssl_client_certificate b.crt;"),
				      versions[v], 0));
	}
}

static void
a_ticket_outlives_one_change_of_keys(void **state)
{
	struct config *config = configured(SERVER(""));
	const struct tls_settings *settings = files_settings(config, 0);

	for (int v = 0; v < 2; v++) {
		SSL_SESSION *session, *renewed;

		peer_resumes(settings, versions[v], "a.test", 0, NULL, &session);
		tls_ticket_keys_free(tls_tickets_rotate());
		assert_true(peer_resumes(settings, versions[v], "a.test", 0, session, &renewed));
		tls_ticket_keys_free(tls_tickets_rotate());
		assert_false(peer_resumes(settings, versions[v], "a.test", 0, session, NULL));
		/* With the old one came a new one. */
		assert_true(peer_resumes(settings, versions[v], "a.test", 0, renewed, NULL));
		SSL_SESSION_free(session);
		SSL_SESSION_free(renewed);
	}
	config_free(config);
}

static void
keys_from_files_are_used_in_their_order(void **state)
{
	for (int v = 0; v < 2; v++) {
		assert_true(survives(SERVER("ssl_session_ticket_key ticket48;"),
				     SERVER("ssl_session_ticket_key ticket80; ssl_session_ticket_key ticket48;"),
				     versions[v], 0));
		assert_true(survives(SERVER("ssl_session_ticket_key ticket80;"),
				     SERVER("ssl_session_ticket_key ticket80; ssl_session_ticket_key ticket48;"),
				     versions[v], 0));
		assert_false(survives(SERVER("ssl_session_ticket_key ticket48;"),
				      SERVER("ssl_session_ticket_key ticket80;"), versions[v], 0));
		assert_false(survives(SERVER("ssl_session_ticket_key ticket48;"), SERVER(""), versions[v], 0));
	}
}

static void
a_shared_cache_is_good_after_a_reload(void **state)
{
	const char *shared = SERVER("ssl_session_cache shared:SSL:1m;");

	assert_true(survives(shared, shared, TLS1_2_VERSION, SSL_OP_NO_TICKET));
	assert_false(survives(shared, SERVER("ssl_session_cache shared:other:1m;"), TLS1_2_VERSION, SSL_OP_NO_TICKET));
	assert_false(survives(SERVER(""), SERVER(""), TLS1_2_VERSION, SSL_OP_NO_TICKET));
	assert_false(survives(SERVER("ssl_session_cache off;"), SERVER("ssl_session_cache off;"), TLS1_2_VERSION,
			      SSL_OP_NO_TICKET));
	/* TLS 1.3 keeps sessions there where tickets are off. */
	shared = SERVER("ssl_session_tickets off; ssl_session_cache shared:SSL:1m;");
	for (int v = 0; v < 2; v++)
		assert_true(survives(shared, shared, versions[v], 0));
}

static void
a_builtin_cache_is_the_servers_own(void **state)
{
	const char *text = SERVER("ssl_session_cache builtin:100;");
	struct config *config = configured(text);
	const struct tls_settings *settings = files_settings(config, 0);
	SSL_SESSION *session;

	peer_resumes(settings, TLS1_2_VERSION, "a.test", SSL_OP_NO_TICKET, NULL, &session);
	assert_true(peer_resumes(settings, TLS1_2_VERSION, "a.test", SSL_OP_NO_TICKET, session, NULL));
	assert_false(survives(text, text, TLS1_2_VERSION, SSL_OP_NO_TICKET));
	SSL_SESSION_free(session);
	config_free(config);
}

static void
a_session_is_no_way_around_another_servers_client_certificate(void **state)
{
	struct config *config = configured(
		SERVER("") "server { ssl_certificate b.crt; ssl_certificate_key b.key; ssl_verify_client on; "
			   "ssl_client_certificate b.crt; }");
	SSL_SESSION *session;
	struct peer *peer;

	peer_resumes(files_settings(config, 0), TLS1_3_VERSION, "a.test", 0, NULL, &session);
	peer = peer_new(files_settings(config, 0), TLS1_3_VERSION, "b.test", session);
	peer->other = files_settings(config, 1);
	if (peer_handshake(peer) == TLS_OK)
		assert_false(tls_resumed(peer->session));
	peer_free(peer);
	SSL_SESSION_free(session);
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ticket_is_good_after_a_reload),
		cmocka_unit_test(tls_1_3_has_one_ticket_if_it_is_good_for_anything),
		cmocka_unit_test(a_resumed_session_can_be_resumed_again),
		cmocka_unit_test(a_ticket_is_not_good_under_another_certificate_or_for_other_clients),
		cmocka_unit_test(a_ticket_outlives_one_change_of_keys),
		cmocka_unit_test(keys_from_files_are_used_in_their_order),
		cmocka_unit_test(a_shared_cache_is_good_after_a_reload),
		cmocka_unit_test(a_builtin_cache_is_the_servers_own),
		cmocka_unit_test(a_session_is_no_way_around_another_servers_client_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
