#include "weir-load/wire.h"

/* The server is always the same one. */
#define SERVER 0

static bool
flush(struct wire *wire)
{
	if (tls_flush(wire->tls))
		return true;
	tcp_want_writable(wire->tcp);
	return false;
}

/* ---- what TLS asks for ---- */

static uint32_t
take(void *context, void *out, uint32_t len)
{
	struct wire *wire = context;
	uint32_t got = tcp_peek_copy(wire->tcp, 0, out, len);

	tcp_consume(wire->tcp, got);
	return got;
}

static uint32_t
give(void *context, const void *data, uint32_t len)
{
	return tcp_write(((struct wire *)context)->tcp, data, len);
}

/* None is named: what is spoken is HTTP/1.1 anyway. */
static struct bytes
protocols(void *context)
{
	return (struct bytes){ 0 };
}

static const struct tls_ends ends = { take, give, NULL, protocols };

enum tls_status
wire_handshake(struct wire *wire, const struct wire_tls *tls)
{
	enum tls_status status = TLS_WAIT;

	if (!tls->client)
		return TLS_OK;
	if (!wire->tls)
		wire->tls = tls_connect(tls->client, tls->name, tls->sessions, SERVER, &ends, wire);
	if (!wire->tls)
		return TLS_FAILED;
	/* A flight that found no memory goes first. */
	if (flush(wire)) {
		status = tls_handshake(wire->tls);
		flush(wire);
	}
	return status;
}

/* ---- writing ---- */

uint32_t
wire_write(struct wire *wire, const void *data, uint32_t len)
{
	uint32_t written = 0;

	if (!wire->tls)
		return tcp_write(wire->tcp, data, len);
	while (written < len && flush(wire) && !wire->failed) {
		uint32_t piece = tls_record_room(wire->tls, tcp_writable(wire->tcp));

		if (piece > len - written)
			piece = len - written;
		if (piece > TLS_RECORD_MAX)
			piece = TLS_RECORD_MAX;
		if (!piece) {
			tcp_want_writable(wire->tcp);
			break;
		}
		wire->failed = tls_write(wire->tls, (const uint8_t *)data + written, piece) != TLS_OK;
		written += piece;
	}
	return written;
}

/* ---- reading ---- */

/* True when there is more than before. */
static bool
decrypt(struct wire *wire)
{
	enum tls_status status;
	uint32_t room, got;
	uint8_t *tail;

	if (wire->ended || wire->failed)
		return false;
	tail = tcp_queue_tail(&wire->in, tcp_pool(wire->tcp), &room);
	status = tail ? tls_read(wire->tls, tail, room, &got) : TLS_FAILED;
	if (status == TLS_OK)
		tcp_queue_extend(&wire->in, got);
	else if (!wire->in.bytes)
		tcp_queue_free(&wire->in);
	wire->ended = status == TLS_ENDED;
	wire->failed = status == TLS_FAILED;
	return status == TLS_OK;
}

struct bytes
wire_peek(struct wire *wire)
{
	if (!wire->tls)
		return tcp_peek(wire->tcp);
	if (!wire->in.bytes)
		decrypt(wire);
	return tcp_queue_peek(&wire->in);
}

uint32_t
wire_peek_copy(struct wire *wire, void *out, uint32_t len)
{
	if (!wire->tls)
		return tcp_peek_copy(wire->tcp, 0, out, len);
	while (wire->in.bytes < len && decrypt(wire))
		;
	return tcp_queue_copy(wire->in.head, 0, out, len);
}

void
wire_consume(struct wire *wire, uint32_t len)
{
	if (!wire->tls) {
		tcp_consume(wire->tcp, len);
		return;
	}
	tcp_queue_drop(&wire->in, len);
	if (!wire->in.bytes)
		tcp_queue_free(&wire->in);
}

/* ---- the end ---- */

static void
clear(struct wire *wire)
{
	tls_free(wire->tls);
	tcp_queue_free(&wire->in);
	*wire = (struct wire){ 0 };
}

void
wire_close(struct wire *wire)
{
	/* What is unread (tickets, close_notify) is no reason for a reset. */
	if (wire->tls)
		tcp_consume(wire->tcp, tcp_readable(wire->tcp));
	tcp_close(wire->tcp);
	clear(wire);
}

void
wire_abort(struct wire *wire)
{
	tcp_abort(wire->tcp);
	clear(wire);
}
