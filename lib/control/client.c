#include "control/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/control.h"

void
control_client_open(struct control_client *client, int fd, uint64_t now_ns)
{
	memset(client, 0, sizeof(*client));
	client->fd = fd;
	client->deadline_ns = now_ns + CONTROL_SILENCE_MS * NS_PER_MS;
}

void
control_client_close(struct control_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	free(client->output);
	client->fd = -1;
	client->output = NULL;
}

void
control_client_read(struct control_client *client)
{
	while (client->input_len < sizeof(client->input) && !client->input_ended) {
		ssize_t got = recv(client->fd, client->input + client->input_len,
				   sizeof(client->input) - client->input_len, MSG_DONTWAIT);

		if (got > 0)
			client->input_len += (size_t)got;
		else if (got < 0 && errno == EINTR)
			continue;
		else if (got < 0 && errno == EAGAIN)
			return;
		else
			client->input_ended = true;
	}
}

/* Copied, so that what follows it can move to the front. */
const char *
control_client_line(struct control_client *client, size_t *len)
{
	static char line[sizeof(client->input)];
	const char *end = memchr(client->input, '\n', client->input_len);
	size_t taken;

	if (!end && !(client->input_ended && client->input_len > 0))
		return NULL;
	*len = end ? (size_t)(end - client->input) : client->input_len;
	taken = end ? *len + 1 : *len;
	memcpy(line, client->input, *len);
	client->input_len -= taken;
	memmove(client->input, client->input + taken, client->input_len);
	return line;
}

bool
control_client_overlong(const struct control_client *client)
{
	return client->input_len == sizeof(client->input) && !memchr(client->input, '\n', client->input_len);
}

size_t
control_client_pending(const struct control_client *client)
{
	return client->output_len - client->output_sent;
}

void
control_client_add(struct control_client *client, const char *line, size_t len)
{
	size_t pending = control_client_pending(client);
	char *larger;

	if (client->output_sent) {
		memmove(client->output, client->output + client->output_sent, pending);
		client->output_sent = 0;
		client->output_len = pending;
	}
	larger = realloc(client->output, pending + len + 1);
	if (!larger) {
		client->failed = true;
		return;
	}
	memcpy(larger + pending, line, len);
	larger[pending + len] = '\n';
	client->output = larger;
	client->output_len = pending + len + 1;
}

void
control_client_answer(struct control_client *client, const json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	if (text)
		control_client_add(client, text, strlen(text));
	else
		client->failed = true;
	free(text);
}

void
control_client_write(struct control_client *client, uint64_t now_ns)
{
	while (control_client_pending(client)) {
		ssize_t sent = send(client->fd, client->output + client->output_sent, control_client_pending(client),
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			client->failed |= errno != EAGAIN;
			return;
		}
		client->output_sent += (size_t)sent;
		client->deadline_ns = now_ns + CONTROL_SILENCE_MS * NS_PER_MS;
	}
	free(client->output);
	client->output = NULL;
	client->output_len = client->output_sent = 0;
}
