/* Against real files, FIFOs and devices, in a directory of its own. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/cmocka.h"

static char directory[] = "/tmp/weir-test-log-XXXXXX";
static char text[1 << 20];

static const char *
path_of(const char *name)
{
	static char paths[4][64];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static const char *
content_of(const char *name)
{
	int fd = open(path_of(name), O_RDONLY);
	ssize_t len;

	assert_true(fd >= 0);
	len = read(fd, text, sizeof(text) - 1);
	assert_true(len >= 0);
	text[len] = 0;
	close(fd);
	return text;
}

static struct log_file *
get(const char *name)
{
	struct log_file *file;

	assert_int_equal(log_file_get(path_of(name), &file), 0);
	return file;
}

static int
setup_directory(void **state)
{
	setenv("TZ", "UTC-5:30", 1); /* POSIX: east of Greenwich */
	return mkdtemp(directory) ? 0 : -1;
}

static int
remove_directory(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

/* ---- an attached thread ---- */

struct attached {
	pthread_t thread;
	struct log_file *file;
	size_t ring_bytes;
	unsigned int lines;
	unsigned int taken;
	uint64_t slowest_ns;
};

static void *
write_lines(void *argument)
{
	struct attached *a = argument;

	assert_int_equal(log_thread_attach(a->ring_bytes), 0);
	for (unsigned int i = 0; i < a->lines; i++) {
		char line[64];
		int len = snprintf(line, sizeof(line), "thread %lx line %u\n", (unsigned long)a->file, i);
		uint64_t before_ns = clock_monotonic_ns(), took_ns;

		a->taken += log_file_write(a->file, line, (size_t)len);
		took_ns = clock_monotonic_ns() - before_ns;
		if (took_ns > a->slowest_ns)
			a->slowest_ns = took_ns;
	}
	log_thread_detach();
	return NULL;
}

static void
run_attached(struct attached *a)
{
	pthread_create(&a->thread, NULL, write_lines, a);
	pthread_join(a->thread, NULL);
}

static unsigned int
lines_in(const char *data)
{
	unsigned int lines = 0;

	for (; *data; data++)
		lines += *data == '\n';
	return lines;
}

/* ---- lines ---- */

static void
an_error_line_is_in_nginxs_format(void **state)
{
	struct log_file *file = get("error.log");
	char pattern[200];
	regex_t regex;

	log_error_set(&(struct log_target){ file, LOG_WARN, NULL });
	log_error(LOG_ERR, "connect() failed (%d: %s)", 111, "Connection refused");
	log_error(LOG_NOTICE, "not at this level");
	snprintf(pattern, sizeof(pattern),
		 "^[0-9]{4}/[01][0-9]/[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9] \\[error\\] %d#%d: "
		 "connect\\(\\) failed \\(111: Connection refused\\)\n$",
		 getpid(), gettid());
	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	assert_int_equal(regexec(&regex, content_of("error.log"), 0, NULL, 0), 0);
	regfree(&regex);
	log_error_set(NULL);
	log_file_put(file);
}

static void
a_long_error_line_is_cut_and_ends(void **state)
{
	struct log_file *file = get("long.log");
	static char message[5000];

	memset(message, 'x', sizeof(message) - 1);
	log_error_write(&(struct log_target){ file, LOG_INFO, NULL }, LOG_INFO, "%s", message);
	log_error_write(&(struct log_target){ file, LOG_INFO, NULL }, LOG_INFO, "next");
	content_of("long.log");
	assert_int_equal(strchr(text, '\n') - text, 2047);
	assert_int_equal(lines_in(text), 2);
	log_file_put(file);
}

static void
levels_are_nginxs_words(void **state)
{
	static const char *const names[] = { "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug" };
	enum log_level level;

	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(log_level_parse(bytes_of_string(names[i]), &level), 0);
		assert_int_equal(level, LOG_EMERG + i);
		assert_string_equal(log_level_name(level), names[i]);
	}
	assert_int_equal(log_level_parse(bytes_of_string("err"), &level), -EINVAL);
	assert_int_equal(log_level_parse(bytes_of_string("stderr"), &level), -EINVAL);
}

