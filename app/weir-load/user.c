#include "weir-load/user.h"

#include <errno.h>
#include <stdlib.h>

struct user {
	struct tcp_stack *tcp;
	struct load *load;
	struct answers *answers; /* NULL: none are given */
};

static unsigned int
run(void *context, uint64_t now_ns, uint64_t real_ns, bool packets_wait)
{
	struct user *user = context;
	struct tcp_connection *tcp;
	unsigned int done = 0;
	uint32_t events;

	for (; (tcp = tcp_ready(user->tcp, &events)); done++)
		if (answers_own(user->answers, tcp))
			answers_handle(user->answers, tcp, events);
		else
			load_handle(user->load, tcp, events, now_ns);
	return done + load_run(user->load, now_ns);
}

static uint64_t
next_ns(const void *context)
{
	return load_next_ns(((const struct user *)context)->load);
}

static void
free_all(void *context)
{
	struct user *user = context;

	load_free(user->load);
	answers_free(user->answers);
	free(user);
}

static const struct worker_user calls = { run, next_ns, free_all };

int
user_bind(struct worker *worker, const struct load_config *load, const struct answers_config *answers, uint64_t now_ns)
{
	struct user *user = calloc(1, sizeof(*user));

	if (!user)
		return -ENOMEM;
	user->tcp = worker->tcp;
	user->load = load_new(load, now_ns);
	user->answers = answers ? answers_new(answers) : NULL;
	if (!user->load || (answers && !user->answers)) {
		free_all(user);
		return -ENOMEM;
	}
	worker->user = &calls;
	worker->user_context = user;
	return 0;
}

void
user_begin(void *argument)
{
	struct worker *worker = argument;
	struct user *user = worker->user_context;

	load_begin(user->load, loop_now_ns(worker->loop));
	answers_begin(user->answers);
}

void
user_end(void *argument)
{
	struct worker *worker = argument;
	struct user *user = worker->user_context;

	load_end(user->load, loop_now_ns(worker->loop));
	answers_end(user->answers);
}

struct load *
user_load(const struct worker *worker)
{
	return ((const struct user *)worker->user_context)->load;
}

uint64_t
user_answered(const struct worker *worker)
{
	return answers_count(((const struct user *)worker->user_context)->answers);
}
