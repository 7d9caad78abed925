#include "tcp/stack.h"

void
tcp_listen(struct tcp_stack *stack, const struct tcp_listener *listeners, uint32_t count)
{
	stack->listeners = listeners;
	stack->listener_count = count;
}

const struct tcp_listener *
tcp_listener_find(const struct tcp_stack *stack, const struct endpoint *local)
{
	const struct tcp_listener *wildcard = NULL;

	for (uint32_t i = 0; i < stack->listener_count; i++) {
		const struct tcp_listener *listener = &stack->listeners[i];

		if (listener->local.port_be != local->port_be)
			continue;
		if (ip_address_equal(&listener->local.ip, &local->ip))
			return listener;
		if (!wildcard && ip_address_is_any(&listener->local.ip) &&
		    ip_address_is_v4(&listener->local.ip) == ip_address_is_v4(&local->ip))
			wildcard = listener;
	}
	return wildcard;
}
