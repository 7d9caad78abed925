/*
 * The payload of an outgoing segment, from the send queue: copied, or referred to.
 */
#ifndef TCP_PAYLOAD_H
#define TCP_PAYLOAD_H

#include <stdint.h>

struct rte_mbuf;
struct tcp_connection;

/* mbufs of a chain at most: what a device's queue, and a system call, takes at once. */
#define TCP_PAYLOAD_REFERENCES_MAX 200

/* Copies `len` bytes from `sequence` on, which must all be in the send queue. */
void tcp_payload_copy(struct tcp_connection *c, uint32_t sequence, uint8_t *out, uint32_t len);

/*
 * A chain of indirect mbufs over the same bytes, for the caller to put behind a header. The data stays where it is, for
 * as long as either the queue or the chain needs it, and nobody may write to it meanwhile (see queue.c). NULL when mbufs
 * are short, or the bytes are scattered over too many.
 */
struct rte_mbuf *tcp_payload_refer(struct tcp_connection *c, uint32_t sequence, uint32_t len);

#endif
