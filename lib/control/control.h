/*
 * The control socket: what an operator sees of a running Weir, and what can be changed without a new configuration.
 *
 * A unix stream socket; a request is a line of words (control/request.h), the answer a line of JSON. The commands are the
 * rows of control/command.h. All of it runs on the control thread and never waits for a client: what a client does not
 * read waits in a buffer, and a client that is silent for CONTROL_SILENCE_MS is let go.
 *
 * Knows the rooms below it; what it needs of the program comes through struct control_host.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "l4/l4.h"
#include "proxy/proxy.h"
#include "run/loop.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_WORKERS_MAX 64
/* A client that neither sends a whole request nor takes its answer for this long is let go. */
#define CONTROL_SILENCE_MS 5000
/* Of a path, as the kernel has it, with the terminator. */
#define CONTROL_PATH_MAX 108

struct control_worker {
	const struct loop *loop;         /* for its usage */
	struct l4_worker *l4;            /* NULL: no packet-level services so far */
	const struct net_output *output; /* touched on the worker's lcore alone */
};

/* The program now. Pointers are good until the caller returns to its event loop. */
struct control_facts {
	struct config *config;                /* in force */
	uint32_t generations;                 /* configurations held */
	const struct proxy_generation *proxy; /* in force; NULL: none */
	const struct l4_generation *l4;       /* in force; NULL: none */
	struct l4_registry *registry;         /* NULL: none */
	struct upstream_weights *http_weights;
	const struct xdp_program *program; /* whose own traffic counts, too; NULL: none */
	struct port *const *ports;
	uint32_t port_count;
	unsigned int worker_count;
	struct control_worker workers[CONTROL_WORKERS_MAX];
};

/* What the program gives. Called on the control thread. */
struct control_host {
	void *context;
	void (*facts)(void *context, struct control_facts *out);
	/* Runs fn(argument) on the worker's lcore and returns when it has run. */
	void (*run)(void *context, unsigned int worker, void (*fn)(void *argument), void *argument);
	/* Puts the configuration in force once more: a weight has changed. 0, or -errno and a
	 * reason; then the old one is in force. */
	int (*republish)(void *context, char *error, size_t size);
};

struct control_server;

/* "/run/weir.sock" for "/run/weir.pid"; a path that does not end in ".pid" gets ".sock" behind it. Returns the length
 * needed, without the terminator. */
size_t control_socket_path(const char *pid_path, char *out, size_t size);

/* Listens at `path`, mode 0600. What a Weir that was killed has left there is replaced; a socket that somebody answers
 * at is -EADDRINUSE, a file that is no socket -ENOTSOCK. `host` is copied. 0, or -errno and a complete reason. */
int control_server_new(const struct control_host *host, const char *path, struct control_server **out, char *error,
		       size_t size);
/* Ends traces, lets clients go, removes the socket if it is still ours. NULL is fine. Before the workers are freed. */
void control_server_free(struct control_server *server);

/* Polls readable when control_server_run() has something to do; it has also when the time has come that
 * control_server_next_ns() names (UINT64_MAX: never). */
int control_server_fd(const struct control_server *server);
uint64_t control_server_next_ns(const struct control_server *server);
void control_server_run(struct control_server *server, uint64_t now_ns);
/* Once a second, for rates. */
void control_server_tick(struct control_server *server, uint64_t now_ns);

#endif
