#include "host.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "filter/filters.h"
#include "packet/parse.h"
#include "packet/view.h"
#include "proxy/settings/real_ip.h"
#include "proxy/settings/settings.h"
#include "tls/settings.h"

#define BUFFER_BYTES 262144

static struct host *hosts[HOSTS_MAX];

/* ---- the wire ---- */

static uint16_t
receive(struct port *port, uint16_t queue, struct rte_mbuf **out, uint16_t max)
{
	struct host *host = (struct host *)port;
	struct wire *wire = &host->in;
	uint16_t count = 0;

	for (; count < max && wire->head != wire->tail; wire->head++) {
		struct rte_mbuf *from = wire->packets[wire->head % WIRE_PACKETS], *m = rte_pktmbuf_alloc(host->pool);

		if (m) {
			memcpy(rte_pktmbuf_append(m, from->data_len), rte_pktmbuf_mtod(from, void *), from->data_len);
			out[count++] = m;
		}
		rte_pktmbuf_free(from);
	}
	return count;
}

static void
transmit(struct port *port, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		uint8_t to = rte_pktmbuf_mtod(m[i], const uint8_t *)[5];
		struct wire *wire = to < HOSTS_MAX && hosts[to] ? &hosts[to]->in : NULL;

		if (wire && wire->tail - wire->head < WIRE_PACKETS) {
			wire->packets[wire->tail++ % WIRE_PACKETS] = m[i];
			continue;
		}
		if (wire)
			wire->lost++;
		rte_pktmbuf_free(m[i]);
	}
}

static bool
link_up(struct port *port)
{
	return true;
}

static const struct port_ops wire_ops = {
	.kind = "wire", .rx_burst = receive, .tx_burst = transmit, .link_up = link_up
};

/* ---- what TCP asks for ---- */

static void
send_packet(void *context, struct rte_mbuf *m)
{
	net_output_send(((struct host *)context)->output, m);
}

static bool
route(void *context, const struct ip_address *remote, struct ip_address *local, uint16_t *mtu)
{
	return net_route_source(((struct host *)context)->mirror, remote, local, mtu);
}

/* ---- life ---- */

static int
failed(const char *what)
{
	fprintf(stderr, "%s\n", what);
	return -1;
}

static int
new_mirror(struct host *host, unsigned int number, char *error, size_t size)
{
	struct net_fixed_address address = { ip_address_from_v4(htonl(0x0a000000u + number)), 24 };
	struct net_fixed_neighbor neighbors[HOSTS_MAX - 1];

	for (unsigned int i = 0; i < HOSTS_MAX - 1; i++)
		neighbors[i] = (struct net_fixed_neighbor){ .address = ip_address_from_v4(htonl(0x0a000001u + i)),
							    .mac = { 0x02, 0, 0, 0, 0, (uint8_t)(i + 1) } };
	return net_mirror_new_fixed(&host->mirror, &host->port, &address, 1, neighbors, HOSTS_MAX - 1, error, size);
}

int
host_init(struct host *host, unsigned int number, struct rte_mempool *pool, uint32_t connections)
{
	struct tcp_config tcp = {
		.pool = pool,
		.connections_max = connections * 2 + 256,
		.time_wait_max = 65536,
		.receive_buffer = BUFFER_BYTES,
		.send_buffer = BUFFER_BYTES,
		.large_segments = true,
		.syn_backlog = 1024,
		.port_first = 10240,
		.port_last = 65535,
		.port_modulus = 1,
		.secret = { 1, number },
	};
	struct tcp_env env = { .context = host, .send = send_packet, .route = route };
	const char *reason;
	char error[256];

	host->now_ns = clock_monotonic_ns();
	host->pool = pool;
	host->port = (struct port){ .ops = &wire_ops,
				    .ifindex = 1,
				    .mtu = 1500,
				    .queues = 1,
				    .features = PORT_FLOW_STABLE,
				    .counters = &host->counters,
				    .mac.addr_bytes = { 0x02, 0, 0, 0, 0, (uint8_t)number } };
	snprintf(host->port.name, sizeof(host->port.name), "wire%u", number);
	if (new_mirror(host, number, error, sizeof(error)) < 0)
		return failed(error);
	host->output = net_output_new(host->mirror, 0, host->now_ns);
	host->tcp = tcp_stack_new(&tcp, &env, host->now_ns, &reason);
	if (!host->output || !host->tcp)
		return failed("out of memory");
	hosts[number] = host;
	return 0;
}

