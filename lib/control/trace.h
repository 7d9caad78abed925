/*
 * `trace`: decisions of the workers, filtered on their lcores, through one bounded ring per lcore to the control thread, which
 * writes them to the client. One trace at a time. A full ring drops, and counts; so does a client that does not read.
 */
#ifndef CONTROL_TRACE_H
#define CONTROL_TRACE_H

#include "control/command.h"

struct control_trace;

int control_trace(struct control_call *call);
void control_trace_render(const json_t *answer, FILE *out);

/* ---- for the server ---- */

/* Moves what the rings hold to the client, and ends the trace when it is over. */
void control_trace_pump(struct control_server *server, uint64_t now_ns);
/* When that is due; UINT64_MAX without a trace. */
uint64_t control_trace_next_ns(const struct control_trace *trace);
/* The workers stop observing, what they have seen is given out, the last line says how much was dropped. Without a trace it
 * does nothing. */
void control_trace_end(struct control_server *server);

#endif
