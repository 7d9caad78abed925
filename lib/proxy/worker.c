#include <stdlib.h>

#include "proxy/client/stream.h"
#include "proxy/server/call_h2.h"
#include "proxy/worker.h"

#define TIMER_TICK_NS (10 * NS_PER_MS) /* nginx's timers are in milliseconds; its timeouts are seconds */
#define EVENTS_PER_ROUND 256
#define TIMERS_PER_ROUND 256
#define POSTPONED_MAX 64 /* rounds: 64 full bursts go before a handshake */

const char *const proxy_counter_names[PROXY_COUNTER_COUNT] = {
#define ROW(name, text) text,
	PROXY_COUNTERS(ROW)
#undef ROW
};

static void
client_expired(void *owner, struct timer *timer, uint64_t now_ns)
{
	struct proxy_client *client = container_of(timer, struct proxy_client, timeout.timer);

	if (timer_deadline_met(proxy_client_session(client)->worker->client_timers, &client->timeout, now_ns))
		client->ops->timed_out(client);
}

static void
call_expired(void *owner, struct timer *timer, uint64_t now_ns)
{
	struct proxy_call *call = container_of(timer, struct proxy_call, timeout.timer);

	if (timer_deadline_met(call->worker->call_timers, &call->timeout, now_ns))
		call->ops->timed_out(call);
}

struct proxy_worker *
proxy_worker_new(const struct proxy_worker_config *config, uint64_t now_ns)
{
	struct proxy_worker *worker = calloc(1, sizeof(*worker));
	uint32_t n = config->connections_max;

	if (!worker)
		return NULL;
	worker->index = config->index;
	worker->tcp = config->tcp;
	worker->connections_max = n;
	worker->now_ns = now_ns;
	worker->random.state = config->random_seed | 1;
	list_init(&worker->idle);
	list_init(&worker->pipelined);
	list_init(&worker->handshakes);
	list_init(&worker->link_handshakes);
	list_init(&worker->links_ending);
	list_init(&worker->gone);
	list_init(&worker->http2_sessions);
	list_init(&worker->sessions_writing);
	list_init(&worker->streams_gone);
	list_init(&worker->links_writing);
	list_init(&worker->calls_gone);
	list_init(&worker->tls_writing);
	list_init(&worker->tls_waking);
	list_init(&worker->tls_starved);
	worker->sessions = slab_new(sizeof(struct proxy_session), 64, n);
	worker->links = slab_new(sizeof(struct proxy_link), 64, n);
	worker->exchanges = slab_new(sizeof(struct proxy_exchange), 64, n);
	worker->large = slab_new(PROXY_LARGE_SIZE, 64, n / 16 > 64 ? n / 16 : 64);
	worker->tls = slab_new(sizeof(struct proxy_tls), 64, 2 * n); /* of sessions and of links */
	worker->relays = slab_new(sizeof(struct proxy_relay), 64, n);
	worker->hellos = slab_new(sizeof(struct tls_hello), 16, n);
	worker->origins = slab_new(sizeof(struct packet_proxy), 16, n);
	worker->sessions_http2 = slab_new(sizeof(struct proxy_session_http2), 64, n);
	/* Some are only sending, their exchange having ended. */
	worker->streams = slab_new(sizeof(struct proxy_stream), 64, 2 * n);
	worker->links_http2 = slab_new(sizeof(struct proxy_link_http2), 64, n);
	/* Some have been let go of, and the next attempt has begun. */
	worker->calls = slab_new(sizeof(struct proxy_call_http2), 64, 2 * n);
	worker->client_timers = timer_wheel_new(TIMER_TICK_NS, now_ns, client_expired, worker);
	worker->call_timers = timer_wheel_new(TIMER_TICK_NS, now_ns, call_expired, worker);
	if (worker->sessions && worker->links && worker->exchanges && worker->large && worker->tls && worker->origins &&
	    worker->relays && worker->hellos && worker->sessions_http2 && worker->streams && worker->links_http2 &&
	    worker->calls && worker->client_timers && worker->call_timers)
		return worker;
	proxy_worker_free(worker);
	return NULL;
}

void
proxy_worker_free(struct proxy_worker *worker)
{
	if (!worker)
		return;
	slab_free(worker->sessions);
	slab_free(worker->links);
	slab_free(worker->exchanges);
	slab_free(worker->large);
	slab_free(worker->tls);
	slab_free(worker->origins);
	slab_free(worker->sessions_http2);
	slab_free(worker->streams);
	slab_free(worker->links_http2);
	slab_free(worker->calls);
	slab_free(worker->relays);
	slab_free(worker->hellos);
	timer_wheel_free(worker->client_timers);
	timer_wheel_free(worker->call_timers);
	free(worker);
}

