#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log_internal.h"

#define LOG_BUFFER_SIZE ((size_t)2 * LOG_LINE_MAX)

/* How long the last lines of a file without users wait for a slow reader. */
#define LOG_CLOSE_PATIENCE_NS NS_PER_SECOND

enum log_file_kind {
	LOG_FILE_PLAIN,   /* a regular file, or opened non-blocking: write() returns */
	LOG_FILE_GUARDED, /* shared with others in blocking mode: ask poll() first, then write little */
	LOG_FILE_SOCKET,
};

struct log_file {
	struct list node; /* in `files` */
	char *path;
	unsigned int users;   /* guarded by files_mutex */
	bool closing;         /* had no user when the writer's pass began */
	uint64_t close_by_ns; /* when its last lines are given up; 0 until the reader turns out to be slow */

	pthread_mutex_t mutex; /* guards the rest */
	enum log_file_kind kind;
	int fd;
	uint64_t dropped;
	bool torn;    /* the last line written was cut in the middle */
	size_t start; /* buffer[start, end) waits to be written */
	size_t end;
	uint8_t buffer[LOG_BUFFER_SIZE];
};

static struct list files = { &files, &files };
static pthread_mutex_t files_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t dropped;

static struct log_file standard_error = {
	.path = (char[]){ "stderr" },
	.users = 1,
	.fd = -1,
	.mutex = PTHREAD_MUTEX_INITIALIZER,
};

static void
drop_count(struct log_file *file, uint64_t lines)
{
	file->dropped += lines;
	__atomic_fetch_add(&dropped, lines, __ATOMIC_RELAXED);
}

uint64_t
log_files_dropped(void)
{
	return __atomic_load_n(&dropped, __ATOMIC_RELAXED);
}

/*
 * Standard error is shared with whoever started us, so its mode is not ours to change: a pipe or a terminal is opened
 * once more. A regular file is not, as two descriptions with an offset each would write over one another.
 */
