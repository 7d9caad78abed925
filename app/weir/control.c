#include "weir/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "proxy/proxy.h"
#include "run/qsbr.h"
#include "tls/tickets.h"
#include "weir/commands.h"
#include "weir/core.h"
#include "weir/daemon.h"
#include "weir/generations.h"
#include "weir/stapling.h"
#include "weir/worker_proxy.h"
#include "weir/workers.h"

/* Housekeeping: links, device counters, old configurations. */
#define TICK_MS 1000
/* After the last session: time for FINs and the last ACKs. */
#define CLOSE_MS 2000

struct control {
	const struct cmdline *cmdline;
	control_parse_fn *parse;
	const struct log_target *default_log;
	struct topology topology;
	struct worker_shared shared;
	struct generations generations;
	struct commands commands;
	struct stapling *stapling;
	int signal_fd, address_fd;
	bool stopping;
	uint64_t log_dropped;
	uint64_t ticket_key_until_ns; /* 0: none yet */
};

static sigset_t
handled_signals(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	return set;
}

void
control_signals_block(void)
{
	sigset_t set = handled_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- start ---- */

static void
addresses_changed(void *context)
{
	struct control *c = context;
	uint64_t one = 1;

	if (write(c->address_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error(LOG_ALERT, "write() to eventfd failed (%d: %s)", errno, strerror(errno));
}

/* Half of them for full_nat, so that no answer can be meant for both. */
static void
share_local_ports(struct control *c, struct config *config)
{
	struct generations *g = &c->generations;

	topology_local_ports(&g->local_port_first, &g->local_port_last);
	if (!l4_configured(config))
		return;
	g->forward_port_last = g->local_port_last;
	g->forward_port_first = (uint16_t)(g->local_port_last - (g->local_port_last - g->local_port_first) / 2);
	g->local_port_last = (uint16_t)(g->forward_port_first - 1);
	topology_forwarding_ports(&c->topology, g->forward_port_first, g->forward_port_last);
}

static int
control_start(struct control *c, struct config *config)
{
	struct worker_roles roles = core_roles(core_settings(config));
	sigset_t set = handled_signals();
	int result;

	c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	c->address_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->stapling = stapling_new();
	if (c->signal_fd < 0 || c->address_fd < 0 || !c->stapling) {
		log_error(LOG_EMERG, "signalfd(), eventfd() or epoll_create1() failed (%d: %s)", errno,
			  strerror(errno));
		return -errno;
	}
	result = qsbr_init(roles.count);
	if (result == 0)
		result = topology_init(&c->topology, config, roles.io);
	if (result < 0) {
		log_error(LOG_EMERG, "%s", c->topology.error[0] ? c->topology.error : "out of memory");
		return result;
	}
	share_local_ports(c, config);
	c->shared.user_new = worker_proxy_new;
	result = workers_new(&c->shared, &c->topology, config, c->generations.local_port_first,
			     c->generations.local_port_last);
	if (result < 0) {
		log_error(LOG_EMERG, "%s", c->topology.error);
		return result;
	}
	if (net_mirror_start(c->topology.mirror, addresses_changed, c) < 0) {
		log_error(LOG_EMERG, "the thread that follows the host's addresses cannot start");
		return -EAGAIN;
	}
	return 0;
}

struct control *
control_new(const struct cmdline *cmdline, struct config *config, control_parse_fn *parse,
	    const struct log_target *default_log)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		config_free(config);
		return NULL;
	}
	c->cmdline = cmdline;
	c->parse = parse;
	c->default_log = default_log;
	c->signal_fd = c->address_fd = -1;
	c->generations.topology = &c->topology;
	c->generations.shared = &c->shared;
	c->commands = (struct commands){ &c->topology, &c->shared, &c->generations, NULL };
	if (commands_open(&c->commands, core_settings(config)) < 0 || control_start(c, config) < 0 ||
	    generations_publish(&c->generations, config) < 0) {
		if (!c->generations.count)
			config_free(config);
		control_free(c);
		return NULL;
	}
	if (workers_start(&c->shared, &c->topology) < 0) {
		log_error(LOG_EMERG, "%s", c->topology.error);
		control_free(c);
		return NULL;
	}
	return c;
}

/* ---- running ---- */

static void
reload(struct control *c)
{
	const struct core_settings *now, *next;
	struct config *config;

	log_error(LOG_NOTICE, "reconfiguring");
	config = c->parse(c->cmdline);
	if (!config)
		return;
	now = core_settings(generations_config(&c->generations));
	next = core_settings(config);
	if (now->worker_processes != next->worker_processes || now->proxy_lcores != next->proxy_lcores ||
	    now->worker_poll != next->worker_poll || now->tcp_congestion != next->tcp_congestion ||
	    now->tcp_syn_cookies != next->tcp_syn_cookies || now->tcp_ecn != next->tcp_ecn ||
	    core_events(config)->worker_connections !=
		    core_events(generations_config(&c->generations))->worker_connections)
		log_error(LOG_WARN, "worker_processes, proxy_lcores, worker_connections, worker_poll, tcp_congestion, "
				    "tcp_syn_cookies and tcp_ecn change with a restart only");
	if (!bytes_equal(now->control, next->control) || now->control_off != next->control_off)
		log_error(LOG_WARN, "\"control\" changes with a restart only");
	if (now->xdp_pin != next->xdp_pin)
		log_error(LOG_WARN, "\"xdp_pin\" changes with a restart only");
	if (generations_publish(&c->generations, config) < 0) {
		config_free(config);
		log_error(LOG_ALERT, "the new configuration is not in force, the old one goes on");
		return;
	}
	log_error_set(next->error_targets ? next->error_targets : c->default_log);
	log_error(LOG_NOTICE, "configuration is in force");
}

/* A key for session tickets that leaks opens no more than two periods' traffic of TLS 1.2. */
static void
ticket_key_renew(struct control *c)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct tls_ticket_keys *old;

	if (now_ns < c->ticket_key_until_ns)
		return;
	if (c->ticket_key_until_ns) {
		old = tls_tickets_rotate();
		qsbr_synchronize();
		tls_ticket_keys_free(old);
	}
	c->ticket_key_until_ns = now_ns + tls_tickets_period_s() * NS_PER_SECOND;
}

