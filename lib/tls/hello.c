#include "tls/hello.h"

#include <stdbool.h>

#define RECORD_HEADER 5
#define RECORD_HANDSHAKE 0x16
#define RECORD_MAX 16384
#define CLIENT_HELLO 1
#define RANDOM_LEN 32
#define SSL_2 0x0002

enum extension { EXTENSION_SERVER_NAME = 0, EXTENSION_ALPN = 16, EXTENSION_SUPPORTED_VERSIONS = 43 };

/* Handshake bytes, one after the other, out of records. */
struct cursor {
	struct bytes in;
	size_t at;            /* in the connection's bytes */
	uint32_t record_left; /* of the record at hand */
	uint32_t read;        /* handshake bytes so far */
	bool more, broken;    /* nothing can be read any more */
};

/* The next record's header. As nginx, a record is looked into when it is whole. */
static bool
open_record(struct cursor *c, uint32_t *need)
{
	const uint8_t *p = c->in.data + c->at;
	size_t left = c->in.len - c->at;

	*need = (uint32_t)c->at + RECORD_HEADER;
	c->broken = (left > 0 && p[0] != RECORD_HANDSHAKE) || (left > 1 && p[1] != 3);
	c->more = !c->broken && left < RECORD_HEADER;
	if (c->broken || c->more)
		return false;
	c->record_left = (uint32_t)p[3] << 8 | p[4];
	*need += c->record_left;
	c->broken = !c->record_left || c->record_left > RECORD_MAX;
	c->more = !c->broken && left < RECORD_HEADER + c->record_left;
	c->at += RECORD_HEADER;
	return !c->broken && !c->more;
}

static bool
take(struct cursor *c, struct tls_hello *hello, uint8_t *byte)
{
	if (c->more || c->broken || (!c->record_left && !open_record(c, &hello->need)))
		return false;
	*byte = c->in.data[c->at++];
	c->record_left--;
	c->read++;
	return true;
}

/* Once more is waited for, what is read is made up, and breaks nothing. */
static void
break_off(struct cursor *c)
{
	c->broken |= !c->more;
}

/* Big-endian; what does not lie before `end` breaks the hello. */
static uint32_t
number(struct cursor *c, struct tls_hello *hello, unsigned int bytes, uint32_t end)
{
	uint32_t value = 0;
	uint8_t byte;

	if (c->read + bytes > end)
		break_off(c);
	while (bytes-- > 0 && take(c, hello, &byte))
		value = value << 8 | byte;
	return value;
}

/* The end of what a length of so many bytes says; within `end`. */
static uint32_t
vector(struct cursor *c, struct tls_hello *hello, unsigned int length_bytes, uint32_t end)
{
	uint32_t len = number(c, hello, length_bytes, end);

	if (c->read + len > end)
		break_off(c);
	return c->read + len;
}

static void
skip(struct cursor *c, struct tls_hello *hello, uint32_t to)
{
	uint8_t byte;

	while (c->read < to && take(c, hello, &byte))
		;
}

static bool
readable(const struct cursor *c, uint32_t end)
{
	return !c->more && !c->broken && c->read < end;
}

/* ---- extensions ---- */

/* The first host name of the list. */
static void
read_server_name(struct cursor *c, struct tls_hello *hello, uint32_t end)
{
	uint32_t list = vector(c, hello, 2, end);

	while (readable(c, list)) {
		uint32_t type = number(c, hello, 1, list), name = vector(c, hello, 2, list);
		uint8_t byte;

		if (type == 0 && !hello->name_len)
			while (c->read < name && hello->name_len < sizeof(hello->name) && take(c, hello, &byte))
				hello->name[hello->name_len++] = (char)byte;
		skip(c, hello, name);
	}
}

