/* A decision as one line of JSON. All keys are always there, in this order; what does not apply is null. */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

#include "l4/generation.h"
#include "l4/settings.h"

static const char *const flow_states[L4_FLOW_STATES] = {
	[L4_FLOW_NONE] = "none",       [L4_FLOW_UDP] = "udp",
	[L4_FLOW_OPENING] = "opening", [L4_FLOW_ESTABLISHED] = "established",
	[L4_FLOW_CLOSING] = "closing", [L4_FLOW_CLOSED] = "closed",
};

/* Text under construction: goes on counting when there is no more room. */
struct line {
	char *out;
	size_t size, len;
};

static void __attribute__((format(printf, 2, 3))) print(struct line *line, const char *format, ...)
{
	bool room = line->len < line->size;
	va_list arguments;
	int added;

	va_start(arguments, format);
	added = vsnprintf(room ? line->out + line->len : NULL, room ? line->size - line->len : 0, format, arguments);
	va_end(arguments);
	line->len += added > 0 ? (size_t)added : 0;
}

static void
print_key(struct line *line, const char *key)
{
	print(line, "%s\"%s\":", line->len > 1 ? "," : "", key);
}

static void
print_text(struct line *line, const char *key, const char *text)
{
	print_key(line, key);
	print(line, text ? "\"%s\"" : "null", text);
}

/* Names come from the configuration and may hold anything. */
static void
print_name(struct line *line, const char *key, struct bytes name)
{
	print_key(line, key);
	print(line, "\"");
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];

		if (c == '"' || c == '\\')
			print(line, "\\%c", c);
		else if (c < ' ' || c >= 127)
			print(line, "\\u%04x", c);
		else
			print(line, "%c", c);
	}
	print(line, "\"");
}

static void
print_number(struct line *line, const char *key, uint64_t number)
{
	print_key(line, key);
	print(line, "%llu", (unsigned long long)number);
}

static bool
is_unset(const struct ip_address *ip)
{
	return ip->halves[0] == 0 && ip->halves[1] == 0;
}

/* An address alone where there is no port. */
static void
print_endpoint(struct line *line, const char *key, const struct endpoint *endpoint)
{
	char text[ENDPOINT_TEXT_MAX];

	if (endpoint->port_be)
		endpoint_format(endpoint, text, sizeof(text));
	else
		ip_address_format(&endpoint->ip, text, sizeof(text));
	print_text(line, key, endpoint->port_be == 0 && is_unset(&endpoint->ip) ? NULL : text);
}

static void
print_protocol(struct line *line, const struct l4_decision *d)
{
	static const char *const names[UINT8_MAX + 1] = {
		[IPPROTO_TCP] = "tcp", [IPPROTO_UDP] = "udp", [IPPROTO_ICMP] = "icmp", [IPPROTO_ICMPV6] = "icmpv6"
	};

	if (names[d->ip_protocol] || d->ip_protocol == 0) {
		print_text(line, "protocol", names[d->ip_protocol]);
		return;
	}
	print_key(line, "protocol");
	print(line, "\"%u\"", d->ip_protocol);
}

static void
print_tcp_flags(struct line *line, const struct l4_decision *d)
{
	static const char letters[] = "FSRPAUEC";
	char text[sizeof(letters)];
	size_t len = 0;

	for (unsigned int bit = 0; bit < 8; bit++)
		if (d->tcp_flags >> bit & 1)
			text[len++] = letters[bit];
	text[len] = 0;
	print_text(line, "tcp_flags", d->ip_protocol == IPPROTO_TCP ? text : NULL);
}

static void
print_service(struct line *line, const struct l4_service *service)
{
	char text[STREAM_LISTEN_TEXT_MAX];

	if (!service) {
		print_text(line, "service", NULL);
		print_text(line, "group", NULL);
		print_text(line, "forward", NULL);
		return;
	}
	stream_listen_format(&(struct stream_listen){ .ip = service->ip,
						      .port_first = service->port_first,
						      .port_last = service->port_last },
			     text, sizeof(text));
	print_text(line, "service", text);
	print_name(line, "group", service->group->name);
	print_text(line, "forward", service->forwarder->name);
}

static void
print_server(struct line *line, const struct l4_generation *generation, uint32_t target)
{
	if (!generation || target == L4_TARGET_NONE)
		print_text(line, "server", NULL);
	else
		print_endpoint(line, "server", &l4_registry_targets(generation->registry)[target].server);
}

static void
print_sent(struct line *line, const struct l4_decision *d)
{
	const struct endpoint outer_source = { .ip = d->outer_source };
	const struct endpoint outer_destination = { .ip = d->outer_destination };

	print_endpoint(line, "sent_source", &d->sent_source);
	print_endpoint(line, "sent_destination", &d->sent_destination);
	print_endpoint(line, "outer_source", &outer_source);
	print_endpoint(line, "outer_destination", &outer_destination);
	print_number(line, "sent_length", d->sent_length);
	print_number(line, "hop", d->hop);
}

size_t
l4_decision_format(const struct l4_decision *d, const struct l4_generation *generation, char *out, size_t size)
{
	struct line line = { .out = out, .size = size };

	if (size)
		out[0] = 0;
	print(&line, "{");
	print_number(&line, "time_ns", d->time_ns);
	print_number(&line, "lcore", d->lcore);
	print_number(&line, "port", d->port_index);
	print_protocol(&line, d);
	print_endpoint(&line, "source", &d->source);
	print_endpoint(&line, "destination", &d->destination);
	print_tcp_flags(&line, d);
	print_number(&line, "length", d->length);
	print_service(&line, generation ? l4_service_by_id(generation, d->service_id) : NULL);
	print_number(&line, "hash", d->hash);
	if (d->entry == UINT32_MAX)
		print_text(&line, "entry", NULL);
	else
		print_number(&line, "entry", d->entry);
	print_text(&line, "flow", d->flow_state < L4_FLOW_STATES ? flow_states[d->flow_state] : NULL);
	print_server(&line, generation, d->target);
	print_sent(&line, d);
	print_text(&line, "verdict", d->verdict < L4_VERDICT_COUNT ? l4_verdict_names[d->verdict] : NULL);
	print(&line, "}");
	return line.len;
}