static void
times_are_in_the_three_formats(void **state)
{
	uint64_t ns = 1795221060ull * NS_PER_SECOND + 999999999; /* 2026-11-21 00:31:00 UTC */
	char out[LOG_TIME_MAX];

	for (int again = 0; again < 2; again++) {
		assert_int_equal(log_time_local(ns, out), 26);
		assert_string_equal(out, "21/Nov/2026:06:01:00 +0530");
		assert_int_equal(log_time_iso8601(ns, out), 25);
		assert_string_equal(out, "2026-11-21T06:01:00+05:30");
		assert_int_equal(log_time_http(ns, out), 29);
		assert_string_equal(out, "Sat, 21 Nov 2026 00:31:00 GMT");
		assert_int_equal(log_time_error(ns, out), 19);
		assert_string_equal(out, "2026/11/21 06:01:00");
	}
	log_time_http(ns + 1, out);
	assert_string_equal(out, "Sat, 21 Nov 2026 00:31:01 GMT");
	log_time_http(0, out);
	assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
}

/* ---- files ---- */

static void
files_are_shared_by_path(void **state)
{
	struct log_file *a = get("shared.log"), *b = get("shared.log"), *c = get("other.log");

	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	log_file_put(a);
	assert_true(log_file_write(b, "still open\n", 11));
	assert_string_equal(content_of("shared.log"), "still open\n");
	log_file_put(b);
	log_file_put(c);
	assert_int_equal(log_file_get(path_of("no/such/directory"), &a), -ENOENT);
}

static void
reopening_writes_to_the_new_file(void **state)
{
	struct log_file *file = get("rotate.log");

	log_file_write(file, "before\n", 7);
	assert_int_equal(rename(path_of("rotate.log"), path_of("rotate.log.1")), 0);
	log_file_write(file, "renamed\n", 8);
	log_reopen_all();
	log_file_write(file, "after\n", 6);
	assert_string_equal(content_of("rotate.log.1"), "before\nrenamed\n");
	assert_string_equal(content_of("rotate.log"), "after\n");
	log_file_put(file);
}

static void
a_file_that_cannot_be_reopened_keeps_its_descriptor(void **state)
{
	struct log_file *file, *errors = get("errors.log");

	mkdir(path_of("gone"), 0755);
	assert_int_equal(log_file_get(path_of("gone/log"), &file), 0);
	assert_int_equal(rename(path_of("gone"), path_of("went")), 0);
	log_error_set(&(struct log_target){ errors, LOG_NOTICE, NULL });
	log_reopen_all();
	log_error_set(NULL);
	log_file_write(file, "kept\n", 5);
	assert_string_equal(content_of("went/log"), "kept\n");
	assert_non_null(strstr(content_of("errors.log"), "[alert]"));
	assert_non_null(strstr(text, "gone/log\" failed (2: No such file or directory)"));
	log_file_put(file);
	log_file_put(errors);
}

/* ---- the writer ---- */

