#include "net/mirror.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/qsbr.h"

/* Between two snapshots: at least this, and twice what the last one took, so that a flapping table costs a third of a CPU
 * of control at most. The first change after a pause is published at once. */
#define PUBLISH_PAUSE_NS (2 * NS_PER_MS)
/* After a dump failed. */
#define RETRY_NS (100 * NS_PER_MS)
/* Events taken between two looks at the clock. */
#define DATAGRAMS 256

/* How often one neighbour is asked of Linux, whoever wants it. Linux itself probes once a second. */
#define ASK_UNKNOWN_NS (100 * NS_PER_MS)
#define ASK_FAILED_NS (1 * NS_PER_SECOND)
#define ASK_UNCONFIRMED_NS (3 * NS_PER_SECOND)

const char *const net_mirror_counter_names[NET_MIRROR_COUNTER_COUNT] = {
#define ROW(name, text) [NET_MIRROR_COUNT_##name] = text,
	NET_MIRROR_COUNTERS(ROW)
#undef ROW
};

/* ---- snapshots ---- */

struct retired {
	struct table *table;
	struct neighbor_table *neighbors;
};

static void
generation_next(uint32_t *generation)
{
	/* 0 marks what is empty. */
	__atomic_store_n(generation, *generation == UINT32_MAX ? 1 : *generation + 1, __ATOMIC_RELEASE);
}

/* Swaps in what is not NULL. */
static struct retired
swap(struct net_mirror *mirror, struct table *table, struct neighbor_table *neighbors, bool links)
{
	struct retired old = { NULL, NULL };

	pthread_mutex_lock(&mirror->lock);
	if (table) {
		old.table = mirror->table;
		__atomic_store_n(&mirror->table, table, __ATOMIC_RELEASE);
	}
	if (neighbors) {
		old.neighbors = mirror->neighbors;
		__atomic_store_n(&mirror->neighbors, neighbors, __ATOMIC_RELEASE);
	}
	if (links)
		generation_next(&mirror->links_generation);
	if (table)
		generation_next(&mirror->routes_generation);
	generation_next(&mirror->generation);
	pthread_mutex_unlock(&mirror->lock);
	return old;
}

/* And reclaims what it replaces. */
int
mirror_publish(struct net_mirror *mirror)
{
	struct port *ports[PORTS_MAX];
	struct table *table = NULL;
	struct neighbor_table *neighbors = NULL;
	struct retired old;
	uint32_t port_count;
	uint64_t version;
	bool first = mirror->table == NULL, all, links;

	pthread_mutex_lock(&mirror->lock);
	port_count = mirror->port_count;
	memcpy(ports, mirror->ports, sizeof(ports));
	version = mirror->ports_wanted;
	all = version != mirror->ports_applied;
	pthread_mutex_unlock(&mirror->lock);

	if (all || mirror->model.changed & (MODEL_LINKS | MODEL_ADDRESSES | MODEL_ROUTES)) {
		table = model_table_new(&mirror->model, ports, port_count);
		if (!table)
			return -ENOMEM;
		mirror->counters[NET_MIRROR_COUNT_TABLES]++;
	}
	if (mirror->model.changed & MODEL_NEIGHBORS) {
		neighbors = neighbor_table_copy(mirror->model.neighbors);
		if (!neighbors) {
			free(table);
			return -ENOMEM;
		}
		mirror->counters[NET_MIRROR_COUNT_NEIGHBOR_TABLES]++;
	}
	links = all || mirror->model.changed & MODEL_LINKS;
	mirror->model.changed = 0;
	old = swap(mirror, table, neighbors, links);
	if (table)
		lpm_seal(&mirror->model.lpm);
	if (!first)
		qsbr_synchronize();
	if (table)
		lpm_reclaim(&mirror->model.lpm);
	free(old.table);
	free(old.neighbors);

	pthread_mutex_lock(&mirror->lock);
	mirror->ports_applied = version;
	pthread_cond_broadcast(&mirror->applied);
	pthread_mutex_unlock(&mirror->lock);
	return 0;
}

static bool
publish_needed(struct net_mirror *mirror, uint64_t now_ns)
{
	const struct model *model = &mirror->model;
	bool ports;

	pthread_mutex_lock(&mirror->lock);
	ports = mirror->ports_wanted != mirror->ports_applied;
	pthread_mutex_unlock(&mirror->lock);
	return ports || model->changed || model->stale || (model->routes_again_ns && now_ns >= model->routes_again_ns);
}

static int
refresh_and_publish(struct net_mirror *mirror, uint64_t now_ns)
{
	int rc;

	if (mirror->model.stale)
		mirror->counters[NET_MIRROR_COUNT_DUMPS]++;
	rc = model_refresh(&mirror->model, now_ns);
	if (rc == 0)
		rc = mirror_publish(mirror);
	if (rc < 0)
		log_error(LOG_ERR, "net: cannot read Linux' addresses and routes: %s", strerror(-rc));
	return rc;
}

