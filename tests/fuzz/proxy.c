/*
 * A proxy worker under clients and servers that say and do anything, in pieces of any size, while time passes, packet
 * buffers run out and configurations change. The input is a list of steps; bytes of messages come from it, too, or from
 * tables of whole messages, and of frames of HTTP/2, so that deep states are reached. Nothing may be left at the end
 * (tests/unit/proxy/world.h).
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200
#define LIVE_MAX 10

static const char *const configurations[] = {
	"upstream u { server 10.0.0.1; server 10.0.0.2:8080; server 10.0.0.3:81; keepalive 2; } "
	"client_max_body_size 300; large_client_header_buffers 2 512; "
	"server { proxy_read_timeout 5s; proxy_next_upstream error timeout http_503 http_404 invalid_header "
	"non_idempotent; "
	"location / { proxy_pass http://u; } "
	"location /k/ { proxy_pass http://u/other/; proxy_http_version 1.1; proxy_set_header Connection \"\"; "
	"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X "
	"$arg_a$cookie_b$http_c$remote_user; } "
	"location /t { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection upgrade; "
	"proxy_set_header Upgrade $http_upgrade; proxy_ignore_client_abort on; } "
	"location ~ ^/(?<name>[a-z]+)/no { return 200 $name$1$uri$args; } location = /d { return 302 /x; } }",
	"server { location / { proxy_pass http://10.0.0.1; proxy_buffer_size 128; proxy_pass_request_body off; } "
	"server_name ~^(?<sub>.*)\\.example$ a.b *.c d.*; return 301 http://$sub$host$request_uri; } "
	"server { location / { proxy_pass http://10.0.0.1; } }",
	"upstream u { server 10.0.0.1; server 10.0.0.2:8080; keepalive 2; } client_max_body_size 300; "
	"large_client_header_buffers 2 512; http2_chunk_size 100; http2_body_preread_size 200; "
	"http2_max_concurrent_streams 4; "
	"server { listen 80 http2; keepalive_requests 12; proxy_next_upstream error timeout http_503; "
	"location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; } "
	"location /d { return 200 $http2$server_protocol$request_uri$http_cookie; } }",
	"upstream u { server 10.0.0.1; server 10.0.0.2:8080; keepalive 2; keepalive_requests 20; } "
	"client_max_body_size 300; "
	"server { listen 80 http2; grpc_next_upstream error timeout http_503 invalid_header non_idempotent; "
	"grpc_read_timeout 5s; location / { grpc_pass u; grpc_buffer_size 128; } "
	"location /k { grpc_pass grpc://10.0.0.1:80; grpc_set_header X $http_a; } }",
};

/* What the servers of a configuration speak, and whether clients speak HTTP/2. */
#define HTTP2_CLIENTS 2
#define HTTP2_SERVERS 3

/* A frame of HTTP/2: on the connection, on the last stream, or on a new one. */
enum place { ON_CONNECTION, ON_STREAM, ON_NEW_STREAM };

#define PAYLOAD(text) sizeof(text) - 1, text

static const struct {
	enum place place;
	uint8_t type, flags;
	size_t len;
	const char *payload;
} frames[] = {
	{ ON_NEW_STREAM, 1, 5,
	  PAYLOAD("\x82\x84\x86\x41\x01"
		  "a") }, /* GET / */
	{ ON_NEW_STREAM, 1, 4,
	  PAYLOAD("\x83\x84\x86\x41\x01"
		  "a") }, /* POST /, and content follows */
	{ ON_NEW_STREAM, 1, 4,
	  PAYLOAD("\x83\x84\x86\x41\x01"
		  "a\x0f\x0d\x01"
		  "5") }, /* of 5 bytes */
	{ ON_NEW_STREAM, 1, 5,
	  PAYLOAD("\x82\x04\x03/dx\x86\x41\x01"
		  "a\x60\x03"
		  "a=b\x60\x03"
		  "c=d") },
	{ ON_NEW_STREAM, 1, 0, PAYLOAD("\x82\x84") }, /* CONTINUATION follows */
	{ ON_STREAM, 9, 4,
	  PAYLOAD("\x86\x41\x01"
		  "a") },
	{ ON_STREAM, 0, 0, PAYLOAD("hello") },
	{ ON_STREAM, 0, 1, PAYLOAD("hello") },
	{ ON_STREAM, 0, 8,
	  PAYLOAD("\x02"
		  "abc\0\0") },
	{ ON_STREAM, 1, 5,
	  PAYLOAD("\x00\x05x-sum\x02"
		  "42") }, /* trailers */
	{ ON_STREAM, 3, 0, PAYLOAD("\0\0\0\x08") },
	{ ON_STREAM, 8, 0, PAYLOAD("\0\0\x10\0") },
	{ ON_CONNECTION, 8, 0, PAYLOAD("\0\0\x10\0") },
	{ ON_CONNECTION, 4, 0, PAYLOAD("\0\4\0\0\0\x05") }, /* a window of 5 */
	{ ON_CONNECTION, 4, 1, PAYLOAD("") },
	{ ON_CONNECTION, 6, 0, PAYLOAD("12345678") },
	{ ON_CONNECTION, 7, 0, PAYLOAD("\0\0\0\0\0\0\0\0") },
};

