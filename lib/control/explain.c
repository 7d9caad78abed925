#include "control/explain.h"

#include <errno.h>
#include <string.h>

#include "control/status.h"

struct question {
	uint8_t ip_protocol, tcp_flags;
	struct endpoint source, destination;
};

/* What one worker says. */
struct opinion {
	const struct question *question;
	const struct control_worker *worker;
	struct l4_decision decision;
	bool has_hop;
	struct net_hop_facts hop;
};

/* ---- the question ---- */

static const struct {
	const char *name;
	uint8_t bit; /* RFC 9293 section 3.1 */
} tcp_flags[] = { { "fin", 0x01 }, { "syn", 0x02 }, { "rst", 0x04 }, { "ack", 0x10 } };

static int
parse_flags(struct control_call *call, struct bytes text, uint8_t *out)
{
	*out = 0;
	while (text.len) {
		ptrdiff_t comma = bytes_index(text, ',');
		struct bytes word = bytes_of(text.data, comma < 0 ? text.len : (size_t)comma);
		uint8_t bit = 0;

		for (size_t i = 0; i < sizeof(tcp_flags) / sizeof(tcp_flags[0]); i++)
			if (bytes_equal_string(word, tcp_flags[i].name))
				bit = tcp_flags[i].bit;
		if (!bit)
			return control_call_fail(call, "unknown TCP flag \"%.*s\"",
						 (int)(word.len > 64 ? 64 : word.len), (const char *)word.data);
		*out |= bit;
		text = comma < 0 ? bytes_of(NULL, 0) : bytes_from(text, (size_t)comma + 1);
	}
	return 0;
}

static int
parse_endpoint(struct control_call *call, const char *text, struct endpoint *out)
{
	if (endpoint_parse(bytes_of_string(text), 0, out) < 0 || !out->port_be)
		return control_call_fail(call, "invalid endpoint \"%.64s\": it must be ADDRESS:PORT", text);
	return 0;
}

static int
parse_question(struct control_call *call, struct question *out)
{
	struct control_words words;
	const char *flags = "syn";
	int given;

	control_words_of(call, &words);
	given = control_words_option(call, &words, "--flags", &flags);
	if (given < 0 || control_words_end(call, &words, 3, 3) < 0)
		return -EINVAL;
	if (strcmp(words.words[0], "tcp") == 0)
		out->ip_protocol = IPPROTO_TCP;
	else if (strcmp(words.words[0], "udp") == 0)
		out->ip_protocol = IPPROTO_UDP;
	else
		return control_call_fail(call, "unknown protocol \"%.64s\": it must be tcp or udp", words.words[0]);
	if (parse_endpoint(call, words.words[1], &out->source) < 0 ||
	    parse_endpoint(call, words.words[2], &out->destination) < 0)
		return -EINVAL;
	if (ip_address_is_v4(&out->source.ip) != ip_address_is_v4(&out->destination.ip))
		return control_call_fail(call, "source and destination are of different IP versions");
	if (out->ip_protocol == IPPROTO_TCP)
		return parse_flags(call, bytes_of_string(flags), &out->tcp_flags);
	return given ? control_call_fail(call, "--flags is for tcp") : 0;
}

/* ---- the answer ---- */

static void
ask(void *argument)
{
	struct opinion *opinion = argument;
	const struct question *q = opinion->question;

	l4_explain(opinion->worker->l4, q->ip_protocol, &q->source, &q->destination, q->tcp_flags, &opinion->decision);
	if (opinion->decision.hop != NET_HOP_NONE)
		opinion->has_hop = net_hop_describe(opinion->worker->output, opinion->decision.hop, &opinion->hop);
}

static const char *
flow_state_name(uint8_t state)
{
	static const char *const names[L4_FLOW_STATES] = {
		"none", "udp", "opening", "established", "closing", "closed"
	};

	return state < L4_FLOW_STATES ? names[state] : "?";
}

static json_t *
service_facts(const struct l4_service *service)
{
	char ports[CONTROL_PORTS_TEXT_MAX];

	control_ports_format(service->port_first, service->port_last, ports, sizeof(ports));
	return json_pack("{s:o,s:s,s:s,s:o,s:s}", "address", control_ip(&service->ip), "ports", ports, "forward",
			 service->forwarder->name, "group", control_text(service->group->name), "method",
			 service->method ? service->method->name : "maglev");
}

static json_t *
hop_facts(const struct net_hop_facts *hop)
{
	char source[RTE_ETHER_ADDR_FMT_SIZE], destination[RTE_ETHER_ADDR_FMT_SIZE];
	json_t *row;

	rte_ether_format_addr(source, sizeof(source), &hop->source);
	rte_ether_format_addr(destination, sizeof(destination), &hop->destination);
	row = json_pack("{s:s?,s:o,s:i,s:i,s:b}", "port", hop->port ? hop->port->name : NULL, "neighbor",
			control_ip(&hop->neighbor), "vlan", (int)hop->vlan_id, "mtu", (int)hop->mtu, "resolved",
			(int)hop->resolved);
	if (hop->resolved) {
		json_object_set_new(row, "source_mac", json_string(source));
		json_object_set_new(row, "destination_mac", json_string(destination));
	}
	return row;
}