/* ---- neighbours asked of Linux ---- */

static uint64_t
ask_pause_ns(const struct net_mirror *mirror, const struct mirror_request *request)
{
	const struct neighbor *n = neighbor_find(mirror->model.neighbors, request->ifindex, &request->address);

	if (!n || !(n->state & (NEIGHBOR_USABLE | NUD_FAILED)))
		return ASK_UNKNOWN_NS;
	if (n->state & NUD_FAILED)
		return ASK_FAILED_NS;
	return n->state & NEIGHBOR_UNCONFIRMED ? ASK_UNCONFIRMED_NS : UINT64_MAX;
}

static void
ask(struct net_mirror *mirror, const struct mirror_request *request, uint64_t now_ns)
{
	uint32_t at = neighbor_hash(request->ifindex, &request->address) & (MIRROR_ASKED - 1);
	struct mirror_asked *asked = &mirror->asked[at];

	if (asked->neighbor.ifindex == request->ifindex &&
	    ip_address_equal(&asked->neighbor.address, &request->address) &&
	    now_ns - asked->asked_ns < ask_pause_ns(mirror, request))
		return;
	*asked = (struct mirror_asked){ *request, now_ns };
	mirror->counters[NET_MIRROR_COUNT_ASKED]++;
	if (netlink_neighbor_use(&mirror->model.netlink, request->ifindex, &request->address) < 0)
		mirror->model.netlink.refused++;
	mirror->counters[NET_MIRROR_COUNT_ASK_FAILED] = mirror->model.netlink.refused;
}

static void
requests_take(struct net_mirror *mirror, struct mirror_requests *requests, uint64_t now_ns)
{
	uint32_t head = requests->head, tail = __atomic_load_n(&requests->tail, __ATOMIC_ACQUIRE);

	for (; head != tail; head++) {
		struct mirror_request request = requests->entries[head & (MIRROR_REQUESTS - 1)];

		__atomic_store_n(&requests->head, head + 1, __ATOMIC_RELEASE);
		ask(mirror, &request, now_ns);
	}
}

static void
all_requests_take(struct net_mirror *mirror, uint64_t now_ns)
{
	uint64_t count;

	if (read(mirror->wake_fd, &count, sizeof(count)) < 0)
		return;
	/* Before looking, so that what is posted from now on wakes again. */
	__atomic_store_n(&mirror->woken, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&mirror->lock);
	for (int i = 0; i < MIRROR_OUTPUTS_MAX; i++)
		if (mirror->requests[i])
			requests_take(mirror, mirror->requests[i], now_ns);
	pthread_mutex_unlock(&mirror->lock);
}

