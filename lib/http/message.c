#include "http/message.h"

#include "http/h1_scan.h"

/* Length, first and last letter tell all known names apart; the factors make that a perfect hash, found by trying. A
 * row that collides is a compiler warning, one that is missing fails the unit test. */
#define SLOT_OF(len, first, last) (((len) + 3u * (first) + 18u * (last)) & 63)
#define SLOT(id, len, first, last) [SLOT_OF(len, first, last)] = HTTP_FIELD_##id

static const uint8_t field_slots[64] = {
	SLOT(HOST, 4, 'h', 't'),
	SLOT(CONNECTION, 10, 'c', 'n'),
	SLOT(KEEP_ALIVE, 10, 'k', 'e'),
	SLOT(PROXY_CONNECTION, 16, 'p', 'n'),
	SLOT(TRANSFER_ENCODING, 17, 't', 'g'),
	SLOT(CONTENT_LENGTH, 14, 'c', 'h'),
	SLOT(CONTENT_TYPE, 12, 'c', 'e'),
	SLOT(EXPECT, 6, 'e', 't'),
	SLOT(UPGRADE, 7, 'u', 'e'),
	SLOT(TE, 2, 't', 'e'),
	SLOT(TRAILER, 7, 't', 'r'),
	SLOT(DATE, 4, 'd', 'e'),
	SLOT(SERVER, 6, 's', 'r'),
	SLOT(LOCATION, 8, 'l', 'n'),
	SLOT(REFRESH, 7, 'r', 'h'),
	SLOT(USER_AGENT, 10, 'u', 't'),
	SLOT(REFERER, 7, 'r', 'r'),
	SLOT(X_FORWARDED_FOR, 15, 'x', 'r'),
	SLOT(COOKIE, 6, 'c', 'e'),
	SLOT(AUTHORIZATION, 13, 'a', 'n'),
	SLOT(ACCEPT_ENCODING, 15, 'a', 'g'),
	SLOT(LAST_MODIFIED, 13, 'l', 'd'),
	SLOT(ETAG, 4, 'e', 'g'),
	SLOT(X_ACCEL_REDIRECT, 16, 'x', 't'),
	SLOT(X_ACCEL_EXPIRES, 15, 'x', 's'),
	SLOT(X_ACCEL_LIMIT_RATE, 18, 'x', 'e'),
	SLOT(X_ACCEL_BUFFERING, 17, 'x', 'g'),
	SLOT(X_ACCEL_CHARSET, 15, 'x', 't'),
	SLOT(X_PAD, 5, 'x', 'd'),
};

#define ROW(id, text) { text, sizeof(text) - 1 },
static const struct known_name {
	char text[23];
	uint8_t len;
} known_names[HTTP_FIELD_COUNT] = { HTTP_KNOWN_FIELDS(ROW) };
#undef ROW

enum http_field_id
http_field_identify(struct bytes name)
{
	uint8_t id;

	if (name.len == 0)
		return HTTP_FIELD_OTHER;
	id = field_slots[SLOT_OF((unsigned int)name.len, name.data[0] | 0x20u, name.data[name.len - 1] | 0x20u)];
	return http1_text_is(name, known_names[id].text, known_names[id].len) ? (enum http_field_id)id
									      : HTTP_FIELD_OTHER;
}

enum http_method
http_method_identify(struct bytes text)
{
	static const struct {
		struct bytes text;
		enum http_method method;
	} methods[] = {
		{ BYTES("GET"), HTTP_GET },     { BYTES("POST"), HTTP_POST },       { BYTES("HEAD"), HTTP_HEAD },
		{ BYTES("PUT"), HTTP_PUT },     { BYTES("DELETE"), HTTP_DELETE },   { BYTES("OPTIONS"), HTTP_OPTIONS },
		{ BYTES("PATCH"), HTTP_PATCH }, { BYTES("CONNECT"), HTTP_CONNECT }, { BYTES("TRACE"), HTTP_TRACE },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (bytes_equal(text, methods[i].text))
			return methods[i].method;
	return HTTP_METHOD_OTHER;
}

const struct http_field *
http_message_field(const struct http_message *message, enum http_field_id id)
{
	if (!(message->seen >> id & 1))
		return NULL;
	for (uint16_t i = 0; i < message->field_count; i++)
		if (message->fields[i].id == id)
			return &message->fields[i];
	return NULL;
}

const struct http_field *
http_message_field_named(const struct http_message *message, struct bytes name)
{
	enum http_field_id id = http_field_identify(name);

	if (id != HTTP_FIELD_OTHER || !(message->seen >> id & 1))
		return http_message_field(message, id);
	for (uint16_t i = 0; i < message->field_count; i++)
		if (message->fields[i].id == HTTP_FIELD_OTHER &&
		    bytes_equal_ignoring_case(message->fields[i].name, name))
			return &message->fields[i];
	return NULL;
}

bool
http_list_next(struct bytes *list, struct bytes *element)
{
	const uint8_t *at = list->data, *end = list->data + list->len, *stop;

	while (at < end && (*at == ',' || *at == ' ' || *at == '\t'))
		at++;
	if (at == end) {
		*list = bytes_of(end, 0);
		return false;
	}
	stop = memchr(at, ',', (size_t)(end - at));
	if (!stop)
		stop = end;
	*list = bytes_of(stop, (size_t)(end - stop));
	while (stop[-1] == ' ' || stop[-1] == '\t')
		stop--;
	*element = bytes_of(at, (size_t)(stop - at));
	return true;
}

bool
http_field_is_hop_by_hop(const struct http_message *message, const struct http_field *field)
{
	/* RFC 9110 section 7.6.1, and Trailer, as trailers are not forwarded. */
	const uint64_t always = 1ull << HTTP_FIELD_CONNECTION | 1ull << HTTP_FIELD_KEEP_ALIVE |
				1ull << HTTP_FIELD_PROXY_CONNECTION | 1ull << HTTP_FIELD_TRANSFER_ENCODING |
				1ull << HTTP_FIELD_TE | 1ull << HTTP_FIELD_UPGRADE | 1ull << HTTP_FIELD_TRAILER;
	const uint64_t never = 1ull << HTTP_FIELD_HOST | 1ull << HTTP_FIELD_CONTENT_LENGTH;

	if (always >> field->id & 1)
		return true;
	if (!message->connection_has_options || (never >> field->id & 1))
		return false;
	for (uint16_t i = 0; i < message->field_count; i++) {
		if (message->fields[i].id != HTTP_FIELD_CONNECTION)
			continue;
		struct bytes list = message->fields[i].value, option;
		while (http_list_next(&list, &option))
			if (bytes_equal_ignoring_case(option, field->name))
				return true;
	}
	return false;
}
