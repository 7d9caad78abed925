/*
 * What records cost, without packets: from mbufs, as TCP receives them, to mbufs, as TCP sends them. The server's side has its
 * records itself, the client's has OpenSSL's, driven as proxy/transport drives both; so each of the four columns has the other
 * side as its witness.
 *
 * A line of JSON for each size: nanoseconds per record to seal and to open one, by us and by OpenSSL. AES-128-GCM, TLS 1.3.
 */
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "files.h"
#include "tcp/queue.h"
#include "tls/tls.h"

#define BATCH 4 /* with full records as much as a round takes: PROXY_TLS_OUTPUT */
#define ROUNDS 10000
#define SEGMENT 1448 /* of TCP, in Ethernet */
#define PIECES_MAX 64
#define POOL_SIZE 4095

static struct rte_mempool *pool;

/* An end of the connection: what has come for it, and what it says. */
struct end {
	struct tls_session *session;
	struct tcp_queue *in, *out;
	const struct tls_settings *settings;
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "bench-records: %s\n", what);
	exit(1);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Nanoseconds for one, by the median of the batches: what others took of this CPU is not in it. */
static double
median_of(uint64_t *took_ns)
{
	qsort(took_ns, ROUNDS, sizeof(*took_ns), compare);
	return (double)took_ns[ROUNDS / 2] / BATCH;
}

/* ---- the wire ---- */

static uint32_t
take(void *wire, void *out, uint32_t len)
{
	struct end *end = wire;
	uint32_t got = tcp_queue_copy(end->in->head, 0, out, len);

	tcp_queue_drop(end->in, got);
	return got;
}

static uint32_t
give(void *wire, const void *data, uint32_t len)
{
	return tcp_queue_write(((struct end *)wire)->out, pool, data, len);
}

static const struct tls_settings *
choose(void *wire, struct bytes name)
{
	return ((struct end *)wire)->settings;
}

static struct bytes
protocols(void *wire)
{
	return (struct bytes){ 0 };
}

static const struct tls_ends ends = { take, give, choose, protocols };

/* ---- the four ---- */

static __attribute__((noinline)) void
seal(struct end *end, struct tcp_queue *plain)
{
	struct iovec in[PIECES_MAX], out[PIECES_MAX];
	struct tcp_queue sealed = { 0 };
	uint32_t len = plain->bytes, size = tls_sealed_size(end->session, len);
	unsigned int in_count = tcp_queue_pieces(plain, &len, in, PIECES_MAX);
	unsigned int out_count = tcp_queue_reserve(&sealed, pool, size, out, PIECES_MAX);

	if (len != plain->bytes || !out_count || tls_seal(end->session, in, in_count, len, out, out_count) != TLS_OK)
		die("cannot seal");
	tcp_queue_concatenate(end->out, &sealed);
}

static __attribute__((noinline)) void
seal_by_openssl(struct end *end, struct tcp_queue *plain)
{
	static uint8_t gathered[TLS_RECORD_MAX];
	const uint8_t *data = rte_pktmbuf_mtod(plain->head, const uint8_t *);

	if (plain->head->data_len < plain->bytes) {
		tcp_queue_copy(plain->head, 0, gathered, plain->bytes);
		data = gathered;
	}
	if (tls_write(end->session, data, plain->bytes) != TLS_OK)
		die("OpenSSL cannot seal");
}

static __attribute__((noinline)) void
open(struct end *end, struct tcp_queue *plain)
{
	struct iovec in[PIECES_MAX], out[PIECES_MAX];
	uint8_t header[TLS_HEADER_SIZE];
	unsigned int in_count, out_count;
	uint32_t size, got;

	tcp_queue_copy(end->in->head, 0, header, sizeof(header));
	if (tls_arriving(end->session, header, &size) != TLS_OK)
		die(tls_problem());
	out_count = tcp_queue_reserve(plain, pool, size - TLS_HEADER_SIZE, out, PIECES_MAX);
	in_count = tcp_queue_pieces(end->in, &size, in, PIECES_MAX);
	if (tls_open(end->session, in, in_count, out, out_count, &got) != TLS_OK)
		die(tls_problem());
	tcp_queue_drop(end->in, size);
	tcp_queue_truncate(plain, got);
}

static __attribute__((noinline)) void
open_by_openssl(struct end *end, struct tcp_queue *plain, uint32_t len)
{
	while (plain->bytes < len) {
		uint32_t room, got;
		uint8_t *tail = tcp_queue_tail(plain, pool, &room);

		if (!tail || tls_read(end->session, tail, room, &got) != TLS_OK)
			die("OpenSSL cannot open");
		tcp_queue_extend(plain, got);
	}
}

/* ---- measuring ---- */

static uint8_t pattern[TLS_RECORD_MAX];

