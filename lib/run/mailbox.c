#include "run/mailbox.h"

#include <assert.h>

static_assert((LOOP_MESSAGES_MAX & (LOOP_MESSAGES_MAX - 1)) == 0, "cells are found by masking");

static struct mailbox_cell *
cell_of(struct mailbox *mailbox, uint64_t turn)
{
	return &mailbox->cells[turn & (LOOP_MESSAGES_MAX - 1)];
}

void
mailbox_init(struct mailbox *mailbox)
{
	mailbox->head = mailbox->tail = 0;
	for (uint64_t i = 0; i < LOOP_MESSAGES_MAX; i++)
		mailbox->cells[i].turn = i;
}

bool
mailbox_put(struct mailbox *mailbox, void (*fn)(void *argument), void *argument)
{
	uint64_t head = __atomic_load_n(&mailbox->head, __ATOMIC_RELAXED);
	struct mailbox_cell *cell;

	for (;;) {
		uint64_t turn;

		cell = cell_of(mailbox, head);
		turn = __atomic_load_n(&cell->turn, __ATOMIC_ACQUIRE);
		if (turn < head)
			return false;
		if (turn > head)
			head = __atomic_load_n(&mailbox->head, __ATOMIC_RELAXED);
		else if (__atomic_compare_exchange_n(&mailbox->head, &head, head + 1, true, __ATOMIC_RELAXED,
						     __ATOMIC_RELAXED))
			break;
	}
	cell->fn = fn;
	cell->argument = argument;
	__atomic_store_n(&cell->turn, head + 1, __ATOMIC_RELEASE);
	return true;
}

bool
mailbox_empty(const struct mailbox *mailbox)
{
	const struct mailbox_cell *cell = &mailbox->cells[mailbox->tail & (LOOP_MESSAGES_MAX - 1)];

	return __atomic_load_n(&cell->turn, __ATOMIC_ACQUIRE) != mailbox->tail + 1;
}

unsigned int
mailbox_run(struct mailbox *mailbox)
{
	uint64_t head = __atomic_load_n(&mailbox->head, __ATOMIC_ACQUIRE);
	unsigned int count = 0;

	while (mailbox->tail != head && !mailbox_empty(mailbox)) {
		struct mailbox_cell *cell = cell_of(mailbox, mailbox->tail);
		void (*fn)(void *argument) = cell->fn;
		void *argument = cell->argument;

		__atomic_store_n(&cell->turn, mailbox->tail + LOOP_MESSAGES_MAX, __ATOMIC_RELEASE);
		mailbox->tail++;
		fn(argument);
		count++;
	}
	return count;
}