/* Of a server. */
static const struct {
	bool on_stream;
	uint8_t type, flags;
	size_t len;
	const char *payload;
} server_frames[] = {
	{ true, 1, 4, PAYLOAD("\x88") }, /* 200, and content follows */
	{ true, 1, 5, PAYLOAD("\x88") },
	{ true, 1, 4,
	  PAYLOAD("\x08\x03"
		  "103") },
	{ true, 1, 5,
	  PAYLOAD("\x08\x03"
		  "503") },
	{ true, 1, 4,
	  PAYLOAD("\x88\x0f\x0d\x01"
		  "5") }, /* of 5 bytes */
	{ true, 1, 5,
	  PAYLOAD("\x00\x0bgrpc-status\x01"
		  "0") }, /* trailers */
	{ true, 0, 0, PAYLOAD("hello") },
	{ true, 0, 1, PAYLOAD("hello") },
	{ true, 0, 1, PAYLOAD("") },
	{ true, 3, 0, PAYLOAD("\0\0\0\0") },
	{ true, 3, 0, PAYLOAD("\0\0\0\7") }, /* refused */
	{ true, 3, 0, PAYLOAD("\0\0\0\x08") },
	{ true, 8, 0, PAYLOAD("\0\0\x10\0") },
	{ true, 1, 0, PAYLOAD("\x88") }, /* CONTINUATION follows */
	{ true, 9, 4,
	  PAYLOAD("\x00\x01x\x01"
		  "y") },
	{ true, 5, 4, PAYLOAD("\0\0\0\2\x82\x84\x86") },
	{ false, 8, 0, PAYLOAD("\0\0\x10\0") },
	{ false, 4, 0, PAYLOAD("\0\3\0\0\0\1") }, /* a stream at once */
	{ false, 4, 0, PAYLOAD("\0\3\0\0\0\0") },
	{ false, 4, 0, PAYLOAD("\0\4\0\0\0\3") }, /* a window of 3 */
	{ false, 4, 1, PAYLOAD("") },
	{ false, 6, 0, PAYLOAD("12345678") },
	{ false, 7, 0, PAYLOAD("\0\0\0\0\0\0\0\0") },
	{ false, 7, 0, PAYLOAD("\0\0\0\3\0\0\0\0") },
	{ false, 7, 0, PAYLOAD("\x7f\xff\xff\xff\0\0\0\0") },
};

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

static const char *const requests[] = {
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /k/a%20b?a=1 HTTP/1.1\r\nHost: x.example\r\nCookie: b=2\r\nC: 3\r\n\r\n",
	"POST /k/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	"GET /t HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly",
	"HEAD /k/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n",
	"GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"POST /abc/no HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\nabc",
};

static const char *const answers[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
	"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 302 Found\r\nLocation: http://u/other/y\r\nServer: x\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.0 304 Not Modified\r\n\r\n",
};

static bool speaks_http2, servers_speak_http2; /* the configuration in force */

