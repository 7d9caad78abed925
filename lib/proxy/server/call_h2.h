/*
 * HTTP/2 towards servers: a link that carries the calls of many exchanges, of any client of this lcore. Private to the room.
 *
 *     link_h2.c    the connection, on what transport/http2.h has: who shares it, its end
 *     call_h2.c    a call: requests to it, answers from it
 *
 * A call joins a link to its server that has room, or opens one. It waits there until the link is connected, and, but for the
 * first, until the server has said how many requests it takes at once; what is too much for it then moves to another link. A
 * link takes no further calls (it is `retired`) once the server says GOAWAY, it has been used as often or as long as
 * `keepalive_requests` and `keepalive_time` say, or a call on it has timed out: who knows whether the server is still there.
 * Without calls it waits in the pool of its group, or ends where there is no `keepalive`.
 *
 * The connection's window has room for the windows of all its calls, so that a client that reads slowly holds up its own call
 * alone.
 */
#ifndef PROXY_CALL_H2_H
#define PROXY_CALL_H2_H

#include "http/h2_client.h"
#include "proxy/server/call.h"
#include "proxy/transport/http2.h"
#include "tls/tls.h"

#define PROXY_CALLS_MAX 100     /* on a link, whatever more the server allows: what one loss of a packet may hold up */
#define PROXY_CALL_WINDOW 65535 /* of an answer, under way to us or waiting for its client */

struct proxy_link_http2 {
	struct proxy_http2 base; /* first: the codec's `user` is both. No codec until connected */
	struct proxy_link *link;
	struct proxy_servers *server; /* whose */
	struct list shared;           /* in server->links, while it takes calls */
	struct list calls;            /* all of them */
	struct list waiting;          /* those that have not begun, the oldest first */
	uint32_t call_count, open_count;
	bool settled; /* the server's SETTINGS have come */
	const char *problem;
	uint8_t name_len;
	uint8_t name[TLS_NAME_MAX]; /* who the server should be */
};

struct proxy_call_http2 {
	struct proxy_http2_stream base; /* first: the codec's `stream` is both */
	struct proxy_call call;
	struct list node;      /* in the link's calls, then in worker->calls_gone */
	struct list waiting;   /* in the link's waiting */
	const char *problem;   /* what is wrong with the answer's head, or why it breaks off */
	uint32_t code;         /* that the stream was closed with, before the answer's end */
	bool head_done, ended; /* of the answer */
};

proxy_call_open_fn proxy_call_open_http2;
extern const struct proxy_call_ops proxy_call_http2;
extern const struct http2_events proxy_call_events;

static inline struct proxy_call_http2 *
proxy_call_http2_of(const struct proxy_call *call)
{
	return container_of(call, struct proxy_call_http2, call);
}

/* NULL: it has ended. */
static inline struct proxy_link_http2 *
proxy_call_http2_link(const struct proxy_call_http2 *call)
{
	return (struct proxy_link_http2 *)call->base.connection;
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
/* The codec's settings(). */
void proxy_link_http2_settings(void *http2);

/* A call that has left its link: the connection has ended under it. */
void proxy_call_lost(struct proxy_call_http2 *call);

#endif
