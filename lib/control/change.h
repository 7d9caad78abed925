/* `drain`, `undrain` and `weight`: what the operator says about a server at run time. */
#ifndef CONTROL_CHANGE_H
#define CONTROL_CHANGE_H

#include "control/command.h"

int control_drain(struct control_call *call);
int control_undrain(struct control_call *call);
int control_weight(struct control_call *call);
void control_change_render(const json_t *answer, FILE *out);

#endif
