/*
 * Where filters hook into an exchange. A filter is one folder of filter/ with its directives and any of these functions;
 * the program lists them once, in order, and every exchange walks that list.
 *
 * All run on the exchange's lcore and must not block.
 */
#ifndef PROXY_PHASE_H
#define PROXY_PHASE_H

#include "config/config.h"

struct proxy_exchange;
struct proxy_head_writer;
struct proxy_relay;

struct proxy_filter {
	const char *name;
	struct config_module *module;
	/* Before the content: 0 to go on, else the status that the request is answered with (limits, access rules). */
	int (*access)(struct proxy_exchange *exchange);
	/* While the response head is written: adds fields. */
	void (*response_head)(struct proxy_exchange *exchange, struct proxy_head_writer *head);
	/* When the exchange has ended, whatever became of it. */
	void (*log)(struct proxy_exchange *exchange);
	/* When a relay has ended. */
	void (*stream_log)(struct proxy_relay *relay);
};

#endif
