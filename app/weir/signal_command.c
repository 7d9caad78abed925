#include "weir/signal_command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"

static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "stop", SIGTERM },
	{ "quit", SIGQUIT },
	{ "reopen", SIGUSR1 },
	{ "reload", SIGHUP },
};

static int
signal_number(const char *name)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strcmp(signals[i].name, name) == 0)
			return signals[i].number;
	return -EINVAL;
}

/* The text of the file, without the line ends behind it. Length or -errno. */
static ssize_t
pid_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0) {
		int error = errno;

		log_error(LOG_ERR, "open() \"%s\" failed (%d: %s)", path, error, strerror(error));
		return -error;
	}
	len = read(fd, text, size);
	if (len < 0) {
		int error = errno;

		log_error(LOG_CRIT, "pread() \"%s\" failed (%d: %s)", path, error, strerror(error));
		close(fd);
		return -error;
	}
	close(fd);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	return len;
}

int
signal_command_send(const char *pid_path, const char *signal_name)
{
	int number = signal_number(signal_name);
	char text[22]; /* as much as nginx looks at: a 64-bit number and a line end */
	ssize_t len;
	uint64_t pid;

	if (number < 0)
		return number;
	log_error(LOG_NOTICE, "signal process started");
	len = pid_read(pid_path, text, sizeof(text));
	if (len < 0)
		return (int)len;
	/* kill(0) would be for our own process group. */
	if (!bytes_parse_unsigned(bytes_of(text, (size_t)len), INT32_MAX, &pid) || pid == 0) {
		log_error(LOG_ERR, "invalid PID number \"%.*s\" in \"%s\"", (int)len, text, pid_path);
		return -EINVAL;
	}
	if (kill((pid_t)pid, number) < 0) {
		int error = errno;

		log_error(LOG_ALERT, "kill(%d, %d) failed (%d: %s)", (int)pid, number, error, strerror(error));
		return -error;
	}
	return 0;
}
