/*
 * One request and its response, on one lcore. Private to the room, but for filters, which read it.
 *
 * An exchange begins with the first byte of a request head and ends when the response is in the client's send queue (or
 * the client is gone). It owns the head's bytes, everything computed from them, and the call to the server while there
 * is one. Bodies are never stored: they move from one connection's receive queue to the other's send queue, and stop
 * moving when that is full.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "base/log.h"
#include "http/h1.h"
#include "proxy/exchange/head_writer.h"
#include "proxy/proxy.h"
#include "proxy/settings/virtual_host.h"
#include "upstream/upstream.h"

#define PROXY_ATTEMPTS_MAX 16 /* remembered for the log; more are made, if allowed */
#define PROXY_CAPTURES_MAX 20
#define PROXY_MEMORY_INLINE                                                                                            \
	12288 /* a head of a browser, what is sent on of it, and proxy_buffer_size as it is by default */
#define PROXY_TRAILERS_MAX 4096 /* bytes of field lines behind a body, where they are gathered */
#define PROXY_KEPT_MAX 4096     /* bytes of a body that can be sent again */
#define PROXY_RENEWALS_MAX 3 /* times that a connection may end as a request comes, before that counts as a failure */

/* A server that was tried, for $upstream_*. Milliseconds; -1: did not happen. */
struct proxy_attempt {
	struct bytes address;
	int32_t connect_ms, header_ms, response_ms;
	uint16_t status; /* 0: none */
	uint64_t started_ns;
	uint64_t bytes_received, bytes_sent;
};

static inline void
proxy_attempt_start(struct proxy_attempt *attempt, struct bytes address, uint64_t now_ns)
{
	*attempt = (struct proxy_attempt){
		.address = address,
		.connect_ms = -1,
		.header_ms = -1,
		.response_ms = -1,
		.started_ns = now_ns,
	};
}

enum proxy_response_mode {
	PROXY_RESPONSE_AS_IS,   /* the bytes go through as they are framed */
	PROXY_RESPONSE_CHUNKED, /* ends with the connection at the server, in chunks to the client */
	PROXY_RESPONSE_PLAIN,   /* content alone to the client, where it ends with the connection or is framed below */
};

struct proxy_exchange {
	struct proxy_client *client;
	struct proxy_session *session; /* the client's connection */
	struct proxy_worker *worker;
	struct proxy_share *share; /* of the generation that the request began under */
	const struct proxy_address *address;
	const struct proxy_server *server;
	const struct proxy_location *location; /* the server's own settings until one is found */
	struct proxy_call *call;               /* NULL when no server is at work */
	struct endpoint remote;                /* who asks: the connection's other end, or whom that speaks for */
	uint64_t started_ns;

	/* request */
	uint8_t *head;
	size_t head_capacity, head_copied, head_scanned, head_len;
	struct bytes host; /* lower case, without port */
	struct bytes uri;  /* decoded and normalised path: $uri */
	struct http1_body request_body;
	struct bytes request_trailers; /* lines, of a client that frames itself */
	uint64_t request_content;      /* body bytes seen */
	struct bytes capture_text;
	struct bytes *named; /* CONFIG_NAMED_CAPTURES_MAX of them, or NULL: none has matched */
	int capture_groups;  /* of `captures` */

	/* response */
	uint16_t status;
	struct bytes pending; /* head (and a short body) not yet in the client's send queue */
	struct http1_body response_body;
	uint8_t response_mode;          /* enum proxy_response_mode */
	struct bytes response_trailers; /* likewise, for such a client */
	uint64_t head_bytes, body_bytes;

	/* upstream */
	struct upstream_attempts attempts;
	uint32_t tried_count; /* of `tried`, and beyond */
	int server_index;     /* of the attempt under way, -1: none */
	uint64_t first_attempt_ns;
	struct bytes request_pending; /* head not yet in the server's send queue */
	uint8_t *response_head;
	size_t response_copied, response_scanned;
	uint8_t *kept;                /* all that has gone of the body; NULL: it is not kept, or no more */
	uint32_t kept_len, kept_sent; /* of it, to the server of this attempt */
	uint8_t renewals;
	size_t used_before, large_used_before; /* memory in use before the first attempt: a retry starts from there */

	/* flags */
	bool real_ip_found;
	bool head_parsed, request_done, body_sent, body_broken, keep_alive;
	bool response_started, response_done, local, discard_body, upgrade_asked, tunnel, closed_by_rule,
		has_response_head, continued;
	bool call_ended, client_blocked;
	bool failed_under_way; /* the response broke off: the client must see that */
	enum http1_error bad;  /* why the head was refused */

	/* memory of its own: `used` of the inline part, then one large block */
	size_t used;
	uint8_t *large;
	size_t large_used;

	/* All above is zero at first, of all below only what counts what is in it. */
	struct http_message request, response;
	size_t captures[2 * PROXY_CAPTURES_MAX];
	struct proxy_attempt tried[PROXY_ATTEMPTS_MAX];
	_Alignas(16) uint8_t memory[PROXY_MEMORY_INLINE];
};

/* Bytes that live as long as the exchange; NULL when its bound is reached. */
void *proxy_exchange_alloc(struct proxy_exchange *exchange, size_t size);

/* Ready for the next bytes of its client: head, body or tunnel. */
void proxy_exchange_client_input(struct proxy_exchange *exchange);
/* The client has closed its direction, and all of it has been read. */
void proxy_exchange_client_closed(struct proxy_exchange *exchange);
/* Space in the client's send queue. */
void proxy_exchange_client_output(struct proxy_exchange *exchange);
/* The client is gone (reset, timed out) or has closed while an answer was under way. */
void proxy_exchange_client_gone(struct proxy_exchange *exchange);
void proxy_exchange_client_timeout(struct proxy_exchange *exchange);

/* The call to the server: events as tcp/ reports them; of TCP_CLOSED it has told by proxy_exchange_unconnected(), where it was
 * not connected. */
void proxy_exchange_call_events(struct proxy_exchange *exchange, uint32_t events);
void proxy_exchange_unconnected(struct proxy_exchange *exchange, enum tcp_close_reason reason);
void proxy_exchange_call_timeout(struct proxy_exchange *exchange);

/* Answers with a status and nginx's page for it; `return` gives text. */
void proxy_exchange_answer(struct proxy_exchange *exchange, unsigned int status);
void proxy_exchange_answer_text(struct proxy_exchange *exchange, unsigned int status, struct bytes type,
				struct bytes text);

/* $host, $server_name, ... : see variables.c. */
void proxy_variables_define(void);

/* To the error log of the exchange's location, with nginx's trailer (client, server, request, upstream, host). */
void proxy_exchange_log(struct proxy_exchange *exchange, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- for filters ---- */

/* The settings of a filter's module where the exchange ended up. */
static inline void *
proxy_exchange_settings(const struct proxy_exchange *exchange, const struct config_module *module)
{
	return config_settings(exchange->location->scope, module);
}

#endif
