#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "weir/signal_command.h"

static char directory[] = "/tmp/weir-test-signal-XXXXXX", log_path[64], pid_path[64];
static struct log_file *log_file;
static struct log_target target; /* the one in force: it must outlive its setter */

static int
files_make(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(log_path, sizeof(log_path), "%s/log", directory);
	snprintf(pid_path, sizeof(pid_path), "%s/pid", directory);
	if (log_file_get(log_path, &log_file) < 0)
		return -1;
	target = (struct log_target){ log_file, LOG_NOTICE, NULL };
	log_error_set(&target);
	return 0;
}

static int
files_remove(void **state)
{
	log_error_set(NULL);
	log_file_put(log_file);
	unlink(log_path);
	unlink(pid_path);
	return rmdir(directory);
}

/* The last line of the log, from its level on without "PID#TID: ". */
static const char *
last_line(void)
{
	static char line[1024], last[1024];
	FILE *file = fopen(log_path, "r");
	char *level, *message;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		;
	fclose(file);
	line[strcspn(line, "\n")] = 0;
	level = strchr(line, '[');
	assert_non_null(level);
	message = strstr(level, ": ");
	assert_non_null(message);
	snprintf(last, sizeof(last), "%.*s %s", (int)strcspn(level, " "), level, message + 2);
	return last;
}

static void
pid_write(const char *text)
{
	FILE *file = fopen(pid_path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

#define assert_told(level, format, ...)                                                                                \
	do {                                                                                                           \
		char expected[256];                                                                                    \
		snprintf(expected, sizeof(expected), "[" level "] " format, __VA_ARGS__);                              \
		assert_string_equal(last_line(), expected);                                                            \
	} while (0)

static void
a_file_that_cannot_be_read_is_told_in_the_words_of_nginx(void **state)
{
	unlink(pid_path);
	assert_int_equal(signal_command_send(pid_path, "stop"), -ENOENT);
	assert_told("error", "open() \"%s\" failed (2: No such file or directory)", pid_path);
	assert_int_equal(signal_command_send(directory, "stop"), -EISDIR);
	assert_told("crit", "pread() \"%s\" failed (21: Is a directory)", directory);
}

static void
what_is_no_process_id_is_told_in_the_words_of_nginx(void **state)
{
	static const char *const wrong[] = { "", "abc", "1x", "12 34", "-5", "0", "9999999999999999999999" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		pid_write(wrong[i]);
		assert_int_equal(signal_command_send(pid_path, "quit"), -EINVAL);
		assert_told("error", "invalid PID number \"%s\" in \"%s\"", wrong[i], pid_path);
	}
}

static void
a_process_that_is_gone_is_told_in_the_words_of_nginx(void **state)
{
	pid_t child = fork();
	char text[32];

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	snprintf(text, sizeof(text), "%d\n", (int)child);
	pid_write(text);
	assert_int_equal(signal_command_send(pid_path, "reopen"), -ESRCH);
	assert_told("alert", "kill(%d, 10) failed (3: No such process)", (int)child);
}

static void
each_name_is_its_signal(void **state)
{
	static const struct {
		const char *name;
		int number;
	} cases[] = { { "stop", SIGTERM }, { "quit", SIGQUIT }, { "reopen", SIGUSR1 }, { "reload", SIGHUP } };
	sigset_t all, before;
	char text[32];

	snprintf(text, sizeof(text), "%d\r\n", (int)getpid());
	pid_write(text);
	sigemptyset(&all);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		sigaddset(&all, cases[i].number);
	sigprocmask(SIG_BLOCK, &all, &before);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct timespec at_once = { 0 };

		assert_int_equal(signal_command_send(pid_path, cases[i].name), 0);
		assert_int_equal(sigtimedwait(&all, NULL, &at_once), cases[i].number);
		assert_string_equal(last_line(), "[notice] signal process started");
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(signal_command_send(pid_path, "explode"), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_cannot_be_read_is_told_in_the_words_of_nginx),
		cmocka_unit_test(what_is_no_process_id_is_told_in_the_words_of_nginx),
		cmocka_unit_test(a_process_that_is_gone_is_told_in_the_words_of_nginx),
		cmocka_unit_test(each_name_is_its_signal),
	};

	return cmocka_run_group_tests(tests, files_make, files_remove);
}
