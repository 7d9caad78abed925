#include "tcp/time_wait.h"

#include "base/clock.h"
#include "tcp/output.h"
#include "tcp/segment.h"
#include "tcp/stack.h"

/* The shortest rest before we take a pair over ourselves, as Linux' tcp_tw_reuse: the timestamp must have moved on. */
#define REUSE_AFTER_MS 1000

/* Past whatever window the old connection may still have in flight (as Linux). */
#define SEQUENCE_GAP (65535 + 2)

bool
tcp_time_waits_init(struct tcp_stack *stack, uint32_t max)
{
	struct tcp_time_waits *waits = &stack->time_waits;

	waits->oldest = waits->newest = TCP_TIME_WAIT_NONE;
	timer_init(&waits->timer);
	waits->records = slab_new(sizeof(struct tcp_time_wait), 64, max);
	return waits->records != NULL;
}

void
tcp_time_waits_fini(struct tcp_stack *stack)
{
	slab_free(stack->time_waits.records);
}

static void
unlink_record(struct tcp_time_waits *waits, struct tcp_time_wait *record)
{
	if (record->previous == TCP_TIME_WAIT_NONE)
		waits->oldest = record->next;
	else
		((struct tcp_time_wait *)slab_at(waits->records, record->previous))->next = record->next;
	if (record->next == TCP_TIME_WAIT_NONE)
		waits->newest = record->previous;
	else
		((struct tcp_time_wait *)slab_at(waits->records, record->next))->previous = record->previous;
}

/* As the newest, with its time beginning now. */
static void
link_record(struct tcp_stack *stack, struct tcp_time_wait *record)
{
	struct tcp_time_waits *waits = &stack->time_waits;
	uint32_t index = slab_index(waits->records, record);

	record->expires_ms = stack->now_ms + TCP_TIME_WAIT_MS;
	record->next = TCP_TIME_WAIT_NONE;
	record->previous = waits->newest;
	if (waits->newest == TCP_TIME_WAIT_NONE)
		waits->oldest = index;
	else
		((struct tcp_time_wait *)slab_at(waits->records, waits->newest))->next = index;
	waits->newest = index;
	if (!timer_armed(&waits->timer))
		timer_arm(stack->wheel, &waits->timer, stack->now_ns + TCP_TIME_WAIT_MS * NS_PER_MS);
}

static void
remove_record(struct tcp_stack *stack, struct tcp_time_wait *record)
{
	tcp_stack_remove_time_wait(stack, record);
	unlink_record(&stack->time_waits, record);
	if (record->flags & TCP_TIME_WAIT_OUTGOING)
		tcp_port_put(stack, record->local_port_be);
	slab_put(stack->time_waits.records, record);
}

static struct tcp_time_wait *
oldest_record(struct tcp_time_waits *waits)
{
	return waits->oldest == TCP_TIME_WAIT_NONE ? NULL : slab_at(waits->records, waits->oldest);
}

bool
tcp_time_wait_enter(struct tcp_connection *c)
{
	struct tcp_stack *stack = c->stack;
	struct tcp_time_wait *record = slab_get(stack->time_waits.records);
	uint32_t hash = c->hash;
	bool freed;

	if (!record) {
		TCP_COUNT(stack, time_wait_evicted);
		remove_record(stack, oldest_record(&stack->time_waits));
		record = slab_get(stack->time_waits.records);
	}
	*record = (struct tcp_time_wait){
		.local = c->local.ip,
		.remote = c->remote.ip,
		.local_port_be = c->local.port_be,
		.remote_port_be = c->remote.port_be,
		.snd_nxt = c->snd_max,
		.rcv_nxt = c->rcv_nxt,
		.ts_recent = c->ts_recent,
		.window = (uint16_t)RTE_MIN((c->rcv_edge - c->rcv_nxt) >> c->rcv_scale, UINT16_MAX),
	};
	if (c->flags & TCP_TIMESTAMPS)
		record->flags |= TCP_TIME_WAIT_TIMESTAMPS;
	if (c->flags & TCP_OUTGOING) {
		record->flags |= TCP_TIME_WAIT_OUTGOING;
		tcp_port_get(stack, c->local.port_be);
	}
	/* The ACK of the peer's FIN would go with the next flush, when there is no connection any more. */
	if (c->flags & (TCP_ACK_NOW | TCP_ACK_DELAYED))
		tcp_output_ack(c);
	freed = tcp_connection_end(c, TCP_FINISHED);
	tcp_stack_insert_time_wait(stack, record, hash);
	link_record(stack, record);
	return freed;
}

bool
tcp_time_wait_is(const struct tcp_time_wait *record, const struct endpoint *local, const struct endpoint *remote)
{
	return record->remote_port_be == remote->port_be && record->local_port_be == local->port_be &&
	       ip_address_equal(&record->remote, &remote->ip) && ip_address_equal(&record->local, &local->ip);
}