bool
mirror_request(struct mirror_requests *requests, int32_t ifindex, const struct ip_address *address)
{
	uint32_t tail = requests->tail;

	if (tail - __atomic_load_n(&requests->head, __ATOMIC_ACQUIRE) >= MIRROR_REQUESTS)
		return false;
	requests->entries[tail & (MIRROR_REQUESTS - 1)] = (struct mirror_request){ *address, ifindex };
	__atomic_store_n(&requests->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

void
mirror_wake(struct net_mirror *mirror)
{
	const uint64_t one = 1;

	if (__atomic_exchange_n(&mirror->woken, 1, __ATOMIC_SEQ_CST))
		return;
	/* Fails only when the counter is at its end, and then the thread is awake. */
	if (write(mirror->wake_fd, &one, sizeof(one)) < 0)
		return;
}

int
mirror_output_add(struct net_mirror *mirror, struct mirror_requests *requests)
{
	int rc = -ENOSPC;

	pthread_mutex_lock(&mirror->lock);
	for (int i = 0; i < MIRROR_OUTPUTS_MAX && rc < 0; i++) {
		if (mirror->requests[i])
			continue;
		mirror->requests[i] = requests;
		rc = 0;
	}
	pthread_mutex_unlock(&mirror->lock);
	return rc;
}

void
mirror_output_remove(struct net_mirror *mirror, struct mirror_requests *requests)
{
	pthread_mutex_lock(&mirror->lock);
	for (int i = 0; i < MIRROR_OUTPUTS_MAX; i++)
		if (mirror->requests[i] == requests)
			mirror->requests[i] = NULL;
	pthread_mutex_unlock(&mirror->lock);
}

/* ---- the thread ---- */

static int
wait_ms(const struct net_mirror *mirror, bool needed, uint64_t now_ns)
{
	uint64_t until = needed ? mirror->publish_ns : mirror->model.routes_again_ns;

	if (!until)
		return needed ? 0 : -1;
	return until > now_ns ? (int)((until - now_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

static bool
stopping(struct net_mirror *mirror)
{
	bool stop;

	pthread_mutex_lock(&mirror->lock);
	stop = mirror->stopping;
	pthread_mutex_unlock(&mirror->lock);
	return stop;
}

static void *
thread_main(void *argument)
{
	struct net_mirror *mirror = argument;
	bool more = false;

	while (!stopping(mirror)) {
		struct pollfd fds[2] = { { .fd = netlink_events_fd(&mirror->model.netlink), .events = POLLIN },
					 { .fd = mirror->wake_fd, .events = POLLIN } };
		uint64_t now = clock_monotonic_ns();
		bool needed = publish_needed(mirror, now);

		poll(fds, 2, more ? 0 : wait_ms(mirror, needed, now));
		now = clock_monotonic_ns();
		all_requests_take(mirror, now);
		more = model_receive(&mirror->model, DATAGRAMS, now);
		mirror->counters[NET_MIRROR_COUNT_OVERRUNS] = mirror->model.overruns;
		if (now < mirror->publish_ns || !publish_needed(mirror, now))
			continue;
		if (refresh_and_publish(mirror, now) < 0) {
			mirror->publish_ns = now + RETRY_NS;
			continue;
		}
		mirror->publish_ns = clock_monotonic_ns();
		mirror->publish_ns += PUBLISH_PAUSE_NS + 2 * (mirror->publish_ns - now);
		if (mirror->changed)
			mirror->changed(mirror->changed_context);
	}
	return NULL;
}

/* ---- control ---- */

struct net_mirror *
mirror_alloc(void)
{
	struct net_mirror *mirror = aligned_alloc(64, (sizeof(*mirror) + 63) & ~(size_t)63);

	if (!mirror)
		return NULL;
	memset(mirror, 0, sizeof(*mirror));
	mirror->wake_fd = -1;
	pthread_mutex_init(&mirror->lock, NULL);
	pthread_cond_init(&mirror->applied, NULL);
	return mirror;
}

void
mirror_dispose(struct net_mirror *mirror)
{
	if (mirror->wake_fd >= 0)
		close(mirror->wake_fd);
	pthread_mutex_destroy(&mirror->lock);
	pthread_cond_destroy(&mirror->applied);
	free(mirror->table);
	free(mirror->neighbors);
	free(mirror);
}

int
net_mirror_new(struct net_mirror **out, char *error, size_t size)
{
	struct net_mirror *mirror = mirror_alloc();
	int rc;

	if (!mirror) {
		snprintf(error, size, "no memory for addresses and routes");
		return -ENOMEM;
	}
	rc = model_open(&mirror->model, error, size);
	if (rc < 0)
		goto no_model;
	mirror->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mirror->wake_fd < 0) {
		rc = -errno;
		snprintf(error, size, "eventfd: %s", strerror(errno));
		goto failed;
	}
	rc = refresh_and_publish(mirror, clock_monotonic_ns());
	if (rc < 0) {
		snprintf(error, size, "cannot read addresses and routes from the kernel: %s", strerror(-rc));
		goto failed;
	}
	*out = mirror;
	return 0;
failed:
	model_close(&mirror->model);
no_model:
	mirror_dispose(mirror);
	return rc;
}

int
net_mirror_start(struct net_mirror *mirror, void (*changed)(void *context), void *context)
{
	sigset_t all, before;
	int rc;

	assert(mirror->wake_fd >= 0);

	mirror->changed = changed;
	mirror->changed_context = context;
	/* Signals are for the thread that expects them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&mirror->thread, NULL, thread_main, mirror);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return -rc;
	mirror->running = true;
	pthread_setname_np(mirror->thread, "weir-net");
	return 0;
}

void
net_mirror_free(struct net_mirror *mirror)
{
	if (!mirror)
		return;
	if (mirror->running) {
		pthread_mutex_lock(&mirror->lock);
		mirror->stopping = true;
		pthread_mutex_unlock(&mirror->lock);
		mirror_wake(mirror);
		pthread_join(mirror->thread, NULL);
	}
	model_close(&mirror->model);
	mirror_dispose(mirror);
}

void
net_mirror_ports(struct net_mirror *mirror, struct port *const *ports, uint32_t count)
{
	bool own = mirror->running && !pthread_equal(mirror->thread, pthread_self());
	uint64_t version;

	pthread_mutex_lock(&mirror->lock);
	mirror->port_count = count < PORTS_MAX ? count : PORTS_MAX;
	for (uint32_t i = 0; i < mirror->port_count; i++)
		mirror->ports[i] = ports[i];
	version = ++mirror->ports_wanted;
	if (own) {
		mirror_wake(mirror);
		while (mirror->ports_applied < version)
			pthread_cond_wait(&mirror->applied, &mirror->lock);
	}
	pthread_mutex_unlock(&mirror->lock);
	if (!own)
		refresh_and_publish(mirror, clock_monotonic_ns());
}

const uint64_t *
net_mirror_counters(const struct net_mirror *mirror)
{
	return mirror->counters;
}
