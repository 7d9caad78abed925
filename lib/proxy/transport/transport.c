#include "proxy/transport/transport.h"

#include "proxy/worker.h"

/* ---- what TLS asks for ---- */

static uint32_t
take(void *wire, void *out, uint32_t len)
{
	struct tcp_connection *tcp = ((struct proxy_tls *)wire)->tcp;
	uint32_t got = tcp_peek_copy(tcp, 0, out, len);

	if (got)
		tcp_consume(tcp, got);
	return got;
}

static uint32_t
give(void *wire, const void *data, uint32_t len)
{
	return tcp_write(((struct proxy_tls *)wire)->tcp, data, len);
}

static const struct tls_settings *
choose(void *wire, struct bytes name)
{
	const struct proxy_tls *tls = wire;

	return tls->address ? config_settings(proxy_server_of_hello(tls->address, name)->scope, &tls_module)
			    : tls->settings;
}

/* nginx's lists. */
static struct bytes
protocols(void *wire)
{
	static const struct bytes http1 = BYTES("\x08http/1.1\x08http/1.0\x08http/0.9");
	static const struct bytes both = BYTES("\x02h2\x08http/1.1\x08http/1.0\x08http/0.9");
	const struct proxy_tls *tls = wire;

	/* In stream anything may be spoken, where `ssl_alpn` does not say what. */
	return !tls->address ? tls->settings->alpn : tls->address->http2 ? both : http1;
}

static const struct tls_ends ends = { take, give, choose, protocols };

/* ---- life ---- */

static struct proxy_tls *
tls_new(struct proxy_transport *transport, struct proxy_worker *worker)
{
	struct proxy_tls *tls = slab_get(worker->tls);

	if (!tls)
		return NULL;
	*tls = (struct proxy_tls){ .worker = worker, .tcp = transport->tcp };
	list_init(&tls->writing);
	list_init(&tls->waking);
	return tls;
}

bool
proxy_transport_accept(struct proxy_transport *transport, struct proxy_worker *worker, struct proxy_share *share,
		       const struct proxy_address *address, const struct tls_settings *settings)
{
	struct proxy_tls *tls = tls_new(transport, worker);

	if (!tls)
		return false;
	tls->address = address;
	tls->settings = settings;
	tls->session = tls_accept(settings, &ends, tls);
	if (!tls->session) {
		slab_put(worker->tls, tls);
		return false;
	}
	tls->share = share;
	share->references++;
	transport->tls = tls;
	return true;
}

bool
proxy_transport_connect(struct proxy_transport *transport, struct proxy_worker *worker, const struct tls_client *client,
			struct bytes name, struct tls_sessions *sessions, uint64_t server)
{
	struct proxy_tls *tls = tls_new(transport, worker);

	if (!tls)
		return false;
	tls->session = tls_connect(client, name, sessions, server, &ends, tls);
	if (!tls->session) {
		slab_put(worker->tls, tls);
		return false;
	}
	transport->tls = tls;
	return true;
}

/* The handshake is over: the configuration may go. */
static void
share_release(struct proxy_tls *tls)
{
	if (tls->share)
		__atomic_store_n(&tls->share->references, tls->share->references - 1, __ATOMIC_RELEASE);
	tls->share = NULL;
	tls->address = NULL;
	tls->settings = NULL;
}

static void
tls_end(struct proxy_transport *transport)
{
	struct proxy_tls *tls = transport->tls;

	if (!tls)
		return;
	transport->tls = NULL;
	share_release(tls);
	tcp_queue_free(&tls->in);
	tcp_queue_free(&tls->out);
	tcp_queue_free(&tls->arrived);
	list_remove(&tls->writing);
	list_remove(&tls->waking);
	tls_free(tls->session);
	slab_put(tls->worker->tls, tls);
}

enum tls_status
proxy_transport_handshake(struct proxy_transport *transport)
{
	struct proxy_tls *tls = transport->tls;
	enum tls_status status = TLS_WAIT;

	/* A flight that found no memory goes first. */
	if (tls_flush(tls->session))
		status = tls_handshake(tls->session);
	if (!tls_flush(tls->session))
		tcp_want_writable(tls->tcp);
	tls->open = status == TLS_OK || status == TLS_EARLY;
	if (status == TLS_OK) {
		share_release(tls);
	} else if (status == TLS_FAILED) {
		tls->failed = true;
	}
	return status;
}

const char *
proxy_transport_handshake_problem(const struct proxy_transport *transport, enum tls_status status, bool closed)
{
	if (transport->tls->open)
		return NULL;
	if (status != TLS_WAIT)
		return tls_problem();
	if (tcp_close_reason(transport->tcp) == TCP_RESET)
		return "peer closed connection in SSL handshake (104: Connection reset by peer)";
	return closed || tcp_at_end(transport->tcp) ? "peer closed connection in SSL handshake" : NULL;
}

/* ---- writing ---- */

