/*
 * What a connection costs its server in TLS alone, without packets: its handshake, a request, an answer, and the end. The client is
 * of this room, too, and not counted.
 *
 *     bench-handshakes [--count N] ["full 1.3 ecdsa" ...]
 *
 * A line of JSON for each: the nanoseconds below which a twentieth of N connections stays (1,000): what others took of this CPU is not
 * in it. Instructions are told by
 *
 *     valgrind --tool=callgrind --toggle-collect=serve bench-handshakes --count 200 "full 1.3 ecdsa"
 *
 * where a byte of `rep stos` is one and SHA-256 has no instructions of its own, and where a system call is nothing.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "files.h"
#include "tls/sessions.h"
#include "tls/tls.h"

#define PIPE_SIZE 32768
#define REQUEST 100
#define ANSWER 200

struct pipe {
	uint8_t data[PIPE_SIZE];
	uint32_t len, taken;
};

struct end {
	struct tls_session *session;
	struct pipe *in, *out;
	const struct tls_settings *settings;
};

struct kind {
	const char *name, *server;
	bool resumes;
};

#define SERVER(key, version, sessions)                                                                                 \
	"server { ssl_certificate " key ".crt; ssl_certificate_key " key ".key; ssl_protocols TLSv" version            \
	"; " sessions " }"
#define ONCE "ssl_session_cache off; ssl_session_tickets off;"
#define AGAIN "ssl_session_cache shared:S:1m;"

static const struct kind kinds[] = {
	{ "full 1.3 ecdsa", SERVER("a", "1.3", ONCE), false }, { "resumed 1.3 ecdsa", SERVER("a", "1.3", AGAIN), true },
	{ "full 1.2 ecdsa", SERVER("a", "1.2", ONCE), false }, { "resumed 1.2 ecdsa", SERVER("a", "1.2", AGAIN), true },
	{ "full 1.3 rsa", SERVER("rsa", "1.3", ONCE), false }, { "resumed 1.3 rsa", SERVER("rsa", "1.3", AGAIN), true },
	{ "full 1.2 rsa", SERVER("rsa", "1.2", ONCE), false }, { "resumed 1.2 rsa", SERVER("rsa", "1.2", AGAIN), true },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "bench-handshakes: %s\n", what);
	exit(1);
}

/* ---- the wire ---- */

static uint32_t
take(void *wire, void *out, uint32_t len)
{
	struct pipe *pipe = ((struct end *)wire)->in;
	uint32_t left = pipe->len - pipe->taken;

	len = len < left ? len : left;
	memcpy(out, pipe->data + pipe->taken, len);
	pipe->taken += len;
	return len;
}

