/* How most tests of exchanges open: one world, a plain configuration or one that keeps links, a client that asks. */
#ifndef TESTS_PROXY_OPENING_H
#define TESTS_PROXY_OPENING_H

#include "support/cmocka.h"
#include "world.h"

#define PROXY "server { location / { proxy_pass http://10.0.0.1; } }"
#define KEEP                                                                                                           \
	"upstream u { server 10.0.0.1; keepalive 8; } server { location / { proxy_pass http://u; "                     \
	"proxy_http_version 1.1; proxy_set_header Connection \"\"; } }"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct world w;

static inline void
start(const char *text)
{
	world_init(&w);
	world_start(&w, text);
}

/* The client; *server is the connection that its request makes. */
static inline struct peer *
asked(const char *request, struct peer **server)
{
	struct peer *client = world_connect(&w);

	peer_say(client, request);
	*server = world_accept(&w);
	assert_non_null(*server);
	return client;
}

#endif