static void
lines_of_attached_threads_all_arrive_in_order(void **state)
{
	enum { THREADS = 4, LINES = 2000 };
	struct attached a[THREADS];
	uint64_t dropped = log_dropped();

	assert_int_equal(log_writer_start(), 0);
	for (int i = 0; i < THREADS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "thread%d.log", i);
		a[i] = (struct attached){ .file = get(name), .ring_bytes = 1 << 18, .lines = LINES };
		pthread_create(&a[i].thread, NULL, write_lines, &a[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(a[i].thread, NULL);
		assert_int_equal(a[i].taken, LINES);
		log_file_put(a[i].file);
	}
	log_writer_stop();
	assert_int_equal(log_dropped(), dropped);
	for (int i = 0; i < THREADS; i++) {
		char name[16], *at;
		unsigned int expected = 0;

		snprintf(name, sizeof(name), "thread%d.log", i);
		content_of(name);
		assert_int_equal(lines_in(text), LINES);
		for (at = text; *at; at = strchr(at, '\n') + 1) {
			assert_int_equal(strtoul(strstr(at, "line ") + 5, NULL, 10), expected);
			expected++;
		}
	}
}

static void
a_put_file_gets_what_was_queued_for_it(void **state)
{
	struct log_file *file = get("last.log");

	/* No writer yet: the ring keeps the line, and putting settles it. */
	assert_int_equal(log_thread_attach(4096), 0);
	assert_true(log_file_write(file, "queued\n", 7));
	assert_string_equal(content_of("last.log"), "");
	log_file_put(file);
	assert_string_equal(content_of("last.log"), "queued\n");
	log_thread_detach();
}

static void
a_full_ring_drops_and_counts(void **state)
{
	struct log_file *file = get("ring.log");
	uint64_t dropped = log_dropped();
	unsigned int taken = 0;
	static char line[LOG_LINE_MAX + 1];

	assert_int_equal(log_thread_attach(4096), 0);
	for (int i = 0; i < 1000; i++)
		taken += log_file_write(file, "0123456789\n", 11);
	assert_in_range(taken, 1, 4096 / 11);
	assert_int_equal(log_dropped() - dropped, 1000 - taken);
	assert_false(log_file_write(file, line, sizeof(line)));
	log_thread_detach();
	assert_int_equal(lines_in(content_of("ring.log")), taken);
	/* The thread is attached no more: at once. */
	assert_true(log_file_write(file, "direct\n", 7));
	assert_false(log_file_write(file, line, sizeof(line)));
	assert_int_equal(lines_in(content_of("ring.log")), taken + 1);
	log_file_put(file);
}

static void
lines_around_the_rings_end_stay_whole(void **state)
{
	struct log_file *file = get("wrap.log");
	char line[801];

	assert_int_equal(log_thread_attach(4096), 0);
	assert_int_equal(log_writer_start(), 0);
	for (int i = 0; i < 300; i++) {
		int len = 1 + i * 7 % 800;

		memset(line, 'a' + i % 26, sizeof(line));
		line[len - 1] = '\n';
		while (!log_file_write(file, line, (size_t)len))
			usleep(1000);
	}
	log_thread_detach();
	log_writer_stop();
	content_of("wrap.log");
	for (int i = 0, at = 0; i < 300; i++) {
		int len = 1 + i * 7 % 800;

		for (int j = 0; j < len - 1; j++)
			assert_int_equal(text[at + j], 'a' + i % 26);
		assert_int_equal(text[at + len - 1], '\n');
		at += len;
	}
	log_file_put(file);
}

static void
a_full_disk_stalls_nobody_and_counts(void **state)
{
	struct log_file *full, *fine = get("fine.log");
	uint64_t dropped = log_dropped();
	struct attached a;

	assert_int_equal(log_file_get("/dev/full", &full), 0);
	assert_false(log_file_write(full, "direct\n", 7));
	assert_int_equal(log_writer_start(), 0);
	a = (struct attached){ .file = full, .ring_bytes = 1 << 20, .lines = 5000 };
	run_attached(&a);
	assert_int_equal(a.taken, 5000);
	a = (struct attached){ .file = fine, .ring_bytes = 1 << 20, .lines = 100 };
	run_attached(&a);
	log_writer_stop();
	assert_int_equal(log_dropped() - dropped, 5001);
	assert_int_equal(lines_in(content_of("fine.log")), 100);
	log_file_put(full);
	log_file_put(fine);
}

static void
a_fifo_without_a_reader_stalls_nobody(void **state)
{
	enum { LINES = 20000 };
	struct log_file *fifo, *fine = get("beside.log");
	uint64_t dropped = log_dropped(), start_ns = clock_monotonic_ns();
	struct attached a;

	assert_int_equal(mkfifo(path_of("fifo"), 0644), 0);
	fifo = get("fifo");
	assert_int_equal(log_writer_start(), 0);
	a = (struct attached){ .file = fifo, .ring_bytes = 1 << 20, .lines = LINES };
	run_attached(&a);
	assert_int_equal(a.taken, LINES);
	a = (struct attached){ .file = fine, .ring_bytes = 1 << 20, .lines = 100 };
	run_attached(&a);
	log_writer_stop();
	/* A second of patience at the end, no more; what the kernel took is not lost. */
	assert_in_range(clock_monotonic_ns() - start_ns, 0, 3 * NS_PER_SECOND);
	assert_in_range(log_dropped() - dropped, LINES / 2, LINES);
	assert_int_equal(lines_in(content_of("beside.log")), 100);
	log_file_put(fifo);
	log_file_put(fine);
}

struct slow_reader {
	pthread_t thread;
	char path[64];
	unsigned int lines;
	char *data;
	size_t len;
};

static void *
read_slowly(void *argument)
{
	struct slow_reader *reader = argument;
	int fd = open(reader->path, O_RDONLY);
	ssize_t n;

	usleep(100000);
	while ((n = read(fd, reader->data + reader->len, 10000)) > 0) {
		reader->len += (size_t)n;
		usleep(1000);
	}
	close(fd);
	return NULL;
}

static void
a_slow_reader_gets_whole_lines(void **state)
{
	enum { LINES = 10000 };
	struct slow_reader reader = { .data = calloc(1, 1 << 20) };
	uint64_t dropped = log_dropped();
	struct attached a;
	struct log_file *fifo;
	unsigned int read_lines = 0;

	assert_int_equal(mkfifo(path_of("slow"), 0644), 0);
	snprintf(reader.path, sizeof(reader.path), "%s", path_of("slow"));
	fifo = get("slow");
	pthread_create(&reader.thread, NULL, read_slowly, &reader);
	assert_int_equal(log_writer_start(), 0);
	a = (struct attached){ .file = fifo, .ring_bytes = 1 << 20, .lines = LINES };
	run_attached(&a);
	assert_int_equal(a.taken, LINES);
	log_writer_stop();
	log_file_put(fifo);
	pthread_join(reader.thread, NULL);
	for (char *at = reader.data; *at; at = strchr(at, '\n') + 1, read_lines++)
		assert_memory_equal(at, "thread ", 7);
	assert_int_equal(read_lines + (log_dropped() - dropped), LINES);
	assert_true(read_lines > 2000);
	free(reader.data);
}

static void
an_attached_thread_never_waits(void **state)
{
	struct attached a = { .file = get("fast.log"), .ring_bytes = 1 << 16, .lines = 200000 };

	assert_int_equal(log_writer_start(), 0);
	run_attached(&a);
	log_writer_stop();
	assert_true(a.taken > 0);
	/* A preempted thread may wait for its CPU, not for a disk. */
	assert_in_range(a.slowest_ns, 0, NS_PER_SECOND);
	log_file_put(a.file);
}

static void
an_idle_writer_costs_next_to_nothing(void **state)
{
	struct rusage before, after;
	int64_t cpu_us;

	assert_int_equal(log_writer_start(), 0);
	usleep(100000);
	getrusage(RUSAGE_SELF, &before);
	usleep(1000000);
	getrusage(RUSAGE_SELF, &after);
	log_writer_stop();
	cpu_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
			 1000000 +
		 after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec;
	print_message("idle writer: %ld us of CPU in a second\n", (long)cpu_us);
	assert_in_range(cpu_us, 0, 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_line_is_in_nginxs_format),
		cmocka_unit_test(a_long_error_line_is_cut_and_ends),
		cmocka_unit_test(levels_are_nginxs_words),
		cmocka_unit_test(times_are_in_the_three_formats),
		cmocka_unit_test(files_are_shared_by_path),
		cmocka_unit_test(reopening_writes_to_the_new_file),
		cmocka_unit_test(a_file_that_cannot_be_reopened_keeps_its_descriptor),
		cmocka_unit_test(lines_of_attached_threads_all_arrive_in_order),
		cmocka_unit_test(a_put_file_gets_what_was_queued_for_it),
		cmocka_unit_test(a_full_ring_drops_and_counts),
		cmocka_unit_test(lines_around_the_rings_end_stay_whole),
		cmocka_unit_test(a_full_disk_stalls_nobody_and_counts),
		cmocka_unit_test(a_fifo_without_a_reader_stalls_nobody),
		cmocka_unit_test(a_slow_reader_gets_whole_lines),
		cmocka_unit_test(an_attached_thread_never_waits),
		cmocka_unit_test(an_idle_writer_costs_next_to_nothing),
	};

	return cmocka_run_group_tests(tests, setup_directory, remove_directory);
}
