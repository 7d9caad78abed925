/*
 * weir-load: order of start and stop.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/qsbr.h"
#include "tls/settings.h"
#include "weir-load/cmdline.h"
#include "weir-load/report.h"
#include "weir-load/user.h"
#include "weir/core.h"
#include "weir/eal.h"
#include "weir/workers.h"

#define CONFIGURATION_MAX 8192
/* After the last RST, for it to leave. */
#define END_MS 20
/* Devices and their links are looked after this often. */
#define TICK_MS 100
/* A virtual device's link comes up when its peer has found it. */
#define LINK_MS 10000

struct program {
	struct cmdline cmdline;
	struct config *config;
	const struct tls_client *tls; /* of https:// */
	struct topology topology;
	struct worker_shared shared;
	struct steering *steering;
	struct endpoint server;
	struct bytes request;
	struct bytes answer;              /* the body of ours */
	struct tcp_listener listeners[2]; /* for them, of both IP versions */
	uint32_t listener_count;
	FILE *json;
	bool interrupted;
};

static int __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	va_list arguments;

	fputs("weir-load: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

/* ---- workers ---- */

static int
user_new(struct worker *worker, uint64_t now_ns)
{
	const struct program *program = worker->shared->user_new_context;
	const struct cmdline *cmdline = &program->cmdline;
	struct load_config load = {
		.tcp = worker->tcp,
		.server = program->server,
		.tls = program->tls,
		.server_name = bytes_of_string(cmdline->server_name),
		.request = program->request,
		.close = cmdline->close,
		/* The first ones take what is left over. */
		.connections = cmdline->connections / cmdline->lcores +
			       (worker->index < cmdline->connections % cmdline->lcores),
		.rate = cmdline->rate / cmdline->lcores,
		.timeout_ns = cmdline->timeout_ms * NS_PER_MS,
		.expected_size = cmdline->size,
	};
	struct answers_config answers = {
		.tcp = worker->tcp,
		.listeners = program->listeners,
		.listener_count = program->listener_count,
		.connections_max = cmdline_connections_max(cmdline),
		.body = program->answer,
	};

	return user_bind(worker, &load, program->listener_count ? &answers : NULL, now_ns);
}

static void
tell(struct program *p, void (*message)(void *argument))
{
	for (unsigned int i = 0; i < p->shared.roles.count; i++)
		while (loop_post(p->shared.workers[i].loop, message, &p->shared.workers[i]) < 0)
			usleep(1000);
}

/* ---- start and stop ---- */

/* What TLS is to be like, as for a server of the proxy's. */
static const struct config_directive tls_rows[] = {
	{ "http", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_HTTP, NULL },
	{ 0 },
};
static struct config_module tls_block = { .name = "load", .directives = tls_rows };

static int
configure(struct program *p)
{
	static struct config_module *const modules[] = { &core_module, &events_module, &tls_block, &tls_client_module,
							 NULL };
	char text[CONFIGURATION_MAX];
	struct config_source source = { .path = "command line", .unsupported = core_unsupported };
	size_t len = cmdline_configuration(&p->cmdline, text, sizeof(text));

	if (len == sizeof(text)) {
		complain("the options are too long");
		return -EINVAL;
	}
	source.text = bytes_of(text, len);
	p->config = config_parse(&source, modules);
	if (p->cmdline.secure && !config_error(p->config))
		p->tls = tls_client_get(p->config, config_child(config_root(p->config), CONFIG_HTTP),
					&tls_client_module);
	if (!config_error(p->config))
		return 0;
	complain("%s", config_error(p->config));
	return -EINVAL;
}

/* Ports towards the server, and that its answers are taken from the kernel. */
static int
attach(struct program *p, uint16_t first, uint16_t last)
{
	struct topology *t = &p->topology;
	int result;

	p->steering = steering_new(p->shared.roles, p->shared.hash_seed, first, last, p->listeners, p->listener_count);
	if (!p->steering || steering_add_server(p->steering, &p->server) < 0) {
		snprintf(t->error, sizeof(t->error), "out of memory");
		return -ENOMEM;
	}
	result = topology_ports_towards(t, p->config, &p->server);
	if (result == 0)
		result = topology_serve(t, p->steering, NULL, NULL);
	for (unsigned int i = 0; i < p->shared.roles.count; i++) {
		p->shared.workers[i].steering = p->steering;
		for (uint32_t port = 0; port < t->port_count; port++)
			worker_port_add(&p->shared.workers[i], t->ports[port]);
	}
	return result < 0 ? result : topology_ports_start(t, 0);
}

/* Requests leave from the local ports `first` to `last`. */
static int
listen_for_requests(struct program *p, uint16_t first, uint16_t last)
{
	uint16_t port = p->cmdline.answer_port;

	if (!port)
		return 0;
	if (port >= first && port <= last) {
		snprintf(p->topology.error, sizeof(p->topology.error),
			 "port %u cannot answer: requests leave from %u to %u", port, first, last);
		return -EADDRINUSE;
	}
	p->listeners[0].local = (struct endpoint){ .ip = ip_address_from_v4(0), .port_be = htons(port) };
	p->listeners[1].local = (struct endpoint){ .port_be = htons(port) };
	p->listener_count = 2;
	return 0;
}

static int
start(struct program *p)
{
	struct topology *t = &p->topology;
	uint16_t first, last;
	int result = qsbr_init(p->cmdline.lcores);

	topology_local_ports(&first, &last);
	if (result == 0)
		result = topology_init(t, p->config, p->cmdline.lcores);
	if (result == 0)
		result = listen_for_requests(p, first, last);
	if (result < 0)
		return result;
	p->shared.user_new = user_new;
	p->shared.user_new_context = p;
	result = workers_new(&p->shared, t, p->config, first, last);
	if (result == 0)
		result = net_mirror_start(t->mirror, NULL, NULL);
	if (result == 0)
		result = attach(p, first, last);
	return result < 0 ? result : workers_start(&p->shared, t);
}

static void
stop(struct program *p)
{
	workers_free(&p->shared);
	topology_fini(&p->topology);
	steering_free(p->steering);
	qsbr_fini();
}

/* ---- the run ---- */

static sigset_t
ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

/* Looks after the ports for a while. True when a signal ended it. */
static bool
wait_for_signal(struct program *p, uint64_t ms)
{
	sigset_t set = ending_signals();
	uint64_t end_ns = clock_monotonic_ns() + ms * NS_PER_MS, now_ns;

	while ((now_ns = clock_monotonic_ns()) < end_ns) {
		uint64_t left_ns = end_ns - now_ns < TICK_MS * NS_PER_MS ? end_ns - now_ns : TICK_MS * NS_PER_MS;
		struct timespec left = { 0, (long)left_ns };

		if (sigtimedwait(&set, NULL, &left) > 0)
			return true;
		topology_refresh(&p->topology);
	}
	return false;
}

/* False when there is no way to the server, or a signal has come; said where it is not the signal. */
static bool
wait_for_link(struct program *p)
{
	struct ip_address source;
	uint16_t mtu;

	for (unsigned int waited = 0; waited < LINK_MS; waited += TICK_MS) {
		if (net_route_source(p->topology.mirror, &p->server.ip, &source, &mtu))
			return true;
		if (wait_for_signal(p, TICK_MS))
			return false;
	}
	complain("there is no way to the server: %s has no link",
		 p->topology.port_count ? p->topology.ports[0]->name : "the host");
	return false;
}

static uint64_t
answers(const struct program *p)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < p->shared.roles.count; i++)
		sum += load_answers(user_load(&p->shared.workers[i]));
	return sum;
}

