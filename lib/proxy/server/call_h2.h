/*
 * HTTP/2 towards servers: a link that carries the calls of many exchanges, of any client of this lcore. Private to the room.
 *
 *     link_h2.c    the connection: who shares it, what is read goes into the codec (http/h2_client.h), frames go out at the end
 *                  of a round
 *     call_h2.c    a call: content of the request in `out`, content of the answer in `in`
 *
 * A call joins a link to its server that has room, or opens one. It waits there until the link is connected, and, but for the
 * first, until the server has said how many requests it takes at once; what is too much for it then moves to another link. A
 * link takes no further calls (it is `retired`) once the server says GOAWAY, it has been used as often or as long as
 * `keepalive_requests` and `keepalive_time` say, or a call on it has timed out: who knows whether the server is still there.
 * Without calls it waits in the pool of its group, or ends where there is no `keepalive`.
 *
 * How much there is of content is bounded: `in` by the stream's window, of which only what has left is given back, and the
 * connection's window has room for all of these, so that a client that reads slowly holds up its own call alone; `out` by
 * PROXY_CALL_OUTPUT and the server's windows.
 *
 * Calls end within the codec's calls; a link ends only behind them.
 */
#ifndef PROXY_CALL_H2_H
#define PROXY_CALL_H2_H

#include "http/h2_client.h"
#include "proxy/server/call.h"
#include "tls/tls.h"

#define PROXY_CALLS_MAX 100     /* on a link, whatever more the server allows: what one loss of a packet may hold up */
#define PROXY_CALL_WINDOW 65535 /* of an answer, under way to us or waiting for its client */
#define PROXY_CALL_OUTPUT 32768

struct proxy_link_http2 {
	struct proxy_link *link;
	struct http2_session *codec;  /* NULL until connected */
	struct proxy_servers *server; /* whose */
	struct list shared;           /* in server->links, while it takes calls */
	struct list calls;            /* all of them */
	struct list waiting;          /* those that have not begun, the oldest first */
	struct list output_wanted;    /* those whose exchange waits for room */
	struct list writing;          /* in worker->links_writing */
	uint32_t call_count, open_count;
	bool settled; /* the server's SETTINGS have come */
	bool failed;  /* the connection ends when what that says has gone */
	bool broken;  /* in the middle of a frame: it ends at once */
	const char *problem;
	uint8_t name_len;
	uint8_t name[TLS_NAME_MAX]; /* who the server should be */
};

struct proxy_call_http2 {
	struct proxy_call call;
	struct proxy_link_http2 *http2; /* NULL: it has ended */
	struct rte_mempool *pool;
	int32_t id; /* 0: not begun */
	struct tcp_queue in, out;
	struct list node;          /* in http2->calls, then in worker->calls_gone */
	struct list waiting;       /* in http2->waiting */
	struct list output_wanted; /* in http2->output_wanted */
	struct bytes trailers;     /* of the request, the exchange's */
	const char *problem;       /* what is wrong with the answer's head, or why it breaks off */
	uint32_t code;             /* that the stream was closed with, before the answer's end */
	bool head_done, ended;     /* of the answer */
	bool closed;               /* the stream is no more */
};

proxy_call_open_fn proxy_call_open_http2;
extern const struct proxy_call_ops proxy_call_http2;
extern const struct http2_events proxy_call_events;

static inline struct proxy_call_http2 *
proxy_call_http2_of(const struct proxy_call *call)
{
	return container_of(call, struct proxy_call_http2, call);
}

/* Finds or opens a link for a call that is on none. False, with *error: there can be none. */
bool proxy_link_http2_join(struct proxy_call_http2 *call, struct proxy_share *share, const struct upstream_group *group,
			   uint32_t server_index, const struct tls_client *client, struct bytes name, int *error);
/* The call's stream is no more: the next may begin. */
void proxy_link_http2_closed(struct proxy_link_http2 *http2);
/* Takes a call off its link, whatever becomes of the link at the end of the round. */
void proxy_link_http2_leave(struct proxy_call_http2 *call);
/* No further calls. */
void proxy_link_http2_retire(struct proxy_link_http2 *http2);
/* What the codec asks of the connection. */
uint32_t proxy_link_http2_write(void *http2, struct bytes data);
void proxy_link_http2_settings(void *http2);
/* There are frames to be sent, at the end of the round. */
void proxy_link_http2_wake(struct proxy_link_http2 *http2);

/* A call that has left its link: the connection has ended under it. */
void proxy_call_lost(struct proxy_call_http2 *call);

#endif
