/*
 * Logs: error log with nginx's levels and line format, and any other line-oriented file (access logs).
 *
 * Files are shared by path. A thread that called log_thread_attach() (every lcore) never touches a file: its lines go
 * into its own bounded ring, and one writer thread writes them out. A ring that is full drops the line and counts it; a
 * slow or full disk therefore never stalls traffic. Threads that are not attached write at once.
 *
 * Line format of an error log: "2026/11/21 00:31:00 [error] PID#TID: MESSAGE". Levels and names are nginx's.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum log_level {
	LOG_STDERR,
	LOG_EMERG,
	LOG_ALERT,
	LOG_CRIT,
	LOG_ERR,
	LOG_WARN,
	LOG_NOTICE,
	LOG_INFO,
	LOG_DEBUG,
};

struct log_file;

/* "emerg" .. "debug", nginx's words; -EINVAL for others. */
int log_level_parse(struct bytes text, enum log_level *level);
const char *log_level_name(enum log_level level);

/* ---- files: control thread only ---- */

/*
 * A file is written without ever waiting for a reader: FIFOs and terminals are opened non-blocking (a FIFO without a
 * reader takes what the kernel buffers), 64 KB are kept for a reader that is slow, the rest is dropped. What a full disk
 * refuses is dropped. Where standard error is a pipe that cannot be opened anew, the program must ignore SIGPIPE.
 */

/* Opens for appending, or finds the file already open under that path and counts one more user. "stderr" is standard
 * error. 0 or -errno. */
int log_file_get(const char *path, struct log_file **out);
/* Closed when the last user has gone and everything queued for it is written. No thread may write to it after the last
 * put: for lcores, publish the successor and wait for a quiescent state first. */
void log_file_put(struct log_file *file);
/* USR1: every file is opened anew under its path; one that cannot be opened keeps its old descriptor, with an alert. */
void log_reopen_all(void);

/* ---- the writer thread ---- */

int log_writer_start(void);
/* Writes what is queued (at most about a second against a stuck reader), then ends the thread. */
void log_writer_stop(void);

/* ---- writing: any thread ---- */

/* Gives the calling thread its ring. `ring_bytes` is rounded up to a power of two. 0 or -errno. A megabyte holds what an
 * lcore writes in a writer's nap of at most 20 ms at 50 MB/s. */
int log_thread_attach(size_t ring_bytes);
void log_thread_detach(void);

/* The longest line: half of what a file buffers. Longer ones are dropped. */
#define LOG_LINE_MAX 32768

/* One line, the newline included by the caller. Never blocks in an attached thread; false when it was dropped. */
bool log_file_write(struct log_file *file, const void *line, size_t len);
/* Lines dropped by all threads since start, because a ring was full or the file could not be written. */
uint64_t log_dropped(void);

/* Where errors go: a list, as a configuration may name several logs. Each has a level of its own. */
struct log_target {
	struct log_file *file;
	enum log_level level;
	const struct log_target *next;
};

/* The highest level that any of them takes. */
enum log_level log_target_level(const struct log_target *targets);

/* True when one of them is standard error; so is NULL, which stands for it. */
bool log_target_is_stderr(const struct log_target *targets);

/* The error logs in force (main context): where log_error() goes. The list is the caller's and must live until another is
 * set and every lcore has been quiescent. NULL, and at first: standard error at `notice`. */
void log_error_set(const struct log_target *targets);
/* Control, before other threads exist: errors up to `warn` also go to standard error, as "PROGRAM: [emerg] MESSAGE", for
 * whoever typed the command. NULL ends that. */
void log_error_echo(const char *program);
enum log_level log_error_level(void);
#define log_error(level, ...)                                                                                          \
	do {                                                                                                           \
		if ((level) <= log_error_level())                                                                      \
			log_error_write(NULL, (level), __VA_ARGS__);                                                   \
	} while (0)
/* To those of `targets` (those in force where NULL) that take the level. Adds time, level, pid, tid and newline; lines are
 * cut at 2048 bytes. */
void log_error_write(const struct log_target *targets, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- time as text: any thread; the last second is kept per thread, so a line costs a copy ---- */

#define LOG_TIME_MAX 32

/* All return the length, without the terminator. Local time zone:
 * "21/Nov/2026:00:31:00 +0000" ($time_local), "2026-11-21T00:31:00+00:00" ($time_iso8601),
 * "2026/11/21 00:31:00" (error log); and GMT: "Sat, 21 Nov 2026 00:31:00 GMT" (RFC 9110 section 5.6.7). */
size_t log_time_local(uint64_t real_ns, char out[LOG_TIME_MAX]);
size_t log_time_iso8601(uint64_t real_ns, char out[LOG_TIME_MAX]);
size_t log_time_error(uint64_t real_ns, char out[LOG_TIME_MAX]);
size_t log_time_http(uint64_t real_ns, char out[LOG_TIME_MAX]);

#endif
