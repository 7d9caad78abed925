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

static void
what_cannot_be_decrypted_for_lack_of_memory_waits(void **state)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char text[512], answer[256] = "";
	struct peer *client;
	uint64_t rounds_ns;
	SSL *ssl;

	snprintf(text, sizeof(text),
		 "server { listen 443 ssl; ssl_certificate %s/a.crt; ssl_certificate_key %s/a.key; return 200 fine; }",
		 files_directory(), files_directory());
	world_start(&w, text);
	client = world_connect_to(&w, "192.0.2.1:443");
	ssl = secured(context, client);
	/* All is acknowledged that was said, so that no acknowledgement frees memory. */
	world_advance(&w, SECOND_MS);
	SSL_write(ssl, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	/* One buffer for the packet, and none for what is in it. */
	world_starve(&w, 1);
	carry(client, ssl);
	assert_int_equal(world_count(&w, PROXY_COUNT_REQUESTS), 0);
	assert_true(world_count(&w, PROXY_COUNT_OUT_OF_MEMORY) > 0);
	rounds_ns = proxy_worker_next_ns(w.worker);
	assert_true(rounds_ns > w.now_ns); /* it does not spin */
	assert_true(rounds_ns - w.now_ns <= 10000000);
	world_feed(&w);
	world_advance(&w, SECOND_MS);
	carry(client, ssl);
	assert_true(SSL_read(ssl, answer, sizeof(answer) - 1) > 0);
	assert_non_null(strstr(answer, "fine"));
	SSL_free(ssl);
	SSL_CTX_free(context);
	world_stop(&w);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
