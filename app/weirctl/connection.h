/* The other end of the control socket: one request, and the lines of its answer. */
#ifndef WEIRCTL_CONNECTION_H
#define WEIRCTL_CONNECTION_H

#include <jansson.h>

struct connection;

/* NULL after saying why on standard error. */
struct connection *connection_open(const char *path);
void connection_close(struct connection *connection);

/* 0 or -errno. */
int connection_send(struct connection *connection, const char *const *words, unsigned int count);
/* The next line as JSON, the caller's to free; NULL at the end, or after saying what was wrong with it. */
json_t *connection_receive(struct connection *connection);
/* Tells the other end that no more comes, which ends a trace. May be called by a signal's handler. */
void connection_finish(struct connection *connection);

#endif
