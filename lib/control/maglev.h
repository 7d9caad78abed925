/* `maglev table` and `maglev diff`: the table computed without a running Weir, by the code that Weir has. */
#ifndef CONTROL_MAGLEV_H
#define CONTROL_MAGLEV_H

#include "control/command.h"

int control_maglev_table(struct control_call *call);
void control_maglev_table_render(const json_t *answer, FILE *out);
/* Groups of stream as a service has them (servers that are neither down nor drained, or the backups); of http those with
 * `maglev`, where a server that is down keeps its entries. Needs call->parse. */
int control_maglev_diff(struct control_call *call);
void control_maglev_diff_render(const json_t *answer, FILE *out);

#endif
