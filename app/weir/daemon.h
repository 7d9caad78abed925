/*
 * Becoming a daemon as nginx does, with one difference: the parent waits until Weir serves, so that an error at start is
 * seen where the command was typed.
 */
#ifndef WEIR_DAEMON_H
#define WEIR_DAEMON_H

#include <stdbool.h>

/* The parent never returns: it exits with 0 once daemon_ready() is called, and with 1 when the daemon dies before. */
int daemon_fork(void);
/* Serving: lets the parent go and leaves its terminal, standard error too unless it is a log. Without daemon_fork() it does
 * nothing. */
void daemon_ready(bool keep_stderr);

/* 0 or -errno; logged. */
int daemon_pid_write(const char *path);
void daemon_pid_remove(const char *path);

#endif