static void
open_stderr(struct log_file *file)
{
	struct stat status;
	int type, fd = -1;

	type = fstat(STDERR_FILENO, &status) < 0 ? 0 : (int)(status.st_mode & S_IFMT);
	if (type == S_IFIFO)
		fd = open("/proc/self/fd/2", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	else if (type == S_IFCHR)
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	file->kind = type == S_IFSOCK             ? LOG_FILE_SOCKET
		     : type == S_IFREG || fd >= 0 ? LOG_FILE_PLAIN
						  : LOG_FILE_GUARDED;
	file->fd = fd >= 0 ? fd : STDERR_FILENO;
}

struct log_file *
log_file_stderr(void)
{
	static bool open;

	if (__atomic_load_n(&open, __ATOMIC_ACQUIRE))
		return &standard_error;
	pthread_mutex_lock(&files_mutex);
	if (standard_error.fd < 0) {
		open_stderr(&standard_error);
		list_append(&files, &standard_error.node);
		__atomic_store_n(&open, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&files_mutex);
	return &standard_error;
}

/* A FIFO is opened for reading too: that needs no reader to be there, and a reader that goes away raises no SIGPIPE. */
static int
open_path(const char *path)
{
	struct stat status;
	bool fifo = stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
	int access = fifo ? O_RDWR : O_WRONLY;
	int fd = open(path, access | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd;
}

static struct log_file *
file_find(const char *path)
{
	for (struct list *node = files.next; node != &files; node = node->next) {
		struct log_file *file = container_of(node, struct log_file, node);

		if (file->users > 0 && strcmp(file->path, path) == 0)
			return file;
	}
	return NULL;
}

static int
file_open(const char *path, struct log_file **out)
{
	struct log_file *file = calloc(1, sizeof(*file));
	int error = -ENOMEM;

	if (!file)
		return error;
	file->path = strdup(path);
	if (!file->path)
		goto fail;
	error = file->fd = open_path(path);
	if (error < 0)
		goto fail_path;
	pthread_mutex_init(&file->mutex, NULL);
	file->users = 1;
	list_append(&files, &file->node);
	*out = file;
	return 0;
fail_path:
	free(file->path);
fail:
	free(file);
	return error;
}

int
log_file_get(const char *path, struct log_file **out)
{
	struct log_file *file;
	int error = 0;

	log_file_stderr();
	pthread_mutex_lock(&files_mutex);
	file = file_find(path);
	if (file) {
		file->users++;
		*out = file;
	} else {
		error = file_open(path, out);
	}
	pthread_mutex_unlock(&files_mutex);
	return error;
}

void
log_file_put(struct log_file *file)
{
	bool last;

	if (!file)
		return;
	pthread_mutex_lock(&files_mutex);
	last = --file->users == 0;
	pthread_mutex_unlock(&files_mutex);
	if (last)
		log_writer_settle();
}

/* ---- writing ---- */

static ssize_t
write_some(const struct log_file *file, const uint8_t *data, size_t len)
{
	struct pollfd poll_fd = { .fd = file->fd, .events = POLLOUT };

	switch (file->kind) {
	case LOG_FILE_SOCKET:
		return send(file->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case LOG_FILE_GUARDED:
		/* A pipe that is ready for writing takes PIPE_BUF bytes without blocking. */
		if (poll(&poll_fd, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(file->fd, data, len < PIPE_BUF ? len : PIPE_BUF);
	case LOG_FILE_PLAIN:
		break;
	}
	return write(file->fd, data, len);
}

static void
buffer_discard(struct log_file *file)
{
	uint64_t lines = 0;

	for (size_t i = file->start; i < file->end; i++)
		lines += file->buffer[i] == '\n';
	drop_count(file, lines);
	file->start = file->end = 0;
}

/* True when everything has gone, to the kernel or for good. */
static bool
buffer_flush(struct log_file *file)
{
	while (file->start < file->end) {
		ssize_t n = write_some(file, file->buffer + file->start, file->end - file->start);

		if (n > 0) {
			file->start += (size_t)n;
			file->torn = file->buffer[file->start - 1] != '\n';
		} else if (n < 0 && errno == EAGAIN) {
			return false;
		} else if (n == 0 || errno != EINTR) {
			buffer_discard(file);
		}
	}
	file->start = file->end = 0;
	return true;
}

static bool
buffer_append(struct log_file *file, const void *line, size_t len)
{
	/* What was cut off is lost; the next line must not grow out of the half that was written. */
	size_t newline = file->torn && file->start == file->end ? 1 : 0;

	if (file->end + newline + len > LOG_BUFFER_SIZE && file->start > 0) {
		memmove(file->buffer, file->buffer + file->start, file->end - file->start);
		file->end -= file->start;
		file->start = 0;
	}
	if (file->end + newline + len > LOG_BUFFER_SIZE)
		return false;
	if (newline) {
		file->buffer[file->end++] = '\n';
		file->torn = false;
	}
	memcpy(file->buffer + file->end, line, len);
	file->end += len;
	return true;
}

bool
log_file_append(struct log_file *file, const void *line, size_t len, bool flush)
{
	uint64_t dropped_before;
	bool taken;

	pthread_mutex_lock(&file->mutex);
	taken = len <= LOG_LINE_MAX && buffer_append(file, line, len);
	if (!taken && len <= LOG_LINE_MAX) {
		buffer_flush(file);
		taken = buffer_append(file, line, len);
	}
	dropped_before = file->dropped;
	if (!taken)
		drop_count(file, 1);
	else if (flush)
		buffer_flush(file);
	taken = file->dropped == dropped_before;
	pthread_mutex_unlock(&file->mutex);
	return taken;
}

size_t
log_files_flush(bool *left)
{
	size_t written = 0;

	*left = false;

	pthread_mutex_lock(&files_mutex);
	for (struct list *node = files.next; node != &files; node = node->next) {
		struct log_file *file = container_of(node, struct log_file, node);

		pthread_mutex_lock(&file->mutex);
		written += file->end - file->start;
		*left |= !buffer_flush(file);
		written -= file->end - file->start;
		pthread_mutex_unlock(&file->mutex);
	}
	pthread_mutex_unlock(&files_mutex);
	return written;
}

void
log_files_discard(void)
{
	pthread_mutex_lock(&files_mutex);
	for (struct list *node = files.next; node != &files; node = node->next) {
		struct log_file *file = container_of(node, struct log_file, node);

		pthread_mutex_lock(&file->mutex);
		buffer_discard(file);
		pthread_mutex_unlock(&file->mutex);
	}
	pthread_mutex_unlock(&files_mutex);
}

/* ---- closing and reopening ---- */

void
log_files_close_begin(void)
{
	pthread_mutex_lock(&files_mutex);
	for (struct list *node = files.next; node != &files; node = node->next) {
		struct log_file *file = container_of(node, struct log_file, node);

		file->closing = file->users == 0;
	}
	pthread_mutex_unlock(&files_mutex);
}

/* True when there is still hope that a slow reader takes what is left. */
static bool
file_lingers(struct log_file *file)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (buffer_flush(file))
		return false;
	if (file->close_by_ns == 0)
		file->close_by_ns = now_ns + LOG_CLOSE_PATIENCE_NS;
	return now_ns < file->close_by_ns;
}

static void
file_close(struct log_file *file)
{
	buffer_discard(file);
	list_remove(&file->node);
	close(file->fd);
	pthread_mutex_destroy(&file->mutex);
	free(file->path);
	free(file);
}

void
log_files_close_end(bool at_once)
{
	pthread_mutex_lock(&files_mutex);
	for (struct list *node = files.next, *next; node != &files; node = next) {
		struct log_file *file = container_of(node, struct log_file, node);

		next = node->next;
		if (file->closing && (!file_lingers(file) || at_once))
			file_close(file);
	}
	pthread_mutex_unlock(&files_mutex);
}

static int
file_reopen(struct log_file *file)
{
	int fd = open_path(file->path), old_fd;

	if (fd < 0)
		return fd;
	pthread_mutex_lock(&file->mutex);
	buffer_flush(file);
	old_fd = file->fd;
	file->fd = fd;
	file->torn = false;
	pthread_mutex_unlock(&file->mutex);
	close(old_fd);
	return 0;
}

void
log_reopen_all(void)
{
	struct log_file *file;
	struct list *node;
	int error;

	pthread_mutex_lock(&files_mutex);
	for (node = files.next; node != &files; node = node->next) {
		file = container_of(node, struct log_file, node);
		if (file->users == 0 || file == &standard_error)
			continue;
		/* One more user keeps the file in the list while the lock is free. */
		file->users++;
		pthread_mutex_unlock(&files_mutex);
		error = file_reopen(file);
		if (error < 0)
			log_error(LOG_ALERT, "open() \"%s\" failed (%d: %s)", file->path, -error, strerror(-error));
		pthread_mutex_lock(&files_mutex);
		file->users--;
	}
	pthread_mutex_unlock(&files_mutex);
}
