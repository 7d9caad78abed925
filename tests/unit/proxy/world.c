#include "world.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "check.h"
#include "packet/build.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "proxy/settings/map.h"
#include "proxy/settings/real_ip.h"
#include "proxy/worker.h"
#include "support/dpdk.h"

#define WEIR_POOL_SIZE 2047

__attribute__((noreturn, format(printf, 1, 2))) static void
stop(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

/* ---- packets ---- */

static struct rte_mempool *
weir_pool(void)
{
	static struct rte_mempool *pool;

	support_dpdk_init();
	if (!pool)
		pool = rte_pktmbuf_pool_create("weir", WEIR_POOL_SIZE, 0, PACKET_PRIVATE_SIZE,
					       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool)
		stop("no pool");
	return pool;
}

static struct world_side *
side_of(struct world *w, const struct ip_address *address)
{
	const uint8_t first = address->bytes[12];

	return &w->sides[first == 192 ? WORLD_WEIR : first == 10 ? WORLD_SERVERS : WORLD_CLIENTS];
}

static void
free_chain(struct rte_mbuf *m)
{
	while (m) {
		struct rte_mbuf *next = m->next;

		m->next = NULL;
		rte_pktmbuf_free(m);
		m = next;
	}
}

/* As a device does: a frame from the sender's memory into the receiver's, parsed. Without memory it is lost. */
static void
env_send(void *context, struct rte_mbuf *m)
{
	struct world *w = ((struct world_side *)context)->world;
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct world_side *to;
	struct rte_mbuf *copy;
	char *data;

	m->ol_flags = 0;
	packet_checksum_fill(m, 0);
	if (!packet_build_ethernet(m, mac, mac, PACKET_VLAN_NONE) || packet_parse(m) != PACKET_OK)
		stop("a packet that does not parse was sent");
	to = side_of(w, &packet_view(m)->destination);
	copy = to->cut ? NULL : rte_pktmbuf_alloc(to->pool);
	if (copy) {
		data = rte_pktmbuf_append(copy, (uint16_t)m->pkt_len);
		if (!data)
			stop("a packet of %u bytes was sent", m->pkt_len);
		memcpy(data, rte_pktmbuf_read(m, 0, m->pkt_len, data), m->pkt_len);
		memset(packet_view(copy), 0, PACKET_PRIVATE_SIZE);
		*to->wire_end = copy;
		to->wire_end = &copy->next;
	}
	rte_pktmbuf_free(m);
}

static bool
env_route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	const struct world_side *side = context;

	*local = side->address;
	*mtu = side->world->mtu;
	return remote->bytes[15] != WORLD_NO_ROUTE;
}

static bool
deliver(struct world_side *side)
{
	struct rte_mbuf *m = side->wire;
	bool any = m;

	side->wire = NULL;
	side->wire_end = &side->wire;
	while (m) {
		struct rte_mbuf *next = m->next;

		m->next = NULL;
		if (packet_parse(m) != PACKET_OK)
			stop("a packet was spoilt");
		tcp_input(side->stack, m);
		m = next;
	}
	return any;
}

/* ---- peers ---- */

static void
grow(uint8_t **data, size_t *capacity, size_t need)
{
	if (need <= *capacity)
		return;
	*capacity = need * 2;
	*data = realloc(*data, *capacity);
	if (!*data)
		stop("out of memory");
}

static struct peer *
peer_new(struct world *w, struct tcp_connection *tcp)
{
	struct peer *peer = &w->peers[w->peer_count++];

	if (w->peer_count > w->peers_max)
		stop("more than %u connections", w->peers_max);
	*peer = (struct peer){ .world = w, .tcp = tcp };
	if (tcp)
		tcp_set_user(tcp, peer);
	return peer;
}

static void
take_input(struct peer *peer, size_t len)
{
	size_t there = tcp_readable(peer->tcp);

	len = len < there ? len : there;
	grow(&peer->in, &peer->in_capacity, peer->in_len + len + 1);
	tcp_peek_copy(peer->tcp, 0, peer->in + peer->in_len, (uint32_t)len);
	tcp_consume(peer->tcp, (uint32_t)len);
	peer->in_len += len;
	peer->in[peer->in_len] = '\0';
}

