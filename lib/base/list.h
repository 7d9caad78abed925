/*
 * Intrusive doubly linked list with a head that is a node. A node is in at most one list; a node that is in none points
 * to itself. Not thread-safe: a list belongs to one lcore.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#ifndef container_of /* DPDK has one too */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#endif

static inline void
list_init(struct list *node)
{
	node->next = node->prev = node;
}

/* True for an empty head, and for a node that is in no list. */
static inline bool
list_empty(const struct list *node)
{
	return node->next == node;
}

static inline void
list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void
list_prepend(struct list *head, struct list *node)
{
	list_append(head->next, node);
}

/* Leaves the node pointing to itself, so removing twice is harmless. */
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *
list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *
list_take_first(struct list *head)
{
	struct list *node = list_first(head);
	if (node)
		list_remove(node);
	return node;
}

/* All nodes, in their order; `to` has none before, `from` none after. */
static inline void
list_take_all(struct list *to, struct list *from)
{
	list_init(to);
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to->prev->next = to;
	list_init(from);
}

#endif