/* One run of plaintext for the next record: where it lies, if it lies together, else gathered. */
static const uint8_t *
next_record(struct proxy_tls *tls, uint32_t len)
{
	static _Thread_local uint8_t gathered[TLS_RECORD_MAX];

	if (tls->out.head->data_len >= len)
		return rte_pktmbuf_mtod(tls->out.head, const uint8_t *);
	tcp_queue_copy(tls->out.head, 0, gathered, len);
	return gathered;
}

/* All of `out`, by OpenSSL: what TCP does not take when memory is short is kept as ciphertext, which frees the mbufs. */
static void
encrypt(struct proxy_tls *tls)
{
	uint64_t now_ns = tls->worker->now_ns;

	while (tls->out.bytes && !tls->failed) {
		uint32_t len = tls_record_size(tls->session, now_ns);

		len = len < tls->out.bytes ? len : tls->out.bytes;
		if (tls_write(tls->session, next_record(tls, len), len) != TLS_OK) {
			tls->failed = true;
			break;
		}
		tls_record_written(tls->session, len, now_ns);
		tcp_queue_drop(&tls->out, len);
	}
	tcp_queue_free(&tls->out);
}

/* True when all is with TCP. */
static bool
flush(struct proxy_tls *tls)
{
	list_remove(&tls->writing);
	if (tls_has_own_records(tls->session))
		proxy_tls_seal(tls);
	else
		encrypt(tls);
	if (tls->out.bytes || !tls_flush(tls->session))
		return false;
	if (tls->shutting) {
		tls->shutting = false;
		tls_shutdown(tls->session);
		tcp_shutdown(tls->tcp);
	}
	return true;
}

void
proxy_transports_flush(struct proxy_worker *worker)
{
	struct list *node;

	while ((node = list_first(&worker->tls_writing)) != NULL)
		flush(container_of(node, struct proxy_tls, writing));
}

uint32_t
proxy_tls_writable(const struct proxy_tls *tls)
{
	uint32_t room = tls->failed || tls->shutting ? 0 : tls_record_room(tls->session, tcp_writable(tls->tcp));

	room = room < PROXY_TLS_OUTPUT ? room : PROXY_TLS_OUTPUT;
	return room > tls->out.bytes ? room - tls->out.bytes : 0;
}

static void
taken(struct proxy_tls *tls, uint32_t moved, uint32_t len)
{
	if (moved && list_empty(&tls->writing))
		list_append(&tls->worker->tls_writing, &tls->writing);
	if (moved < len)
		tcp_want_writable(tls->tcp);
}

uint32_t
proxy_tls_write(struct proxy_tls *tls, const void *data, uint32_t len)
{
	uint32_t room = proxy_tls_writable(tls);
	uint32_t moved = tcp_queue_write(&tls->out, tcp_pool(tls->tcp), data, len < room ? len : room);

	taken(tls, moved, len);
	return moved;
}

uint32_t
proxy_transport_move(struct proxy_transport *to, struct proxy_transport *from, uint32_t len)
{
	struct proxy_tls *source = from->tls, *target = to->tls;
	uint32_t moved, room;

	if (!source && !target)
		return tcp_move(to->tcp, from->tcp, len);
	if (target) {
		uint32_t there = proxy_transport_readable(from);

		len = len < there ? len : there;
		room = proxy_tls_writable(target);
		moved = source ? tcp_queue_move(&target->out, &source->in, tcp_pool(to->tcp), len < room ? len : room)
			       : tcp_read_queue(from->tcp, &target->out, len < room ? len : room);
		taken(target, moved, len);
	} else {
		moved = tcp_write_queue(to->tcp, &source->in, len);
	}
	if (source)
		proxy_tls_consume(source, 0);
	return moved;
}

uint32_t
proxy_transport_write_queue(struct proxy_transport *to, struct tcp_queue *from, uint32_t len)
{
	uint32_t room, moved;

	if (!to->tls)
		return tcp_write_queue(to->tcp, from, len);
	room = proxy_tls_writable(to->tls);
	moved = tcp_queue_move(&to->tls->out, from, tcp_pool(to->tcp), len < room ? len : room);
	taken(to->tls, moved, len);
	return moved;
}

bool
proxy_transport_write_frame(struct proxy_transport *to, struct bytes header, struct tcp_queue *from, uint32_t len)
{
	return proxy_transport_write(to, header.data, (uint32_t)header.len) == header.len &&
	       proxy_transport_write_queue(to, from, len) == len;
}

/* ---- reading ---- */

uint32_t
proxy_transport_read_queue(struct proxy_transport *from, struct tcp_queue *to, uint32_t len)
{
	uint32_t moved;

	if (!from->tls)
		return tcp_read_queue(from->tcp, to, len);
	moved = tcp_queue_move(to, &from->tls->in, tcp_pool(from->tcp), len);
	proxy_tls_consume(from->tls, 0);
	return moved;
}

static void
wake(struct proxy_tls *tls)
{
	if (list_empty(&tls->waking))
		list_append(&tls->worker->tls_waking, &tls->waking);
}

