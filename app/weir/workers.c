#include "weir/workers.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "weir/core.h"

/* Packets that wait for another worker. */
#define HANDOVER_SIZE 2048

static void
config_fill(struct worker_config *wc, struct config *config, unsigned int index)
{
	const struct core_settings *core = core_settings(config);

	*wc = (struct worker_config){
		.index = index,
		.cpus = core_affinity(core, index),
		.busy = core->worker_poll == CORE_POLL_BUSY,
		.connections_max = (uint32_t)core_events(config)->worker_connections,
		.tcp_congestion = (uint8_t)core->tcp_congestion,
		.tcp_syn_cookies = (uint8_t)core->tcp_syn_cookies,
		.tcp_ecn = (uint8_t)core->tcp_ecn,
		.user = -1,
		.group = -1,
	};
	if (core->user.data) {
		const struct passwd *user = getpwnam((const char *)core->user.data);
		const struct group *group = getgrnam((const char *)core->group.data);

		if (user)
			wc->user = (int)user->pw_uid;
		/* `user NAME` alone means the group of that name, as nginx has it. */
		if (group)
			wc->group = (int)group->gr_gid;
	}
}

int
workers_new(struct worker_shared *shared, struct topology *topology, struct config *config, uint16_t first,
	    uint16_t last)
{
	struct worker_roles roles = core_roles(core_settings(config));
	unsigned int count = roles.count;

	shared->mirror = topology->mirror;
	shared->pool = topology->pool;
	shared->port_used = topology_port_used;
	shared->port_used_context = topology;
	random_fill(&shared->hash_seed, sizeof(shared->hash_seed));
	random_fill(shared->cookie_secret, sizeof(shared->cookie_secret));
	shared->workers = calloc(count, sizeof(*shared->workers));
	shared->received = handover_new(count, HANDOVER_SIZE);
	shared->leaving = handover_new(count, HANDOVER_SIZE);
	if (!shared->workers || !shared->received || !shared->leaving) {
		snprintf(topology->error, sizeof(topology->error), "out of memory");
		return -ENOMEM;
	}
	shared->roles = roles;
	for (unsigned int i = 0; i < count; i++) {
		struct worker_config wc;
		int result;

		config_fill(&wc, config, i);
		if (i < roles.stack_first)
			wc.connections_max = 1;
		wc.local_port_first = first;
		wc.local_port_last = last;
		result = worker_init(&shared->workers[i], shared, &wc, topology->error, sizeof(topology->error));
		if (result < 0)
			return result;
	}
	return 0;
}

int
workers_start(struct worker_shared *shared, struct topology *topology)
{
	for (unsigned int i = 0; i < shared->roles.count; i++) {
		int result = worker_start(&shared->workers[i]);

		if (result < 0) {
			snprintf(topology->error, sizeof(topology->error), "worker %u cannot start (%d: %s)", i,
				 -result, strerror(-result));
			return result;
		}
	}
	return 0;
}

void
workers_stop(struct worker_shared *shared)
{
	for (unsigned int i = 0; shared->workers && i < shared->roles.count; i++)
		worker_stop(&shared->workers[i]);
}

void
workers_free(struct worker_shared *shared)
{
	for (unsigned int i = 0; shared->workers && i < shared->roles.count; i++)
		worker_fini(&shared->workers[i]);
	handover_free(shared->received);
	handover_free(shared->leaving);
	free(shared->workers);
	shared->workers = NULL;
	shared->received = shared->leaving = NULL;
	shared->roles = (struct worker_roles){ 0 };
}
