/* A session after its handshake, when its records are our own: what kTLS is in the kernel. */
#include <openssl/err.h>
#include <stdlib.h>

#include "tls/internal.h"

/* RFC 8446 section 5.5: 2^24.5 full records at most under one key of AES-GCM. */
#define RECORDS_PER_KEY (1ull << 24)
/* Records in a row that bring no data: OpenSSL's bound for empty ones. Each KeyUpdate costs four derivations. */
#define IDLE_MAX 32

#define MESSAGE_CLIENT_HELLO 1
#define MESSAGE_KEY_UPDATE 24
#define KEY_UPDATE_SIZE 5 /* its type, its length, and whether it is to be answered by another */

/* ---- while OpenSSL shakes hands ---- */

void
tls_secret_heard(struct tls_records *records, struct bytes label, struct bytes secret)
{
	bool write = bytes_equal_string(label, "s ap traffic");
	struct tls_secret *kept = write ? &records->write_secret : &records->read_secret;

	if ((!write && !bytes_equal_string(label, "c ap traffic")) || secret.len > TLS_SECRET_MAX)
		return;
	kept->len = (uint8_t)secret.len;
	memcpy(kept->data, secret.data, secret.len);
	(write ? &records->write : &records->read)->sequence = 0;
}

/* Records under the keys in force: in TLS 1.2 those behind ChangeCipherSpec, in TLS 1.3 those after the secret was heard. */
void
tls_message_callback(int write, int version, int type, const void *data, size_t len, SSL *ssl, void *unused)
{
	struct tls_records *records = &tls_session_of(ssl)->records;
	struct tls_record_key *key = write ? &records->write : &records->read;

	if (type != SSL3_RT_HEADER || !len)
		return;
	if (*(const uint8_t *)data == TLS_CONTENT_CHANGE_CIPHER_SPEC)
		key->sequence = 0;
	else
		key->sequence++;
}

/* ---- the change ---- */

static bool
keys_of_block(SSL *ssl, struct tls_records *records)
{
	uint8_t master[TLS_MASTER_SIZE], randoms[64];
	bool good = SSL_SESSION_get_master_key(SSL_get0_session(ssl), master, sizeof(master)) == sizeof(master) &&
		    SSL_get_server_random(ssl, randoms, 32) == 32 && SSL_get_client_random(ssl, randoms + 32, 32) == 32;

	good = good && tls_traffic_block(records->suite, master, randoms, &records->read, &records->write);
	OPENSSL_cleanse(master, sizeof(master));
	return good;
}

static bool
keys_of_secrets(struct tls_records *records)
{
	uint8_t size = tls_suite_secret_size(records->suite);

	return records->read_secret.len == size && records->write_secret.len == size &&
	       tls_traffic_key(records->suite, &records->read_secret, false, &records->read) &&
	       tls_traffic_key(records->suite, &records->write_secret, true, &records->write);
}

static bool
keys_take(SSL *ssl, struct tls_records *records)
{
	uint64_t read = records->read.sequence, write = records->write.sequence;

	if (!(SSL_version(ssl) == TLS1_3_VERSION ? keys_of_secrets(records) : keys_of_block(ssl, records)))
		return false;
	records->read.sequence = read;
	records->write.sequence = write;
	return true;
}

void
tls_records_take(struct tls_session *session)
{
	struct tls_records *records = &session->records;
	SSL *ssl = session->ssl;

	records->suite = tls_suite_of(SSL_get_current_cipher(ssl));
	/* Bytes that OpenSSL has read and not told would be lost. */
	if (!records->suite || SSL_version(ssl) < TLS1_2_VERSION || SSL_has_pending(ssl) || SSL_get_shutdown(ssl) ||
	    !keys_take(ssl, records) || !tls_agreed_keep(session)) {
		tls_records_clear(records);
		return;
	}
	session->ssl = NULL;
	tls_openssl_free(ssl);
}

void
tls_records_clear(struct tls_records *records)
{
	tls_traffic_clear(&records->read);
	tls_traffic_clear(&records->write);
	OPENSSL_cleanse(records, sizeof(*records));
}

bool
tls_has_own_records(const struct tls_session *session)
{
	return !session->ssl;
}

