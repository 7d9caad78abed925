#include "weirctl/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A Weir that is stopped or stuck must not hang whoever asks. */
#define ANSWER_SECONDS 10

struct connection {
	int fd;
	FILE *in;
	char *line;
	size_t line_size;
};

static int
complain(const char *path, int error)
{
	const char *hint =
		error == ENOENT || error == ECONNREFUSED ? ": is weir running? (--socket PATH names another)" : "";

	fprintf(stderr, "weirctl: connect() to \"%s\" failed (%d: %s)%s\n", path, error, strerror(error), hint);
	return -1;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return complain(path, ENAMETOOLONG);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return complain(path, errno);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		close(fd);
		return complain(path, error);
	}
	return fd;
}

struct connection *
connection_open(const char *path)
{
	struct connection *connection;
	int fd = connect_to(path);

	if (fd < 0)
		return NULL;
	connection = calloc(1, sizeof(*connection));
	if (connection) {
		connection->fd = fd;
		connection->in = fdopen(fd, "r");
	}
	if (!connection || !connection->in) {
		fprintf(stderr, "weirctl: out of memory\n");
		close(fd);
		free(connection);
		return NULL;
	}
	return connection;
}

void
connection_close(struct connection *connection)
{
	if (!connection)
		return;
	fclose(connection->in);
	free(connection->line);
	free(connection);
}

/* How long the other end may be silent; 0: for ever. */
static void
set_patience(struct connection *connection, time_t seconds)
{
	struct timeval limit = { .tv_sec = seconds };

	setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

int
connection_send(struct connection *connection, const char *const *words, unsigned int count)
{
	json_t *array = json_array();
	size_t sent = 0, len;
	char *text;

	for (unsigned int i = 0; i < count; i++)
		if (json_array_append_new(array, json_string(words[i])) < 0) {
			json_decref(array);
			return -EILSEQ;
		}
	text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* in the place of the terminator */
	while (sent < len) {
		ssize_t taken = send(connection->fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (taken < 0 && errno != EINTR)
			break;
		sent += taken > 0 ? (size_t)taken : 0;
	}
	free(text);
	/* A trace may have nothing to say for long. */
	set_patience(connection, strcmp(words[0], "trace") == 0 ? 0 : ANSWER_SECONDS);
	return sent == len ? 0 : -errno;
}

json_t *
connection_receive(struct connection *connection)
{
	json_error_t error;
	json_t *answer;
	ssize_t len;

	do {
		clearerr(connection->in);
		errno = 0;
		len = getline(&connection->line, &connection->line_size, connection->in);
	} while (len < 0 && errno == EINTR);
	if (len < 0) {
		fprintf(stderr, errno == EAGAIN ? "weirctl: weir does not answer\n" : "weirctl: weir hung up\n");
		return NULL;
	}
	answer = json_loadb(connection->line, (size_t)len, 0, &error);
	if (!answer)
		fprintf(stderr, "weirctl: an answer that is no JSON: %s\n", error.text);
	return answer;
}

void
connection_finish(struct connection *connection)
{
	shutdown(connection->fd, SHUT_WR);
}