static void
read_protocols(struct cursor *c, struct tls_hello *hello, uint32_t end)
{
	uint32_t list = vector(c, hello, 2, end);

	hello->protocols_len = 0;
	while (readable(c, list)) {
		uint32_t protocol = vector(c, hello, 1, list), len = protocol - c->read;
		bool first = !hello->protocols_len;
		uint8_t byte;

		if (len + !first <= sizeof(hello->protocols) - hello->protocols_len) {
			if (!first)
				hello->protocols[hello->protocols_len++] = ',';
			while (c->read < protocol && take(c, hello, &byte))
				hello->protocols[hello->protocols_len++] = (char)byte;
		}
		skip(c, hello, protocol);
	}
}

/* What nobody has heard of (RFC 8701) counts as nothing. */
static void
read_versions(struct cursor *c, struct tls_hello *hello, uint32_t end)
{
	uint32_t list = vector(c, hello, 1, end);

	while (readable(c, list)) {
		uint32_t version = number(c, hello, 2, list);

		if (version > hello->version && version <= 0x0304)
			hello->version = (uint16_t)version;
	}
}

static void
read_extension(struct cursor *c, struct tls_hello *hello, uint32_t end)
{
	uint32_t type = number(c, hello, 2, end), content = vector(c, hello, 2, end);

	if (c->more || c->broken)
		return;
	if (type == EXTENSION_SERVER_NAME)
		read_server_name(c, hello, content);
	else if (type == EXTENSION_ALPN)
		read_protocols(c, hello, content);
	else if (type == EXTENSION_SUPPORTED_VERSIONS)
		read_versions(c, hello, content);
	skip(c, hello, content);
}

/* ---- the hello ---- */

static void
read_hello(struct cursor *c, struct tls_hello *hello)
{
	uint32_t end;

	if (number(c, hello, 1, 4) != CLIENT_HELLO)
		break_off(c);
	end = number(c, hello, 3, 4);
	end += c->read;
	hello->version = (uint16_t)number(c, hello, 2, end);
	skip(c, hello, c->read + RANDOM_LEN);
	skip(c, hello, vector(c, hello, 1, end)); /* session id */
	skip(c, hello, vector(c, hello, 2, end)); /* cipher suites */
	skip(c, hello, vector(c, hello, 1, end)); /* compression methods */
	if (!readable(c, end))
		return;
	end = vector(c, hello, 2, end);
	while (readable(c, end))
		read_extension(c, hello, end);
}

static enum tls_hello_result
nothing(struct tls_hello *out, enum tls_hello_result result)
{
	uint32_t need = out->need;

	memset(out, 0, sizeof(*out));
	out->need = need;
	return result;
}

/* A hello of SSL 2 (RFC 5246 appendix E.2) says its version, and no more. */
static bool
is_ssl_2(struct bytes in)
{
	return in.len >= 5 && (in.data[0] & 0x80) && in.data[2] == CLIENT_HELLO && (in.data[3] == 0 || in.data[3] == 3);
}

enum tls_hello_result
tls_hello_parse(struct bytes in, struct tls_hello *out)
{
	struct cursor c = { .in = in };

	out->need = RECORD_HEADER;
	nothing(out, TLS_HELLO_MORE);
	if (is_ssl_2(in)) {
		out->version = (uint16_t)(in.data[3] << 8 | in.data[4]);
		return TLS_HELLO_DONE;
	}
	if (in.len && (in.data[0] & 0x80) && in.len < RECORD_HEADER)
		return TLS_HELLO_MORE;
	read_hello(&c, out);
	if (c.broken)
		return nothing(out, TLS_HELLO_NONE);
	return c.more ? nothing(out, TLS_HELLO_MORE) : TLS_HELLO_DONE;
}

const char *
tls_hello_version_name(const struct tls_hello *hello)
{
	static const char *const names[] = { "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };

	if (hello->version == SSL_2)
		return "SSLv2";
	return hello->version >= 0x0300 && hello->version <= 0x0304 ? names[hello->version - 0x0300] : "";
}