static void
answer(struct tcp_stack *stack, const struct tcp_time_wait *record, const struct tcp_segment *segment)
{
	struct tcp_header header = { .local = &segment->local,
				     .remote = &segment->remote,
				     .sequence = record->snd_nxt,
				     .acknowledgement = record->rcv_nxt,
				     .window = record->window,
				     .flags = RTE_TCP_ACK_FLAG };

	if (!tcp_stateless_answer_allowed(stack)) {
		TCP_COUNT(stack, challenge_acks_limited);
		return;
	}
	if (record->flags & TCP_TIME_WAIT_TIMESTAMPS) {
		uint64_t secret = tcp_pair_secret(stack, &segment->local, &segment->remote);

		header.options.flags = TCP_OPTION_TIMESTAMP;
		header.options.timestamp = stack->now_ms + tcp_timestamp_offset(secret);
		header.options.timestamp_echo = record->ts_recent;
	}
	tcp_header_send(stack, &header);
}

/* Is it a SYN that the old connection cannot have sent? */
static bool
is_new(const struct tcp_time_wait *record, const struct tcp_segment *segment)
{
	if ((segment->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG)) != RTE_TCP_SYN_FLAG)
		return false;
	if (record->flags & TCP_TIME_WAIT_TIMESTAMPS && segment->options.flags & TCP_OPTION_TIMESTAMP &&
	    segment->options.timestamp != record->ts_recent)
		return sequence_after(segment->options.timestamp, record->ts_recent);
	return sequence_after(segment->sequence, record->rcv_nxt);
}

/* A RST of the peer as it is now: where we expect it and nowhere else (RFC 5961 section 3.2), and no older than what came last
 * (RFC 7323 section 5.2; one that answers a segment of ours says no time at all). */
static bool
is_reset(const struct tcp_time_wait *record, const struct tcp_segment *segment)
{
	if (!(segment->flags & RTE_TCP_RST_FLAG) || segment->sequence != record->rcv_nxt)
		return false;
	return !(record->flags & TCP_TIME_WAIT_TIMESTAMPS && segment->options.flags & TCP_OPTION_TIMESTAMP &&
		 sequence_before(segment->options.timestamp, record->ts_recent));
}

bool
tcp_time_wait_input(struct tcp_stack *stack, struct tcp_time_wait *record, const struct tcp_segment *segment,
		    uint32_t *sequence)
{
	if (is_new(record, segment) && tcp_listener_find(stack, &segment->local)) {
		TCP_COUNT(stack, time_wait_reused);
		*sequence = record->snd_nxt + SEQUENCE_GAP;
		remove_record(stack, record);
		return true;
	}
	/* Else a peer that begins anew with an earlier clock would be kept out for a minute: its SYN is answered with an ACK, and that
	 * by it with a RST. What RFC 1337 fears of it, Linux bears too (tcp_rfc1337 is 0). */
	if (is_reset(record, segment)) {
		TCP_COUNT(stack, time_wait_reset);
		remove_record(stack, record);
		return false;
	}
	TCP_COUNT(stack, drop_time_wait);
	/* Any other RST is not believed, and an ACK that says nothing new needs no answer. */
	if (segment->flags & RTE_TCP_RST_FLAG)
		return false;
	if (tcp_segment_len(segment) == 0 && segment->sequence == record->rcv_nxt)
		return false;
	answer(stack, record, segment);
	if (segment->flags & RTE_TCP_FIN_FLAG && tcp_segment_end(segment) == record->rcv_nxt) {
		unlink_record(&stack->time_waits, record);
		link_record(stack, record);
	}
	return false;
}

bool
tcp_time_wait_reuse(struct tcp_stack *stack, struct tcp_time_wait *record, uint32_t *sequence)
{
	uint32_t age_ms = stack->now_ms - (record->expires_ms - TCP_TIME_WAIT_MS);

	if (!(record->flags & TCP_TIME_WAIT_TIMESTAMPS) || age_ms < REUSE_AFTER_MS)
		return false;
	TCP_COUNT(stack, time_wait_reused);
	*sequence = record->snd_nxt + SEQUENCE_GAP;
	remove_record(stack, record);
	return true;
}

unsigned int
tcp_time_waits_expire(struct tcp_stack *stack, unsigned int budget)
{
	struct tcp_time_waits *waits = &stack->time_waits;
	struct tcp_time_wait *record;
	unsigned int expired = 0;

	while ((record = oldest_record(waits)) && expired < budget &&
	       !sequence_after(record->expires_ms, stack->now_ms)) {
		remove_record(stack, record);
		expired++;
	}
	if (record) {
		uint32_t left_ms =
			sequence_after(record->expires_ms, stack->now_ms) ? record->expires_ms - stack->now_ms : 0;
		timer_arm(stack->wheel, &waits->timer, stack->now_ns + left_ms * NS_PER_MS);
	}
	return expired;
}