/* Not over before there is an answer: neighbours are being asked for, and a peer's link may come up late. */
static void
warm_up(struct program *p)
{
	p->interrupted = wait_for_signal(p, p->cmdline.warmup_ms);
	for (unsigned int waited = 0; waited < LINK_MS && !p->interrupted && !answers(p); waited += TICK_MS)
		p->interrupted = wait_for_signal(p, TICK_MS);
}

static void
run(struct program *p)
{
	report_print_heading(&p->cmdline, stdout);
	tell(p, user_begin);
	if (p->cmdline.warmup_ms) {
		warm_up(p);
		tell(p, user_begin);
	}
	if (!p->interrupted)
		p->interrupted = wait_for_signal(p, p->cmdline.duration_ms);
	tell(p, user_end);
	usleep(END_MS * 1000);
	workers_stop(&p->shared);
}

/* A load that has had no answer at all has failed, and says why. */
static int
verdict(const struct program *p, const struct report *report)
{
	static const struct {
		enum load_counter counter;
		const char *what;
	} reasons[] = {
		{ LOAD_CONNECT_REFUSED, "connection refused" },
		{ LOAD_CONNECT_UNREACHABLE, "no way to the server" },
		{ LOAD_CONNECT_NO_PORT, "no local port, or no memory, for a connection" },
		{ LOAD_CONNECT_TIMED_OUT, "connecting timed out" },
		{ LOAD_TIMEOUT, "the server accepts and does not answer" },
		{ LOAD_TLS, "TLS fails" },
		{ LOAD_READ, "the server closes without an answer" },
		{ LOAD_BAD_ANSWER, "what answers does not speak HTTP/1.1" },
	};
	char text[ENDPOINT_TEXT_MAX];

	if (report->counters[LOAD_ANSWERS])
		return EXIT_SUCCESS;
	endpoint_format(&p->server, text, sizeof(text));
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (report->counters[reasons[i].counter]) {
			complain("%s: %s%s%s", text, reasons[i].what, report->problem[0] ? ": " : "", report->problem);
			return EXIT_FAILURE;
		}
	complain("%s: no answer in time", text);
	return EXIT_FAILURE;
}

