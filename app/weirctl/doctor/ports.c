/* Listening sockets of others on what the configuration listens on, and another Weir. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/settings/settings.h"
#include "stream/stream.h"
#include "weir/core.h"
#include "weirctl/doctor/doctor.h"

#define TABLE_SIZE (4 << 20)
/* A socket's state in /proc/net/tcp (linux/tcp_states.h), and of an unconnected one in /proc/net/udp. */
#define LISTENING 0x0a
#define UNCONNECTED 0x07

/* "0A000101:0050", words of an address in the machine's order. */
static bool
parse_local(const char *text, bool v6, struct endpoint *out)
{
	unsigned int words[4] = { 0 }, port;

	if (v6 ? sscanf(text, "%8x%8x%8x%8x:%x", &words[0], &words[1], &words[2], &words[3], &port) != 5
	       : sscanf(text, "%8x:%x", &words[0], &port) != 2)
		return false;
	memset(out, 0, sizeof(*out));
	out->ip = v6 ? ip_address_from_v6(words) : ip_address_from_v4(words[0]);
	out->port_be = htons((uint16_t)port);
	return true;
}

static bool
listens_http(struct config *config, const struct endpoint *endpoint)
{
	const struct config_scope *http = config_child(config_root(config), CONFIG_HTTP);

	for (const struct config_scope *s = http ? http->children : NULL; s; s = s->next) {
		const struct proxy_server *server;

		if (s->context != CONFIG_SERVER)
			continue;
		server = config_settings(s, &proxy_server_module);
		for (const struct proxy_listen *l = server->listens; l; l = l->next)
			if (l->endpoint.port_be == endpoint->port_be &&
			    (ip_address_equal(&l->endpoint.ip, &endpoint->ip) || ip_address_is_any(&l->endpoint.ip) ||
			     ip_address_is_any(&endpoint->ip)))
				return true;
	}
	return false;
}

static void
say_socket(struct doctor *doctor, const char *table, bool tcp, const struct endpoint *local)
{
	const char *file;
	char text[ENDPOINT_TEXT_MAX];
	unsigned int line;

	if (!stream_listens_on(doctor->config, local, tcp ? IPPROTO_TCP : IPPROTO_UDP, &file, &line) &&
	    !(tcp && listens_http(doctor->config, local)))
		return;
	endpoint_format(local, text, sizeof(text));
	doctor_say(doctor, DOCTOR_ADVICE,
		   doctor_remedy(doctor, "ss -lp%sn sport = :%u", tcp ? "t" : "u", ntohs(local->port_be)),
		   "another process listens on %s (%s): what the configuration serves there comes to Weir, not to it",
		   text, table);
}

static void
look_through(struct doctor *doctor, const char *table, char *text)
{
	bool tcp = table[0] == 't', v6 = strlen(table) == 4;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char local[64], remote[64];
		struct endpoint endpoint;
		unsigned int state;

		if (sscanf(line, " %*d: %63s %63s %x", local, remote, &state) != 3 ||
		    state != (tcp ? LISTENING : UNCONNECTED) || !parse_local(local, v6, &endpoint))
			continue;
		say_socket(doctor, table, tcp, &endpoint);
	}
}

static void
taken(struct doctor *doctor)
{
	static const char *const tables[] = { "tcp", "tcp6", "udp", "udp6" };
	char *text = doctor->config ? malloc(TABLE_SIZE) : NULL;

	for (size_t i = 0; text && i < sizeof(tables) / sizeof(tables[0]); i++)
		if (host_read(&doctor->host, text, TABLE_SIZE, "/proc/net/%s", tables[i]))
			look_through(doctor, tables[i], text);
	free(text);
}

static void
another(struct doctor *doctor)
{
	long long pid;

	if (!doctor->config ||
	    !host_number(&doctor->host, &pid, "%s", (const char *)core_settings(doctor->config)->pid.data) ||
	    pid <= 0 || !host_exists(&doctor->host, "/proc/%lld", pid))
		return;
	doctor_say(doctor, DOCTOR_ADVICE,
		   "weir -s quit, before it is started anew; weir -s reload changes its configuration",
		   "process %lld of this configuration's pid file runs: its own ports and programs are among what is "
		   "said here",
		   pid);
}

const struct doctor_check doctor_port_checks[] = {
	{ "taken", taken },
	{ "running", another },
	{ 0 },
};
