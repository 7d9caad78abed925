#include "tcp/port.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tcp/stack.h"

/* Ports that are passed over at most because their answers would come in elsewhere. With n lcores every n-th does not: of 16, one
 * connection in sixty finds none. */
#define LANDING_TRIES 64

bool
tcp_ports_init(struct tcp_stack *stack)
{
	const struct tcp_config *config = &stack->config;
	struct tcp_ports *ports = &stack->ports;
	uint32_t first = config->port_first;

	if (config->port_modulus == 0 || config->port_remainder >= config->port_modulus || first == 0)
		return false;
	first += (config->port_modulus + config->port_remainder - first % config->port_modulus) % config->port_modulus;
	if (first > config->port_last)
		return false;
	ports->first = (uint16_t)first;
	ports->modulus = config->port_modulus;
	ports->count = (config->port_last - first) / config->port_modulus + 1;
	ports->users = calloc(ports->count, sizeof(*ports->users));
	return ports->users != NULL;
}

void
tcp_ports_fini(struct tcp_stack *stack)
{
	free(stack->ports.users);
}

static uint32_t *
port_users(struct tcp_ports *ports, uint16_t port_be)
{
	return &ports->users[(ntohs(port_be) - ports->first) / ports->modulus];
}

void
tcp_port_get(struct tcp_stack *stack, uint16_t port_be)
{
	if ((*port_users(&stack->ports, port_be))++ == 0 && stack->env.port_used)
		stack->env.port_used(stack->env.context, port_be, true);
}

void
tcp_port_put(struct tcp_stack *stack, uint16_t port_be)
{
	if (--(*port_users(&stack->ports, port_be)) == 0 && stack->env.port_used)
		stack->env.port_used(stack->env.context, port_be, false);
}

static bool
pair_is_free(struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote, uint32_t *sequence)
{
	struct tcp_time_wait *record;

	if (tcp_stack_find(stack, tcp_table_hash(&stack->table, local, remote), local, remote, &record))
		return false;
	return !record || tcp_time_wait_reuse(stack, record, sequence);
}

static bool
lands_here(const struct tcp_stack *stack, const struct endpoint *local, const struct endpoint *remote)
{
	return !stack->env.lands_here || stack->env.lands_here(stack->env.context, local, remote);
}

bool
tcp_port_choose(struct tcp_stack *stack, struct endpoint *local, const struct endpoint *remote, uint32_t *sequence)
{
	struct tcp_ports *ports = &stack->ports;
	struct {
		struct ip_address local, remote;
		uint64_t remote_port_be;
	} input = { local->ip, remote->ip, remote->port_be };
	uint64_t hash = siphash(stack->config.secret, &input, sizeof(input));
	uint32_t *counter = &ports->counters[(hash >> 32) % TCP_PORT_COUNTERS];
	uint32_t rank = ((uint32_t)hash + *counter) % ports->count;

	for (uint32_t tries = 0; tries < ports->count + LANDING_TRIES; tries++) {
		(*counter)++;
		local->port_be = htons((uint16_t)(ports->first + rank * ports->modulus));
		if ((tries >= LANDING_TRIES || lands_here(stack, local, remote)) &&
		    pair_is_free(stack, local, remote, sequence)) {
			tcp_port_get(stack, local->port_be);
			return true;
		}
		if (++rank == ports->count)
			rank = 0;
	}
	return false;
}
