#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_internal.h"

/* nginx's NGX_MAX_ERROR_STR. */
#define LOG_ERROR_LINE_MAX 2048

static const char *const level_names[] = {
	[LOG_STDERR] = "stderr", [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",
	[LOG_CRIT] = "crit",     [LOG_ERR] = "error",   [LOG_WARN] = "warn",
	[LOG_NOTICE] = "notice", [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static const struct log_target *error_targets;
static enum log_level error_level = LOG_NOTICE;
static const char *echo_program;

int
log_level_parse(struct bytes text, enum log_level *level)
{
	for (int i = LOG_EMERG; i <= LOG_DEBUG; i++) {
		if (bytes_equal_string(text, level_names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

bool
log_file_write(struct log_file *file, const void *line, size_t len)
{
	if (log_ring_attached())
		return log_ring_write(file, line, len);
	return log_file_append(file, line, len, true);
}

enum log_level
log_target_level(const struct log_target *targets)
{
	enum log_level level = LOG_STDERR;

	for (; targets; targets = targets->next)
		if (targets->level > level)
			level = targets->level;
	return level;
}

bool
log_target_is_stderr(const struct log_target *targets)
{
	if (!targets)
		return true;
	for (; targets; targets = targets->next)
		if (targets->file == log_file_stderr())
			return true;
	return false;
}

void
log_error_set(const struct log_target *targets)
{
	__atomic_store_n(&error_targets, targets, __ATOMIC_RELEASE);
	__atomic_store_n(&error_level, targets ? log_target_level(targets) : LOG_NOTICE, __ATOMIC_RELEASE);
}

void
log_error_echo(const char *program)
{
	echo_program = program;
}

enum log_level
log_error_level(void)
{
	return __atomic_load_n(&error_level, __ATOMIC_RELAXED);
}

static size_t
line_start(char *line, enum log_level level)
{
	int pid, tid, len;
	size_t time_len = log_time_error(clock_real_ns(), line);

	if (log_ring_attached()) {
		log_ring_ids(&pid, &tid);
	} else {
		pid = getpid();
		tid = gettid();
	}
	len = snprintf(line + time_len, LOG_ERROR_LINE_MAX - time_len, " [%s] %d#%d: ", level_names[level], pid, tid);
	return time_len + (size_t)len;
}

/* True when standard error is among the targets: an echo would say it twice. */
static bool
write_targets(const struct log_target *targets, enum log_level level, const char *line, size_t len)
{
	bool to_stderr = false;

	for (; targets; targets = targets->next) {
		if (level > targets->level)
			continue;
		to_stderr |= targets->file == log_file_stderr();
		log_file_write(targets->file, line, len);
	}
	return to_stderr;
}

void
log_error_write(const struct log_target *targets, enum log_level level, const char *format, ...)
{
	char line[LOG_ERROR_LINE_MAX];
	size_t start = line_start(line, level), len = start;
	size_t room = sizeof(line) - len;
	va_list arguments;
	int wanted;

	va_start(arguments, format);
	wanted = vsnprintf(line + len, room, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		len += (size_t)wanted < room ? (size_t)wanted : room - 1;
	/* Where the message was cut, vsnprintf()'s terminator makes room for the newline. */
	line[len++] = '\n';
	if (!targets)
		targets = __atomic_load_n(&error_targets, __ATOMIC_ACQUIRE);
	if (!targets && !echo_program)
		log_file_write(log_file_stderr(), line, len);
	else if (!write_targets(targets, level, line, len) && echo_program && level <= LOG_WARN)
		fprintf(stderr, "%s: [%s] %.*s", echo_program, level_names[level], (int)(len - start), line + start);
}
