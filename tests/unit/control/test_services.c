/* Commands about packet-level services: status, weights, traces. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "host.h"
#include "support/cmocka.h"

#define CONFIGURATION                                                                                                  \
	"stream { upstream web { server 10.0.2.11:80; server 10.0.2.12:80 weight=3; server 10.0.2.13:80 backup; }"     \
	" server { listen 10.0.1.1:80; proxy_pass web; forward full_nat; }"                                            \
	" server { listen 10.0.1.1:8000-8100 udp; proxy_pass 10.0.2.11; forward dsr; } }"

static struct host host;

static int
setup(void **state)
{
	host_new(&host, CONFIGURATION);
	return 0;
}

static int
teardown(void **state)
{
	host_free(&host);
	return 0;
}

static const char *
text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static long long
number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* Server `index` of the first service, in a status that the caller frees. */
static json_t *
server_of(json_t *status, size_t index)
{
	json_t *service = json_array_get(json_object_get(status, "services"), 0);

	return json_array_get(json_object_get(service, "servers"), index);
}

static void
assert_server(size_t index, const char *state, long long weight, long long in_force)
{
	json_t *status = host_answer(&host, "status\n"), *server = server_of(status, index);

	assert_string_equal(text(server, "state"), state);
	assert_int_equal(number(server, "weight"), weight);
	assert_int_equal(number(server, "weight_in_force"), in_force);
	json_decref(status);
}

static void
status_tells_services(void **state)
{
	json_t *status = host_answer(&host, "status\n"), *services = json_object_get(status, "services");
	json_t *first = json_array_get(services, 0), *second = json_array_get(services, 1);

	assert_int_equal(json_array_size(services), 2);
	assert_string_equal(text(first, "address"), "10.0.1.1");
	assert_string_equal(text(first, "ports"), "80");
	assert_string_equal(text(first, "protocol"), "tcp");
	assert_string_equal(text(first, "forward"), "full_nat");
	assert_string_equal(text(second, "ports"), "8000-8100");
	assert_string_equal(text(second, "protocol"), "udp");
	assert_string_equal(text(second, "forward"), "dsr");
	assert_float_equal(json_real_value(json_object_get(server_of(status, 1), "share")), 0.75, 0.001);
	json_decref(status);
	assert_server(0, "up", 1, 1);
	assert_server(1, "up", 3, 3);
	assert_server(2, "backup", 1, 1);
}

static void
weights_are_put_in_force_and_taken_back(void **state)
{
	json_decref(host_answer(&host, "drain web 10.0.2.11:80\n"));
	assert_int_equal(host.republished, 1);
	assert_server(0, "drained", 1, 0);
	json_decref(host_answer(&host, "drain web 10.0.2.12:80\n"));
	assert_server(2, "up", 1, 1); /* the backup's turn */
	json_decref(host_answer(&host, "[\"weight\",\"web\",\"10.0.2.12:80\",\"7\"]\n"));
	assert_server(1, "up", 3, 7);
	assert_server(2, "backup", 1, 1);
	json_decref(host_answer(&host, "undrain web 10.0.2.11:80\n"));
	json_decref(host_answer(&host, "undrain web 10.0.2.12:80\n"));
	assert_server(0, "up", 1, 1);
	assert_server(1, "up", 3, 3);
	assert_int_equal(host.republished, 5);
}

static void
what_cannot_be_weighed_changes_nothing(void **state)
{
	host_refused(&host, "weight web 10.0.2.11:80 1000001\n", "between 0 and 1000000");
	host_refused(&host, "weight web 10.0.2.11:80 -1\n", "invalid weight");
	host_refused(&host, "drain web 10.0.2.99:80\n", "no server \"10.0.2.99:80\" in upstream \"web\"");
	host_refused(&host, "drain nobody 10.0.2.11:80\n", "no upstream \"nobody\"");
	assert_int_equal(host.republished, 0);
	host.republish_result = -ENOMEM;
	host_refused(&host, "drain web 10.0.2.11:80\n", "not in force before the next reload: no");
}

/* ---- traces ---- */

static struct l4_decision
decision(const char *source, uint8_t verdict)
{
	struct l4_decision d = { .verdict = verdict, .ip_protocol = IPPROTO_TCP, .entry = UINT32_MAX };

	assert_int_equal(endpoint_parse(bytes_of_string(source), 0, &d.source), 0);
	assert_int_equal(endpoint_parse(bytes_of_string("10.0.1.1:80"), 0, &d.destination), 0);
	return d;
}

static void
decide(const char *source, uint8_t verdict, uint32_t target)
{
	struct l4_decision d = decision(source, verdict);

	d.target = target;
	host_observer(host_observer_context, &d);
}

static int
trace(const char *line)
{
	int fd = host_connect(&host);

	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	control_server_run(host.server, clock_monotonic_ns());
	assert_non_null(host_observer);
	return fd;
}

static void
assert_line(int fd, const char *source)
{
	json_t *line = host_receive(&host, fd);

	assert_non_null(line);
	assert_string_equal(text(line, "source"), source);
	json_decref(line);
}

