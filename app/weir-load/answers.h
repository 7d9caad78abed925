/*
 * The server's side of one lcore: answers whatever is asked for at a port, so that a proxy can be loaded with nothing else
 * around it. Client and server then share a core without waiting for each other's time slices, and the server costs next to nothing.
 *
 * A user of the lcore's TCP stack beside load.h, which has the other connections. HTTP/1.1 and 1.0, kept as requests say,
 * requests with bodies, pipelining; no TLS. What is no request gets 400.
 *
 * Control makes and frees; all else belongs to the lcore.
 */
#ifndef WEIR_LOAD_ANSWERS_H
#define WEIR_LOAD_ANSWERS_H

#include "base/bytes.h"
#include "tcp/tcp.h"

struct answers_config {
	struct tcp_stack *tcp;
	const struct tcp_listener *listeners; /* of one port; outlive the answers */
	uint32_t listener_count;
	uint32_t connections_max;
	struct bytes body; /* of each answer; outlives the answers */
};

struct answers;

/* Listens. NULL when memory is short. */
struct answers *answers_new(const struct answers_config *config);
/* NULL is fine. */
void answers_free(struct answers *answers);

/* Whether tcp_ready() has told of one of these. */
bool answers_own(const struct answers *answers, const struct tcp_connection *tcp);
void answers_handle(struct answers *answers, struct tcp_connection *tcp, uint32_t events);

/* From now on it counts. */
void answers_begin(struct answers *answers);
/* Connections are reset, and there will be no others. */
void answers_end(struct answers *answers);

/* Requests that were answered. Once the lcore has stopped. */
uint64_t answers_count(const struct answers *answers);

#endif