static int
report_all(struct program *p)
{
	struct report *report = malloc(sizeof(*report));
	int result;

	if (!report)
		return EXIT_FAILURE;
	report_clear(report);
	for (unsigned int i = 0; i < p->shared.roles.count; i++)
		report_add(report, load_result(user_load(&p->shared.workers[i])), user_answered(&p->shared.workers[i]));
	report->interrupted = p->interrupted;
	report_print(report, &p->cmdline, stdout);
	fflush(stdout);
	result = verdict(p, report);
	if (p->json && report_write_json(report, &p->cmdline, p->json) < 0) {
		complain("%s cannot be written", p->cmdline.json);
		result = EXIT_FAILURE;
	}
	free(report);
	return result;
}

static int
act(struct program *p)
{
	int result = EXIT_FAILURE;
	char error[512];

	if (configure(p) < 0)
		return EXIT_FAILURE;
	if (eal_start(p->config, p->cmdline.eal_argc, p->cmdline.eal_argv, error, sizeof(error)) < 0) {
		complain("%s", error);
		return EXIT_FAILURE;
	}
	if (start(p) < 0) {
		complain("%s", p->topology.error[0] ? p->topology.error : "weir-load cannot start");
	} else if (wait_for_link(p)) {
		run(p);
		result = report_all(p);
	}
	stop(p);
	eal_stop();
	return result;
}

static FILE *
open_json(const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

	if (!file)
		complain("%s: %s", path, strerror(errno));
	return file;
}

static int
prepare(struct program *p)
{
	struct cmdline *cmdline = &p->cmdline;

	p->request.data = cmdline_request(cmdline, &p->request.len);
	p->answer.data = cmdline_answer(cmdline, &p->answer.len);
	if (!p->request.data || !p->answer.data || cmdline_resolve(cmdline, &p->server) < 0) {
		complain("%s", cmdline->error);
		return -EINVAL;
	}
	if (cmdline->json && !(p->json = open_json(cmdline->json)))
		return -EINVAL;
	return 0;
}

int
main(int argc, char **argv)
{
	static struct program program;
	struct cmdline *cmdline = &program.cmdline;
	static struct log_target quiet = { .level = LOG_WARN };
	sigset_t set = ending_signals();
	int result = EXIT_FAILURE;

	if (cmdline_parse(cmdline, argc, argv) < 0) {
		complain("%s", cmdline->error);
		cmdline_print_usage(stderr);
		return EXIT_FAILURE;
	}
	if (cmdline->help || cmdline->version) {
		puts("weir-load version: weir/" WEIR_VERSION);
		if (cmdline->help)
			cmdline_print_usage(stdout);
		return EXIT_SUCCESS;
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!cmdline->verbose && log_file_get("stderr", &quiet.file) == 0)
		log_error_set(&quiet);
	if (prepare(&program) == 0)
		result = act(&program);
	if (program.json && program.json != stdout && fclose(program.json) != 0)
		result = EXIT_FAILURE;
	config_free(program.config);
	free((void *)(uintptr_t)program.request.data);
	free((void *)(uintptr_t)program.answer.data);
	return result;
}