static struct tcp_queue
source(uint32_t len)
{
	struct tcp_queue queue = { 0 };

	for (uint32_t at = 0; at < len; at += SEGMENT) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint32_t run = RTE_MIN(len - at, (uint32_t)SEGMENT);

		memcpy(rte_pktmbuf_append(m, (uint16_t)run), pattern + at, run);
		tcp_queue_push(&queue, m);
	}
	return queue;
}

static void
check(struct tcp_queue opened[BATCH], uint32_t len)
{
	static uint8_t bytes[TLS_RECORD_MAX];

	for (struct tcp_queue *plain = opened; plain < opened + BATCH; plain++) {
		if (plain->bytes != len || tcp_queue_copy(plain->head, 0, bytes, len) != len ||
		    memcmp(bytes, pattern, len) != 0)
			die("what was opened is not what was sealed");
		tcp_queue_free(plain);
	}
}

enum { SEAL, OPEN, OPENSSL_SEAL, OPENSSL_OPEN, COLUMNS };

static void
measure(struct end *server, struct end *client, uint32_t len)
{
	static uint64_t took_ns[COLUMNS][ROUNDS];
	struct tcp_queue plain = source(len), opened[BATCH] = { 0 };

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_monotonic_ns();

		for (int i = 0; i < BATCH; i++)
			seal(server, &plain);
		took_ns[SEAL][round] = clock_monotonic_ns() - start;
		start = clock_monotonic_ns();
		for (int i = 0; i < BATCH; i++)
			open_by_openssl(client, &opened[i], len);
		took_ns[OPENSSL_OPEN][round] = clock_monotonic_ns() - start;
		check(opened, len);
		start = clock_monotonic_ns();
		for (int i = 0; i < BATCH; i++)
			seal_by_openssl(client, &plain);
		took_ns[OPENSSL_SEAL][round] = clock_monotonic_ns() - start;
		start = clock_monotonic_ns();
		for (int i = 0; i < BATCH; i++)
			open(server, &opened[i]);
		took_ns[OPEN][round] = clock_monotonic_ns() - start;
		check(opened, len);
	}
	tcp_queue_free(&plain);
	printf("{\"bytes\": %u, \"seal_ns\": %.0f, \"open_ns\": %.0f, \"openssl_seal_ns\": %.0f, \"openssl_open_ns\": "
	       "%.0f}\n",
	       len, median_of(took_ns[SEAL]), median_of(took_ns[OPEN]), median_of(took_ns[OPENSSL_SEAL]),
	       median_of(took_ns[OPENSSL_OPEN]));
}

static void
shake_hands(struct end *server, struct end *client)
{
	enum tls_status ours = TLS_WAIT, theirs = TLS_WAIT;

	for (int i = 0; i < 8 && (ours == TLS_WAIT || theirs == TLS_WAIT); i++) {
		if (theirs == TLS_WAIT)
			theirs = tls_handshake(client->session);
		if (ours == TLS_WAIT)
			ours = tls_handshake(server->session);
	}
	if (ours != TLS_OK || theirs != TLS_OK || !tls_has_own_records(server->session) ||
	    tls_has_own_records(client->session))
		die(tls_problem());
}

static void
pool_make(char *name)
{
	static char words[][18] = {
		"--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--lcores=0", "--log-level=error"
	};
	char *arguments[RTE_DIM(words) + 1] = { name };

	for (size_t i = 0; i < RTE_DIM(words); i++)
		arguments[i + 1] = words[i];
	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		die("no EAL");
	pool = rte_pktmbuf_pool_create("records", POOL_SIZE, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool)
		die("no memory");
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 128, 1024, TLS_RECORD_MAX };
	struct config *config = files_config("server { ssl_certificate a.crt; ssl_certificate_key a.key;"
					     " ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; }");
	struct tcp_queue up = { 0 }, down = { 0 };
	struct end server = { .in = &up, .out = &down }, client = { .in = &down, .out = &up };
	const struct tls_client *asks = tls_client_get(config, files_scope(config, 0), &tls_client_module);

	pool_make(argv[0]);
	if (config_error(config) || !asks)
		die(config_error(config));
	server.settings = files_settings(config, 0);
	server.session = tls_accept(server.settings, &ends, &server);
	client.session = tls_connect(asks, (struct bytes){ 0 }, NULL, 0, &ends, &client);
	if (!server.session || !client.session)
		die("no memory");
	shake_hands(&server, &client);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 131 + (i >> 8) * 17);
	for (size_t i = 0; i < RTE_DIM(sizes); i++)
		measure(&server, &client, sizes[i]);
	tls_free(server.session);
	tls_free(client.session);
	tcp_queue_free(&up);
	tcp_queue_free(&down);
	config_free(config);
	return 0;
}
