/*
 * The client's side: what is checked, what is told, and what is resumed. The server is OpenSSL's own.
 */
#include "support/cmocka.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "tls/sessions.h"
#include "tls/tls.h"

#define VERIFIES "server { proxy_ssl_verify on; proxy_ssl_trusted_certificate %s.crt; proxy_ssl_server_name on; %s }"

/* A session of ours and a server, with the bytes between them in memory: `piece` at a time arrive. */
struct pair {
	struct tls_session *session;
	SSL_CTX *context;
	SSL *ssl;
	uint32_t piece;
	uint32_t left; /* of it */
	char asked[256];
};

static struct config *config;

static const struct tls_client *
client_of(unsigned int server)
{
	const struct tls_client *client = tls_client_get(config, files_scope(config, server), &tls_client_module);

	if (!client)
		fail_msg("%s", config_error(config));
	return client;
}

static void
configure(const char *text)
{
	if (config)
		config_free(config);
	config = files_config(text);
	if (config_error(config))
		fail_msg("%s", config_error(config));
}

static uint32_t
take(void *wire, void *out, uint32_t len)
{
	struct pair *pair = wire;
	int got;

	len = len < pair->left ? len : pair->left;
	got = len ? BIO_read(SSL_get_wbio(pair->ssl), out, (int)len) : 0;
	got = got < 0 ? 0 : got;
	pair->left -= (uint32_t)got;
	return (uint32_t)got;
}

static uint32_t
give(void *wire, const void *data, uint32_t len)
{
	return (uint32_t)BIO_write(SSL_get_rbio(((struct pair *)wire)->ssl), data, (int)len);
}

static const struct tls_ends ends = { take, give, NULL };

static int
asked(SSL *ssl, int *alert, void *argument)
{
	struct pair *pair = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	snprintf(pair->asked, sizeof(pair->asked), "%s", name ? name : "");
	return SSL_TLSEXT_ERR_OK;
}

static void
pair_init(struct pair *pair, SSL_CTX *context, const struct tls_client *client, const char *name,
	  struct tls_sessions *sessions)
{
	*pair = (struct pair){ .context = context, .piece = UINT32_MAX };
	pair->ssl = SSL_new(context);
	SSL_set_app_data(pair->ssl, pair);
	SSL_set_bio(pair->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(pair->ssl);
	pair->session = tls_connect(client, bytes_of_string(name), sessions, 7, &ends, pair);
	assert_non_null(pair->session);
}

static SSL_CTX *
server_new(const char *file, int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	char path[128];

	SSL_CTX_set_max_proto_version(context, version);
	SSL_CTX_set_tlsext_servername_callback(context, asked);
	snprintf(path, sizeof(path), "%s/%s.crt", files_directory(), file);
	assert_int_equal(SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM), 1);
	snprintf(path, sizeof(path), "%s/%s.key", files_directory(), file);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM), 1);
	return context;
}

static enum tls_status
handshake(struct pair *pair)
{
	enum tls_status status = TLS_WAIT;

	while (status == TLS_WAIT) {
		pair->left = pair->piece;
		status = tls_handshake(pair->session);
		if (SSL_do_handshake(pair->ssl) != 1 && SSL_get_error(pair->ssl, -1) == SSL_ERROR_SSL)
			break;
	}
	SSL_do_handshake(pair->ssl);
	ERR_clear_error();
	return status;
}

/* Reads what the server says behind the handshake: tickets. */
static void
listen_on(struct pair *pair)
{
	char byte;
	uint32_t got;

	pair->left = UINT32_MAX;
	assert_int_equal(tls_read(pair->session, &byte, 1, &got), TLS_WAIT);
}

