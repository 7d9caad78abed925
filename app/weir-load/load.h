/*
 * The connections of one lcore: requests out, answers in, checked and timed. A user of the lcore's TCP stack, as the proxy is
 * one; nothing is shared with other lcores.
 *
 * Closed loop: a connection sends its next request when it has the answer to the last. Open loop: requests are due at a
 * steady rate, whatever the server does, and the first connection that is free takes one; a request that finds none waits,
 * and its time runs from when it was due. So a server that stalls is seen by all that would have come meanwhile, and not by
 * those alone that were under way (no coordinated omission).
 *
 * Control makes and frees; load_handle(), load_run() and load_next_ns() belong to the lcore; load_begin() and load_end() are for messages to
 * it. What is counted can be read by control once the lcore has stopped.
 */
#ifndef WEIR_LOAD_LOAD_H
#define WEIR_LOAD_LOAD_H

#include "base/bytes.h"
#include "tcp/tcp.h"
#include "weir-load/histogram.h"

#define LOAD_COUNTERS(ROW)                                                                                             \
	ROW(ANSWERS, "answers")                   /* complete, whatever their status */                                \
	ROW(BYTES, "bytes")                       /* of answers, heads included */                                     \
	ROW(CONNECTED, "connected")               /* with TLS: hands are shaken */                                     \
	ROW(RESUMED, "resumed")                   /* of these: with a session of before */                             \
	ROW(CLOSED_BY_SERVER, "closed_by_server") /* between two requests, or as an answer said */                     \
	ROW(DUE, "due")                           /* open loop: requests whose time had come */                        \
	ROW(CONNECT_REFUSED, "connect_refused")                                                                        \
	ROW(CONNECT_TIMED_OUT, "connect_timed_out")                                                                    \
	ROW(CONNECT_UNREACHABLE, "connect_unreachable") /* no route, or ICMP says so */                                \
	ROW(CONNECT_NO_PORT, "connect_no_port")         /* local ports or memory are used up */                        \
	ROW(TLS, "tls")                                 /* the server's handshake, or a record, is no good */          \
	ROW(READ, "read")                               /* closed or reset before the answer was complete */           \
	ROW(TIMEOUT, "timeout")                                                                                        \
	ROW(BAD_ANSWER, "bad_answer") /* no HTTP/1.1 */                                                                \
	ROW(WRONG_SIZE, "wrong_size") /* a body of another size than --size says */                                    \
	ROW(BAD_STATUS, "bad_status") /* neither 2xx nor 3xx */

enum load_counter {
#define ROW(name, text) LOAD_##name,
	LOAD_COUNTERS(ROW)
#undef ROW
		LOAD_COUNTER_COUNT
};
extern const char *const load_counter_names[LOAD_COUNTER_COUNT];

#define LOAD_ANY_SIZE UINT64_MAX

struct tls_client;

struct load_config {
	struct tcp_stack *tcp;
	struct endpoint server;
	const struct tls_client *tls; /* NULL: none; outlives the load */
	struct bytes server_name;     /* for TLS; outlives the load */
	struct bytes request;         /* as it is sent; the caller's, for the load's life */
	bool close;                   /* a connection for each request; the request says so */
	uint32_t connections;
	double rate;            /* requests per second of this lcore; 0: closed loop */
	uint64_t timeout_ns;    /* for connecting, and for an answer from when its request was sent */
	uint64_t expected_size; /* of every body with status 2xx, or LOAD_ANY_SIZE */
};

struct load;

/* NULL when memory is short. */
struct load *load_new(const struct load_config *config, uint64_t now_ns);
/* NULL is fine. */
void load_free(struct load *load);

/* What tcp_ready() tells of a connection of the load's, and then, in each round, what is due. Returns how much was done. */
void load_handle(struct load *load, struct tcp_connection *tcp, uint32_t events, uint64_t now_ns);
unsigned int load_run(struct load *load, uint64_t now_ns);
/* See worker_user. */
uint64_t load_next_ns(const struct load *load);

/* The first call starts it. From now on it counts: what was counted is forgotten, and what was due is not caught up with. */
void load_begin(struct load *load, uint64_t now_ns);
/* Nothing counts any more; connections are reset. */
void load_end(struct load *load, uint64_t now_ns);

/* Answers counted so far. Any thread. */
uint64_t load_answers(const struct load *load);

struct load_result {
	uint64_t counters[LOAD_COUNTER_COUNT];
	struct histogram latency; /* ns; of complete answers */
	uint64_t begin_ns, end_ns;
	char problem[256]; /* the first of TLS; empty: none */
};
const struct load_result *load_result(const struct load *load);

#endif