static uint32_t
give(void *wire, const void *data, uint32_t len)
{
	struct pipe *pipe = ((struct end *)wire)->out;

	if (len > PIPE_SIZE - pipe->len)
		die("the wire is full");
	memcpy(pipe->data + pipe->len, data, len);
	pipe->len += len;
	return len;
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

/* ---- the server: what is counted ---- */

static bool
request_read(struct end *end)
{
	struct tls_session *session = end->session;
	struct pipe *in = end->in;
	uint8_t request[PIPE_SIZE];
	struct iovec from = { in->data + in->taken, 0 }, to = { request, sizeof(request) };
	enum tls_status status;
	uint32_t size, got;

	if (!tls_has_own_records(session)) {
		status = tls_read(session, request, sizeof(request), &got);
	} else {
		if (in->len - in->taken < TLS_HEADER_SIZE)
			return false;
		status = tls_arriving(session, from.iov_base, &size);
		from.iov_len = size;
		if (status == TLS_OK)
			status = tls_open(session, &from, 1, &to, 1, &got);
		in->taken += size;
	}
	if (status == TLS_FAILED || (status == TLS_OK && got != REQUEST))
		die("the request is not what was sent");
	return status == TLS_OK;
}

static void
answer(struct end *end)
{
	uint8_t plain[ANSWER] = { 0 }, sealed[ANSWER + TLS_RECORD_OVERHEAD];
	struct iovec from = { plain, sizeof(plain) }, to = { sealed, sizeof(sealed) };
	uint32_t size;

	if (!tls_has_own_records(end->session)) {
		if (tls_write(end->session, plain, sizeof(plain)) != TLS_OK)
			die("cannot answer");
		return;
	}
	size = tls_sealed_size(end->session, sizeof(plain));
	if (tls_seal(end->session, &from, 1, sizeof(plain), &to, 1) != TLS_OK)
		die("cannot answer");
	give(end, sealed, size);
}

/* As far as it goes with what has come; true: answered. */
static __attribute__((noinline)) bool
serve(struct end *end, bool *shaken)
{
	if (!end->session)
		end->session = tls_accept(end->settings, &ends, end);
	if (!*shaken) {
		enum tls_status status = tls_handshake(end->session);

		if (status != TLS_OK && status != TLS_WAIT)
			die(tls_problem());
		*shaken = status == TLS_OK;
	}
	if (!*shaken || !request_read(end))
		return false;
	answer(end);
	tls_shutdown(end->session);
	tls_free(end->session);
	end->session = NULL;
	return true;
}

/* ---- the client ---- */

static void
hear(struct end *client)
{
	uint8_t plain[PIPE_SIZE];
	enum tls_status status;
	uint32_t got, len = 0;

	while ((status = tls_read(client->session, plain, sizeof(plain), &got)) == TLS_OK)
		len += got;
	if (status != TLS_ENDED || len != ANSWER)
		die("the client has not heard its answer");
}

static bool
ask(struct end *client)
{
	static const uint8_t request[REQUEST];
	enum tls_status status = tls_handshake(client->session);

	if (status == TLS_OK)
		status = tls_write(client->session, request, sizeof(request));
	if (status == TLS_FAILED)
		die(tls_problem());
	return status == TLS_OK;
}

/* Returns the server's nanoseconds. */
static uint64_t
connection(const struct tls_settings *settings, const struct tls_client *asks, struct tls_sessions *sessions,
	   bool *resumed)
{
	static struct pipe up, down;
	struct end server = { .in = &up, .out = &down, .settings = settings }, client = { .in = &down, .out = &up };
	bool shaken = false, asked = false, answered = false;
	uint64_t took_ns = 0;

	up.len = up.taken = down.len = down.taken = 0;
	client.session = tls_connect(asks, (struct bytes){ 0 }, sessions, 1, &ends, &client);
	if (!client.session)
		die("no memory");
	while (!answered) {
		uint64_t start;

		if (!asked)
			asked = ask(&client);
		start = clock_monotonic_ns();
		answered = serve(&server, &shaken);
		took_ns += clock_monotonic_ns() - start;
	}
	hear(&client);
	*resumed = tls_resumed(client.session);
	tls_shutdown(client.session);
	tls_free(client.session);
	return took_ns;
}

/* ---- measuring ---- */

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
measure(const struct kind *kind, unsigned int count)
{
	struct tls_sessions *sessions = kind->resumes ? tls_sessions_new(1) : NULL;
	uint64_t *took_ns = calloc(count, sizeof(*took_ns));
	const struct tls_settings *settings;
	const struct tls_client *asks;
	struct config *config;
	bool resumed;

	config = files_config(kind->server);
	asks = tls_client_get(config, files_scope(config, 0), &tls_client_module);
	if (config_error(config) || !asks || !took_ns)
		die(config_error(config));
	settings = files_settings(config, 0);
	connection(settings, asks, sessions, &resumed);
	for (unsigned int i = 0; i < count; i++) {
		took_ns[i] = connection(settings, asks, sessions, &resumed);
		if (resumed != kind->resumes)
			die("resumed, or not, against what was wanted");
	}
	qsort(took_ns, count, sizeof(*took_ns), compare);
	printf("{\"handshake\": \"%s\", \"ns\": %llu}\n", kind->name, (unsigned long long)took_ns[count / 20]);
	free(took_ns);
	tls_sessions_free(sessions);
	config_free(config);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "count", required_argument, NULL, 'c' }, { 0 } };
	unsigned int count = 1000;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'c' || atoi(optarg) <= 0)
			die("--count N [KIND ...]");
		count = (unsigned int)atoi(optarg);
	}
	for (size_t i = 0; i < KINDS; i++) {
		bool wanted = optind == argc;

		for (int j = optind; j < argc; j++)
			wanted |= strcmp(argv[j], kinds[i].name) == 0;
		if (wanted)
			measure(&kinds[i], count);
	}
	return 0;
}