void
proxy_tls_consume(struct proxy_tls *tls, uint32_t len)
{
	tcp_queue_drop(&tls->in, len);
	if (!tls->in.bytes)
		tcp_queue_free(&tls->in);
	if (tls->full && tls->in.bytes < PROXY_TLS_INPUT / 2)
		wake(tls);
}

/* Trying again in every round would keep the lcore from all that could give memory back, and from sleep. */
void
proxy_tls_starve(struct proxy_tls *tls)
{
	struct proxy_worker *worker = tls->worker;

	PROXY_COUNT(worker, OUT_OF_MEMORY);
	tls->full = true;
	if (list_empty(&worker->tls_starved))
		worker->tls_fed_ns = worker->now_ns + PROXY_TLS_STARVED_NS;
	list_remove(&tls->waking);
	list_append(&worker->tls_starved, &tls->waking);
}

void
proxy_transports_feed(struct proxy_worker *worker)
{
	struct list *node;

	if (list_empty(&worker->tls_starved) || worker->now_ns < worker->tls_fed_ns)
		return;
	while ((node = list_take_first(&worker->tls_starved)) != NULL)
		list_append(&worker->tls_waking, node);
}

/* A piece of what has come, by OpenSSL. */
static enum tls_status
decrypt_some(struct proxy_tls *tls)
{
	enum tls_status status;
	uint32_t room, got;
	uint8_t *tail = tcp_queue_tail(&tls->in, tcp_pool(tls->tcp), &room);

	if (!tail) {
		proxy_tls_starve(tls);
		return TLS_WAIT;
	}
	status = tls_read(tls->session, tail, room, &got);
	if (status == TLS_OK)
		tcp_queue_extend(&tls->in, got);
	return status;
}

static void
decrypt(struct proxy_tls *tls)
{
	enum tls_status status = TLS_OK;

	tls->full = false;
	while (status == TLS_OK && !tls->ended && !tls->failed) {
		if (tls->in.bytes >= PROXY_TLS_INPUT) {
			tls->full = true;
			return;
		}
		status = tls_has_own_records(tls->session) ? proxy_tls_open(tls) : decrypt_some(tls);
	}
	/* Early data was read, and what the handshake still lacked was done. */
	if (tls->share && !tls_is_early(tls->session)) {
		share_release(tls);
		if (!tls_flush(tls->session))
			tcp_want_writable(tls->tcp);
	}
	if (!tls->in.bytes)
		tcp_queue_free(&tls->in);
	tls->failed |= status == TLS_FAILED;
	tls->ended |= status == TLS_ENDED || (!tls->full && tcp_at_end(tls->tcp));
}

uint32_t
proxy_transport_events(struct proxy_transport *transport, uint32_t events)
{
	struct proxy_tls *tls = transport->tls;
	uint32_t before, meant = events & TCP_CLOSED;

	if (!tls)
		return events;
	before = tls->in.bytes;
	if (events & TCP_WRITABLE || tls->unsealed) {
		if (flush(tls) && proxy_tls_writable(tls))
			meant |= TCP_WRITABLE;
		else
			tcp_want_writable(tls->tcp);
	}
	if (!tls->deaf)
		decrypt(tls);
	if (tls->in.bytes > before)
		meant |= TCP_READABLE;
	if (tls->ended && !tls->end_told) {
		tls->end_told = true;
		meant |= TCP_END_OF_STREAM;
	}
	if (tls->failed && !tls->failed_told) {
		tls->failed_told = true;
		meant |= TCP_CLOSED;
	}
	return meant;
}

/* ---- the end ---- */

void
proxy_transport_shutdown(struct proxy_transport *transport)
{
	if (!transport->tls) {
		tcp_shutdown(transport->tcp);
		return;
	}
	transport->tls->shutting = true;
	flush(transport->tls);
}

void
proxy_transport_discard(struct proxy_transport *transport)
{
	if (transport->tls) {
		tcp_queue_free(&transport->tls->in);
		tcp_queue_free(&transport->tls->arrived);
		transport->tls->deaf = true;
	}
	tcp_consume(transport->tcp, tcp_readable(transport->tcp));
}

void
proxy_transport_close(struct proxy_transport *transport)
{
	struct proxy_tls *tls = transport->tls;
	bool unread, unsent;

	if (!tls) {
		tcp_close(transport->tcp);
		return;
	}
	/* What the peer said behind its last request, its close_notify above all, is no reason for a reset. */
	unread = tls->in.bytes;
	tcp_consume(transport->tcp, tcp_readable(transport->tcp));
	tls->shutting = true;
	unsent = !flush(tls);
	tls_end(transport);
	if (unread || unsent)
		tcp_abort(transport->tcp);
	else
		tcp_close(transport->tcp);
}

void
proxy_transport_abort(struct proxy_transport *transport)
{
	tls_end(transport);
	tcp_abort(transport->tcp);
}