static void
tick(struct control *c)
{
	uint64_t dropped = log_dropped();

	generations_ports_look(&c->generations);
	topology_refresh(&c->topology);
	generations_reclaim(&c->generations);
	ticket_key_renew(c);
	stapling_run(c->stapling, clock_monotonic_ns(), (uint64_t)time(NULL));
	if (c->commands.server)
		control_server_tick(c->commands.server, clock_monotonic_ns());
	if (dropped != c->log_dropped) {
		log_error(LOG_ALERT, "%lu log lines were dropped: a log cannot be written fast enough",
			  (unsigned long)(dropped - c->log_dropped));
		c->log_dropped = dropped;
	}
}

/* ---- the end ---- */

static void
drain(void *argument)
{
	struct worker *worker = argument;

	tcp_listen(worker->tcp, NULL, 0);
	proxy_worker_drain(worker->proxy);
}

static uint32_t
sessions(const struct control *c)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < c->shared.roles.count; i++)
		sum += proxy_worker_sessions(c->shared.workers[i].proxy);
	return sum;
}

static uint32_t
connections(const struct control *c)
{
	struct tcp_usage usage;
	uint32_t sum = 0;

	for (unsigned int i = 0; i < c->shared.roles.count; i++) {
		tcp_usage(c->shared.workers[i].tcp, &usage);
		sum += usage.connections;
	}
	return sum;
}

