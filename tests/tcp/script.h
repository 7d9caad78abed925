/*
 * What a file of scripted segments begins with: its includes, and the harness `h` that each of its tests has to itself. A file
 * whose tests want another stack has a set_up of its own, which calls this one first.
 */
#ifndef TCP_SCRIPT_H
#define TCP_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "harness.h"
#include "support/dpdk.h"
#include "tcp/stack.h"

static struct harness H, *const h = &H;

static inline int
script_set_up(void **state)
{
	harness_init(h);
	return 0;
}

static inline int
script_tear_down(void **state)
{
	harness_stop(h);
	return 0;
}

/* Opens to a peer with a window of 64 KB, past the short delays that acknowledgements have while a connection is young. */
static inline void
script_open(const char *options)
{
	harness_start(h);
	harness_accept(h, options, 65535);
	h->c->quick_acks = 0;
}

#endif
