#include "world.h"

#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "packet/view.h"
#include "stream/stream.h"

/* Two bursts and the pool's cache are in use; more only makes start-up slower. */
#define PACKET_BUFFERS 4096
/* What a host with Linux' default leaves for full NAT is less; this is what an address has. */
#define LOCAL_PORT_FIRST 1024
#define LOCAL_PORT_LAST 65535
#define CONFIG_TEXT_MAX 16384

/* ---- configuration ---- */

static void
write_address(FILE *out, const struct ip_address *ip)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint e = { .ip = *ip, .port_be = htons(SYNTHETIC_PORT) };

	endpoint_format(&e, text, sizeof(text));
	fputs(text, out);
}

static char *
configuration_text(const struct world_options *o)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct ip_address ip = synthetic_service(o->ipv6);

	if (!out)
		return NULL;
	fprintf(out, "stream { flows %llu; upstream servers {", (unsigned long long)o->flows);
	for (uint32_t i = 1; i <= o->servers; i++) {
		struct ip_address server = synthetic_server(o->ipv6, i);

		fputs(" server ", out);
		write_address(out, &server);
		fputs(";", out);
	}
	fputs(" } server { listen ", out);
	write_address(out, &ip);
	fprintf(out, "%s; proxy_pass servers; forward %s; %s } }", o->udp ? " udp" : "", o->mode,
		o->extra ? o->extra : "");
	fclose(out);
	return text;
}

static int
parse(struct world *w)
{
	static struct config_module *const modules[] = { &upstream_module, &stream_module, &l4_module, NULL };
	char *text = configuration_text(&w->options);
	struct config_source source = { .path = "bench.conf" };

	if (!text)
		return -1;
	source.text = bytes_of_string(text);
	w->config = config_parse(&source, modules);
	if (config_error(w->config))
		fprintf(stderr, "%s\n%s\n", config_error(w->config), text);
	free(text);
	return config_error(w->config) ? -1 : 0;
}

/* ---- around the worker ---- */

static int
new_mirror(struct world *w, char *error, size_t size)
{
	struct net_fixed_address addresses[] = { { synthetic_local(false), 24 }, { synthetic_local(true), 64 } };
	struct net_fixed_neighbor neighbors[2 * SYNTHETIC_SERVERS_MAX + 1] = {
		{ .address = ip_address_from_v4(0), .mac = { 0x02, 0, 0, 0, 0, 0x02 } },
	};

	for (uint32_t i = 0; i < 2 * SYNTHETIC_SERVERS_MAX; i++)
		neighbors[i + 1] = (struct net_fixed_neighbor){
			.address = synthetic_server(i >= SYNTHETIC_SERVERS_MAX, i % SYNTHETIC_SERVERS_MAX + 1),
			.mac = { 0x02, 0, 0, 0, 1, (uint8_t)(i % SYNTHETIC_SERVERS_MAX + 1) },
		};
	return net_mirror_new_fixed(&w->mirror, &w->port.port, addresses, RTE_DIM(addresses), neighbors,
				    RTE_DIM(neighbors), error, size);
}

static bool
source_of(void *context, const struct ip_address *server, struct ip_address *source)
{
	uint16_t mtu;

	return net_route_source(context, server, source, &mtu);
}

int
world_renew(struct world *w)
{
	struct l4_worker_config config = {
		.workers = 1,
		.targets = l4_registry_targets(w->registry),
		.output = w->output,
		.mirror = w->mirror,
		.pool = w->pool,
		.flows = w->options.flows,
		.local_port_first = LOCAL_PORT_FIRST,
		.local_port_last = LOCAL_PORT_LAST,
	};

	l4_worker_free(w->worker);
	w->worker = l4_worker_new(&config, w->now_ns);
	if (!w->worker) {
		fputs("no memory for the flows\n", stderr);
		return -1;
	}
	l4_worker_adopt(w->worker, w->generation);
	return 0;
}

static int
new_generation(struct world *w, char *error, size_t size)
{
	struct l4_generation_config config = {
		.registry = w->registry, .config = w->config, .source_of = source_of, .context = w->mirror
	};

	return l4_generation_new(&config, &w->generation, error, size);
}

int
world_new(struct world *w, const struct world_options *options)
{
	char error[512] = "out of memory";

	memset(w, 0, sizeof(*w));
	w->options = *options;
	w->now_ns = clock_monotonic_ns();
	if (parse(w) < 0)
		return -1;
	w->pool = port_pool_new(PACKET_BUFFERS, RTE_ETHER_MTU, PORT_MEMORY_PAGES, error, sizeof(error));
	if (!w->pool)
		goto failed;
	synthetic_port_init(&w->port, w->pool, options->ipv6, options->udp ? IPPROTO_UDP : IPPROTO_TCP);
	if (new_mirror(w, error, sizeof(error)) < 0)
		goto failed;
	w->output = net_output_new(w->mirror, 0, w->now_ns);
	w->registry = l4_registry_new();
	if (!w->output || !w->registry || new_generation(w, error, sizeof(error)) < 0)
		goto failed;
	return world_renew(w);
failed:
	fprintf(stderr, "%s\n", error);
	return -1;
}

void
world_free(struct world *w)
{
	l4_worker_free(w->worker);
	l4_generation_free(w->generation);
	l4_registry_free(w->registry);
	net_output_free(w->output);
	net_mirror_free(w->mirror);
	synthetic_port_fini(&w->port);
	rte_mempool_free(w->pool);
	config_free(w->config);
}

/* ---- rounds ---- */

unsigned int
world_round(struct world *w)
{
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t count = port_rx_burst(&w->port.port, 0, burst, PORT_BURST), passed;

	for (uint16_t i = 0; i < count; i++) {
		struct packet_view *view = packet_view(burst[i]);

		view->port_index = 0;
		view->queue = 0;
		view->stage = PACKET_NEW;
	}
	passed = l4_burst(w->worker, burst, count, L4_FROM_PORT, w->now_ns, w->parse_verdicts);
	w->passed += passed;
	rte_pktmbuf_free_bulk(burst, passed);
	l4_worker_maintain(w->worker, w->now_ns);
	net_output_flush(w->output, w->now_ns);
	return count;
}

void
world_run(struct world *w, uint64_t packets)
{
	for (uint64_t done = 0; done < packets; done += PORT_BURST)
		world_round(w);
}
