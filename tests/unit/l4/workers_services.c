#include "workers.h"

#include <netinet/in.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <string.h>

const unsigned int workers_counts[WORKERS_COUNTS] = { 1, 2, 3, 7, 16 };
const char *const workers_modes[] = { "full_nat", "nat", "dsr", "ipip", "gue", NULL };
const char *const workers_modes_both_ways[] = { "full_nat", "nat", NULL };

const char *
workers_services(const char *mode, const char *more)
{
	const char *port_text = strstr(mode, "nat") ? ":8080" : ":80";
	static char text[2048];
	size_t len = 0;

	len += (size_t)snprintf(text, sizeof(text), "stream {");
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "upstream u%u {", v6);
		for (unsigned int i = 1; i <= WORKERS_SERVERS; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "server %s%u%s%s;",
						v6 ? "[2001:db8:2::" : "10.0.2.", i, v6 ? "]" : "", port_text);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"} server { listen %s:80; listen %s:80 udp; proxy_pass u%u; forward %s; %s }",
					v6 ? "[fd00:1::1]" : "10.0.1.1", v6 ? "[fd00:1::1]" : "10.0.1.1", v6, mode,
					more);
	}
	snprintf(text + len, sizeof(text) - len, "}");
	return text;
}

struct wire
workers_opening(unsigned int n, bool v6, uint8_t ip_protocol)
{
	struct wire w = wire_default(v6, ip_protocol);
	char text[64];

	snprintf(text, sizeof(text), v6 ? "[2001:db8:7::%x:%x]:%u" : "198.18.%u.%u:%u", n >> 8 & 255, n & 255,
		 1024 + n % 50000);
	w.source = wire_endpoint(text);
	w.tcp_flags = RTE_TCP_SYN_FLAG;
	w.identification = (uint16_t)(n + 1);
	return w;
}

struct wire
workers_answer(const struct workers_sent *packet, bool v6, uint8_t ip_protocol)
{
	struct wire w = wire_default(v6, ip_protocol);

	w.source = packet->destination;
	w.destination = packet->source;
	w.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
	w.identification = (uint16_t)(ntohs(packet->source.port_be) * 31u + ntohs(packet->destination.port_be));
	return w;
}

bool
workers_answers(const char *mode)
{
	return strstr(mode, "nat");
}
