#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/internal.h"

static int
wire_read(BIO *bio, char *out, int len)
{
	struct tls_session *session = BIO_get_data(bio);
	uint32_t got = len > 0 ? session->ends->take(session->wire, out, (uint32_t)len) : 0;

	BIO_clear_retry_flags(bio);
	if (got)
		return (int)got;
	BIO_set_retry_read(bio);
	return -1;
}

bool
tls_wire_give(struct tls_session *session, const void *data, uint32_t len)
{
	uint32_t taken = 0, left;
	uint8_t *kept;

	if (!session->unsent_len)
		taken = session->ends->give(session->wire, data, len);
	left = len - taken;
	if (!left)
		return true;
	kept = realloc(session->unsent, session->unsent_len + left);
	if (!kept)
		return false;
	memcpy(kept + session->unsent_len, (const uint8_t *)data + taken, left);
	session->unsent = kept;
	session->unsent_len += left;
	return true;
}

/* OpenSSL is never told to wait: a record that it had to keep would have to be offered again, byte for byte. */
static int
wire_write(BIO *bio, const char *data, int len)
{
	BIO_clear_retry_flags(bio);
	return len <= 0 || tls_wire_give(BIO_get_data(bio), data, (uint32_t)len) ? len : -1;
}

static long
wire_control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

int
tls_bio_prepare(void)
{
	if (method)
		return 0;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
	if (!method)
		return -1;
	BIO_meth_set_read(method, wire_read);
	BIO_meth_set_write(method, wire_write);
	BIO_meth_set_ctrl(method, wire_control);
	return 0;
}

BIO *
tls_bio_new(struct tls_session *session)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, session);
	BIO_set_init(bio, 1);
	return bio;
}
