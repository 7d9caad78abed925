#include "blob.h"

#include <stdio.h>
#include <string.h>

static const uint8_t zeros[65536];

void
blob_init(struct blob *blob, struct tcp_stack *tcp, const struct endpoint *local, uint32_t body)
{
	blob->tcp = tcp;
	blob->body = body;
	blob->connection_count = 0;
	blob->listener = (struct tcp_listener){ .local = *local };
	tcp_listen(tcp, &blob->listener, 1);
}

static void
write_on(struct blob_connection *c)
{
	uint32_t wanted, taken;

	do {
		wanted = c->left < sizeof(zeros) ? (uint32_t)c->left : sizeof(zeros);
		taken = wanted ? tcp_write(c->tcp, zeros, wanted) : 0;
		c->left -= taken;
	} while (taken && c->left);
}

static void
answer(const struct blob *blob, struct blob_connection *c)
{
	struct bytes head = tcp_peek(c->tcp);
	char line[128];
	int len;

	/* Heads are short, and come in one piece. */
	if (head.len < 4 || memcmp(head.data + head.len - 4, "\r\n\r\n", 4) != 0)
		return;
	tcp_consume(c->tcp, (uint32_t)head.len);
	len = snprintf(line, sizeof(line), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", blob->body);
	tcp_write(c->tcp, line, (uint32_t)len);
	c->left = blob->body;
	write_on(c);
}

void
blob_run(struct blob *blob)
{
	struct tcp_connection *tcp;
	uint32_t events;

	while ((tcp = tcp_ready(blob->tcp, &events)) != NULL) {
		struct blob_connection *c = events & TCP_ACCEPTED ? NULL : tcp_user(tcp);

		if (!c && blob->connection_count == BLOB_CONNECTIONS_MAX) {
			tcp_abort(tcp);
			continue;
		}
		if (!c) {
			c = &blob->connections[blob->connection_count++];
			*c = (struct blob_connection){ .tcp = tcp };
			tcp_set_user(tcp, c);
		}
		if (events & TCP_CLOSED)
			tcp_close(tcp);
		else if (c->left)
			write_on(c);
		else
			answer(blob, c);
	}
}
