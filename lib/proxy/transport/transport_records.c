/* Between a transport's queues and TCP's, where TLS has its records from us: plaintext and ciphertext stay in mbufs, and each byte
 * is touched once, by the cipher. */
#include "proxy/transport/transport.h"
#include "proxy/worker.h"

/* Of ciphertext, taken from TCP whole mbufs at a time so that none is split: the rest of a record, and one more. */
#define ARRIVED_MAX (2 * TLS_ARRIVING_MAX)
/* A queue of 16 KB has at most 34 mbufs (tcp/queue.h). */
#define PIECES_MAX 64

/* ---- writing ---- */

/* False: not now. */
static bool
seal(struct proxy_tls *tls)
{
	struct iovec in[PIECES_MAX], out[PIECES_MAX];
	uint32_t len = tls_record_size(tls->session, tls->worker->now_ns), size;
	/* Less than when it was written, maybe; a whole record's need never be there when mbufs are few. */
	uint32_t room = tls_record_room(tls->session, tcp_writable(tls->tcp));
	struct tcp_queue sealed = { 0 };
	unsigned int in_count, out_count;

	len = RTE_MIN(len, RTE_MIN(room, tls->out.bytes));
	if (!len) {
		tcp_want_writable(tls->tcp);
		return false;
	}
	in_count = tcp_queue_pieces(&tls->out, &len, in, PIECES_MAX);
	size = tls_sealed_size(tls->session, len);
	out_count = tcp_queue_reserve(&sealed, tcp_pool(tls->tcp), size, out, PIECES_MAX);
	if (!out_count) {
		proxy_tls_starve(tls);
		return false;
	}
	if (tls_seal(tls->session, in, in_count, len, out, out_count) != TLS_OK) {
		tls->failed = true;
		tcp_queue_free(&sealed);
		return false;
	}
	tls_record_written(tls->session, len, tls->worker->now_ns);
	tcp_queue_drop(&tls->out, len);
	tcp_write_queue(tls->tcp, &sealed, size);
	return true;
}

void
proxy_tls_seal(struct proxy_tls *tls)
{
	tls->unsealed = false;
	if (!tls_flush(tls->session))
		return;
	while (tls->out.bytes && !tls->unsealed && !tls->failed)
		tls->unsealed = !seal(tls);
	if (tls->failed || !tls->out.bytes)
		tcp_queue_free(&tls->out);
}

/* ---- reading ---- */

static bool
arrived(struct proxy_tls *tls, uint32_t len)
{
	if (tls->arrived.bytes < len)
		tcp_read_queue(tls->tcp, &tls->arrived, ARRIVED_MAX - tls->arrived.bytes);
	return tls->arrived.bytes >= len;
}

/* The record at the front. Where TCP could not join what came in very small segments, it is gathered. */
static unsigned int
record_pieces(const struct proxy_tls *tls, uint32_t size, struct iovec pieces[PIECES_MAX])
{
	static _Thread_local uint8_t gathered[TLS_ARRIVING_MAX];
	uint32_t len = size;
	unsigned int count = tcp_queue_pieces(&tls->arrived, &len, pieces, PIECES_MAX);

	if (len == size)
		return count;
	tcp_queue_copy(tls->arrived.head, 0, gathered, size);
	pieces[0] = (struct iovec){ gathered, size };
	return 1;
}

enum tls_status
proxy_tls_open(struct proxy_tls *tls)
{
	struct iovec in[PIECES_MAX], out[PIECES_MAX];
	uint8_t header[TLS_HEADER_SIZE];
	struct tcp_queue opened = { 0 };
	unsigned int in_count, out_count;
	enum tls_status status;
	uint32_t size, got;

	if (!arrived(tls, TLS_HEADER_SIZE))
		return TLS_WAIT;
	tcp_queue_copy(tls->arrived.head, 0, header, sizeof(header));
	status = tls_arriving(tls->session, header, &size);
	if (status != TLS_OK)
		return status;
	if (!arrived(tls, size))
		return TLS_WAIT;
	out_count = tcp_queue_reserve(&opened, tcp_pool(tls->tcp), size - TLS_HEADER_SIZE, out, PIECES_MAX);
	if (!out_count) {
		proxy_tls_starve(tls);
		return TLS_WAIT;
	}
	in_count = record_pieces(tls, size, in);
	status = tls_open(tls->session, in, in_count, out, out_count, &got);
	tcp_queue_drop(&tls->arrived, size);
	if (status == TLS_OK) {
		tcp_queue_truncate(&opened, got);
		tcp_queue_concatenate(&tls->in, &opened);
	}
	tcp_queue_free(&opened);
	return status == TLS_WAIT ? TLS_OK : status; /* it brought nothing, the next may */
}