static bool
is_zero(const struct ip_address *ip)
{
	return ip->halves[0] == 0 && ip->halves[1] == 0;
}

static void
fill_answer(struct control_call *call, const struct opinion *opinion, unsigned int worker)
{
	const struct l4_decision *d = &opinion->decision;
	const struct l4_service *service = call->facts->l4 ? l4_service_by_id(call->facts->l4, d->service_id) : NULL;
	const struct l4_target *target = &l4_registry_targets(call->facts->registry)[d->target];
	json_t *answer = call->answer;

	json_object_set_new(answer, "verdict", json_string(l4_verdict_names[d->verdict]));
	json_object_set_new(answer, "protocol", json_string(d->ip_protocol == IPPROTO_UDP ? "udp" : "tcp"));
	json_object_set_new(answer, "source", control_endpoint(&d->source));
	json_object_set_new(answer, "destination", control_endpoint(&d->destination));
	json_object_set_new(answer, "worker", json_integer(worker));
	if (service)
		json_object_set_new(answer, "service", service_facts(service));
	if (d->service_id) {
		json_object_set_new(answer, "flow", json_string(flow_state_name(d->flow_state)));
		json_object_set_new(answer, "hash", json_integer(d->hash));
	}
	if (d->entry != UINT32_MAX)
		json_object_set_new(answer, "entry", json_integer(d->entry));
	if (d->target != L4_TARGET_NONE)
		json_object_set_new(answer, "server", control_endpoint(&target->server));
	if (!is_zero(&d->sent_destination.ip)) {
		json_object_set_new(answer, "sent_source", control_endpoint(&d->sent_source));
		json_object_set_new(answer, "sent_destination", control_endpoint(&d->sent_destination));
	}
	if (!is_zero(&d->outer_destination)) {
		json_object_set_new(answer, "outer_source", control_ip(&d->outer_source));
		json_object_set_new(answer, "outer_destination", control_ip(&d->outer_destination));
	}
	if (opinion->has_hop)
		json_object_set_new(answer, "next_hop", hop_facts(&opinion->hop));
}

/* Every worker is asked, as only one of them knows the flow. Of a new one all say the same. */
int
control_explain(struct control_call *call)
{
	const struct control_facts *facts = call->facts;
	struct question question = { 0 };
	struct opinion best = { 0 };
	unsigned int who = 0;
	bool any = false;

	if (parse_question(call, &question) < 0)
		return -EINVAL;
	for (unsigned int i = 0; i < facts->worker_count; i++) {
		struct opinion opinion = { .question = &question, .worker = &facts->workers[i] };

		if (!opinion.worker->l4)
			continue;
		call->host->run(call->host->context, i, ask, &opinion);
		if (any && !(opinion.decision.flow_state && !best.decision.flow_state))
			continue;
		best = opinion;
		who = i;
		any = true;
	}
	if (!any || !facts->registry)
		return control_call_fail(call, "there are no packet-level services");
	fill_answer(call, &best, who);
	return 0;
}

/* ---- text ---- */

static const char *
text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void
render_way(const json_t *answer, FILE *out)
{
	const json_t *hop = json_object_get(answer, "next_hop");

	if (text(answer, "sent_destination"))
		fprintf(out, "sent      %s -> %s\n", text(answer, "sent_source"), text(answer, "sent_destination"));
	if (text(answer, "outer_destination"))
		fprintf(out, "in        %s -> %s\n", text(answer, "outer_source"), text(answer, "outer_destination"));
	if (!hop)
		return;
	fprintf(out, "next hop  %s on %s", text(hop, "neighbor"),
		text(hop, "port") ? text(hop, "port") : "a link that is down");
	if (json_integer_value(json_object_get(hop, "vlan")))
		fprintf(out, ", VLAN %lld", (long long)json_integer_value(json_object_get(hop, "vlan")));
	fprintf(out, ", mtu %lld, ", (long long)json_integer_value(json_object_get(hop, "mtu")));
	fprintf(out, "%s\n", text(hop, "destination_mac") ? text(hop, "destination_mac") : "not resolved yet");
}

void
control_explain_render(const json_t *answer, FILE *out)
{
	const json_t *service = json_object_get(answer, "service"), *entry = json_object_get(answer, "entry");
	const char *flow = text(answer, "flow");

	fprintf(out, "packet    %s %s -> %s\n", text(answer, "protocol"), text(answer, "source"),
		text(answer, "destination"));
	if (service)
		fprintf(out, "service   %s ports %s, %s, group %s (%s)\n", text(service, "address"),
			text(service, "ports"), text(service, "forward"), text(service, "group"),
			text(service, "method"));
	if (flow && strcmp(flow, "none") == 0)
		fputs("flow      miss\n", out);
	else if (flow)
		fprintf(out, "flow      hit: %s, on worker %lld\n", flow,
			(long long)json_integer_value(json_object_get(answer, "worker")));
	if (entry)
		fprintf(out, "bucket    %lld of the Maglev table, hash %08llx\n", (long long)json_integer_value(entry),
			(unsigned long long)json_integer_value(json_object_get(answer, "hash")));
	if (text(answer, "server"))
		fprintf(out, "server    %s\n", text(answer, "server"));
	render_way(answer, out);
	fprintf(out, "verdict   %s\n", text(answer, "verdict"));
}
