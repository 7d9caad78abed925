#include "control/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/command.h"
#include "control/trace.h"

/* Connections that wait for the control thread. */
#define BACKLOG 16
/* Nobody but root, or who Weir runs as. */
#define SOCKET_MODE 0600

size_t
control_socket_path(const char *pid_path, char *out, size_t size)
{
	size_t len = strlen(pid_path), suffix = strlen(".pid");

	if (len > suffix && strcmp(pid_path + len - suffix, ".pid") == 0)
		len -= suffix;
	return (size_t)snprintf(out, size, "%.*s.sock", (int)len, pid_path);
}

/* ---- the socket ---- */

/* Whether somebody takes connections at the address. */
static bool
is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return false;
	/* EAGAIN: its backlog is full. */
	alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
	close(fd);
	return alive;
}

static int
make_room(const struct sockaddr_un *address, char *error, size_t size)
{
	struct stat found;

	if (lstat(address->sun_path, &found) < 0)
		return 0;
	if (!S_ISSOCK(found.st_mode)) {
		snprintf(error, size, "control socket \"%s\": there is a file that is no socket", address->sun_path);
		return -ENOTSOCK;
	}
	if (is_alive(address)) {
		snprintf(error, size, "control socket \"%s\": another weir answers there", address->sun_path);
		return -EADDRINUSE;
	}
	log_error(LOG_NOTICE, "control socket \"%s\" was left by a weir that ended badly: replaced", address->sun_path);
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int
listen_at(struct control_server *server, char *error, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat made;
	int result;

	memcpy(address.sun_path, server->path, sizeof(address.sun_path));
	result = make_room(&address, error, size);
	if (result < 0)
		return result;
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode before there is a name: at no time may others connect. */
	if (server->listen_fd < 0 || fchmod(server->listen_fd, SOCKET_MODE) < 0 ||
	    bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (stat(server->path, &made) == 0) {
		server->device = made.st_dev;
		server->inode = made.st_ino;
	}
	/* A mask may have taken bits away. */
	if (chmod(server->path, SOCKET_MODE) < 0 || listen(server->listen_fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

static int
watch(struct control_server *server)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = CONTROL_CLIENTS_MAX };

	server->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->poll_fd < 0 || epoll_ctl(server->poll_fd, EPOLL_CTL_ADD, server->listen_fd, &event) < 0)
		return -errno;
	return 0;
}

int
control_server_new(const struct control_host *host, const char *path, struct control_server **out, char *error,
		   size_t size)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int result;

	snprintf(error, size, "out of memory");
	if (!server)
		return -ENOMEM;
	error[0] = 0;
	server->host = *host;
	server->listen_fd = server->poll_fd = -1;
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		server->clients[i].fd = -1;
	if (strlen(path) >= sizeof(server->path)) {
		snprintf(error, size, "control socket \"%s\": the path is longer than %d bytes", path,
			 CONTROL_PATH_MAX - 1);
		result = -ENAMETOOLONG;
	} else {
		memcpy(server->path, path, strlen(path) + 1);
		result = listen_at(server, error, size);
	}
	if (result == 0)
		result = watch(server);
	if (result < 0) {
		if (!error[0])
			snprintf(error, size, "control socket \"%s\" failed (%d: %s)", path, -result,
				 strerror(-result));
		control_server_free(server);
		return result;
	}
	server->sample.start_ns = clock_monotonic_ns();
	*out = server;
	return 0;
}

void
control_server_free(struct control_server *server)
{
	struct stat found;

	if (!server)
		return;
	control_trace_end(server);
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control_client_close(&server->clients[i]);
	if (server->inode && stat(server->path, &found) == 0 && found.st_dev == server->device &&
	    found.st_ino == server->inode)
		unlink(server->path);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->poll_fd >= 0)
		close(server->poll_fd);
	control_sample_free(&server->sample);
	free(server);
}

/* ---- clients ---- */

static void
answer_error(struct control_client *client, const char *text)
{
	json_t *answer = json_pack("{s:s}", "error", text);

	control_client_answer(client, answer);
	json_decref(answer);
}

static void
serve_line(struct control_server *server, struct control_client *client, const char *line, size_t len)
{
	struct control_request request;
	struct control_facts facts = { 0 };
	struct control_call call = {
		.server = server, .host = &server->host, .facts = &facts, .sample = &server->sample, .client = client
	};
	const char *error;

	if (control_request_parse(line, len, &request, &error) < 0) {
		answer_error(client, error);
		return;
	}
	if (request.count == 0) {
		answer_error(client, "no command");
		return;
	}
	server->host.facts(server->host.context, &facts);
	if (control_command_run(&call, request.words, request.count, false) != CONTROL_STREAMS)
		control_client_answer(client, call.answer);
	json_decref(call.answer);
}