static void
push_output(struct peer *peer)
{
	size_t left = peer->out_len - peer->out_done;

	if (!peer->tcp || !peer->connected)
		return;
	if (left)
		peer->out_done += tcp_write(peer->tcp, peer->out + peer->out_done, (uint32_t)left);
	if (peer->shutting && peer->out_done == peer->out_len)
		tcp_shutdown(peer->tcp);
}

static void
peer_events(struct peer *peer, uint32_t events)
{
	size_t before = peer->in_len;

	peer->connected |= (events & (TCP_CONNECTED | TCP_ACCEPTED)) != 0;
	peer->ended |= (events & TCP_END_OF_STREAM) != 0;
	if (events & TCP_CLOSED) {
		peer->closed = true;
		peer->reason = tcp_close_reason(peer->tcp);
	}
	if (!peer->slow)
		take_input(peer, SIZE_MAX);
	push_output(peer);
	if (peer->world->on_server_input && peer->port && peer->in_len > before)
		peer->world->on_server_input(peer);
}

static bool
peers_run(struct world_side *side)
{
	struct tcp_connection *tcp;
	uint32_t events;
	bool any = false;

	while ((tcp = tcp_ready(side->stack, &events))) {
		any = true;
		if (events & TCP_ACCEPTED)
			peer_new(side->world, tcp)->port = rte_be_to_cpu_16(tcp_local(tcp)->port_be);
		peer_events(tcp_user(tcp), events);
	}
	return any;
}

/* ---- rounds ---- */

static void
rounds_run(struct world *w)
{
	bool moved = true;

	for (unsigned int rounds = 0; moved; rounds++) {
		if (rounds > 100000)
			stop("it never comes to rest");
		moved = false;
		for (int i = 0; i < WORLD_SIDES; i++) {
			tcp_stack_time(w->sides[i].stack, w->now_ns);
			moved |= deliver(&w->sides[i]);
			tcp_timers(w->sides[i].stack);
		}
		moved |= peers_run(&w->sides[WORLD_CLIENTS]);
		moved |= peers_run(&w->sides[WORLD_SERVERS]);
		moved |= proxy_worker_run(w->worker, w->now_ns, WORLD_REAL_NS, false) > 0;
		for (int i = 0; i < WORLD_SIDES; i++)
			tcp_flush(w->sides[i].stack);
		for (int i = 0; i < WORLD_SIDES; i++)
			moved |= w->sides[i].wire != NULL;
	}
}

void
world_run(struct world *w)
{
	rounds_run(w);
	for (int i = 0; w->consistency && i < WORLD_SIDES; i++)
		tcp_check_stack(w->sides[i].stack);
}

void
world_advance(struct world *w, uint64_t ms)
{
	uint64_t until_ns = w->now_ns + ms * NS_PER_MS;

	world_run(w);
	while (w->now_ns < until_ns) {
		uint64_t next_ns = proxy_worker_next_ns(w->worker);

		for (int i = 0; i < WORLD_SIDES; i++) {
			uint64_t timer_ns = tcp_next_timer_ns(w->sides[i].stack);

			next_ns = timer_ns < next_ns ? timer_ns : next_ns;
		}
		if (next_ns <= w->now_ns)
			next_ns = w->now_ns + NS_PER_MS;
		w->now_ns = next_ns < until_ns ? next_ns : until_ns;
		rounds_run(w);
	}
}

/* ---- configuration ---- */

static struct world *current; /* for the filter, which is given nothing but the exchange */

static void
record(struct proxy_exchange *x)
{
	struct world_record *r = &current->records[current->record_count++ % WORLD_RECORDS_MAX];

	*r = (struct world_record){
		.status = x->status,
		.tried = x->tried_count,
		.head_bytes = x->head_bytes,
		.body_bytes = x->body_bytes,
		.request_content = x->request_content,
		.complete = x->response_done && !x->failed_under_way,
	};
	for (uint32_t i = 0; i < x->tried_count && i < RTE_DIM(r->attempts); i++)
		r->attempts[i] = x->tried[i].status;
}

