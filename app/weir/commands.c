#include "weir/commands.h"

#include <unistd.h>

#include "base/log.h"

static void
facts(void *context, struct control_facts *out)
{
	const struct commands *c = context;
	struct generations *g = c->generations;

	*out = (struct control_facts){
		.config = g->count ? generations_config(g) : NULL,
		.generations = g->count,
		.proxy = g->count ? g->held[g->count - 1].proxy : NULL,
		.l4 = g->l4,
		.registry = g->registry,
		.http_weights = &g->http_weights,
		.program = c->topology->program,
		.ports = c->topology->ports,
		.port_count = c->topology->port_count,
		.worker_count = c->shared->workers ? c->shared->roles.count : 0,
	};
	for (unsigned int i = 0; i < out->worker_count; i++) {
		const struct worker *worker = &c->shared->workers[i];

		out->workers[i] = (struct control_worker){ worker->loop, worker->l4_owned, worker->output };
	}
}

struct message {
	void (*fn)(void *argument);
	void *argument;
	bool done;
};

static void
deliver(void *argument)
{
	struct message *message = argument;

	message->fn(message->argument);
	__atomic_store_n(&message->done, true, __ATOMIC_RELEASE);
}

/* A round takes microseconds, a sleeping worker is woken. */
static void
run(void *context, unsigned int index, void (*fn)(void *argument), void *argument)
{
	struct worker *worker = &((struct commands *)context)->shared->workers[index];
	struct message message = { fn, argument, false };

	if (!worker->running) {
		fn(argument);
		return;
	}
	while (loop_post(worker->loop, deliver, &message) < 0)
		usleep(1000);
	while (!__atomic_load_n(&message.done, __ATOMIC_ACQUIRE))
		usleep(50);
}

static int
republish(void *context, char *error, size_t size)
{
	int result = generations_renew(((struct commands *)context)->generations);

	if (result < 0)
		snprintf(error, size, "%s (the error log says more)", strerror(-result));
	return result;
}

int
commands_open(struct commands *c, const struct core_settings *core)
{
	const struct control_host host = { .context = c, .facts = facts, .run = run, .republish = republish };
	char path[4096], error[512];
	int result;

	if (core->control_off)
		return 0;
	if (core->control.data)
		snprintf(path, sizeof(path), "%s", (const char *)core->control.data);
	else
		control_socket_path((const char *)core->pid.data, path, sizeof(path));
	/* Nobody asked for this path: a pid file in a deep directory worked before there was a socket. */
	if (!core->control.data && strlen(path) >= CONTROL_PATH_MAX) {
		log_error(LOG_WARN, "no control socket: \"%s\" is too long a path for one, see \"control\"", path);
		return 0;
	}
	result = control_server_new(&host, path, &c->server, error, sizeof(error));
	if (result < 0)
		log_error(LOG_EMERG, "%s", error);
	return result;
}

void
commands_close(struct commands *c)
{
	control_server_free(c->server);
	c->server = NULL;
}
