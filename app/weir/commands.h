/*
 * The control socket of this program: gives lib/control what its commands need of workers, ports and generations. Control
 * only.
 */
#ifndef WEIR_COMMANDS_H
#define WEIR_COMMANDS_H

#include "control/control.h"
#include "weir/core.h"
#include "weir/generations.h"

struct commands {
	struct topology *topology;
	struct worker_shared *shared;
	struct generations *generations;
	struct control_server *server; /* NULL: there is no socket */
};

/* Where `control` says, else beside the pid file; may be called before there are workers. 0, or -errno after logging. */
int commands_open(struct commands *commands, const struct core_settings *core);
/* While the workers still run. */
void commands_close(struct commands *commands);

#endif
