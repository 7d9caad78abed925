#include "weir/worker_internal.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/random.h"
#include "weir/privileges.h"

/* Idle this long before the first sleep. Short: a sleep gathers packets, which then cost less each, and leaves the CPU to
 * those that send them; `worker_poll busy` is for CPUs that have nothing else to do. */
#define SPIN_NS (2 * NS_PER_US)
#define LOG_RING_BYTES (1 << 20)
/* What one connection may buffer in each direction where its path asks for it: as Linux's tcp_wmem. */
#define RECEIVE_BUFFER (4 << 20)
#define SEND_BUFFER (4 << 20)
#define TIME_WAIT_MAX 65536

static const char *const worker_counter_names[WORKER_COUNTER_COUNT] = {
#define ROW(name, text) text,
	WORKER_COUNTERS(ROW)
#undef ROW
};

/* ---- what TCP and net ask for ---- */

static void
send_packet(void *context, struct rte_mbuf *m)
{
	net_output_send(((struct worker *)context)->output, m);
}

static bool
route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	return net_route_source(((struct worker *)context)->shared->mirror, remote, local, mtu);
}

static void
port_used(void *context, uint16_t port_be, bool used)
{
	struct worker_shared *shared = ((struct worker *)context)->shared;

	shared->port_used(shared->port_used_context, port_be, used);
}

static bool
lands_here(void *context, const struct endpoint *local, const struct endpoint *remote)
{
	const struct worker *worker = context;

	return steering_lands(worker->steering, worker->rss, worker->index, remote, local);
}

static void
frame_to(void *context, unsigned int to, struct rte_mbuf *m)
{
	struct worker *worker = context;

	if (!handover_send(worker->shared->leaving, worker->index, to, m))
		worker->counters[WORKER_HANDOVER_FULL]++;
}

/* ---- packet-level services ---- */

static void
hand_over_l4(void *context, unsigned int owner, struct rte_mbuf *m)
{
	worker_hand_over(context, owner, m);
}

uint64_t
worker_l4_flows(const struct l4_settings *settings, unsigned int workers)
{
	return settings->flows / workers + 1;
}

void
worker_l4_start(struct worker *worker)
{
	if (!worker->l4 && worker->l4_owned && worker->shared_memory.hops) {
		l4_worker_take_over(worker->l4_owned);
		net_output_share_hops(worker->output, worker->shared_memory.hops, worker->shared_memory.lane);
	}
	worker->l4 = worker->l4_owned;
	if (worker->l4)
		l4_worker_go_by_rss(worker->l4, worker->rss);
}

int
worker_l4_new(struct worker *worker, const struct worker_l4_config *wanted)
{
	struct l4_worker_config config = {
		.index = worker->index,
		.workers = worker->shared->roles.io,
		.targets = wanted->targets,
		.output = worker->output,
		.mirror = worker->shared->mirror,
		.pool = worker->shared->pool,
		.flows = worker_l4_flows(wanted->settings, worker->shared->roles.io),
		.hash_seed = wanted->settings->hash_seed,
		.local_port_first = wanted->local_port_first,
		.local_port_last = wanted->local_port_last,
		.hand_over = hand_over_l4,
		.context = worker,
	};
	struct counter_block block = { "l4", worker->index, l4_verdict_names, NULL, L4_VERDICT_COUNT };

	random_fill(&config.random_seed, sizeof(config.random_seed));
	if (wanted->program && xdp_program_memory(wanted->program, worker->index, &worker->shared_memory)) {
		config.flow_memory = worker->shared_memory.flows;
		config.use_memory = worker->shared_memory.uses;
		config.lane = worker->shared_memory.lane;
		config.start_ns = wanted->start_ns;
	}
	worker->l4_owned = l4_worker_new(&config, clock_monotonic_ns());
	if (!worker->l4_owned)
		return -ENOMEM;
	block.values = l4_worker_counters(worker->l4_owned);
	counter_register(&block);
	return 0;
}

/* ---- life ---- */

static void
register_counters(struct worker *worker)
{
	struct counter_block blocks[] = {
		{ "packet", worker->index, packet_verdict_names, worker->verdicts, PACKET_VERDICT_COUNT },
		{ "worker", worker->index, worker_counter_names, worker->counters, WORKER_COUNTER_COUNT },
		{ "tcp", worker->index, tcp_counter_names, tcp_counters(worker->tcp), tcp_counter_count },
		{ "net", worker->index, net_counter_names, net_output_counters(worker->output), NET_COUNTER_COUNT },
	};

	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		counter_register(&blocks[i]);
}

static void
unregister_counters(struct worker *worker)
{
	counter_unregister(worker->verdicts);
	counter_unregister(worker->counters);
	if (worker->tcp)
		counter_unregister(tcp_counters(worker->tcp));
	if (worker->output)
		counter_unregister(net_output_counters(worker->output));
	if (worker->l4_owned)
		counter_unregister(l4_worker_counters(worker->l4_owned));
}

