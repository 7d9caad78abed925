#include "weir-replay/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "l4/l4.h"
#include "packet/parse.h"
#include "weir-replay/output_port.h"
#include "weir/core.h"

/* Enough for all that may wait as fragments, a burst, and the longest frame of a capture in pieces. */
#define PACKET_BUFFERS 16384
#define PACKET_BUFFERS_JUMBO 4096
/* Fragments wait 2 s for their first, packets 3 s for a neighbour. */
#define FINISH_NS (4 * NS_PER_SECOND)
/* No flow lives so long: a longer pause is as good as this one. */
#define PAUSE_MAX_NS (24 * 3600 * NS_PER_SECOND)
/* So that a pause takes bounded work, whatever becomes due in it. */
#define STEP_MIN_NS NS_PER_MS
/* Linux gives its own connections 32768 to 60999; these are what a host with that default leaves to Weir. */
#define LOCAL_PORT_FIRST 1024
#define LOCAL_PORT_LAST 32767
#define DECISION_SIZE 4096

struct replay {
	struct replay_options options;
	struct output_port port;
	struct rte_mempool *pool;
	struct net_mirror *mirror;
	struct net_output *output;
	struct l4_registry *registry;
	struct l4_generation *generation;
	struct l4_worker *worker;

	struct rte_mbuf *burst[PORT_BURST]; /* frames of one time, not yet run */
	uint16_t burst_count;
	uint64_t burst_time_ns; /* as captured */
	uint64_t now_ns;        /* never goes back */
	uint64_t frames, partial_frames;
	uint64_t parse_verdicts[PACKET_VERDICT_COUNT];

	char *line; /* of the decision being written */
	size_t line_size;
};

/* ---- decisions ---- */

static void
write_decision(void *context, const struct l4_decision *decision)
{
	struct replay *r = context;
	size_t len = l4_decision_format(decision, r->generation, r->line, r->line_size);

	/* Names are the configuration's, and may be long. */
	if (len >= r->line_size) {
		char *longer = realloc(r->line, len + 1);

		if (!longer) {
			fputs("weir-replay: out of memory\n", stderr);
			exit(EXIT_FAILURE);
		}
		r->line = longer;
		r->line_size = len + 1;
		l4_decision_format(decision, r->generation, r->line, r->line_size);
	}
	fwrite(r->line, 1, len, r->options.decisions);
	fputc('\n', r->options.decisions);
}

/* ---- time ---- */

/* The end of a worker's round. */
static void
finish_round(struct replay *r, uint64_t sent_time_ns)
{
	r->port.time_ns = sent_time_ns;
	l4_worker_maintain(r->worker, r->now_ns);
	net_output_flush(r->output, r->now_ns);
}

static uint64_t
next_due_ns(const struct replay *r)
{
	uint64_t worker_ns = l4_worker_next_ns(r->worker), output_ns = net_output_next_ns(r->output);

	return RTE_MIN(worker_ns, output_ns);
}

/* Does at its time what becomes due between packets. */
static void
advance(struct replay *r, uint64_t to_ns)
{
	uint64_t until_ns = RTE_MIN(to_ns, r->now_ns + PAUSE_MAX_NS), due_ns;

	while ((due_ns = RTE_MAX(next_due_ns(r), r->now_ns + STEP_MIN_NS)) < until_ns) {
		r->now_ns = due_ns;
		finish_round(r, due_ns);
	}
	if (to_ns > r->now_ns)
		r->now_ns = to_ns;
}

/* ---- packets ---- */

static void
run_burst(struct replay *r)
{
	uint16_t passed;

	if (!r->burst_count)
		return;
	advance(r, r->burst_time_ns);
	r->port.time_ns = r->burst_time_ns;
	passed = l4_burst(r->worker, r->burst, r->burst_count, L4_FROM_PORT, r->now_ns, r->parse_verdicts);
	/* No service's: a worker would give them to its TCP, or to the kernel. */
	rte_pktmbuf_free_bulk(r->burst, passed);
	r->burst_count = 0;
	finish_round(r, r->burst_time_ns);
}

/* Longer than a buffer: a chain, as a port gives it. NULL when buffers are used up. */
static struct rte_mbuf *
mbuf_of(struct rte_mempool *pool, const struct capture_frame *frame)
{
	struct rte_mbuf *head = NULL;
	uint32_t done = 0;

	do {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint16_t len;

		if (!m || (head && rte_pktmbuf_chain(head, m) < 0)) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(head);
			return NULL;
		}
		len = (uint16_t)RTE_MIN(frame->len - done, (uint32_t)rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_mtod(m, void *), frame->bytes + done, len);
		m->data_len = len;
		done += len;
		head = head ? head : m;
		head->pkt_len = done;
	} while (done < frame->len);
	return head;
}

int
replay_frame(struct replay *r, const struct capture_frame *frame)
{
	struct rte_mbuf *m;

	if (r->burst_count == r->options.burst_max || (r->burst_count && frame->time_ns != r->burst_time_ns))
		run_burst(r);
	m = mbuf_of(r->pool, frame);
	if (!m)
		return -ENOMEM;
	packet_view(m)->port_index = r->port.port.index;
	packet_view(m)->queue = 0;
	packet_view(m)->stage = PACKET_NEW;
	r->frames++;
	r->partial_frames += frame->len < frame->wire_len;
	r->burst_time_ns = frame->time_ns;
	r->burst[r->burst_count++] = m;
	return 0;
}