void
proxy_worker_adopt(struct proxy_worker *worker, struct proxy_generation *generation)
{
	struct proxy_share *old = worker->share;

	if (old == &generation->shares[worker->index])
		return;
	worker->share = &generation->shares[worker->index];
	worker->share->current = true;
	if (old) {
		proxy_pools_close(old);
		__atomic_store_n(&old->current, false, __ATOMIC_RELEASE);
	}
}

/* Only what is there now: sessions that queue up again wait for the next round. */
static unsigned int
list_length_up_to(const struct list *head, unsigned int max)
{
	unsigned int n = 0;

	for (const struct list *node = head->next; node != head && n < max; node = node->next)
		n++;
	return n;
}

static void
connection_events(struct tcp_connection *tcp, uint32_t events)
{
	const uint8_t *end = tcp_user(tcp);

	if (*end == PROXY_END_SESSION)
		proxy_session_events((struct proxy_session *)(void *)end, events);
	else
		proxy_link_events((struct proxy_link *)(void *)end, events);
}

static bool
handshakes_wait(const struct proxy_worker *worker)
{
	return !list_empty(&worker->handshakes) || !list_empty(&worker->link_handshakes);
}

unsigned int
proxy_worker_handshakes(struct proxy_worker *worker, bool packets_wait)
{
	if (!handshakes_wait(worker) || (packets_wait && worker->postponed++ < POSTPONED_MAX))
		return 0;
	worker->postponed = 0;
	return proxy_session_handshake(worker) + proxy_link_handshake(worker);
}

/* Room on the one side lets the other go on, as far as TCP takes it. */
static void
http2_flush(struct proxy_worker *worker)
{
	do {
		proxy_sessions_flush(worker);
		proxy_links_flush(worker);
	} while (!list_empty(&worker->sessions_writing));
}

unsigned int
proxy_worker_run(struct proxy_worker *worker, uint64_t now_ns, uint64_t real_ns, bool packets_wait)
{
	struct tcp_connection *tcp;
	unsigned int done = 0;
	uint32_t events;

	worker->now_ns = now_ns;
	worker->real_ns = real_ns;
	while (done < EVENTS_PER_ROUND && (tcp = tcp_ready(worker->tcp, &events)) != NULL) {
		done++;
		if (events & TCP_ACCEPTED)
			proxy_session_accept(worker, tcp, events);
		else
			connection_events(tcp, events);
		proxy_sessions_reap(worker);
	}
	for (unsigned int n = list_length_up_to(&worker->pipelined, EVENTS_PER_ROUND); n > 0; n--, done++) {
		struct list *node = list_first(&worker->pipelined);

		if (node)
			proxy_session_next(container_of(node, struct proxy_session, node));
	}
	proxy_transports_feed(worker);
	for (unsigned int n = list_length_up_to(&worker->tls_waking, EVENTS_PER_ROUND); n > 0; n--, done++) {
		struct list *node = list_take_first(&worker->tls_waking);

		if (node)
			connection_events(container_of(node, struct proxy_tls, waking)->tcp, 0);
		proxy_sessions_reap(worker);
	}
	done += proxy_worker_handshakes(worker, packets_wait);
	done += timer_wheel_advance(worker->client_timers, now_ns, TIMERS_PER_ROUND);
	done += timer_wheel_advance(worker->call_timers, now_ns, TIMERS_PER_ROUND);
	proxy_sessions_reap(worker);
	http2_flush(worker);
	proxy_transports_flush(worker);
	return done;
}

uint64_t
proxy_worker_next_ns(const struct proxy_worker *worker)
{
	uint64_t a = timer_wheel_next_ns(worker->client_timers), b = timer_wheel_next_ns(worker->call_timers);

	if (!list_empty(&worker->pipelined) || !list_empty(&worker->tls_waking) || handshakes_wait(worker))
		return 0;
	if (!list_empty(&worker->tls_starved) && worker->tls_fed_ns < a)
		a = worker->tls_fed_ns;
	return a < b ? a : b;
}

void
proxy_worker_drain(struct proxy_worker *worker)
{
	struct list *node;

	worker->draining = true;
	/* Pipelined requests have been received: they are answered, with Connection: close. */
	while ((node = list_first(&worker->idle)) != NULL || (node = list_first(&worker->handshakes)) != NULL)
		proxy_session_free(container_of(node, struct proxy_session, node));
	proxy_sessions_go_away(worker);
	proxy_sessions_reap(worker);
	if (worker->share)
		proxy_pools_close(worker->share);
}

uint32_t
proxy_worker_sessions(const struct proxy_worker *worker)
{
	return slab_in_use(worker->sessions);
}

const uint64_t *
proxy_worker_counters(const struct proxy_worker *worker)
{
	return worker->counters;
}