static void
pair_fini(struct pair *pair)
{
	tls_free(pair->session);
	SSL_free(pair->ssl);
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void
handshake_goes_on_byte_by_byte(void **state)
{
	configure("server { }");
	for (int v = 0; v < 2; v++) {
		SSL_CTX *context = server_new("rsa", versions[v]);
		struct pair pair;

		pair_init(&pair, context, client_of(0), "a.test", NULL);
		pair.piece = 1;
		assert_int_equal(handshake(&pair), TLS_OK);
		assert_true(tls_server_trusted(pair.session)); /* nobody asks */
		assert_string_equal(pair.asked, "");           /* nor tells */
		pair_fini(&pair);
		SSL_CTX_free(context);
	}
}

/* `file` is what the server has. */
static bool
trusted(const char *file, const char *name, char *told)
{
	SSL_CTX *context = server_new(file, TLS1_3_VERSION);
	struct pair pair;
	bool result;

	pair_init(&pair, context, client_of(0), name, NULL);
	assert_int_equal(handshake(&pair), TLS_OK);
	result = tls_server_trusted(pair.session);
	strcpy(told, pair.asked);
	pair_fini(&pair);
	SSL_CTX_free(context);
	return result;
}

static void
server_is_who_it_should_be(void **state)
{
	char text[256], told[256];

	snprintf(text, sizeof(text), VERIFIES, "a", "");
	configure(text);
	assert_true(trusted("a", "a.test", told));
	assert_string_equal(told, "a.test");
	assert_false(trusted("a", "b.test", told));
	assert_string_equal(tls_problem(), "upstream SSL certificate does not match \"b.test\"");
	assert_false(trusted("b", "b.test", told));
	assert_non_null(strstr(tls_problem(), "upstream SSL certificate verify error: (18:self-signed certificate)"));
	assert_false(trusted("a", "", told));
	assert_false(trusted("a", "10.0.0.1", told));
	assert_string_equal(told, ""); /* an address is no name (RFC 6066) */
	assert_false(trusted("a", "[::1]", told));
	assert_string_equal(told, "");
}

static bool
resumes(SSL_CTX *context, const struct tls_client *client, const char *name, struct tls_sessions *sessions)
{
	struct pair pair;
	bool resumed;

	pair_init(&pair, context, client, name, sessions);
	assert_int_equal(handshake(&pair), TLS_OK);
	listen_on(&pair);
	resumed = tls_resumed(pair.session);
	pair_fini(&pair);
	return resumed;
}

static void
sessions_go_on_under_the_same_name_and_settings_alone(void **state)
{
	char text[512];

	snprintf(text, sizeof(text), VERIFIES "server { } server { proxy_ssl_session_reuse off; } server { }", "a", "");
	configure(text);
	assert_ptr_equal(client_of(1), client_of(3));
	assert_ptr_not_equal(client_of(0), client_of(1));
	for (int v = 0; v < 2; v++) {
		struct tls_sessions *sessions = tls_sessions_new(1);
		SSL_CTX *context = server_new("a", versions[v]);

		for (int i = 0; i < 3; i++) {
			assert_int_equal(resumes(context, client_of(0), "a.test", sessions), i > 0);
			assert_int_equal(resumes(context, client_of(1), "a.test", sessions), i > 0);
			assert_int_equal(resumes(context, client_of(1), "b.test", sessions), i > 0);
			assert_false(resumes(context, client_of(2), "a.test", sessions));
		}
		tls_sessions_free(sessions);
		SSL_CTX_free(context);
	}
}

static void
what_was_not_trusted_is_not_kept(void **state)
{
	struct tls_sessions *sessions = tls_sessions_new(1);
	SSL_CTX *context = server_new("b", TLS1_2_VERSION);
	char text[256];

	snprintf(text, sizeof(text), VERIFIES, "a", "");
	configure(text);
	for (int i = 0; i < 2; i++)
		assert_false(resumes(context, client_of(0), "b.test", sessions));
	tls_sessions_free(sessions);
	SSL_CTX_free(context);
}

static void
a_full_set_gives_up_the_oldest(void **state)
{
	struct tls_sessions *sessions = tls_sessions_new(1);
	SSL_CTX *context = server_new("a", TLS1_2_VERSION);
	char long_name[TLS_SESSIONS_NAME_MAX + 2] = { 0 };

	configure("server { }");
	for (const char *name = "abcdef"; *name; name++)
		assert_false(resumes(context, client_of(0), (char[]){ *name, 0 }, sessions));
	assert_true(resumes(context, client_of(0), "f", sessions));
	assert_true(resumes(context, client_of(0), "e", sessions));
	memset(long_name, 'x', TLS_SESSIONS_NAME_MAX + 1);
	for (int i = 0; i < 2; i++)
		assert_false(resumes(context, client_of(0), long_name, sessions));
	tls_sessions_free(sessions);
	SSL_CTX_free(context);
}

static void
authorities_are_cut_where_the_port_begins(void **state)
{
	static const char *const cases[][2] = {
		{ "a.test", "a.test" },
		{ "a.test:443", "a.test" },
		{ "[::1]:443", "[::1]" },
		{ "[::1]", "[::1]" },
		{ "", "" },
		{ ":443", "" },
		{ "[::1", "[" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_true(bytes_equal_string(tls_name_of_authority(bytes_of_string(cases[i][0])), cases[i][1]));
}

static void
mistakes_have_place_and_reason(void **state)
{
	static const char *const cases[][2] = {
		{ "server {\nproxy_ssl_verify on; }",
		  "no proxy_ssl_trusted_certificate for proxy_ssl_verify in test.conf:2" },
		{ "server {\nproxy_ssl_certificate a.crt; }",
		  "no \"proxy_ssl_certificate_key\" is defined for certificate \"a.crt\" in test.conf:3" },
		{ "server { proxy_ssl_certificate a.crt;\nproxy_ssl_certificate_key b.key; }", "key values mismatch" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		configure(cases[i][0]);
		assert_null(tls_client_get(config, files_scope(config, 0), &tls_client_module));
		if (!strstr(config_error(config), cases[i][1]))
			fail_msg("%s", config_error(config));
	}
}

static int
finish(void **state)
{
	config_free(config);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_goes_on_byte_by_byte),
		cmocka_unit_test(server_is_who_it_should_be),
		cmocka_unit_test(sessions_go_on_under_the_same_name_and_settings_alone),
		cmocka_unit_test(what_was_not_trusted_is_not_kept),
		cmocka_unit_test(a_full_set_gives_up_the_oldest),
		cmocka_unit_test(authorities_are_cut_where_the_port_begins),
		cmocka_unit_test(mistakes_have_place_and_reason),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
