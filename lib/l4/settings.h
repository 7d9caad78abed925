/*
 * What `stream` says, as read: between the directives (module.c, listen.c), the checks of one against the other (check.c) and
 * generations made of it. Control only; lives in the configuration's arena. Not for other rooms.
 */
#ifndef L4_SETTINGS_H
#define L4_SETTINGS_H

#include "config/config.h"
#include "l4/forward.h"
#include "l4/l4.h"
#include "stream/stream.h"
#include "upstream/upstream.h"

enum l4_mss_clamp { L4_MSS_CLAMP_OFF = 0, L4_MSS_CLAMP_BY_MTU = 1 /* other values: the number itself */ };

/* Settings of both contexts; what is inherited is merged into the servers'. */
struct l4_stream_settings {
	/* in stream */
	struct l4_settings process;
	bool has_hash_seed;
	struct l4_stream_settings **servers; /* when merged, in order of the file */
	uint32_t server_count;

	/* in stream and server */
	struct stream_settings *stream; /* what all servers have: listeners, group, ... */
	int toa;
	int64_t mss_clamp; /* enum l4_mss_clamp */
	int64_t syn_rate;

	/* in server */
	const struct l4_forwarder *forwarder;
	uint16_t gue_port;
	int quic_affinity;
};

/* NULL when there is no `stream`. */
struct l4_stream_settings *l4_stream_settings(struct config *config);

/* ---- listen.c ---- */

/* Addresses that a packet-level service cannot have; too many. 0, or -EINVAL after config_fail_at(). */
int l4_listens_check(struct config *config, const struct l4_stream_settings *stream);

/* ---- check.c ---- */

/* Servers and options against `forward` and the listeners. 0, or -EINVAL after config_fail_at(). */
int l4_servers_check(struct config *config, const struct l4_stream_settings *stream);

#endif