void
replay_finish(struct replay *r)
{
	run_burst(r);
	advance(r, r->now_ns + FINISH_NS);
	finish_round(r, r->now_ns);
}

/* ---- set-up ---- */

static bool
source_of(void *context, const struct ip_address *server, struct ip_address *source)
{
	uint16_t mtu;

	return net_route_source(context, server, source, &mtu);
}

/* "ADDRESS/PREFIX", which the configuration has checked. */
static struct net_fixed_address
address_of(const char *text)
{
	struct bytes whole = bytes_of_string(text);
	size_t slash = (size_t)bytes_index(whole, '/');
	struct net_fixed_address address;
	uint64_t prefix_len = 0;

	ip_address_parse(bytes_of(whole.data, slash), &address.ip);
	bytes_parse_unsigned(bytes_from(whole, slash + 1), 128, &prefix_len);
	address.prefix_len = (uint8_t)prefix_len;
	return address;
}

static int
new_mirror(struct replay *r, const struct core_interface *interface, char *error, size_t size)
{
	struct net_fixed_address *addresses = calloc(interface->address_count + 1, sizeof(*addresses));
	int result;

	if (!addresses) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < interface->address_count; i++)
		addresses[i] = address_of(interface->addresses[i]);
	result = net_mirror_new_fixed(&r->mirror, &r->port.port, addresses, (uint32_t)interface->address_count,
				      interface->neighbors, (uint32_t)interface->neighbor_count, error, size);
	free(addresses);
	return result;
}

static int
new_worker(struct replay *r, char *error, size_t size)
{
	const struct l4_settings *settings = l4_settings(r->options.config);
	struct l4_generation_config generation = {
		.registry = r->registry,
		.config = r->options.config,
		.source_of = source_of,
		.context = r->mirror,
	};
	struct l4_worker_config worker = {
		.workers = 1,
		.targets = l4_registry_targets(r->registry),
		.output = r->output,
		.mirror = r->mirror,
		.pool = r->pool,
		.flows = settings->flows,
		.hash_seed = settings->hash_seed,
		.local_port_first = LOCAL_PORT_FIRST,
		.local_port_last = LOCAL_PORT_LAST,
	};
	int result = l4_generation_new(&generation, &r->generation, error, size);

	if (result < 0)
		return result;
	r->worker = l4_worker_new(&worker, r->now_ns);
	if (!r->worker) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	l4_worker_adopt(r->worker, r->generation);
	if (r->options.decisions)
		l4_worker_observe(r->worker, write_decision, r);
	return 0;
}

int
replay_new(struct replay **out, const struct replay_options *options, char *error, size_t size)
{
	const struct core_interface *interface = core_settings(options->config)->interfaces;
	uint16_t mtu = interface->port.mtu ? interface->port.mtu : RTE_ETHER_MTU;
	struct replay *r = calloc(1, sizeof(*r));
	int result = -ENOMEM;

	snprintf(error, size, "out of memory");
	if (!r)
		return -ENOMEM;
	r->options = *options;
	r->now_ns = options->start_ns;
	r->line_size = DECISION_SIZE;
	r->line = malloc(r->line_size);
	output_port_init(&r->port, interface->port.name, mtu, options->writer);
	r->pool = port_pool_new(mtu > PORT_XDP_MTU_MAX ? PACKET_BUFFERS_JUMBO : PACKET_BUFFERS, mtu, PORT_MEMORY_PAGES,
				error, size);
	if (r->pool)
		result = new_mirror(r, interface, error, size);
	if (result == 0) {
		r->output = net_output_new(r->mirror, 0, r->now_ns);
		r->registry = l4_registry_new();
		result = r->line && r->output && r->registry ? new_worker(r, error, size) : -ENOMEM;
	}
	if (result < 0) {
		replay_free(r);
		return result;
	}
	*out = r;
	return 0;
}

void
replay_free(struct replay *r)
{
	if (!r)
		return;
	rte_pktmbuf_free_bulk(r->burst, r->burst_count);
	l4_worker_free(r->worker);
	l4_generation_free(r->generation);
	l4_registry_free(r->registry);
	net_output_free(r->output);
	net_mirror_free(r->mirror);
	rte_mempool_free(r->pool);
	free(r->line);
	free(r);
}

/* ---- what happened ---- */

void
replay_report(const struct replay *r, FILE *out)
{
	const uint64_t *verdicts = l4_worker_counters(r->worker);
	const char *before = ":";

	fprintf(out, "%" PRIu64 " frames read, %" PRIu64 " written", r->frames, r->port.frames);
	for (unsigned int i = 0; i < L4_VERDICT_COUNT; i++) {
		if (!verdicts[i])
			continue;
		fprintf(out, "%s %s %" PRIu64, before, l4_verdict_names[i], verdicts[i]);
		before = ",";
	}
	before = "; of these,";
	for (unsigned int i = PACKET_NOT_IP + 1; i < PACKET_VERDICT_COUNT; i++) {
		if (!r->parse_verdicts[i])
			continue;
		fprintf(out, "%s %s %" PRIu64, before, packet_verdict_names[i], r->parse_verdicts[i]);
		before = ",";
	}
	fputc('\n', out);
	if (r->partial_frames)
		fprintf(out, "%" PRIu64 " frame%s captured in part: what is missing cannot be sent\n",
			r->partial_frames, r->partial_frames == 1 ? " was" : "s were");
}
