/*
 * TLS between a client and the worker, where memory is short. The client is OpenSSL's own.
 */
#include "support/cmocka.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "world.h"

#define SECOND_MS 1000

static struct world w;

/* What has come goes to OpenSSL, and what it says goes out. */
static void
carry(struct peer *client, SSL *ssl)
{
	uint8_t out[20000];
	const char *text;
	size_t from;
	int len;

	from = client->in_taken;
	text = peer_said(client);
	if (client->in_len > from)
		BIO_write(SSL_get_rbio(ssl), text, (int)(client->in_len - from));
	if (!SSL_is_init_finished(ssl))
		SSL_do_handshake(ssl);
	len = BIO_read(SSL_get_wbio(ssl), out, sizeof(out));
	if (len > 0)
		peer_send(client, out, (size_t)len);
}

static SSL *
secured(SSL_CTX *context, struct peer *client)
{
	SSL *ssl = SSL_new(context);

	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	for (int i = 0; i < 8; i++)
		carry(client, ssl);
	assert_true(SSL_is_init_finished(ssl));
	return ssl;
}

/* A request comes when there are `buffers` mbufs left; when there are more, it is answered. Whether it was read before that. */
static bool
is_read_and_answered_with(unsigned int buffers)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	static char text[6000], answer[6000];
	char body[3501] = "";
	struct peer *client;
	uint64_t rounds_ns;
	int had = 0, got;
	bool read;
	SSL *ssl;

	snprintf(text, sizeof(text),
		 "server { listen 443 ssl; ssl_certificate %s/a.crt; ssl_certificate_key %s/a.key; return 200 %s; }",
		 files_directory(), files_directory(), (char *)memset(body, 'x', sizeof(body) - 1));
	world_start(&w, text);
	client = world_connect_to(&w, "192.0.2.1:443");
	ssl = secured(context, client);
	/* All is acknowledged that was said, so that no acknowledgement frees memory. */
	world_advance(&w, SECOND_MS);
	SSL_write(ssl, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	world_starve(&w, buffers);
	carry(client, ssl);
	read = world_count(&w, PROXY_COUNT_REQUESTS);
	assert_true(world_count(&w, PROXY_COUNT_OUT_OF_MEMORY) > 0);
	rounds_ns = proxy_worker_next_ns(w.worker);
	assert_true(rounds_ns > w.now_ns); /* it does not spin */
	assert_true(rounds_ns - w.now_ns <= 10000000);
	world_feed(&w);
	world_advance(&w, SECOND_MS);
	carry(client, ssl);
	while ((got = SSL_read(ssl, answer + had, (int)(sizeof(answer) - 1) - had)) > 0)
		had += got;
	answer[had] = '\0';
	assert_non_null(strstr(answer, body));
	SSL_free(ssl);
	SSL_CTX_free(context);
	world_stop(&w);
	return read;
}

static void
what_cannot_be_decrypted_for_lack_of_memory_waits(void **state)
{
	/* One buffer for the packet, and none for what is in it. */
	assert_false(is_read_and_answered_with(1));
}

static void
what_cannot_be_encrypted_for_lack_of_memory_waits(void **state)
{
	assert_true(is_read_and_answered_with(3));
}

static int
start(void **state)
{
	world_init(&w);
	return 0;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_cannot_be_decrypted_for_lack_of_memory_waits, start),
		cmocka_unit_test_setup(what_cannot_be_encrypted_for_lack_of_memory_waits, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
