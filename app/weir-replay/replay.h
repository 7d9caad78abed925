/*
 * The L4 path on one thread, with captured frames for a NIC and their times for a clock: the same calls in the same order
 * as a worker's round, so that the same configuration and capture always give the same bytes.
 *
 * Frames of one time are one burst, up to a bound. Times that go back count as the latest seen so far; what is sent
 * carries the time of the frame that caused it, as captured.
 */
#ifndef WEIR_REPLAY_REPLAY_H
#define WEIR_REPLAY_REPLAY_H

#include <stdio.h>

#include "config/config.h"
#include "port/port.h"
#include "weir-replay/capture.h"

struct replay;

struct replay_options {
	struct config *config;         /* of all modules; outlives the replay */
	struct capture_writer *writer; /* stays the caller's, as does: */
	FILE *decisions;               /* a line of JSON per packet; NULL: none. Errors are the stream's to keep. */
	uint16_t burst_max;            /* 1 to PORT_BURST */
	uint64_t start_ns;             /* the time of the first frame */
};

/* DPDK must run. 0, or -errno and a reason. */
int replay_new(struct replay **out, const struct replay_options *options, char *error, size_t size);
/* 0, or -ENOMEM when packet buffers are used up. */
int replay_frame(struct replay *replay, const struct capture_frame *frame);
/* Sends what is left of the last burst, then lets time go on until what still waits has timed out. */
void replay_finish(struct replay *replay);
/* "12 frames read, 11 written: forwarded 10, ..." */
void replay_report(const struct replay *replay, FILE *out);
void replay_free(struct replay *replay);

#endif