static void
assert_end(int fd, long long decisions, long long dropped)
{
	json_t *line = host_receive(&host, fd), *end = json_object_get(line, "end");

	assert_non_null(end);
	assert_int_equal(number(end, "decisions"), decisions);
	assert_int_equal(number(end, "dropped"), dropped);
	assert_null(host_observer);
	json_decref(line);
}

static void
a_trace_ends_by_its_count(void **state)
{
	int fd = trace("trace --count 2\n");

	host_refused(&host, "trace\n", "another trace is running");
	for (int i = 0; i < 5; i++)
		decide(i ? "10.9.9.2:1" : "10.9.9.1:1", L4_STARTED, 0);
	assert_line(fd, "10.9.9.1:1");
	assert_line(fd, "10.9.9.2:1");
	assert_end(fd, 2, 0);
	close(fd);
}

static void
a_trace_ends_by_its_time(void **state)
{
	int fd = trace("trace --seconds 1\n");

	decide("10.9.9.1:1", L4_STARTED, 0);
	control_server_run(host.server, clock_monotonic_ns() + 2 * NS_PER_SECOND);
	assert_line(fd, "10.9.9.1:1");
	assert_end(fd, 1, 0);
	close(fd);
}

static void
a_trace_shows_what_passes_its_filter(void **state)
{
	uint32_t first = l4_generation_service(host.l4, 0)->targets[0],
		 second = l4_generation_service(host.l4, 0)->targets[1];
	int fd = trace("trace --client 10.9.9.1 --server 10.0.2.11:80 --verdict forwarded\n");

	decide("10.9.9.1:1", L4_FORWARDED, first);
	decide("10.9.9.2:2", L4_FORWARDED, first);
	decide("10.9.9.1:3", L4_FORWARDED, second);
	decide("10.9.9.1:4", L4_STARTED, first);
	decide("10.9.9.1:5", L4_FORWARDED, first);
	assert_line(fd, "10.9.9.1:1");
	assert_line(fd, "10.9.9.1:5");
	shutdown(fd, SHUT_WR);
	assert_end(fd, 2, 0);
	close(fd);
	host_refused(&host, "trace --verdict good\n", "no verdict is called \"good\"");
	host_refused(&host, "trace --server x\n", "invalid address");
	host_refused(&host, "trace --count 0\n", "--count must be a number between 1 and");
	host_refused(&host, "trace --count 1 --count 1\n", "twice");
	host_refused(&host, "trace 7\n", "usage: trace");
}

static void
what_a_ring_cannot_hold_is_counted(void **state)
{
	int fd = trace("trace\n");

	for (int i = 0; i < 5000; i++)
		decide("10.9.9.1:1", L4_STARTED, 0);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 4096; i++) {
		json_t *line = host_receive(&host, fd);
		json_t *end = json_object_get(line, "end");

		/* What the client's buffer did not hold when it hung up is dropped, too. */
		if (end) {
			assert_int_equal(number(end, "decisions"), i);
			assert_int_equal(number(end, "decisions") + number(end, "dropped"), 5000);
			json_decref(line);
			close(fd);
			return;
		}
		json_decref(line);
	}
	assert_end(fd, 4096, 904);
	close(fd);
}

static void
a_trace_may_be_silent_for_long_and_is_then_read_in_time(void **state)
{
	int fd = trace("trace\n"), small = 4096;
	uint64_t later_ns = clock_monotonic_ns() + 100 * CONTROL_SILENCE_MS * NS_PER_MS;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	control_server_run(host.server, later_ns);
	assert_non_null(host_observer);
	/* More than the socket takes: from now on the client has its time. */
	for (int i = 0; i < 4000; i++)
		decide("10.9.9.1:1", L4_STARTED, 0);
	control_server_run(host.server, later_ns);
	assert_non_null(host_observer);
	control_server_run(host.server, later_ns + (CONTROL_SILENCE_MS - 1) * NS_PER_MS);
	assert_non_null(host_observer);
	control_server_run(host.server, later_ns + CONTROL_SILENCE_MS * NS_PER_MS);
	assert_null(host_observer);
	close(fd);
}

static void
a_trace_ends_with_its_client_or_with_the_server(void **state)
{
	int fd = trace("trace\n");

	close(fd);
	control_server_run(host.server, clock_monotonic_ns());
	assert_null(host_observer);
	fd = trace("trace\n");
	control_server_free(host.server);
	host.server = NULL;
	assert_null(host_observer);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(status_tells_services, setup, teardown),
		cmocka_unit_test_setup_teardown(weights_are_put_in_force_and_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_weighed_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_trace_ends_by_its_count, setup, teardown),
		cmocka_unit_test_setup_teardown(a_trace_ends_by_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_trace_shows_what_passes_its_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_ring_cannot_hold_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_trace_may_be_silent_for_long_and_is_then_read_in_time, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_trace_ends_with_its_client_or_with_the_server, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
