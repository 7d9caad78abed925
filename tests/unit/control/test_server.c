#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "control/server.h"
#include "host.h"
#include "support/cmocka.h"

static struct host host;

static int
setup(void **state)
{
	host_new(&host, NULL);
	return 0;
}

static int
teardown(void **state)
{
	host_free(&host);
	return 0;
}

static unsigned int
clients(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		count += host.server->clients[i].fd >= 0;
	return count;
}

static void
a_pid_files_path_becomes_the_sockets(void **state)
{
	char out[32];

	assert_int_equal(control_socket_path("/run/weir.pid", out, sizeof(out)), strlen("/run/weir.sock"));
	assert_string_equal(out, "/run/weir.sock");
	control_socket_path("/run/weir", out, sizeof(out));
	assert_string_equal(out, "/run/weir.sock");
	control_socket_path(".pid", out, sizeof(out));
	assert_string_equal(out, ".pid.sock");
	assert_int_equal(control_socket_path("/run/weir.pid", out, 5), strlen("/run/weir.sock"));
}

static void
only_the_owner_may_connect(void **state)
{
	struct stat found;

	assert_int_equal(stat(host.path, &found), 0);
	assert_int_equal(found.st_mode & 0777, 0600);
}

static void
a_live_socket_is_refused_and_a_dead_one_replaced(void **state)
{
	struct control_host callbacks = host_callbacks(&host);
	struct control_server *other;
	char error[512], path[128];
	int fd;

	assert_int_equal(control_server_new(&callbacks, host.path, &other, error, sizeof(error)), -EADDRINUSE);
	assert_non_null(strstr(error, "another weir answers there"));
	/* As after a kill: the name is there and nobody listens. */
	assert_int_equal(shutdown(host.server->listen_fd, SHUT_RDWR), 0);
	assert_int_equal(control_server_new(&callbacks, host.path, &other, error, sizeof(error)), 0);
	/* The first one's name is another's now, who keeps it. */
	control_server_free(host.server);
	assert_int_equal(access(host.path, F_OK), 0);
	host.server = other;

	snprintf(path, sizeof(path), "%s/file", host.directory);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(control_server_new(&callbacks, path, &other, error, sizeof(error)), -ENOTSOCK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(control_server_new(&callbacks, "/nowhere/weir.sock", &other, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "/nowhere/weir.sock"));
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(control_server_new(&callbacks, path, &other, error, sizeof(error)), -ENAMETOOLONG);
}

static void
requests_are_answered_in_order(void **state)
{
	int fd = host_connect(&host);
	json_t *answer = host_ask(&host, fd, "nonsense\nstatus\nmore\n");

	assert_string_equal(json_string_value(json_object_get(answer, "error")), "unknown command \"nonsense\"");
	json_decref(answer);
	answer = host_receive(&host, fd);
	assert_true(json_is_array(json_object_get(answer, "workers")));
	json_decref(answer);
	answer = host_receive(&host, fd);
	assert_string_equal(json_string_value(json_object_get(answer, "error")), "unknown command \"more\"");
	json_decref(answer);
	close(fd);
	control_server_run(host.server, clock_monotonic_ns());
	assert_int_equal(clients(), 0);
}

static void
every_command_checks_its_words(void **state)
{
	host_refused(&host, "status now\n", "usage: status");
	host_refused(&host, "drain web\n", "usage: drain GROUP SERVER");
	host_refused(&host, "drain web 1.2.3.4:80\n", "no upstream \"web\"");
	host_refused(&host, "maglev table 1.2.3.4:80\n", "computed by weirctl itself");
	host_refused(&host, "trace\n", "no packet-level services");
	host_refused(&host, "explain tcp 1.2.3.4:5 1.2.3.4:6\n", "no packet-level services");
	host_refused(&host, "\n", "no command");
	host_refused(&host, "[1]\n", "not a JSON array of words");
	host_refused(&host, "x\xff\n", "not UTF-8");
}

static void
silence_ends_a_connection(void **state)
{
	uint64_t start_ns = clock_monotonic_ns();
	int fd = host_connect(&host);
	char byte;

	assert_int_equal(send(fd, "stat", 4, 0), 4);
	assert_true(control_server_next_ns(host.server) >= start_ns + CONTROL_SILENCE_MS * NS_PER_MS);
	control_server_run(host.server, start_ns + (CONTROL_SILENCE_MS - 1) * NS_PER_MS);
	assert_int_equal(clients(), 1);
	control_server_run(host.server, clock_monotonic_ns() + CONTROL_SILENCE_MS * NS_PER_MS);
	assert_int_equal(clients(), 0);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	assert_int_equal(control_server_next_ns(host.server), UINT64_MAX);
	close(fd);
}

static void
a_client_that_does_not_read_has_one_answer_waiting(void **state)
{
	int fd = host_connect(&host);
	struct control_client *client = &host.server->clients[0];
	ssize_t sent = 1;

	for (unsigned int i = 0; i < 100000 && sent > 0; i++) {
		sent = send(fd, "counters\n", 9, MSG_NOSIGNAL);
		control_server_run(host.server, clock_monotonic_ns());
	}
	assert_int_equal(sent, -1);
	assert_true(control_client_pending(client) > 0 && client->output_len < 65536);
	control_server_run(host.server, clock_monotonic_ns() + CONTROL_SILENCE_MS * NS_PER_MS);
	assert_int_equal(clients(), 0);
	close(fd);
}

static void
there_are_so_many_clients_and_no_more(void **state)
{
	int fds[CONTROL_CLIENTS_MAX + 1];
	json_t *answer;
	char byte;

	for (unsigned int i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		fds[i] = host_connect(&host);
	assert_int_equal(clients(), CONTROL_CLIENTS_MAX);
	answer = host_receive(&host, fds[CONTROL_CLIENTS_MAX]);
	assert_string_equal(json_string_value(json_object_get(answer, "error")), "too many clients");
	json_decref(answer);
	assert_int_equal(recv(fds[CONTROL_CLIENTS_MAX], &byte, 1, 0), 0);
	for (unsigned int i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	control_server_run(host.server, clock_monotonic_ns());
	assert_int_equal(clients(), 0);
}

static void
rates_are_by_the_time_between_two_samples(void **state)
{
	static const char *const names[] = { "things" };
	uint64_t now_ns = clock_monotonic_ns(), values[1] = { 1000 };
	json_t *answer;

	assert_int_equal(counter_register(&(struct counter_block){ "test", 0, names, values, 1 }), 0);
	control_server_tick(host.server, now_ns);
	values[0] += 500;
	control_server_tick(host.server, now_ns + 2 * NS_PER_SECOND);
	values[0] += 7;
	answer = host_answer(&host, "counters\n");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(json_object_get(answer, "counters"), "test"), "things")),
			 1507);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(json_object_get(answer, "per_second"), "test"), "things")),
			 250);
	json_decref(answer);
	counter_unregister(values);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pid_files_path_becomes_the_sockets),
		cmocka_unit_test_setup_teardown(only_the_owner_may_connect, setup, teardown),
		cmocka_unit_test_setup_teardown(a_live_socket_is_refused_and_a_dead_one_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_are_answered_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(every_command_checks_its_words, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_ends_a_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_has_one_answer_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(there_are_so_many_clients_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(rates_are_by_the_time_between_two_samples, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
