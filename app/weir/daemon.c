#include "weir/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static int ready_fd = -1;

int
daemon_fork(void)
{
	int fds[2];
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		ssize_t got;

		close(fds[1]);
		do
			got = read(fds[0], &byte, 1);
		while (got < 0 && errno == EINTR);
		_exit(got == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(fds[0]);
	ready_fd = fds[1];
	setsid();
	umask(0);
	return 0;
}

void
daemon_ready(bool keep_stderr)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		if (!keep_stderr)
			dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(ready_fd, "1", 1) < 0)
		log_error(LOG_ALERT, "write() to the waiting parent failed (%d: %s)", errno, strerror(errno));
	close(ready_fd);
	ready_fd = -1;
}

/* By rename, so that whoever waits for the file never reads half of it. */
int
daemon_pid_write(const char *path)
{
	char temporary[4096];
	FILE *file;
	int result = 0;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "we");
	if (!file || fprintf(file, "%d\n", getpid()) < 0)
		result = -errno;
	if (file && fclose(file) != 0 && result == 0)
		result = -errno;
	if (result == 0 && rename(temporary, path) < 0)
		result = -errno;
	if (result < 0)
		log_error(LOG_EMERG, "open() \"%s\" failed (%d: %s)", path, -result, strerror(-result));
	return result;
}

void
daemon_pid_remove(const char *path)
{
	if (unlink(path) < 0)
		log_error(LOG_ALERT, "unlink() \"%s\" failed (%d: %s)", path, errno, strerror(errno));
}
