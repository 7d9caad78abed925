#include "support/namespace.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_MAX 4096
#define SKIPPED 77

static void
fail(const char *what)
{
	fprintf(stderr, "test support: %s: %s\n", what, strerror(errno));
	abort();
}

void
namespace_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "no network namespace (%s): skipped\n", strerror(errno));
		exit(SKIPPED);
	}
	namespace_run("ip link set lo up");
}

pid_t
namespace_new(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("a peer's namespace");
	close(ready[0]);
	namespace_run_in(pid, "ip link set lo up");
	return pid;
}

void
namespace_free(pid_t peer)
{
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
}

static int __attribute__((format(printf, 4, 0)))
run(pid_t peer, char *out, size_t size, const char *format, va_list arguments)
{
	char command[COMMAND_MAX];
	int len = peer ? snprintf(command, sizeof(command), "nsenter -t %d -n -- ", (int)peer) : 0;
	size_t used = 0, n;
	FILE *pipe;

	/* One word for the shell inside, so that pipes and redirections are the peer's as well. */
	if (peer)
		len += snprintf(command + len, sizeof(command) - (size_t)len, "sh -c '");
	len += vsnprintf(command + len, sizeof(command) - (size_t)len, format, arguments);
	if (len + 2 > (int)sizeof(command))
		fail("command too long");
	if (peer)
		strcat(command, "'");
	if (!out)
		return system(command);
	pipe = popen(command, "r");
	if (!pipe)
		fail("popen");
	while (used + 1 < size && (n = fread(out + used, 1, size - 1 - used, pipe)) > 0)
		used += n;
	out[used] = '\0';
	return pclose(pipe);
}

static void __attribute__((format(printf, 2, 0))) run_or_end(pid_t peer, const char *format, va_list arguments)
{
	int status = run(peer, NULL, 0, format, arguments);

	if (status != 0) {
		fprintf(stderr, "test support: exit status %d of: %s\n", WEXITSTATUS(status), format);
		abort();
	}
}

void
namespace_run(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	run_or_end(0, format, arguments);
	va_end(arguments);
}

void
namespace_run_in(pid_t peer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	run_or_end(peer, format, arguments);
	va_end(arguments);
}

int
namespace_try(pid_t peer_or_0, char *out, size_t size, const char *format, ...)
{
	va_list arguments;
	int status;

	va_start(arguments, format);
	status = run(peer_or_0, out, size, format, arguments);
	va_end(arguments);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
