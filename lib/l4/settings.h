/*
 * What `stream` says, as read: between the directives (module.c, listen.c), the checks of one against the other (check.c) and
 * generations made of it. Control only; lives in the configuration's arena. Not for other rooms.
 */
#ifndef L4_SETTINGS_H
#define L4_SETTINGS_H

#include "config/config.h"
#include "l4/forward.h"
#include "l4/l4.h"
#include "upstream/upstream.h"

/* One `listen`: a service to be. */
struct l4_listen {
	struct l4_listen *next; /* of its server, in order of the file */
	struct ip_address ip;
	uint16_t port_first, port_last; /* host order */
	uint8_t ip_protocol;
	const char *file;
	unsigned int line;
};

/* Room for "[v6]:port-port". */
#define L4_LISTEN_TEXT_MAX (ENDPOINT_TEXT_MAX + 6)

static inline bool
l4_listen_one_port(const struct l4_listen *listen)
{
	return listen->port_first == listen->port_last;
}

enum l4_mss_clamp { L4_MSS_CLAMP_OFF = 0, L4_MSS_CLAMP_BY_MTU = 1 /* other values: the number itself */ };

/* Settings of both contexts; what is inherited is merged into the servers'. */
struct l4_stream_settings {
	/* in stream */
	struct l4_settings process;
	bool has_hash_seed;
	struct l4_stream_settings **servers; /* when merged, in order of the file */
	uint32_t server_count;

	/* in stream and server */
	int proxy_protocol, toa;
	int64_t mss_clamp; /* enum l4_mss_clamp */
	int64_t syn_rate;
	int64_t timeout_ms;

	/* in server */
	struct l4_listen *listens, **listens_end;
	struct upstream_group *group; /* complete when upstream has finished */
	const struct l4_forwarder *forwarder;
	uint16_t gue_port;
	int quic_affinity;
	const char *file;
	unsigned int line;
};

/* NULL when there is no `stream`. */
struct l4_stream_settings *l4_stream_settings(struct config *config);

/* ---- listen.c ---- */

int l4_listen_set(struct config_directive_call *call);
/* "10.0.1.1:80", "10.0.1.1:8000-8100", "10.0.1.1:*" and so on. Returns the length. */
size_t l4_listen_format(const struct l4_listen *listen, char *out, size_t size);
/* Addresses that a packet-level service cannot have; the same port twice; too many. 0, or -EINVAL after config_fail_at(). */
int l4_listens_check(struct config *config, const struct l4_stream_settings *stream);

/* ---- check.c ---- */

/* Servers and options against `forward` and the listeners. 0, or -EINVAL after config_fail_at(). */
int l4_servers_check(struct config *config, const struct l4_stream_settings *stream);

#endif
