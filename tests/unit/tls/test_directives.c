/*
 * The ssl_* directives: what is refused, with nginx's words and the place; and what is inherited.
 */
#include "support/cmocka.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"

#define PAIR "ssl_certificate a.crt; ssl_certificate_key a.key; "

static void
mistakes_are_told_in_nginxs_words(void **state)
{
	static const struct {
		const char *text, *first, *second;
	} cases[] = {
		{ "ssl_certificate none.crt; ssl_certificate_key a.key;", "cannot load certificate \"",
		  "/none.crt\": BIO_new_file() failed (SSL: error:80000002:system library::No such file or "
		  "directory:calling fopen(" },
		{ "ssl_certificate garbage; ssl_certificate_key a.key;", "cannot load certificate \"",
		  "/garbage\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line" },
		{ "ssl_certificate a.crt; ssl_certificate_key none.key;", "cannot load certificate key \"",
		  "/none.key\": BIO_new_file() failed (SSL: " },
		{ "ssl_certificate a.crt; ssl_certificate_key garbage;", "cannot load certificate key \"",
		  "/garbage\": PEM_read_bio_PrivateKey() failed (SSL: " },
		{ "ssl_certificate a.crt; ssl_certificate_key b.key;", "SSL_CTX_use_PrivateKey(\"",
		  "/b.key\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)" },
		{ "ssl_certificate a.crt; ssl_certificate_key secret.key;", "cannot load certificate key \"",
		  "/secret.key\": PEM_read_bio_PrivateKey() failed (SSL: " },
		{ "ssl_certificate a.crt;", "no \"ssl_certificate_key\" is defined for certificate \"a.crt\"", "" },
		{ "ssl_certificate $name;", "variables in \"ssl_certificate\" are not supported", "" },
		{ PAIR "ssl_ciphers NOSUCH;", "SSL_CTX_set_cipher_list(\"NOSUCH\") failed (SSL: ", "no cipher match)" },
		{ PAIR "ssl_ecdh_curve nosuch;", "SSL_CTX_set1_curves_list(\"nosuch\") failed", "" },
		{ PAIR "ssl_dhparam garbage;", "PEM_read_bio_DHparams(\"", "/garbage\") failed (SSL: " },
		{ PAIR "ssl_conf_command NoSuch 1;", "SSL_CONF_cmd(\"NoSuch\", \"1\") failed", "" },
		{ PAIR "ssl_protocols TLSv1.4;", "invalid value \"TLSv1.4\"", "" },
		{ PAIR "ssl_protocols SSLv3;", "\"SSLv3\" is not supported", "" },
		{ PAIR "ssl_protocols TLSv1.2; ssl_protocols TLSv1.3;", "\"ssl_protocols\" directive is duplicate",
		  "" },
		{ PAIR "ssl_ciphers HIGH; ssl_ciphers HIGH;", "\"ssl_ciphers\" directive is duplicate", "" },
		{ PAIR "ssl_session_cache sharing;", "invalid session cache \"sharing\"", "" },
		{ PAIR "ssl_session_cache shared:SSL;", "invalid session cache \"shared:SSL\"", "" },
		{ PAIR "ssl_session_cache shared::1m;", "invalid session cache \"shared::1m\"", "" },
		{ PAIR "ssl_session_cache shared:SSL:10k;", "session cache \"shared:SSL:10k\" is too small", "" },
		{ PAIR "ssl_session_cache shared:SSL:1m; } server { " PAIR "ssl_session_cache shared:SSL:2m;",
		  "the size 2097152 of shared memory zone \"SSL\" conflicts with already declared size 1048576", "" },
		{ PAIR "ssl_session_ticket_key none;", "open() \"", "/none\" failed (2: No such file or directory)" },
		{ PAIR "ssl_session_ticket_key ticket47;", "/ticket47\" must be 48 or 80 bytes", "" },
		{ PAIR "ssl_verify_client maybe;", "invalid value \"maybe\"", "" },
		{ PAIR "ssl_verify_client on;", "no ssl_client_certificate for ssl_verify_client", "" },
		{ PAIR "ssl_verify_client on; ssl_client_certificate garbage;", "SSL_CTX_load_verify_locations(\"",
		  "/garbage\") failed (SSL: " },
		{ PAIR "ssl_trusted_certificate none;", "SSL_CTX_load_verify_locations(\"", "/none\") failed (SSL: " },
		{ PAIR "ssl_crl garbage;", "X509_LOOKUP_load_file(\"", "/garbage\") failed (SSL: " },
		{ PAIR "ssl_early_data maybe;", "invalid value \"maybe\" in \"ssl_early_data\" directive", "" },
		{ PAIR "ssl_session_tickets maybe;", "invalid value \"maybe\" in \"ssl_session_tickets\" directive",
		  "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct config *config;
		const char *error;

		snprintf(text, sizeof(text), "server { %s }", cases[i].text);
		config = files_config(text);
		error = config_error(config);
		if (!error || !strstr(error, cases[i].first) || !strstr(error, cases[i].second) ||
		    !strstr(error, " in test.conf:2"))
			fail_msg("%s: %s", cases[i].text, error ? error : "no error");
		config_free(config);
	}
}

static void
all_of_it_is_taken(void **state)
{
	struct config *config = files_config(
		"ssl_certificate a.crt; ssl_certificate_key secret.key; ssl_password_file passwords;\n"
		"ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM; ssl_prefer_server_ciphers on;\n"
		"ssl_ecdh_curve X25519:prime256v1; ssl_conf_command Options PrioritizeChaCha;\n"
		"ssl_session_cache builtin:1000 shared:SSL:1m; ssl_session_timeout 1h; ssl_session_tickets off;\n"
		"ssl_session_ticket_key ticket80; ssl_buffer_size 4k; ssl_verify_client optional; ssl_verify_depth 3;\n"
		"ssl_client_certificate b.crt; ssl_trusted_certificate a.crt; ssl_early_data off;\n"
		"server { } server { ssl_certificate b.crt; ssl_certificate_key b.key; ssl_buffer_size 8k;\n"
		"ssl_verify_client off; ssl_session_cache none; }");
	const struct tls_settings *first, *second;

	assert_null(config_error(config));
	first = files_settings(config, 0);
	second = files_settings(config, 1);
	assert_non_null(first->context);
	assert_non_null(second->context);
	assert_int_equal(first->buffer_size, 4096);
	assert_int_equal(second->buffer_size, 8192);
	assert_int_equal(first->cache.mode, TLS_CACHE_SHARED);
	assert_int_equal(second->cache.mode, TLS_CACHE_NONE);
	assert_int_equal(first->session_timeout_s, 3600);
	assert_int_equal(first->verify, TLS_VERIFY_OPTIONAL);
	assert_int_equal(second->verify, TLS_VERIFY_OFF);
	assert_int_equal(second->certificates.count, 1);
	config_free(config);
}

static const struct config_directive stream_rows[] = {
	{ "stream", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_STREAM, NULL },
	{ "server", CONFIG_STREAM, 0, 0, CONFIG_BLOCK, CONFIG_STREAM_SERVER, NULL },
	{ 0 },
};
static struct config_module streams = { .name = "streams", .directives = stream_rows };

static void
a_server_without_a_certificate_has_no_context(void **state)
{
	struct config *config = files_config("server { ssl_protocols TLSv1.3; }");

	assert_null(config_error(config));
	assert_null(files_settings(config, 0)->context);
	config_free(config);
}

static void
what_may_be_spoken_is_listed_as_a_hello_lists_it(void **state)
{
	static struct config_module *const modules[] = { &streams, &tls_module, NULL };
	struct config_source source = { .path = "test.conf", .prefix = "" };
	struct config *config;
	const struct tls_settings *settings;

	source.text = bytes_of_string("stream { ssl_alpn imap pop3; server { } }");
	config = config_parse(&source, modules);
	assert_null(config_error(config));
	settings = config_settings(config_child(config_root(config), CONFIG_STREAM)->children, &tls_module);
	assert_true(bytes_equal_string(settings->alpn, "\x04imap\x04pop3"));
	config_free(config);
	source.text = bytes_of_string("stream { ssl_alpn a \"\"; }");
	config = config_parse(&source, modules);
	assert_non_null(strstr(config_error(config), "the protocol \"\" must have 1 to 255 bytes"));
	config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_told_in_nginxs_words),
		cmocka_unit_test(all_of_it_is_taken),
		cmocka_unit_test(a_server_without_a_certificate_has_no_context),
		cmocka_unit_test(what_may_be_spoken_is_listed_as_a_hello_lists_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
