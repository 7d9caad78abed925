#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "packet/parse.h"
#include "tcp/path_mtu.h"
#include "tcp/recovery.h"
#include "tcp/stack.h"

enum icmp_meaning {
	ICMP_MEANS_NOTHING,
	ICMP_MEANS_UNREACHABLE,
	ICMP_MEANS_TOO_BIG,
};

static enum icmp_meaning
meaning(const struct packet_quote *quote)
{
	if (ip_address_is_v4(&quote->source)) {
		if (quote->icmp_type != ICMP_DEST_UNREACH)
			return ICMP_MEANS_NOTHING;
		return quote->icmp_code == ICMP_FRAG_NEEDED ? ICMP_MEANS_TOO_BIG : ICMP_MEANS_UNREACHABLE;
	}
	if (quote->icmp_type == ICMP6_PACKET_TOO_BIG)
		return ICMP_MEANS_TOO_BIG;
	return quote->icmp_type == ICMP6_DST_UNREACH ? ICMP_MEANS_UNREACHABLE : ICMP_MEANS_NOTHING;
}

static void
too_big(struct tcp_connection *c, uint32_t mtu)
{
	if (!tcp_path_mtu_told(c, mtu))
		TCP_COUNT(c->stack, icmp_ignored);
	else if (tcp_synchronized(c))
		tcp_recovery_restart(c);
}

void
tcp_icmp_error(struct tcp_stack *stack, const struct packet_quote *quote)
{
	struct endpoint local = { quote->source, quote->source_port_be };
	struct endpoint remote = { quote->destination, quote->destination_port_be };
	struct tcp_time_wait *record;
	struct tcp_connection *c =
		tcp_stack_find(stack, tcp_table_hash(&stack->table, &local, &remote), &local, &remote, &record);
	enum icmp_meaning means = meaning(quote);

	/* RFC 5927 section 4: only somebody who sees our segments can name what is in flight. */
	if (!c || means == ICMP_MEANS_NOTHING || sequence_before(quote->tcp_sequence, c->snd_una) ||
	    !sequence_before(quote->tcp_sequence, c->snd_max)) {
		TCP_COUNT(stack, icmp_ignored);
	} else if (means == ICMP_MEANS_TOO_BIG) {
		too_big(c, quote->mtu);
	} else if (c->state == TCP_STATE_SYN_SENT) {
		/* Any of them ends an attempt (RFC 5461 section 4.1, and Linux): another server may be tried at once.
		 * */
		TCP_COUNT(stack, icmp_hard_errors);
		tcp_connection_end(c, TCP_UNREACHABLE);
	} else {
		TCP_COUNT(stack, icmp_soft_errors);
		c->flags |= TCP_SOFT_ERROR;
	}
}
