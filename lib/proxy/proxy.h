/*
 * HTTP reverse proxy on one lcore: sessions with clients, links to servers, and the exchanges between them.
 *
 * Drives tcp/ and http/, which know nothing of it. A worker belongs to its lcore; control creates and frees it, builds
 * generations (a configuration made ready for the workers) and hands them over with loop_post().
 *
 *     packets -> tcp_input ... proxy_worker_run() ... tcp_flush
 *
 * Bounded at creation: sessions, links and exchanges come from slabs. Nothing here blocks or allocates while running.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "config/config.h"
#include "proxy/exchange/phase.h"
#include "tcp/tcp.h"
#include "upstream/weights.h"

struct proxy_generation;
struct proxy_plans;
struct proxy_worker;

/* ---- generations: control ---- */

/* Takes ownership of `config`, which parsed without error, unless NULL is returned: out of memory. `filters` ends with
 * NULL. */
struct proxy_generation *proxy_generation_new(struct config *config, unsigned int workers,
					      const struct proxy_filter *const *filters);
void proxy_generation_free(struct proxy_generation *generation);
/* Frees a generation that was never published; the configuration is the caller's again. */
void proxy_generation_release(struct proxy_generation *generation);
struct config *proxy_generation_config(const struct proxy_generation *generation);

/* Listening endpoints, for tcp_listen(): valid as long as the generation. */
const struct tcp_listener *proxy_generation_listeners(const struct proxy_generation *generation, uint32_t *count);
/* Every server address of every group. `each` must not keep the pointer longer than the generation lives. */
void proxy_generation_each_server(const struct proxy_generation *generation,
				  void (*each)(void *context, const struct endpoint *server), void *context);
/* True when no worker holds it any more: then control may free it (after qsbr_synchronize()). */
bool proxy_generation_unused(const struct proxy_generation *generation);

/* What a generation's groups are with the weights that the operator has given (`of_stream` NULL: none there): freed before the
 * generation, when every worker has adopted others, or it is unused. NULL when memory is short. */
struct proxy_plans *proxy_plans_new(const struct proxy_generation *generation, const struct upstream_weights *of_http,
				    const struct upstream_weights *of_stream);
void proxy_plans_free(struct proxy_plans *plans);

/* ---- workers ---- */

struct proxy_worker_config {
	unsigned int index;
	struct tcp_stack *tcp;
	uint32_t connections_max; /* sessions and links together: `worker_connections` */
	uint64_t random_seed;
};

/* NULL when memory is short. */
struct proxy_worker *proxy_worker_new(const struct proxy_worker_config *config, uint64_t now_ns);
void proxy_worker_free(struct proxy_worker *worker);

/* On the lcore: requests that start from now on use this generation; idle links of the last one are closed, exchanges
 * under way finish as they began. Adopting the one in force again changes nothing. */
void proxy_worker_adopt(struct proxy_worker *worker, struct proxy_generation *generation);

/* On the lcore: of the generation in force. */
void proxy_worker_adopt_plans(struct proxy_worker *worker, const struct proxy_plans *plans);

/* One round: events of the stack, at most one step of a TLS handshake on either side, then timers. Returns how much was done. real_ns is for
 * logs and Date. `packets_wait`: the lcore has not kept up with its ports; what takes long may wait for some rounds. */
unsigned int proxy_worker_run(struct proxy_worker *worker, uint64_t now_ns, uint64_t real_ns, bool packets_wait);
uint64_t proxy_worker_next_ns(const struct proxy_worker *worker);

/* Graceful stop: idle sessions are closed, others after the answer under way. */
void proxy_worker_drain(struct proxy_worker *worker);
/* Sessions alive; 0 means drained. */
uint32_t proxy_worker_sessions(const struct proxy_worker *worker);

#define PROXY_COUNTERS(ROW)                                                                                            \
	ROW(ACCEPTED, "accepted")                                                                                      \
	ROW(REFUSED_LIMIT, "refused_worker_connections")                                                               \
	ROW(STREAMS, "streams")                                                                                        \
	ROW(REQUESTS, "requests")                                                                                      \
	ROW(TLS_HANDSHAKES, "tls_handshakes")                                                                          \
	ROW(TLS_RESUMED, "tls_handshakes_resumed")                                                                     \
	ROW(TLS_EARLY, "tls_handshakes_early_data")                                                                    \
	ROW(TLS_FAILED, "tls_handshakes_failed")                                                                       \
	ROW(TLS_PLAIN, "plain_requests_to_tls")                                                                        \
	ROW(BAD_PROXY_HEADER, "bad_proxy_headers")                                                                     \
	ROW(HTTP2_SESSIONS, "http2_connections")                                                                       \
	ROW(HTTP2_REFUSED, "http2_streams_refused")                                                                    \
	ROW(HTTP2_PROTOCOL_ERRORS, "http2_protocol_errors")                                                            \
	/* as HTTP2_FLOODS has them */                                                                                 \
	ROW(HTTP2_RESET_FLOODS, "http2_reset_floods")                                                                  \
	ROW(HTTP2_PING_FLOODS, "http2_ping_floods")                                                                    \
	ROW(HTTP2_SETTINGS_FLOODS, "http2_settings_floods")                                                            \
	ROW(HTTP2_PRIORITY_FLOODS, "http2_priority_floods")                                                            \
	ROW(HTTP2_WINDOW_UPDATE_FLOODS, "http2_window_update_floods")                                                  \
	ROW(HTTP2_EMPTY_FRAME_FLOODS, "http2_empty_frame_floods")                                                      \
	ROW(HTTP2_OTHER_FLOODS, "http2_other_floods")                                                                  \
	ROW(HTTP2_CONTINUATION_FLOODS, "http2_continuation_floods")                                                    \
	ROW(BAD_REQUEST, "bad_requests")                                                                               \
	ROW(HEAD_TOO_LARGE, "request_head_too_large")                                                                  \
	ROW(BODY_TOO_LARGE, "request_body_too_large")                                                                  \
	ROW(CLIENT_ABORTED, "client_aborted")                                                                          \
	ROW(CLIENT_TIMEOUT, "client_timeouts")                                                                         \
	ROW(UPSTREAM_CONNECTED, "upstream_connections")                                                                \
	ROW(UPSTREAM_REUSED, "upstream_reused")                                                                        \
	ROW(UPSTREAM_TLS_HANDSHAKES, "upstream_tls_handshakes")                                                        \
	ROW(UPSTREAM_TLS_RESUMED, "upstream_tls_handshakes_resumed")                                                   \
	ROW(UPSTREAM_TLS_FAILED, "upstream_tls_handshakes_failed")                                                     \
	ROW(UPSTREAM_CONNECT_FAILED, "upstream_connect_failed")                                                        \
	ROW(UPSTREAM_CLOSED_EARLY, "upstream_closed_early")                                                            \
	ROW(UPSTREAM_TIMEOUT, "upstream_timeouts")                                                                     \
	ROW(UPSTREAM_BAD_RESPONSE, "upstream_bad_responses")                                                           \
	ROW(UPSTREAM_NO_LIVE, "upstream_no_live")                                                                      \
	ROW(UPSTREAM_NEXT, "upstream_retries")                                                                         \
	ROW(OUT_OF_MEMORY, "out_of_memory")

enum proxy_counter {
#define ROW(name, text) PROXY_COUNT_##name,
	PROXY_COUNTERS(ROW)
#undef ROW
		PROXY_COUNTER_COUNT
};
extern const char *const proxy_counter_names[PROXY_COUNTER_COUNT];
const uint64_t *proxy_worker_counters(const struct proxy_worker *worker);

#endif