static const struct proxy_filter recorder = { .name = "record", .log = record };
static const struct proxy_filter *const only_recorder[] = { &recorder, NULL };

struct config_module *const *
world_modules(const struct world *w)
{
	static struct config_module *modules[16] = { &upstream_module,      &tls_module,
						     &tls_client_module,    &tls_grpc_module,
						     &proxy_server_module,  &proxy_location_module,
						     &proxy_real_ip_module, &stream_module,
						     &proxy_stream_module,  &proxy_map_module };
	size_t count = 10;

	for (struct config_module *const *m = w->more_modules; m && *m; m++)
		modules[count++] = *m;
	modules[count] = NULL;
	return modules;
}

struct config *
world_parse(const struct world *w, const char *text)
{
	struct config_source source = { .path = "t.conf", .prefix = "" };
	struct config *config;
	char *whole;

	proxy_variables_define();
	if (asprintf(&whole, "http {\n%s\n}\n", text) < 0)
		stop("out of memory");
	source.text = bytes_of_string(whole);
	config = config_parse(&source, world_modules(w));
	free(whole);
	return config;
}

static struct proxy_generation *
generation_new(struct world *w, const char *text)
{
	struct config *config = world_parse(w, text);
	struct proxy_generation *generation;

	if (config_error(config))
		stop("%s", config_error(config));
	generation = proxy_generation_new(config, 1, w->filters ? w->filters : only_recorder);
	if (!generation)
		stop("no memory for a generation");
	return generation;
}

static void
publish(struct world *w)
{
	const struct tcp_listener *listeners;
	uint32_t count;

	listeners = proxy_generation_listeners(w->generation, &count);
	tcp_listen(w->sides[WORLD_WEIR].stack, listeners, count);
	proxy_worker_adopt(w->worker, w->generation);
}

void
world_reload(struct world *w, const char *text)
{
	if (w->old) {
		if (!proxy_generation_unused(w->old))
			stop("the configuration before the last is still in use");
		proxy_generation_free(w->old);
	}
	w->old = w->generation;
	w->generation = generation_new(w, text);
	publish(w);
	world_run(w);
}

/* ---- life ---- */

void
world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->now_ns = 1000 * NS_PER_SECOND;
	w->worker_connections = 64;
	w->receive_buffer = 65536;
	w->send_buffer = 131072;
	w->mtu = 1500;
	w->log_fd = -1;
	w->peers_max = WORLD_PEERS_MAX;
}

static void
side_start(struct world *w, enum world_side_name name)
{
	static const char *const addresses[] = { "198.51.100.7", "192.0.2.1", "10.0.0.1" };
	struct world_side *side = &w->sides[name];
	bool weir = name == WORLD_WEIR;
	struct tcp_env env = { .context = side, .send = env_send, .route = env_route };
	struct tcp_config config = {
		.pool = weir ? weir_pool() : support_pool(),
		.connections_max = weir ? w->worker_connections * 2 + 256 : w->peers_max,
		.time_wait_max = w->peers_max,
		.receive_buffer = weir ? w->receive_buffer : 65535,
		.send_buffer = weir ? w->send_buffer : 1 << 20,
		.syn_backlog = 1024,
		.port_first = 20000,
		.port_last = 60000,
		.port_modulus = 1,
		.secret = { 1 + (uint64_t)name, 2 },
		.keepalive_idle_s = weir ? w->keepalive_idle_s : 0,
	};
	const char *error;

	side->world = w;
	side->name = name;
	side->pool = config.pool;
	side->wire_end = &side->wire;
	ip_address_parse(bytes_of_string(addresses[name]), &side->address);
	side->stack = tcp_stack_new(&config, &env, w->now_ns, &error);
	if (!side->stack)
		stop("%s", error);
}