/* ---- failures and alerts ---- */

/* OpenSSL's words for what earns the alert. */
static int
reason_of(int alert)
{
	switch (alert) {
	case SSL_AD_UNEXPECTED_MESSAGE:
		return SSL_R_UNEXPECTED_MESSAGE;
	case SSL_AD_BAD_RECORD_MAC:
		return SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC;
	case SSL_AD_RECORD_OVERFLOW:
		return SSL_R_ENCRYPTED_LENGTH_TOO_LONG;
	case SSL_AD_PROTOCOL_VERSION:
		return SSL_R_WRONG_VERSION_NUMBER;
	case SSL_AD_DECODE_ERROR:
		return SSL_R_BAD_LENGTH;
	case SSL_AD_ILLEGAL_PARAMETER:
		return SSL_R_BAD_KEY_UPDATE;
	default:
		return ERR_R_INTERNAL_ERROR;
	}
}

static void
alert_send(struct tls_session *session, uint8_t level, uint8_t description)
{
	uint8_t alert[] = { level, description }, record[64];
	struct iovec from = { alert, sizeof(alert) }, to = { record, sizeof(record) };
	struct tls_pieces in = tls_pieces_of(&from, 1), out = tls_pieces_of(&to, 1);

	if (tls_record_seal(&session->records.write, TLS_CONTENT_ALERT, &in, sizeof(alert), &out))
		tls_wire_give(session, record, out.used);
}

static enum tls_status
fail(struct tls_session *session, int alert)
{
	if (!session->failed)
		alert_send(session, SSL3_AL_FATAL, (uint8_t)alert);
	session->failed = true;
	ERR_clear_error();
	ERR_raise(ERR_LIB_SSL, reason_of(alert));
	tls_problem_set("SSL_read() failed");
	return TLS_FAILED;
}

void
tls_records_close(struct tls_session *session)
{
	alert_send(session, SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY);
}

/* RFC 8446 section 6, RFC 5246 section 7.2. */
static enum tls_status
alert_heard(struct tls_session *session, const uint8_t *alert, uint32_t len)
{
	if (len != 2)
		return fail(session, SSL_AD_DECODE_ERROR);
	if (alert[1] == SSL_AD_CLOSE_NOTIFY)
		return TLS_ENDED;
	if (alert[1] == SSL_AD_USER_CANCELLED || (!session->records.read.hides_type && alert[0] == SSL3_AL_WARNING))
		return TLS_WAIT;
	session->failed = true;
	ERR_clear_error();
	ERR_raise_data(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + alert[1], "SSL alert number %d", alert[1]);
	tls_problem_set("SSL_read() failed");
	return TLS_FAILED;
}

/* ---- handshake messages behind the handshake ---- */

/* RFC 8446 section 4.6.3: nothing may stand behind it in its record, as that would be under the old key. */
static enum tls_status
key_update_heard(struct tls_session *session, const uint8_t *data, uint32_t len)
{
	struct tls_records *records = &session->records;
	uint8_t *message = records->message;

	if (!len || len > (uint32_t)(KEY_UPDATE_SIZE - records->message_len))
		return fail(session, SSL_AD_UNEXPECTED_MESSAGE);
	memcpy(message + records->message_len, data, len);
	records->message_len += (uint8_t)len;
	if (message[0] != MESSAGE_KEY_UPDATE)
		return fail(session, SSL_AD_UNEXPECTED_MESSAGE);
	if (records->message_len < KEY_UPDATE_SIZE)
		return TLS_WAIT;
	records->message_len = 0;
	if (message[1] || message[2] || message[3] != 1)
		return fail(session, SSL_AD_DECODE_ERROR);
	if (message[4] > 1)
		return fail(session, SSL_AD_ILLEGAL_PARAMETER);
	if (!tls_traffic_update(records->suite, &records->read_secret, false, &records->read))
		return fail(session, SSL_AD_INTERNAL_ERROR);
	records->update_due |= message[4];
	return TLS_WAIT;
}

/* As OpenSSL: a client that wants to shake hands again is told that nobody else does, and may go on. Not while it leaves
 * unread what it was told before. */
