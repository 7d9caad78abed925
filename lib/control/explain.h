/* `explain`: what would become of a packet that need not exist. */
#ifndef CONTROL_EXPLAIN_H
#define CONTROL_EXPLAIN_H

#include "control/command.h"

int control_explain(struct control_call *call);
void control_explain_render(const json_t *answer, FILE *out);

#endif
