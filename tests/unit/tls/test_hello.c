/*
 * OpenSSL's hellos, read from outside: whole, in pieces, and spread over records in every way.
 */
#include "tls/hello.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "support/cmocka.h"

static uint8_t *hello;
static size_t hello_len;

/* What a client with this name (NULL: none), protocols and versions begins with. */
static void
make(const char *name, const char *protocols, int version_max)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *ssl;
	char *data;

	SSL_CTX_set_max_proto_version(context, version_max);
	if (protocols)
		SSL_CTX_set_alpn_protos(context, (const unsigned char *)protocols, (unsigned int)strlen(protocols));
	ssl = SSL_new(context);
	if (name)
		SSL_set_tlsext_host_name(ssl, name);
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	free(hello);
	hello_len = (size_t)BIO_get_mem_data(out, &data);
	hello = malloc(hello_len);
	memcpy(hello, data, hello_len);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void
assert_says(const uint8_t *data, size_t len, const char *name, const char *protocols, const char *version)
{
	struct tls_hello out;

	assert_int_equal(tls_hello_parse(bytes_of(data, len), &out), TLS_HELLO_DONE);
	assert_true(bytes_equal_string(bytes_of(out.name, out.name_len), name));
	assert_true(bytes_equal_string(bytes_of(out.protocols, out.protocols_len), protocols));
	assert_string_equal(tls_hello_version_name(&out), version);
}

static void
test_what_clients_ask_for(void **state)
{
	make("a.example.com", "\2h2\10http/1.1", TLS1_3_VERSION);
	assert_says(hello, hello_len, "a.example.com", "h2,http/1.1", "TLSv1.3");
	make("b.test", NULL, TLS1_2_VERSION);
	assert_says(hello, hello_len, "b.test", "", "TLSv1.2");
	make(NULL, "\3foo", TLS1_3_VERSION);
	assert_says(hello, hello_len, "", "foo", "TLSv1.3");
}

static void
test_each_beginning_waits_for_more(void **state)
{
	struct tls_hello out;

	make("a.example.com", "\2h2\10http/1.1", TLS1_3_VERSION);
	for (size_t len = 0; len < hello_len; len++) {
		assert_int_equal(tls_hello_parse(bytes_of(hello, len), &out), TLS_HELLO_MORE);
		assert_int_equal(out.name_len, 0);
		assert_int_equal(out.need, len < 5 ? 5 : hello_len);
	}
}

/* Two records, cut at `cut`. */
static size_t
cut_in_two(uint8_t *out, size_t cut)
{
	size_t rest = hello_len - 5 - cut;

	memcpy(out, hello, 5);
	out[3] = (uint8_t)(cut >> 8);
	out[4] = (uint8_t)cut;
	memcpy(out + 5, hello + 5, cut);
	memcpy(out + 5 + cut, hello, 5);
	out[5 + cut + 3] = (uint8_t)(rest >> 8);
	out[5 + cut + 4] = (uint8_t)rest;
	memcpy(out + 10 + cut, hello + 5 + cut, rest);
	return hello_len + 5;
}

static void
test_records_may_end_at_every_byte(void **state)
{
	uint8_t *two;

	make("a.example.com", "\2h2\10http/1.1", TLS1_3_VERSION);
	two = malloc(hello_len + 5);
	for (size_t cut = 1; cut < hello_len - 5; cut++) {
		size_t len = cut_in_two(two, cut);
		struct tls_hello out;

		assert_says(two, len, "a.example.com", "h2,http/1.1", "TLSv1.3");
		for (size_t some = 0; some < len; some += 7)
			assert_int_equal(tls_hello_parse(bytes_of(two, some), &out), TLS_HELLO_MORE);
	}
	free(two);
}

static void
test_what_is_no_hello(void **state)
{
	static const char *const others[] = { "GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH\r\n",  "\x16\x02",
					      "\x15\x03\x01",       "\x16\x03\x01\x40\x01", "\x17" };
	struct tls_hello out;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(tls_hello_parse(bytes_of_string(others[i]), &out), TLS_HELLO_NONE);
	/* A ServerHello, and records without anything in them. */
	assert_int_equal(tls_hello_parse(bytes_of("\x16\3\1\0\4\2\0\0\0", 9), &out), TLS_HELLO_NONE);
	assert_int_equal(tls_hello_parse(bytes_of("\x16\3\1\0\0", 5), &out), TLS_HELLO_NONE);
}

static void
test_lengths_that_lie_are_no_hello_or_never_end(void **state)
{
	struct tls_hello out;

	make("a.example.com", "\2h2\10http/1.1", TLS1_3_VERSION);
	for (size_t i = 5; i < hello_len; i++) {
		uint8_t was = hello[i];

		hello[i] = 0xff;
		tls_hello_parse(bytes_of(hello, hello_len), &out);
		hello[i] = was;
	}
	assert_says(hello, hello_len, "a.example.com", "h2,http/1.1", "TLSv1.3");
	hello[8] = (uint8_t)(hello[8] - 1); /* of the hello: its last extension reaches out of it */
	assert_int_equal(tls_hello_parse(bytes_of(hello, hello_len), &out), TLS_HELLO_NONE);
	assert_int_equal(out.name_len, 0);
}

static void
test_a_hello_of_ssl_2_has_its_version(void **state)
{
	assert_says((const uint8_t *)"\x80\x2e\1\3\1", 5, "", "", "TLSv1");
	assert_says((const uint8_t *)"\x80\x2e\1\0\2", 5, "", "", "SSLv2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_clients_ask_for),
		cmocka_unit_test(test_each_beginning_waits_for_more),
		cmocka_unit_test(test_records_may_end_at_every_byte),
		cmocka_unit_test(test_what_is_no_hello),
		cmocka_unit_test(test_lengths_that_lie_are_no_hello_or_never_end),
		cmocka_unit_test(test_a_hello_of_ssl_2_has_its_version),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(hello);
	return failed;
}
