/*
 * Network namespaces for unit tests: the test's own, and peers that live as long as the test lets them. Nothing on the host
 * is touched, and nothing is left behind, however the test ends.
 */
#ifndef SUPPORT_NAMESPACE_H
#define SUPPORT_NAMESPACE_H

#include <stddef.h>
#include <sys/types.h>

/* Moves the calling thread, and with it all it starts, into a new network namespace with lo up. First in main(). Ends the
 * program with 77 (skipped) where that is not permitted. */
void namespace_enter(void);

/* A process that holds a further namespace, with lo up; its pid is its name: `ip link set veth1 netns PID`. */
pid_t namespace_new(void);
void namespace_free(pid_t peer);

/* Runs a shell command in the test's namespace, or in that of a peer. Ends the program when it fails. */
void namespace_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
void namespace_run_in(pid_t peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same; exit status instead of the end, and standard output (cut, terminated) where `out` is not NULL. */
int namespace_try(pid_t peer_or_0, char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
