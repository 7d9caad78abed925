/*
 * bench-tcp: what an HTTP request, or a connection, costs Weir itself. A load, the measured Weir and, for proxying, a server
 * (Weir too, `return 200`) take turns on one thread; the CPU time of the measured one's rounds is divided by the requests
 * answered. Prints one line of JSON.
 *
 *     served        keep-alive, `return 200`           served-close    a connection for each request
 *     proxied       keep-alive on both sides           proxied-close   a connection for each request on both sides
 *     bulk          1 MB bodies from a server that does nothing else, proxied
 */
#include <getopt.h>
#include <math.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "host.h"

#define WINDOWS_MAX 101
#define BODY_BYTES (1u << 20)
#define PACKET_BUFFERS 16384
#define NS_PER_ANSWER 1000

struct bench_case {
	const char *name;
	bool proxied, close;
	uint32_t body;
};

static const struct bench_case cases[] = {
	{ "served", false, false, 0 },      { "served-close", false, true, 0 },  { "proxied", true, false, 0 },
	{ "proxied-close", true, true, 0 }, { "bulk", true, false, BODY_BYTES },
};

struct arguments {
	const struct bench_case *bench;
	uint32_t connections;
	double seconds;
	unsigned int windows, cpu;
	uint64_t requests; /* instead of windows */
};

static struct host load, weir, server;
static struct blob blob;
static char request[256];

static const char serve_text[] = "http { keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0;"
				 " server { listen 10.0.0.%u:80; location / { return 200 \"it works\\n\"; } } }";
static const char proxy_text[] = "http { keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 0;"
				 " upstream servers { server 10.0.0.3:80; %s } server { listen 10.0.0.2:80; location / "
				 "{ proxy_pass http://servers;"
				 " proxy_http_version 1.1; %s } } }";

/* ---- set-up ---- */

static int
set_up(const struct arguments *a)
{
	const struct bench_case *b = a->bench;
	struct load_config config = {
		.server = { ip_address_from_v4(htonl(0x0a000002)), htons(80) },
		.close = b->close,
		.connections = a->connections,
		.timeout_ns = 60 * NS_PER_SECOND,
		.expected_size = b->body ? b->body : 9,
	};
	char text[1024], error[256];
	struct rte_mempool *pool = port_pool_new(PACKET_BUFFERS, 1500, PORT_MEMORY_PAGES, error, sizeof(error));
	int len;

	if (!pool) {
		fprintf(stderr, "%s\n", error);
		return -1;
	}
	if (host_init(&load, 1, pool, a->connections) < 0 || host_init(&weir, 2, pool, a->connections) < 0 ||
	    host_init(&server, 3, pool, a->connections) < 0)
		return -1;
	snprintf(text, sizeof(text), serve_text, 3);
	if (b->body) {
		server.blob = &blob;
		blob_init(&blob, server.tcp, &(struct endpoint){ ip_address_from_v4(htonl(0x0a000003)), htons(80) },
			  b->body);
	} else if (host_serve(&server, text, a->connections) < 0) {
		return -1;
	}
	if (b->proxied)
		snprintf(text, sizeof(text), proxy_text, b->close ? "" : "keepalive 1024;",
			 b->close ? "" : "proxy_set_header Connection \"\";");
	else
		snprintf(text, sizeof(text), serve_text, 2);
	if (host_serve(&weir, text, a->connections) < 0)
		return -1;
	len = snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: 10.0.0.2\r\n%s\r\n",
		       b->close ? "Connection: close\r\n" : "");
	config.request = bytes_of(request, (size_t)len);
	return host_load(&load, &config);
}

/* ---- rounds ---- */

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t
answers(void)
{
	return load_result(load.load)->counters[LOAD_ANSWERS];
}

/* CPU time of the measured host. */
static uint64_t
turn(const struct arguments *a, uint64_t now_ns, bool timed)
{
	uint64_t start_ns, spent_ns;

	host_round(&load, now_ns);
	start_ns = timed ? cpu_ns() : 0;
	host_round_measured(&weir, now_ns);
	spent_ns = timed ? cpu_ns() - start_ns : 0;
	if (a->bench->proxied)
		host_round(&server, now_ns);
	return spent_ns;
}

