/*
 * Messages to a loop: a bounded queue with many producers and one consumer, none of which ever waits for another
 * (D. Vyukov's bounded queue: each cell carries the number of the turn it is ready for).
 */
#ifndef RUN_MAILBOX_H
#define RUN_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "run/loop.h"

struct mailbox_cell {
	uint64_t turn;
	void (*fn)(void *argument);
	void *argument;
};

struct mailbox {
	uint64_t head __attribute__((aligned(64))); /* producers */
	uint64_t tail __attribute__((aligned(64))); /* the consumer */
	struct mailbox_cell cells[LOOP_MESSAGES_MAX];
};

void mailbox_init(struct mailbox *mailbox);

/* Any thread. False when it is full. */
bool mailbox_put(struct mailbox *mailbox, void (*fn)(void *argument), void *argument);

/* The consumer alone. */
bool mailbox_empty(const struct mailbox *mailbox);
/* Runs what is there at the call, not what those messages post. Returns how many ran. */
unsigned int mailbox_run(struct mailbox *mailbox);

#endif