int
host_serve(struct host *host, const char *text, uint32_t connections)
{
	static struct config_module *const modules[] = { &upstream_module,      &tls_module,
							 &tls_client_module,    &tls_grpc_module,
							 &proxy_server_module,  &proxy_location_module,
							 &proxy_real_ip_module, NULL };
	static const struct proxy_filter *const none[] = { NULL };
	struct config_source source = { .path = "bench.conf", .text = bytes_of_string(text) };
	struct proxy_worker_config config = { .tcp = host->tcp,
					      .connections_max = connections * 2 + 64,
					      .random_seed = 1 };
	const struct tcp_listener *listeners;
	uint32_t count;

	host->config = config_parse(&source, modules);
	if (config_error(host->config))
		return failed(config_error(host->config));
	host->generation = proxy_generation_new(host->config, 1, none);
	host->proxy = proxy_worker_new(&config, host->now_ns);
	if (!host->generation || !host->proxy)
		return failed("out of memory");
	listeners = proxy_generation_listeners(host->generation, &count);
	tcp_listen(host->tcp, listeners, count);
	proxy_worker_adopt(host->proxy, host->generation);
	return 0;
}

int
host_load(struct host *host, struct load_config *config)
{
	config->tcp = host->tcp;
	host->load = load_new(config, host->now_ns);
	if (!host->load)
		return failed("out of memory");
	load_begin(host->load, host->now_ns);
	return 0;
}

void
host_fini(struct host *host)
{
	load_free(host->load);
	proxy_worker_free(host->proxy);
	tcp_stack_free(host->tcp);
	net_output_free(host->output);
	net_mirror_free(host->mirror);
}

/* ---- rounds ---- */

static void
run_load(struct host *host, uint64_t now_ns)
{
	struct tcp_connection *tcp;
	uint32_t events;

	while ((tcp = tcp_ready(host->tcp, &events)))
		load_handle(host->load, tcp, events, now_ns);
	load_run(host->load, now_ns);
}

static inline __attribute__((always_inline)) void
round_of(struct host *host, uint64_t now_ns)
{
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t count = port_rx_burst(&host->port, 0, burst, PORT_BURST);

	tcp_stack_time(host->tcp, now_ns);
	for (uint16_t i = 0; i < count; i++)
		packet_view(burst[i])->port_index = 0;
	for (uint16_t i = 0; i < count; i++)
		packet_parse(burst[i]);
	tcp_prefetch(host->tcp, burst, count);
	for (uint16_t i = 0; i < count; i++)
		if (packet_view(burst[i])->verdict == PACKET_OK)
			tcp_input(host->tcp, burst[i]);
		else
			rte_pktmbuf_free(burst[i]);
	tcp_timers(host->tcp);
	if (host->proxy)
		proxy_worker_run(host->proxy, now_ns, now_ns, false);
	else if (host->load)
		run_load(host, now_ns);
	else if (host->blob)
		blob_run(host->blob);
	else
		host->run(host);
	tcp_flush(host->tcp);
	net_output_flush(host->output, now_ns);
}

__attribute__((noinline)) void
host_round(struct host *host, uint64_t now_ns)
{
	round_of(host, now_ns);
}

__attribute__((noinline)) void
host_round_measured(struct host *host, uint64_t now_ns)
{
	round_of(host, now_ns);
}