static double
window(const struct arguments *a)
{
	uint64_t first = answers(), spent_ns = 0, end_ns = cpu_ns() + (uint64_t)(a->seconds * 1e9);

	while (cpu_ns() < end_ns)
		spent_ns += turn(a, clock_monotonic_ns(), true);
	return answers() == first ? NAN : (double)spent_ns / (double)(answers() - first);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* What reading the clock around a round adds. */
static double
clock_cost_ns(void)
{
	uint64_t start_ns = cpu_ns();

	for (int i = 0; i < 1000; i++)
		cpu_ns();
	return (double)(cpu_ns() - start_ns) / 1001;
}

static void
report_errors(void)
{
	const uint64_t *counters = load_result(load.load)->counters;

	for (int i = 0; i < LOAD_COUNTER_COUNT; i++)
		if (counters[i])
			printf(", \"%s\": %lu", load_counter_names[i], (unsigned long)counters[i]);
	printf(", \"lost\": %lu", (unsigned long)(load.in.lost + weir.in.lost + server.in.lost));
}

static void
run_windows(const struct arguments *a)
{
	double ns[WINDOWS_MAX];
	struct tcp_usage usage;

	window(a);
	for (unsigned int i = 0; i < a->windows; i++)
		ns[i] = window(a);
	qsort(ns, a->windows, sizeof(ns[0]), compare);
	tcp_usage(weir.tcp, &usage);
	printf("{\"case\": \"%s\", \"connections\": %u, \"ns\": %.1f, \"least\": %.1f, \"most\": %.1f, \"clock_ns\": "
	       "%.1f,"
	       " \"bytes_per_connection\": %lu",
	       a->bench->name, a->connections, ns[a->windows / 2], ns[0], ns[a->windows - 1], clock_cost_ns(),
	       (unsigned long)usage.bytes_per_connection);
	report_errors();
	puts("}");
}

/* By a clock of their own, as a profiler makes everything slow, and timers would come due far too often: that of a Weir with
 * NS_PER_ANSWER. */
static void
run_requests(const struct arguments *a)
{
	uint64_t start_ns = clock_monotonic_ns(), idle_ns = 0, before;

	while ((before = answers()) < a->requests) {
		turn(a, start_ns + idle_ns + before * NS_PER_ANSWER, false);
		if (answers() == before)
			idle_ns += NS_PER_ANSWER;
	}
	printf("{\"case\": \"%s\", \"connections\": %u", a->bench->name, a->connections);
	report_errors();
	puts("}");
}

/* ---- start ---- */

static bool
start_dpdk(const struct arguments *a)
{
	char lcores[24];
	char *argv[] = { (char *)(uintptr_t) "bench-tcp",   lcores,
			 (char *)(uintptr_t) "--no-pci",    (char *)(uintptr_t) "--no-telemetry",
			 (char *)(uintptr_t) "--no-shconf", (char *)(uintptr_t) "--log-level=*:error",
			 (char *)(uintptr_t) "--no-huge",   (char *)(uintptr_t) "-m",
			 (char *)(uintptr_t) "128",         NULL };

	snprintf(lcores, sizeof(lcores), "--lcores=0@%u", a->cpu);
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0)
		return true;
	fprintf(stderr, "DPDK cannot be started: %s\n", rte_strerror(rte_errno));
	return false;
}

static bool
parse_arguments(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "connections", required_argument, NULL, 'c' }, { "seconds", required_argument, NULL, 's' },
		{ "windows", required_argument, NULL, 'w' },     { "requests", required_argument, NULL, 'r' },
		{ "cpu", required_argument, NULL, 'p' },         { 0 }
	};
	int option;

	*a = (struct arguments){ .connections = 32, .seconds = 0.1, .windows = 9 };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'c':
			a->connections = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 's':
			a->seconds = strtod(optarg, NULL);
			break;
		case 'w':
			a->windows = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			a->requests = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			a->cpu = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	for (size_t i = 0; i < RTE_DIM(cases) && optind + 1 == argc; i++)
		if (strcmp(cases[i].name, argv[optind]) == 0)
			a->bench = &cases[i];
	return a->bench && a->connections && a->seconds > 0 && a->windows && a->windows < WINDOWS_MAX;
}

int
main(int argc, char **argv)
{
	struct arguments a;

	if (!parse_arguments(&a, argc, argv)) {
		fprintf(stderr,
			"Usage: bench-tcp [--connections N] [--seconds S] [--windows N] [--requests N] [--cpu N] CASE\n"
			"CASE: served, served-close, proxied, proxied-close, bulk\n");
		return EXIT_FAILURE;
	}
	if (!start_dpdk(&a) || set_up(&a) < 0)
		return EXIT_FAILURE;
	if (a.requests)
		run_requests(&a);
	else
		run_windows(&a);
	host_fini(&load);
	host_fini(&weir);
	host_fini(&server);
	return EXIT_SUCCESS;
}
