#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../l4/configuration.h"
#include "base/clock.h"
#include "support/cmocka.h"

void (*host_observer)(void *context, const struct l4_decision *decision);
void *host_observer_context;

/* Set on the lcore; here the test is the lcore, and makes the decisions up. */
void __wrap_l4_worker_observe(struct l4_worker *worker, void (*each)(void *, const struct l4_decision *),
			      void *context);

void
__wrap_l4_worker_observe(struct l4_worker *worker, void (*each)(void *, const struct l4_decision *), void *context)
{
	host_observer = each;
	host_observer_context = context;
}

static void
facts(void *context, struct control_facts *out)
{
	struct host *host = context;

	*out = (struct control_facts){ .config = host->config,
				       .generations = 1,
				       .l4 = host->l4,
				       .registry = host->registry,
				       .http_weights = &host->http_weights,
				       .worker_count = 1,
				       .workers = { { host->loop, host->worker, NULL } } };
}

static void
run(void *context, unsigned int worker, void (*fn)(void *argument), void *argument)
{
	assert_int_equal(worker, 0);
	fn(argument);
}

static int
republish(void *context, char *error, size_t size)
{
	struct host *host = context;
	struct l4_generation *old = host->l4;

	host->republished++;
	if (host->republish_result < 0) {
		snprintf(error, size, "no");
		return host->republish_result;
	}
	host->l4 = configuration_generation(host->registry, host->config, old);
	l4_worker_adopt(host->worker, host->l4);
	l4_generation_free(old);
	return 0;
}

struct control_host
host_callbacks(struct host *host)
{
	return (struct control_host){ host, facts, run, republish };
}

static void
services_new(struct host *host)
{
	struct l4_worker_config config = {
		.workers = 1, .flows = 1024, .local_port_first = 40000, .local_port_last = 50000
	};

	host->registry = l4_registry_new();
	assert_non_null(host->registry);
	host->l4 = configuration_generation(host->registry, host->config, NULL);
	config.targets = l4_registry_targets(host->registry);
	host->worker = l4_worker_new(&config, clock_monotonic_ns());
	assert_non_null(host->worker);
	l4_worker_adopt(host->worker, host->l4);
}

void
host_new(struct host *host, const char *text)
{
	struct control_host callbacks = host_callbacks(host);
	char error[512];

	memset(host, 0, sizeof(*host));
	host->config = configuration_parse_well(text ? text : "");
	host->loop = loop_new(&(struct loop_config){ 0 });
	if (text)
		services_new(host);
	strcpy(host->directory, "/tmp/weirtest-control-XXXXXX");
	assert_non_null(mkdtemp(host->directory));
	snprintf(host->path, sizeof(host->path), "%s/weir.sock", host->directory);
	if (control_server_new(&callbacks, host->path, &host->server, error, sizeof(error)) < 0)
		fail_msg("%s", error);
}

void
host_free(struct host *host)
{
	control_server_free(host->server);
	assert_int_equal(access(host->path, F_OK), -1);
	assert_int_equal(rmdir(host->directory), 0);
	l4_worker_free(host->worker);
	l4_generation_free(host->l4);
	l4_registry_free(host->registry);
	upstream_weights_clear(&host->http_weights);
	loop_free(host->loop);
	config_free(host->config);
}

int
host_connect(const struct host *host)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, host->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	control_server_run(host->server, clock_monotonic_ns());
	return fd;
}

json_t *
host_receive(struct host *host, int fd)
{
	size_t space = 1 << 20, len = 0;
	char *line = malloc(space);
	json_t *answer = NULL;

	assert_non_null(line);
	for (unsigned int idle = 0; idle < 1000 && len < space;) {
		ssize_t got = recv(fd, line + len, 1, 0);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			break;
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			control_server_run(host->server, clock_monotonic_ns());
			idle++;
		} else if (line[len++] == '\n') {
			answer = json_loadb(line, len, 0, NULL);
			assert_non_null(answer);
			break;
		}
	}
	free(line);
	return answer;
}

json_t *
host_ask(struct host *host, int fd, const char *line)
{
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	return host_receive(host, fd);
}

json_t *
host_answer(struct host *host, const char *line)
{
	int fd = host_connect(host);
	json_t *answer = host_ask(host, fd, line);

	assert_non_null(answer);
	if (json_object_get(answer, "error"))
		fail_msg("%s: %s", line, json_string_value(json_object_get(answer, "error")));
	close(fd);
	control_server_run(host->server, clock_monotonic_ns());
	return answer;
}

void
host_refused(struct host *host, const char *line, const char *reason)
{
	int fd = host_connect(host);
	json_t *answer = host_ask(host, fd, line);
	const char *error = json_string_value(json_object_get(answer, "error"));

	assert_non_null(answer);
	if (!error || !strstr(error, reason))
		fail_msg("%s\n wanted: %s\n got: %s", line, reason, error ? error : "no error");
	json_decref(answer);
	close(fd);
	control_server_run(host->server, clock_monotonic_ns());
}
