/*
 * bench-idle: what idle connections take of memory. A client opens them, each asks once, and then nobody says anything. Prints
 * one line of JSON: what the process has grown by, from before the first to after the last. And what a request takes then of the
 * other end's CPU, on any of so many connections, which no cache holds, and on a few.
 *
 *     stack         both ends are TCP stacks and nothing else
 *     served        the other end is a Weir with keep-alive, `return 200`
 *
 * So half of the first is one end's, and the second less that is Weir's.
 */
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "host.h"

#define PACKET_BUFFERS 32768
/* Listening ports, so that the client's local ports are enough for all. */
#define LISTENERS 40
#define LISTEN_FIRST 8000
/* Opened and not yet answered, at most. */
#define OPENING_MAX 512
/* Idle rounds at the end: nothing may happen. */
#define IDLE_NS (NS_PER_SECOND / 2)
/* Rounds of a window, in each of which a burst of requests is asked, of all connections or of a few. */
#define ASK_ROUNDS 500
#define ASK_WINDOWS 7
#define FEW 64

static struct host client, other;
static struct tcp_listener listeners[LISTENERS];
static struct tcp_connection **connections_made;
static uint32_t opened, answered, lost;
static bool served;

static const char request[] = "GET / HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n";

/* ---- the two users ---- */

static void
client_run(struct host *host)
{
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(host->tcp, &events))) {
		lost += !!(events & (TCP_CLOSED | TCP_END_OF_STREAM));
		if (events & TCP_CONNECTED)
			tcp_write(c, request, sizeof(request) - 1);
		if (events & TCP_READABLE) {
			tcp_consume(c, tcp_readable(c));
			answered++;
		}
	}
}

/* One byte for an answer. */
static void
stack_run(struct host *host)
{
	struct tcp_connection *c;
	uint32_t events;

	while ((c = tcp_ready(host->tcp, &events))) {
		lost += !!(events & (TCP_CLOSED | TCP_END_OF_STREAM));
		if (events & TCP_READABLE) {
			tcp_consume(c, tcp_readable(c));
			tcp_write(c, "!", 1);
		}
	}
}

/* ---- set-up ---- */

static struct endpoint
listener(uint32_t i)
{
	return (struct endpoint){ ip_address_from_v4(htonl(0x0a000002)), htons((uint16_t)(LISTEN_FIRST + i)) };
}

static int
serve(uint32_t connections)
{
	char text[4096];
	size_t len;

	if (!served) {
		for (uint32_t i = 0; i < LISTENERS; i++)
			listeners[i].local = listener(i);
		tcp_listen(other.tcp, listeners, LISTENERS);
		other.run = stack_run;
		return 0;
	}
	len = (size_t)snprintf(text, sizeof(text),
			       "http { keepalive_timeout 3600s; keepalive_requests 1000000000; server {");
	for (uint32_t i = 0; i < LISTENERS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " listen 10.0.0.2:%u;", LISTEN_FIRST + i);
	snprintf(text + len, sizeof(text) - len, " location / { return 200 \"it works\\n\"; } } }");
	return host_serve(&other, text, connections);
}

static int
set_up(uint32_t connections)
{
	char error[256];
	struct rte_mempool *pool = port_pool_new(PACKET_BUFFERS, 1500, PORT_MEMORY_PAGES, error, sizeof(error));

	if (!pool) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	client.run = client_run;
	if (host_init(&client, 1, pool, connections) < 0 || host_init(&other, 2, pool, connections) < 0)
		return -1;
	return serve(connections);
}

/* ---- measuring ---- */

static uint64_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
turn(void)
{
	uint64_t now_ns = clock_monotonic_ns();

	host_round(&client, now_ns);
	host_round(&other, now_ns);
}

static bool
open_all(uint32_t connections)
{
	int error;

	while (answered < connections && lost == 0) {
		for (; opened < connections && opened - answered < OPENING_MAX; opened++) {
			struct endpoint remote = listener(opened % LISTENERS);

			connections_made[opened] = tcp_connect(client.tcp, &remote, NULL, &error);
			if (!connections_made[opened]) {
				fprintf(stderr, "bench-idle: connection %u: %s\n", opened, strerror(-error));
				return false;
			}
		}
		turn();
	}
	return lost == 0;
}

