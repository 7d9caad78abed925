/*
 * What a server of HTTP/2 says to a client with calls of every kind under way: asked and waiting, with content that has gone, that
 * the windows hold up or that is still to come, given up, and not asked before half of it has been heard. In pieces it must tell
 * what it tells as a whole, each call in an order that makes sense. The first byte is the size of the pieces, the second where in
 * them the client goes on.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/h2_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 6
#define LARGE 100000 /* more than the windows have room for */

struct client;

struct call {
	struct client *client;
	int32_t id;
	struct http_message answer;
	uint8_t memory[4096]; /* that the answer's head lies in */
	size_t used;
	uint64_t told, content; /* hashes of all that was */
	uint32_t left;          /* of the content */
	bool finished;          /* there is no more than that */
	uint32_t unread;
	bool bad, head_done, no_head, ended, closed, forgotten;
};

struct client {
	struct http2_session *session;
	struct call calls[CALLS];
	int count;
	bool over;
};

/* ---- what is told ---- */

static void
hash(uint64_t *hash, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		*hash = (*hash ^ text.data[i]) * 0x100000001b3;
}

static void
tell(struct call *call, char what, struct bytes text)
{
	assert(!call->closed && !call->forgotten);
	hash(&call->told, bytes_of(&what, 1));
	hash(&call->told, text);
}

static struct bytes
keep(struct call *call, struct bytes text)
{
	uint8_t *at = call->memory + call->used;

	if (text.len)
		memcpy(at, text.data, text.len);
	call->used += text.len;
	return bytes_of(at, text.len);
}

static void
field(void *stream, struct bytes name, struct bytes value, bool is_trailer)
{
	struct call *call = stream;

	tell(call, 'f', name);
	tell(call, ':', value);
	assert((is_trailer || !call->head_done) && !call->ended);
	call->no_head = is_trailer && !call->head_done; /* behind one below 200 */
	if (!is_trailer && name.len + value.len <= sizeof(call->memory) - call->used) {
		name = keep(call, name);
		call->bad |= http2_response_field(&call->answer, name, keep(call, value)) != HTTP1_NONE;
	}
}

static void
head(void *stream, bool ended)
{
	struct call *call = stream;

	tell(call, 'h', (struct bytes){ 0 });
	assert(!call->head_done && !call->ended && !call->no_head);
	http2_response_conclude(&call->answer, false, ended);
	call->head_done = call->answer.status >= 200 || call->bad;
	call->ended = ended;
	if (call->answer.status < 200)
		memset(&call->answer, 0, offsetof(struct http_message, fields));
}

static void
content(void *stream, struct bytes text)
{
	struct call *call = stream;

	assert(!call->closed && !call->forgotten && call->head_done && !call->ended);
	hash(&call->content, text);
	call->unread += (uint32_t)text.len;
}

static void
end(void *stream)
{
	struct call *call = stream;

	tell(call, 'e', (struct bytes){ 0 });
	assert(call->head_done && !call->ended);
	call->ended = true;
}

static void
malformed(void *user, void *stream)
{
	if (stream)
		tell(stream, 'm', (struct bytes){ 0 });
}

static void
closed(void *stream, uint32_t code)
{
	struct call *call = stream;

	tell(call, 'c', bytes_of(&code, sizeof(code)));
	call->closed = true;
}

static void
settings(void *user)
{
}

/* ---- what is said ---- */

static uint32_t
write_bytes(void *user, struct bytes text)
{
	return (uint32_t)text.len;
}

static uint32_t
body(void *stream, uint32_t len, bool *last)
{
	static char trailers[] = "x-sum: 1\r\n"; /* is written to */
	struct call *call = stream;

	assert(!call->closed && len);
	len = len < call->left ? len : call->left;
	*last = call->finished && len == call->left;
	if (*last)
		http2_trailers(call->client->session, call->id, bytes_of_string(trailers));
	return len;
}

static bool
body_send(void *stream, struct bytes header, uint32_t len)
{
	struct call *call = stream;

	assert(header.len == 9 && len <= call->left);
	call->left -= len;
	return true;
}

static const struct http2_events events = {
	.field = field,
	.head = head,
	.content = content,
	.end = end,
	.malformed = malformed,
	.write = write_bytes,
	.body = body,
	.body_send = body_send,
	.closed = closed,
	.settings = settings,
};

/* ---- a client ---- */

static struct call *
ask(struct client *client, bool has_body, uint32_t len, bool finished)
{
	struct call *call = &client->calls[client->count++];
	char text[128];
	int size = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", has_body ? "POST" : "GET");

	call->client = client;
	call->left = len;
	call->finished = finished;
	call->id =
		http2_request(client->session, call, bytes_of_string("http"), bytes_of(text, (size_t)size), has_body);
	call->closed = call->id <= 0; /* nothing will be told of it */
	return call;
}

static void
give_up(struct call *call)
{
	if (call->closed)
		return;
	http2_forget(call->client->session, call->id);
	http2_reset(call->client->session, call->id, HTTP2_CANCEL);
	call->forgotten = true;
}

static void
begin(struct client *client)
{
	static const struct http2_config config = { .stream_window = 1000, .connection_window = 100000 };

	client->session = http2_client_new(&config, &events, client, 0);
	assert(client->session);
	ask(client, false, 0, true);
	ask(client, true, 5, true);
	ask(client, true, LARGE, true);
	ask(client, true, 5, false);
	give_up(ask(client, true, 5, false));
	client->over = !http2_send(client->session);
}

static void
read_all(struct client *client)
{
	for (int i = 0; i < client->count; i++) {
		http2_consumed(client->session, client->calls[i].id, client->calls[i].unread);
		client->calls[i].unread = 0;
	}
}

/* Half of what the server says has come. */
static void
go_on(struct client *client)
{
	struct call *open = &client->calls[3];

	read_all(client);
	if (!open->closed) {
		open->left += 5;
		open->finished = true;
		http2_body_ready(client->session, open->id);
	}
	if (http2_may_request(client->session))
		ask(client, false, 0, true);
	client->over = client->over || !http2_send(client->session);
}

static void
hear(struct client *client, struct bytes said, size_t step)
{
	while (said.len && !client->over) {
		size_t len = said.len < step ? said.len : step;

		client->over = !http2_receive(client->session, bytes_of(said.data, len), 0);
		said = bytes_from(said, len);
	}
}

static void
listen_to(struct client *client, struct bytes said, size_t half, size_t step)
{
	begin(client);
	hear(client, bytes_of(said.data, half), step);
	go_on(client);
	hear(client, bytes_from(said, half), step);
	read_all(client);
	http2_send(client->session);
	for (int i = 0; i < client->count; i++)
		if (!client->calls[i].closed)
			http2_window(client->session, client->calls[i].id);
	http2_session_free(client->session);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct client whole, pieces;
	struct bytes said;
	size_t half;

	if (size < 2)
		return 0;
	memset(&whole, 0, sizeof(whole));
	memset(&pieces, 0, sizeof(pieces));
	said = bytes_of(data + 2, size - 2);
	half = said.len * data[1] / 255;
	listen_to(&whole, said, half, SIZE_MAX);
	listen_to(&pieces, said, half, data[0] % 16 + 1);
	assert(whole.over == pieces.over && whole.count == pieces.count);
	for (int i = 0; i < whole.count; i++) {
		assert(whole.calls[i].told == pieces.calls[i].told);
		/* Of a frame that has too much, the pieces before that are told. */
		assert(!whole.calls[i].ended || whole.calls[i].content == pieces.calls[i].content);
	}
	return 0;
}