static void
configure(struct world *w, uint8_t which, void (*how)(struct world *, const char *))
{
	which %= sizeof(configurations) / sizeof(configurations[0]);
	speaks_http2 = which >= HTTP2_CLIENTS;
	servers_speak_http2 = which == HTTP2_SERVERS;
	how(w, configurations[which]);
}

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t
take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static void
say(struct peer *peer, struct input *in, const char *const *messages)
{
	uint8_t how = take(in);
	const char *text = messages[how % 8];
	size_t len = strlen(text);

	if (how < 64) {
		peer_send(peer, text, len);
	} else if (how < 128) {
		size_t cut = take(in) % (len + 1);

		peer_send(peer, text, cut);
		peer_send(peer, text + cut, len - cut);
	} else {
		len = how - 128 < (int)in->left ? (size_t)how - 128 : in->left;
		peer_send(peer, in->data, len);
		in->data += len;
		in->left -= len;
	}
}

/* peer->steps: 0 before the preface, then one more than there have been streams. */
static void
say_frame(struct peer *peer, struct input *in)
{
	uint8_t which = take(in) % (sizeof(frames) / sizeof(frames[0]));
	size_t len = frames[which].len;
	unsigned int id;
	uint8_t frame[9 + 64];

	if (!peer->steps) {
		peer_send(peer, PREFACE, sizeof(PREFACE) - 1);
		peer->steps = 1;
	}
	peer->steps += frames[which].place == ON_NEW_STREAM;
	id = frames[which].place == ON_CONNECTION ? 0 : 2 * peer->steps - 3;
	memcpy(frame,
	       (const uint8_t[9]){ 0, 0, (uint8_t)len, frames[which].type, frames[which].flags, 0, 0,
				   (uint8_t)(id >> 8), (uint8_t)id },
	       9);
	memcpy(frame + 9, frames[which].payload, len);
	peer_send(peer, frame, 9 + len);
}

/* On the last stream but a few that a client of ours can have begun. */
static void
say_server_frame(struct peer *peer, struct input *in)
{
	uint8_t which = take(in) % (sizeof(server_frames) / sizeof(server_frames[0]));
	size_t len = server_frames[which].len;
	uint8_t id = server_frames[which].on_stream ? (uint8_t)(2 * (take(in) % 8) + 1) : 0;
	uint8_t frame[9 + 64] = {
		0, 0, (uint8_t)len, server_frames[which].type, server_frames[which].flags, 0, 0, 0, id
	};

	if (!peer->steps++)
		peer_send(peer, "\0\0\0\4\0\0\0\0", 9);
	memcpy(frame + 9, server_frames[which].payload, len);
	peer_send(peer, frame, 9 + len);
}

static void
act(struct peer *peer, struct input *in)
{
	switch (take(in) % 16) {
	case 0:
		peer_reset(peer);
		break;
	case 1:
		peer_close(peer);
		break;
	case 2:
		peer_shutdown(peer);
		break;
	case 3:
		peer->slow = !peer->slow;
		peer_read(peer, take(in));
		break;
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
		if (!peer->port && speaks_http2) {
			say_frame(peer, in);
			break;
		}
		if (peer->port && servers_speak_http2) {
			say_server_frame(peer, in);
			break;
		}
		/* fall through */
	default:
		say(peer, in, peer->port ? answers : requests);
	}
}

static void
step(struct world *w, struct input *in, struct peer **live, unsigned int *count)
{
	uint8_t what = take(in), which = take(in);
	struct peer *server;

	while (*count < LIVE_MAX && (server = world_accept(w)))
		live[(*count)++] = server;
	if (what < 40 && *count < LIVE_MAX) {
		live[(*count)++] = world_connect(w);
	} else if (what < 60) {
		world_advance(w, (uint64_t)which * which / 2);
	} else if (what < 64) {
		world_starve(w, which);
	} else if (what < 72) {
		world_feed(w);
	} else if (what < 74) {
		if (!w->old || proxy_generation_unused(w->old))
			configure(w, which, world_reload);
	} else if (what < 75) {
		proxy_worker_drain(w->worker);
		world_run(w);
	} else if (*count) {
		struct peer **peer = &live[which % *count];

		act(*peer, in);
		if (!(*peer)->tcp || (*peer)->closed) {
			peer_reset(*peer);
			*peer = live[--*count];
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct input in = { data, size };
	struct peer *live[LIVE_MAX];
	unsigned int count = 0;

	world_init(&w);
	w.worker_connections = 8;
	w.peers_max = 512;
	w.consistency = true;
	configure(&w, take(&in), world_start);
	for (int steps = 0; in.left && steps < STEPS_MAX; steps++)
		step(&w, &in, live, &count);
	world_stop(&w);
	return 0;
}
