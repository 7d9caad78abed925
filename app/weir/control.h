/*
 * Control: the main thread once Weir serves. Signals, reload, the host's changing addresses, and the end.
 *
 * Signals are nginx's: TERM and INT stop at once, QUIT finishes what is under way, HUP reloads, USR1 reopens logs.
 */
#ifndef WEIR_CONTROL_H
#define WEIR_CONTROL_H

#include "base/log.h"
#include "weir/cmdline.h"
#include "weir/topology.h"

struct control;

/* Blocks the signals that control_run() takes, in this thread and all that it creates. Before any thread. */
void control_signals_block(void);

/* Parses the configuration anew: NULL after logging what is wrong. */
typedef struct config *control_parse_fn(const struct cmdline *cmdline);

/* Ports, workers and the first generation; takes ownership of `config`. `default_log` is where errors go when a
 * configuration names no error_log; it outlives control. NULL after logging. */
struct control *control_new(const struct cmdline *cmdline, struct config *config, control_parse_fn *parse,
			    const struct log_target *default_log);
/* Until told to stop. */
void control_run(struct control *control);
void control_free(struct control *control);

#endif
