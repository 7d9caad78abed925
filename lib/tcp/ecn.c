#include "tcp/ecn.h"

#include "tcp/output.h"

/* ---- the SYNs ---- */

uint8_t
tcp_ecn_syn_flags(const struct tcp_connection *c, bool answer)
{
	if (answer)
		return c->flags & TCP_ECN ? RTE_TCP_ECE_FLAG : 0;
	return c->stack->config.ecn == TCP_ECN_ON && c->retries == 0 ? TCP_ECN_FLAGS : 0;
}

bool
tcp_ecn_accepts(const struct tcp_stack *stack, const struct tcp_segment *syn)
{
	return stack->config.ecn != TCP_ECN_OFF && (syn->flags & TCP_ECN_FLAGS) == TCP_ECN_FLAGS;
}

void
tcp_ecn_syn_input(struct tcp_connection *c, const struct tcp_segment *syn)
{
	bool agreed;

	if (syn->flags & RTE_TCP_ACK_FLAG)
		agreed = tcp_ecn_syn_flags(c, false) && (syn->flags & TCP_ECN_FLAGS) == RTE_TCP_ECE_FLAG;
	else
		agreed = tcp_ecn_accepts(c->stack, syn);
	c->flags &= ~TCP_ECN;
	if (agreed)
		c->flags |= TCP_ECN;
}

/* ---- what arrives ---- */

void
tcp_ecn_data_input(struct tcp_connection *c, const struct tcp_segment *segment)
{
	if (segment->flags & RTE_TCP_CWR_FLAG)
		c->flags &= ~TCP_ECN_ECHO;
	if (segment->ecn != TCP_ECN_CE)
		return;
	TCP_COUNT(c->stack, ecn_marks);
	c->flags |= TCP_ECN_ECHO;
}

void
tcp_ecn_ack_input(struct tcp_connection *c, const struct tcp_segment *segment)
{
	uint32_t una = sequence_max(segment->acknowledgement, c->snd_una);

	/* Something past it has arrived, and CWR with it. */
	if (c->ecn_reduced && sequence_after(una, c->trouble->ecn_recover))
		c->ecn_reduced = false;
	/* Section 6.1.2: not twice for one window of data, whether it was marked or lost. */
	if (!(segment->flags & RTE_TCP_ECE_FLAG) || c->ecn_reduced || c->flags & TCP_RECOVERY ||
	    (c->flags & TCP_RECOVER_SET && sequence_before(una, c->trouble->snd_recover)))
		return;
	c->stack->congestion->marked(c);
	c->ecn_reduced = true;
	tcp_trouble(c)->ecn_recover = c->snd_max;
	tcp_ecn_reduced(c);
	TCP_COUNT(c->stack, ecn_reductions);
}

/* ---- what leaves ---- */

void
tcp_ecn_output(struct tcp_connection *c, struct tcp_header *header, bool fresh)
{
	if (c->flags & TCP_ECN_ECHO && header->flags & RTE_TCP_ACK_FLAG)
		header->flags |= RTE_TCP_ECE_FLAG;
	if (!fresh)
		return;
	header->ecn = TCP_ECN_ECT_0;
	if (c->flags & TCP_CWR_DUE)
		header->flags |= RTE_TCP_CWR_FLAG;
}