static bool
told_to_stop_at_once(struct control *c)
{
	struct signalfd_siginfo info;

	while (read(c->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			return true;
	return false;
}

/* Finishes what is under way, for as long as worker_shutdown_timeout allows (without it: as long as it takes). */
static void
finish(struct control *c)
{
	int64_t limit_ms = core_settings(generations_config(&c->generations))->worker_shutdown_timeout_ms;
	uint64_t start_ns = clock_monotonic_ns(), empty_ns = 0;

	log_error(LOG_NOTICE, "gracefully shutting down");
	for (unsigned int i = 0; i < c->shared.roles.count; i++)
		while (loop_post(c->shared.workers[i].loop, drain, &c->shared.workers[i]) < 0)
			usleep(1000);
	for (;;) {
		uint64_t now_ns;

		usleep(5000);
		now_ns = clock_monotonic_ns();
		if (c->commands.server)
			control_server_run(c->commands.server, now_ns);
		if (told_to_stop_at_once(c))
			return;
		if (limit_ms && now_ns - start_ns > (uint64_t)limit_ms * NS_PER_MS)
			return;
		if (sessions(c))
			continue;
		if (!empty_ns)
			empty_ns = now_ns;
		if (!connections(c) || now_ns - empty_ns > CLOSE_MS * NS_PER_MS)
			return;
	}
}

static void
take_signal(struct control *c, uint32_t number)
{
	switch (number) {
	case SIGTERM:
	case SIGINT:
		log_error(LOG_NOTICE, "signal %u (%s) received, exiting", number,
			  number == SIGTERM ? "SIGTERM" : "SIGINT");
		c->stopping = true;
		break;
	case SIGQUIT:
		log_error(LOG_NOTICE, "signal %u (SIGQUIT) received, shutting down", number);
		finish(c);
		c->stopping = true;
		break;
	case SIGHUP:
		log_error(LOG_NOTICE, "signal %u (SIGHUP) received, reconfiguring", number);
		reload(c);
		break;
	case SIGUSR1:
		log_error(LOG_NOTICE, "signal %u (SIGUSR1) received, reopening logs", number);
		log_reopen_all();
		break;
	case SIGUSR2:
	case SIGWINCH:
		log_error(LOG_WARN, "signal %u is not supported: a binary is replaced by quit and start", number);
		break;
	default:
		break;
	}
}

static uint64_t
next_due_ns(const struct control *c, uint64_t next_tick_ns)
{
	uint64_t next_ns = c->commands.server ? control_server_next_ns(c->commands.server) : UINT64_MAX;

	return next_ns < next_tick_ns ? next_ns : next_tick_ns;
}

void
control_run(struct control *c)
{
	uint64_t next_tick_ns = clock_monotonic_ns() + TICK_MS * NS_PER_MS;

	stapling_run(c->stapling, clock_monotonic_ns(), (uint64_t)time(NULL));
	while (!c->stopping) {
		struct control_server *server = c->commands.server;
		struct pollfd fds[] = { { c->signal_fd, POLLIN, 0 },
					{ c->address_fd, POLLIN, 0 },
					{ server ? control_server_fd(server) : -1, POLLIN, 0 },
					{ stapling_fd(c->stapling), POLLIN, 0 } };
		struct signalfd_siginfo info;
		uint64_t now_ns = clock_monotonic_ns(), count;
		uint64_t next_ns = next_due_ns(c, next_tick_ns);
		int wait_ms = next_ns > now_ns ? (int)((next_ns - now_ns) / NS_PER_MS) + 1 : 0;

		poll(fds, 4, wait_ms);
		while (!c->stopping && read(c->signal_fd, &info, sizeof(info)) == sizeof(info))
			take_signal(c, info.ssi_signo);
		if (read(c->address_fd, &count, sizeof(count)) == sizeof(count))
			generations_serve(&c->generations);
		if (server && !c->stopping)
			control_server_run(server, clock_monotonic_ns());
		if (fds[3].revents && !c->stopping)
			stapling_run(c->stapling, clock_monotonic_ns(), (uint64_t)time(NULL));
		if (clock_monotonic_ns() >= next_tick_ns) {
			next_tick_ns = clock_monotonic_ns() + TICK_MS * NS_PER_MS;
			tick(c);
		}
	}
}

static void
log_counter(void *context, const char *room, const char *name, uint64_t value)
{
	if (value)
		log_error(LOG_INFO, "counter %s.%s %lu", room, name, (unsigned long)value);
}

void
control_free(struct control *c)
{
	if (!c)
		return;
	commands_close(&c->commands);
	topology_refresh(&c->topology);
	workers_stop(&c->shared);
	stapling_free(c->stapling);
	counter_sum(log_counter, NULL);
	log_error(LOG_NOTICE, "exit");
	workers_free(&c->shared);
	/* The logs of the configuration go with it. */
	log_error_set(c->default_log);
	generations_free(&c->generations);
	topology_fini(&c->topology);
	qsbr_fini();
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	if (c->address_fd >= 0)
		close(c->address_fd);
	free(c);
}
