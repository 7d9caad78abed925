/*
 * A program for the control room's tests: a configuration with packet-level services, one worker that no lcore runs, and
 * clients that talk to a server's socket in a directory of the test's own.
 */
#ifndef UNIT_CONTROL_HOST_H
#define UNIT_CONTROL_HOST_H

#include <jansson.h>

#include "control/control.h"

struct host {
	struct config *config;
	struct l4_registry *registry;
	struct upstream_weights http_weights;
	struct l4_generation *l4;
	struct l4_worker *worker;
	struct loop *loop;
	struct control_server *server;
	unsigned int republished;
	int republish_result;
	char directory[64], path[96];
};

/* `text`: a configuration with `stream`; NULL: no packet-level services. Fails the test when something does not come up. */
void host_new(struct host *host, const char *text);
void host_free(struct host *host);
struct control_host host_callbacks(struct host *host);

/* A connection to the host's server, non-blocking. */
int host_connect(const struct host *host);
/* Sends a line, lets the server run until there is an answer, and returns it; NULL when the connection was closed. */
json_t *host_ask(struct host *host, int fd, const char *line);
/* The next line that has come or comes while the server runs. */
json_t *host_receive(struct host *host, int fd);
/* Asks on a connection of its own; fails the test when the answer is an error, or (host_refused) when it is another. */
json_t *host_answer(struct host *host, const char *line);
void host_refused(struct host *host, const char *line, const char *reason);

/* The observer that is set at the worker (its setting is intercepted); NULL: none. */
extern void (*host_observer)(void *context, const struct l4_decision *decision);
extern void *host_observer_context;

#endif