static void
servers_listen(struct world *w)
{
	static struct tcp_listener listeners[6];
	char text[32];

	for (int i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d:%d", i / 2 + 1, i % 2 ? 8080 : 80);
		endpoint_parse(bytes_of_string(text), 0, &listeners[i].local);
	}
	tcp_listen(w->sides[WORLD_SERVERS].stack, listeners, 6);
}

/* One file for all worlds: the log keeps descriptors by path. */
static void
log_open(struct world *w)
{
	static int fd = -1;
	static struct log_target target = { .level = LOG_INFO };
	char path[64];

	if (fd < 0) {
		fd = memfd_create("log", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fd < 0 || log_file_get(path, &target.file) < 0)
			stop("no log");
		log_error_set(&target);
	}
	w->log_fd = fd;
	if (ftruncate(fd, 0) < 0)
		stop("no log");
}

void
world_start(struct world *w, const char *text)
{
	struct proxy_worker_config config = { .connections_max = w->worker_connections, .random_seed = 1 };

	support_dpdk_init();
	current = w;
	log_open(w);
	w->pool_before = support_pool_available();
	w->weir_pool_before = rte_mempool_avail_count(weir_pool());
	for (int i = 0; i < WORLD_SIDES; i++)
		side_start(w, (enum world_side_name)i);
	servers_listen(w);
	config.tcp = w->sides[WORLD_WEIR].stack;
	w->worker = proxy_worker_new(&config, w->now_ns);
	if (!w->worker)
		stop("no memory for a worker");
	w->generation = generation_new(w, text);
	publish(w);
}

unsigned int
world_in_use(const struct world *w)
{
	return slab_in_use(w->worker->sessions) + slab_in_use(w->worker->links) + slab_in_use(w->worker->exchanges) +
	       slab_in_use(w->worker->large) + slab_in_use(w->worker->origins) + slab_in_use(w->worker->relays) +
	       slab_in_use(w->worker->hellos);
}

static void
generation_stop(struct proxy_generation *generation, bool in_force)
{
	for (uint32_t i = 0; generation && i < generation->group_count; i++)
		for (uint32_t s = 0; s < generation->groups[i]->primary_count + generation->groups[i]->backup_count;
		     s++)
			if (upstream_active(generation->shares[0].states[i], s))
				stop("a server still has a request");
	if (generation && generation->shares[0].references)
		stop("a configuration is still referred to");
	if (generation && !in_force && !proxy_generation_unused(generation))
		stop("an old configuration is still in use");
	proxy_generation_free(generation);
}

void
world_stop(struct world *w)
{
	struct tcp_usage usage;

	world_feed(w);
	for (int i = 0; i < WORLD_SIDES; i++)
		w->sides[i].cut = false;
	for (size_t i = 0; i < w->peer_count; i++)
		peer_reset(&w->peers[i]);
	/* Peers that had given their connection back may be waited for: 60 s of a timeout, 30 s of lingering; idle
	 * connections to servers that said nothing. */
	if (world_in_use(w))
		world_advance(w, 100000);
	if (world_in_use(w))
		stop("left over: %u sessions, %u links, %u exchanges, %u large blocks",
		     slab_in_use(w->worker->sessions), slab_in_use(w->worker->links), slab_in_use(w->worker->exchanges),
		     slab_in_use(w->worker->large));
	world_advance(w, 10);
	tcp_usage(w->sides[WORLD_WEIR].stack, &usage);
	for (int i = 0; i < 400 && usage.connections; i++) {
		world_advance(w, 1000);
		tcp_usage(w->sides[WORLD_WEIR].stack, &usage);
	}
	if (usage.connections)
		stop("%u connections are left", usage.connections);
	generation_stop(w->generation, true);
	generation_stop(w->old, false);
	proxy_worker_free(w->worker);
	for (int i = 0; i < WORLD_SIDES; i++) {
		free_chain(w->sides[i].wire);
		tcp_stack_free(w->sides[i].stack);
	}
	for (size_t i = 0; i < w->peer_count; i++) {
		free(w->peers[i].in);
		free(w->peers[i].out);
	}
	if (support_pool_available() != w->pool_before || rte_mempool_avail_count(weir_pool()) != w->weir_pool_before)
		stop("%d packet buffers are missing",
		     (int)(w->pool_before + w->weir_pool_before - support_pool_available() -
			   rte_mempool_avail_count(weir_pool())));
}