/* One answer at a time: what a client sends while it has not taken the last one stays where it is. */
static void
serve(struct control_server *server, struct control_client *client, uint64_t now_ns)
{
	const char *line;
	size_t len;

	control_client_write(client, now_ns);
	while (!client->failed && !client->closing && !client->streaming && !control_client_pending(client)) {
		control_client_read(client);
		line = control_client_line(client, &len);
		if (line) {
			serve_line(server, client, line, len);
		} else if (control_client_overlong(client)) {
			answer_error(client, "the line is too long");
			client->closing = true;
		} else {
			client->closing = client->input_ended;
			break;
		}
		control_client_write(client, now_ns);
	}
	/* During a stream the end of the client's side ends the stream, which has a last line. */
	if (client->streaming) {
		control_client_read(client);
		if (client->input_ended || client->failed)
			control_trace_end(server);
		control_client_write(client, now_ns);
	}
}

/* Requests that have come already, which no event tells of: behind a trace that has just ended. */
static void
serve_waiting(struct control_server *server, uint64_t now_ns)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &server->clients[i];

		if (client->fd >= 0 && !client->streaming && !client->closing &&
		    (client->input_len || client->input_ended) && !control_client_pending(client))
			serve(server, client, now_ns);
	}
}

static void
watch_client(struct control_server *server, struct control_client *client, int operation)
{
	struct epoll_event event = { .data.u32 = (uint32_t)(client - server->clients) };

	/* What is not read must not be asked about, or the control thread would find no rest. */
	if (!client->input_ended && client->input_len < sizeof(client->input) &&
	    (client->streaming || !control_client_pending(client)))
		event.events |= EPOLLIN;
	if (control_client_pending(client))
		event.events |= EPOLLOUT;
	if (epoll_ctl(server->poll_fd, operation, client->fd, &event) < 0)
		client->failed = true;
}

static void
settle(struct control_server *server, struct control_client *client, uint64_t now_ns)
{
	bool silent = now_ns >= client->deadline_ns && (!client->streaming || control_client_pending(client));

	if (!client->failed && !silent && !(client->closing && !control_client_pending(client))) {
		watch_client(server, client, EPOLL_CTL_MOD);
		if (!client->failed)
			return;
	}
	client->failed = true;
	if (client->streaming)
		control_trace_end(server);
	control_client_close(client);
}

static void
take_client(struct control_server *server, uint64_t now_ns)
{
	static const char full[] = "{\"error\":\"too many clients\"}\n";
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &server->clients[i];

		if (client->fd >= 0)
			continue;
		control_client_open(client, fd, now_ns);
		watch_client(server, client, EPOLL_CTL_ADD);
		if (client->failed)
			control_client_close(client);
		return;
	}
	/* Fits into any socket's buffer. */
	if (send(fd, full, strlen(full), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_error(LOG_INFO, "a client of the control socket has gone (%d: %s)", errno, strerror(errno));
	close(fd);
}

/* ---- the event loop's view ---- */

int
control_server_fd(const struct control_server *server)
{
	return server->poll_fd;
}

uint64_t
control_server_next_ns(const struct control_server *server)
{
	uint64_t next_ns = control_trace_next_ns(server->trace);

	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct control_client *client = &server->clients[i];

		if (client->fd >= 0 && client->deadline_ns < next_ns &&
		    (!client->streaming || control_client_pending(client)))
			next_ns = client->deadline_ns;
	}
	return next_ns;
}

void
control_server_run(struct control_server *server, uint64_t now_ns)
{
	struct epoll_event events[CONTROL_CLIENTS_MAX + 1];
	int count = epoll_wait(server->poll_fd, events, CONTROL_CLIENTS_MAX + 1, 0);
	bool accepting = false;

	for (int i = 0; i < count; i++) {
		if (events[i].data.u32 == CONTROL_CLIENTS_MAX)
			accepting = true;
		else if (server->clients[events[i].data.u32].fd >= 0)
			serve(server, &server->clients[events[i].data.u32], now_ns);
	}
	control_trace_pump(server, now_ns);
	serve_waiting(server, now_ns);
	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (server->clients[i].fd >= 0)
			settle(server, &server->clients[i], now_ns);
	/* After those that go have gone. */
	if (accepting)
		take_client(server, now_ns);
}

void
control_server_tick(struct control_server *server, uint64_t now_ns)
{
	control_sample_take(&server->sample, &server->host, now_ns);
}