int
worker_init(struct worker *worker, struct worker_shared *shared, const struct worker_config *config, char *error,
	    size_t size)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool has_connections = config->index >= shared->roles.stack_first;
	struct loop_config loop = { .index = config->index, .busy = config->busy, .spin_ns = SPIN_NS };
	struct tcp_config tcp = {
		.pool = shared->pool,
		/* Closing connections outlive the sessions and links that worker_connections counts. */
		.connections_max = config->connections_max * 2 + 256,
		.time_wait_max = TIME_WAIT_MAX,
		.receive_buffer = RECEIVE_BUFFER,
		.send_buffer = SEND_BUFFER,
		.congestion = config->tcp_congestion,
		.syn_cookies = config->tcp_syn_cookies,
		.ecn = config->tcp_ecn,
		.cookie_secret = { shared->cookie_secret[0], shared->cookie_secret[1] },
		.large_segments = true,
		.syn_backlog = config->connections_max < 1024 ? 1024 : config->connections_max,
		.port_first = config->local_port_first,
		.port_last = config->local_port_last,
		.port_modulus = (uint16_t)(shared->roles.count - shared->roles.stack_first),
		.port_remainder = has_connections ? (uint16_t)(config->index - shared->roles.stack_first) : 0,
	};
	struct tcp_env env = { .context = worker,
			       .send = send_packet,
			       .route = route,
			       .port_used = port_used,
			       .lands_here = shared->roles.count > 1 ? lands_here : NULL };
	const char *reason = "out of memory";

	random_fill(tcp.secret, sizeof(tcp.secret));
	worker->config = *config;
	worker->index = config->index;
	worker->shared = shared;
	worker->loop = loop_new(&loop);
	worker->tcp = tcp_stack_new(&tcp, &env, now_ns, &reason);
	worker->output = net_output_new(shared->mirror, config->index, now_ns);
	if (!worker->loop || !worker->tcp || !worker->output || shared->user_new(worker, now_ns) < 0) {
		snprintf(error, size, "worker %u cannot be set up: %s", config->index,
			 reason ? reason : "out of memory");
		worker_fini(worker);
		return -ENOMEM;
	}
	net_output_handover(worker->output, frame_to, worker);
	worker_round_init(worker);
	register_counters(worker);
	return 0;
}

struct start {
	struct worker *worker;
	pthread_barrier_t ready;
	int result;
};

static int
thread_prepare(struct worker *worker)
{
	const struct worker_config *config = &worker->config;
	char name[16];
	cpu_set_t cpus;
	int result;

	snprintf(name, sizeof(name), "weir-%s-%u", worker->index < worker->shared->roles.io ? "worker" : "proxy",
		 worker->index);
	prctl(PR_SET_NAME, name);
	if (config->cpus) {
		CPU_ZERO(&cpus);
		for (unsigned int cpu = 0; cpu < 64; cpu++)
			if (config->cpus >> cpu & 1)
				CPU_SET(cpu, &cpus);
		if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
			log_error(LOG_ALERT, "sched_setaffinity() failed (%d: %s)", errno, strerror(errno));
	}
	if (rte_thread_register() < 0)
		return -rte_errno;
	result = log_thread_attach(LOG_RING_BYTES);
	return result < 0 ? result : privileges_limit_worker(config->user, config->group);
}

static void *
thread_main(void *argument)
{
	struct start *start = argument;
	struct worker *worker = start->worker;

	start->result = thread_prepare(worker);
	worker->running = start->result == 0;
	pthread_barrier_wait(&start->ready);
	if (worker->running)
		loop_run(worker->loop);
	log_thread_detach();
	rte_thread_unregister();
	return NULL;
}

int
worker_start(struct worker *worker)
{
	struct start start = { .worker = worker };
	int result;

	pthread_barrier_init(&start.ready, NULL, 2);
	result = -pthread_create(&worker->thread, NULL, thread_main, &start);
	if (result == 0) {
		pthread_barrier_wait(&start.ready);
		result = start.result;
		if (result < 0)
			pthread_join(worker->thread, NULL);
	}
	pthread_barrier_destroy(&start.ready);
	return result;
}

void
worker_stop(struct worker *worker)
{
	if (!worker->running)
		return;
	loop_stop(worker->loop);
	pthread_join(worker->thread, NULL);
	worker->running = false;
}

void
worker_fini(struct worker *worker)
{
	worker_stop(worker);
	unregister_counters(worker);
	if (worker->user)
		worker->user->free(worker->user_context);
	tcp_stack_free(worker->tcp);
	l4_worker_free(worker->l4_owned);
	net_output_free(worker->output);
	loop_free(worker->loop);
	worker->user = NULL;
	worker->tcp = NULL;
	worker->l4 = worker->l4_owned = NULL;
	worker->output = NULL;
	worker->loop = NULL;
}
