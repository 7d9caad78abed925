#include "tcp/trouble.h"

#include "base/slab.h"
#include "tcp/stack.h"

/* The list's node is in no list, and nobody will put it in one: the memory is read only. */
const struct tcp_trouble tcp_no_trouble = {
	.holding = { (struct list *)(uintptr_t)&tcp_no_trouble.holding,
		     (struct list *)(uintptr_t)&tcp_no_trouble.holding },
};

bool
tcp_troubles_init(struct tcp_stack *stack)
{
	stack->troubles = slab_new(sizeof(struct tcp_trouble), 64, stack->config.connections_max);
	return stack->troubles;
}

void
tcp_troubles_fini(struct tcp_stack *stack)
{
	slab_free(stack->troubles);
}

struct tcp_trouble *
tcp_trouble(struct tcp_connection *c)
{
	if (c->trouble == &tcp_no_trouble) {
		struct tcp_trouble *trouble = slab_get(c->stack->troubles);

		*trouble = tcp_no_trouble;
		trouble->connection = c;
		list_init(&trouble->holding);
		c->trouble = trouble;
	}
	return (struct tcp_trouble *)(uintptr_t)c->trouble;
}

void
tcp_trouble_free(struct tcp_connection *c)
{
	if (c->trouble == &tcp_no_trouble)
		return;
	slab_put(c->stack->troubles, tcp_trouble(c));
	c->trouble = &tcp_no_trouble;
}