/* ---- when they speak ---- */

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static uint32_t
random_below(uint32_t limit)
{
	static uint64_t state = 1;

	state = hash_mix64(state + 1);
	return (uint32_t)((state >> 32) * limit >> 32);
}

/* Requests on any of the first `count` connections, so many in a round; CPU time of the other end for each. */
static double
ask_ns(uint32_t count)
{
	uint32_t before = answered;
	uint64_t spent_ns = 0;

	for (int i = 0; i < ASK_ROUNDS; i++) {
		uint64_t start_ns;

		for (int j = 0; j < PORT_BURST; j++)
			tcp_write(connections_made[random_below(count)], request, sizeof(request) - 1);
		host_round(&client, clock_monotonic_ns());
		start_ns = cpu_ns();
		host_round_measured(&other, clock_monotonic_ns());
		spent_ns += cpu_ns() - start_ns;
	}
	turn();
	return (double)spent_ns / (answered - before);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median_ask_ns(uint32_t count)
{
	double ns[ASK_WINDOWS];

	for (int i = 0; i < ASK_WINDOWS; i++)
		ns[i] = ask_ns(count);
	qsort(ns, ASK_WINDOWS, sizeof(ns[0]), compare);
	return ns[ASK_WINDOWS / 2];
}

static void
report(uint32_t connections, uint64_t before)
{
	uint64_t grown = resident_bytes() - before, end_ns = clock_monotonic_ns() + IDLE_NS;
	struct tcp_usage usage;

	while (clock_monotonic_ns() < end_ns)
		turn();
	tcp_usage(other.tcp, &usage);
	printf("{\"case\": \"%s\", \"connections\": %u, \"established\": %u, \"lost\": %u, \"bytes\": %lu, "
	       "\"bytes_per_connection\": %.1f, \"request_ns\": %.1f, \"request_ns_of_few\": %.1f}\n",
	       served ? "served" : "stack", connections, usage.connections, lost, (unsigned long)grown,
	       (double)grown / connections, median_ask_ns(connections), median_ask_ns(RTE_MIN(FEW, connections)));
}

static bool
start_dpdk(void)
{
	char *argv[] = { (char *)(uintptr_t) "bench-idle",  (char *)(uintptr_t) "--no-pci",
			 (char *)(uintptr_t) "--no-shconf", (char *)(uintptr_t) "--no-telemetry",
			 (char *)(uintptr_t) "--no-huge",   (char *)(uintptr_t) "--log-level=*:error",
			 (char *)(uintptr_t) "-m",          (char *)(uintptr_t) "192",
			 (char *)(uintptr_t) "--lcores=0",  NULL };

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0)
		return true;
	fprintf(stderr, "DPDK cannot be started: %s\n", rte_strerror(rte_errno));
	return false;
}

int
main(int argc, char **argv)
{
	uint32_t connections = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	uint64_t before;

	if (connections == 0 || (strcmp(argv[1], "stack") != 0 && strcmp(argv[1], "served") != 0)) {
		fprintf(stderr, "Usage: bench-idle stack|served CONNECTIONS\n");
		return EXIT_FAILURE;
	}
	served = strcmp(argv[1], "served") == 0;
	if (!start_dpdk() || set_up(connections) < 0)
		return EXIT_FAILURE;
	connections_made = malloc(connections * sizeof(struct tcp_connection *));
	if (!connections_made)
		return EXIT_FAILURE;
	memset(connections_made, 1, connections * sizeof(struct tcp_connection *)); /* its pages are none of theirs */
	before = resident_bytes();
	if (!open_all(connections)) {
		fprintf(stderr, "bench-idle: %u of %u connections were lost\n", lost, opened);
		return EXIT_FAILURE;
	}
	report(connections, before);
	host_fini(&client);
	host_fini(&other);
	return EXIT_SUCCESS;
}