/* ---- what tests do ---- */

struct peer *
world_connect_to(struct world *w, const char *endpoint)
{
	struct endpoint remote;
	struct tcp_connection *tcp;
	struct peer *peer;
	int error = 0;

	endpoint_parse(bytes_of_string(endpoint), 80, &remote);
	tcp = tcp_connect(w->sides[WORLD_CLIENTS].stack, &remote, NULL, &error);
	if (!tcp)
		stop("tcp_connect: %d", error);
	peer = peer_new(w, tcp);
	world_run(w);
	return peer;
}

struct peer *
world_connect(struct world *w)
{
	return world_connect_to(w, "192.0.2.1");
}

struct peer *
world_accept(struct world *w)
{
	for (size_t i = 0; i < w->peer_count; i++) {
		if (!w->peers[i].port || w->peers[i].taken)
			continue;
		w->peers[i].taken = true;
		return &w->peers[i];
	}
	return NULL;
}

void
peer_send(struct peer *peer, const void *data, size_t len)
{
	if (peer->out_done == peer->out_len)
		peer->out_done = peer->out_len = 0;
	grow(&peer->out, &peer->out_capacity, peer->out_len + len);
	if (len)
		memcpy(peer->out + peer->out_len, data, len);
	peer->out_len += len;
	push_output(peer);
	world_run(peer->world);
}

void
peer_say(struct peer *peer, const char *text)
{
	peer_send(peer, text, strlen(text));
}

const char *
peer_said(struct peer *peer)
{
	const char *text;

	grow(&peer->in, &peer->in_capacity, peer->in_len + 1);
	peer->in[peer->in_len] = '\0';
	text = (const char *)peer->in + peer->in_taken;
	peer->in_taken = peer->in_len;
	return text;
}

size_t
peer_received(const struct peer *peer)
{
	return peer->in_len;
}

void
peer_read(struct peer *peer, size_t len)
{
	take_input(peer, len);
	world_run(peer->world);
}

void
peer_shutdown(struct peer *peer)
{
	peer->shutting = true;
	push_output(peer);
	world_run(peer->world);
}

void
peer_close(struct peer *peer)
{
	if (peer->tcp)
		tcp_close(peer->tcp);
	peer->tcp = NULL;
	world_run(peer->world);
}

void
peer_reset(struct peer *peer)
{
	if (peer->tcp)
		tcp_abort(peer->tcp);
	peer->tcp = NULL;
	world_run(peer->world);
}

bool
peer_sees_end(const struct peer *peer)
{
	return peer->ended && !(peer->closed && peer->reason != TCP_FINISHED);
}

bool
peer_sees_reset(const struct peer *peer)
{
	return peer->closed && peer->reason == TCP_RESET;
}

void
world_starve(struct world *w, unsigned int left)
{
	while (rte_mempool_avail_count(weir_pool()) > left) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(weir_pool());

		m->next = w->hoard;
		w->hoard = m;
	}
}

void
world_feed(struct world *w)
{
	free_chain(w->hoard);
	w->hoard = NULL;
}

uint64_t
world_count(const struct world *w, enum proxy_counter counter)
{
	return proxy_worker_counters(w->worker)[counter];
}

bool
world_logged(struct world *w, const char *text)
{
	static char buffer[1 << 20];
	ssize_t len = pread(w->log_fd, buffer, sizeof(buffer) - 1, 0);

	if (len < 0 || ftruncate(w->log_fd, 0) < 0)
		stop("no log");
	buffer[len] = '\0';
	if (strstr(buffer, text))
		return true;
	fprintf(stderr, "the error log has no \"%s\":\n%s", text, buffer);
	return false;
}

const struct world_record *
world_last(const struct world *w)
{
	static const struct world_record none;

	return w->record_count ? &w->records[(w->record_count - 1) % WORLD_RECORDS_MAX] : &none;
}
