/*
 * Bytes that lie in pieces, from front to back: a place in an array of iovec that moves on as bytes are read or written.
 *
 * Pure, any lcore. Whoever asks for more bytes than there are has made a mistake: the last piece that has any says so (assert).
 */
#ifndef TLS_PIECES_H
#define TLS_PIECES_H

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct tls_pieces {
	const struct iovec *at;
	unsigned int count; /* those left, *at included */
	size_t used;        /* of *at */
};

static inline struct tls_pieces
tls_pieces_of(const struct iovec *pieces, unsigned int count)
{
	return (struct tls_pieces){ .at = pieces, .count = count };
}

/* Where the next bytes are; *len, at least one, lie together. */
static inline uint8_t *
tls_pieces_run(struct tls_pieces *p, size_t *len)
{
	while (p->count > 1 && p->used == p->at->iov_len) {
		p->at++;
		p->count--;
		p->used = 0;
	}
	assert(p->count && p->used < p->at->iov_len);
	*len = p->at->iov_len - p->used;
	return (uint8_t *)p->at->iov_base + p->used;
}

static inline void
tls_pieces_get(struct tls_pieces *p, void *out, size_t len)
{
	uint8_t *to = out;
	size_t run;

	for (; len; len -= run, to += run) {
		const uint8_t *from = tls_pieces_run(p, &run);

		run = run < len ? run : len;
		memcpy(to, from, run);
		p->used += run;
	}
}

static inline void
tls_pieces_put(struct tls_pieces *p, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t run;

	for (; len; len -= run, from += run) {
		uint8_t *to = tls_pieces_run(p, &run);

		run = run < len ? run : len;
		memcpy(to, from, run);
		p->used += run;
	}
}

#endif