static enum tls_status
hello_heard(struct tls_session *session, const uint8_t *data, uint32_t len)
{
	if (!len || data[0] != MESSAGE_CLIENT_HELLO)
		return fail(session, SSL_AD_UNEXPECTED_MESSAGE);
	if (!session->unsent_len)
		alert_send(session, SSL3_AL_WARNING, SSL_AD_NO_RENEGOTIATION);
	return TLS_WAIT;
}

/* What is no data; its first bytes are enough to tell. */
static enum tls_status
message_heard(struct tls_session *session, enum tls_content type, struct tls_pieces content, uint32_t len)
{
	uint8_t start[KEY_UPDATE_SIZE + 1];

	if (++session->records.idle > IDLE_MAX)
		return fail(session, SSL_AD_UNEXPECTED_MESSAGE);
	tls_pieces_get(&content, start, len < sizeof(start) ? len : sizeof(start));
	if (type == TLS_CONTENT_DATA) /* an empty one */
		return TLS_WAIT;
	if (type == TLS_CONTENT_ALERT)
		return alert_heard(session, start, len);
	if (type != TLS_CONTENT_HANDSHAKE)
		return fail(session, SSL_AD_UNEXPECTED_MESSAGE);
	return session->records.read.hides_type ? key_update_heard(session, start, len)
						: hello_heard(session, start, len);
}

/* ---- records ---- */

enum tls_status
tls_arriving(struct tls_session *session, const uint8_t header[TLS_HEADER_SIZE], uint32_t *size)
{
	int alert = tls_record_length(&session->records.read, header, size);

	return alert ? fail(session, alert) : TLS_OK;
}

enum tls_status
tls_open(struct tls_session *session, const struct iovec *in, unsigned int in_count, const struct iovec *out,
	 unsigned int out_count, uint32_t *got)
{
	struct tls_records *records = &session->records;
	struct tls_pieces from = tls_pieces_of(in, in_count), to = tls_pieces_of(out, out_count), content = to;
	enum tls_content type;
	int alert;

	alert = session->failed ? SSL_AD_INTERNAL_ERROR : tls_record_open(&records->read, &from, &to, &type, got);
	if (alert)
		return fail(session, alert);
	if (type == TLS_CONTENT_DATA && *got && !records->message_len) {
		records->idle = 0;
		return TLS_OK;
	}
	/* Nothing may come between the pieces of a message (RFC 8446 section 5.1). */
	if (records->message_len && type != TLS_CONTENT_HANDSHAKE)
		return fail(session, SSL_AD_UNEXPECTED_MESSAGE);
	return message_heard(session, type, content, *got);
}

static bool
update_is_due(const struct tls_records *records)
{
	return records->update_due || (records->write.hides_type && records->write.sequence >= RECORDS_PER_KEY);
}

uint32_t
tls_sealed_size(const struct tls_session *session, uint32_t len)
{
	uint32_t overhead = tls_record_overhead(&session->records.write);

	return len + overhead + (update_is_due(&session->records) ? KEY_UPDATE_SIZE + overhead : 0);
}

static bool
update_seal(struct tls_records *records, struct tls_pieces *out)
{
	static const uint8_t message[KEY_UPDATE_SIZE] = { MESSAGE_KEY_UPDATE, 0, 0, 1, 0 };
	struct iovec from = { (void *)(uintptr_t)message, sizeof(message) };
	struct tls_pieces in = tls_pieces_of(&from, 1);

	records->update_due = false;
	return tls_record_seal(&records->write, TLS_CONTENT_HANDSHAKE, &in, sizeof(message), out) &&
	       tls_traffic_update(records->suite, &records->write_secret, true, &records->write);
}

enum tls_status
tls_seal(struct tls_session *session, const struct iovec *in, unsigned int in_count, uint32_t len,
	 const struct iovec *out, unsigned int out_count)
{
	struct tls_records *records = &session->records;
	struct tls_pieces from = tls_pieces_of(in, in_count), to = tls_pieces_of(out, out_count);

	if (!session->failed && (!update_is_due(records) || update_seal(records, &to)) &&
	    tls_record_seal(&records->write, TLS_CONTENT_DATA, &from, len, &to))
		return TLS_OK;
	session->failed = true;
	tls_problem_set("SSL_write() failed");
	return TLS_FAILED;
}
