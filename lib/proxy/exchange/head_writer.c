#include "proxy/exchange/head_writer.h"

void
proxy_head_number(struct proxy_head_writer *head, uint64_t number)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (uint8_t)('0' + number % 10);
		number /= 10;
	} while (number);
	proxy_head_put(head, bytes_of(digits + at, sizeof(digits) - at));
}

void
proxy_head_field(struct proxy_head_writer *head, struct bytes name, struct bytes value)
{
	size_t len = name.len + value.len + 4;
	uint8_t *at = head->data + head->len;

	if (len > head->capacity - head->len) {
		head->overflow = true;
		return;
	}
	if (name.len)
		memcpy(at, name.data, name.len);
	at += name.len;
	memcpy(at, ": ", 2);
	at += 2;
	if (value.len)
		memcpy(at, value.data, value.len);
	memcpy(at + value.len, "\r\n", 2);
	head->len += len;
}

static size_t
escape(uint8_t *out, size_t size, struct bytes in, uint8_t least)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];
		bool plain = c >= least && c != 0x7f;

		if (size - len < (plain ? 1 : 3))
			return SIZE_MAX;
		if (plain)
			out[len++] = c;
		else
			len = (size_t)(byte_escape(out + len, c) - out);
	}
	return len;
}

size_t
proxy_escape_field(uint8_t *out, size_t size, struct bytes in)
{
	return escape(out, size, in, ' ');
}

size_t
proxy_escape_target(uint8_t *out, size_t size, struct bytes in)
{
	return escape(out, size, in, ' ' + 1);
}

size_t
proxy_head_value(struct proxy_head_writer *head, const struct config_value *value, void *subject,
		 config_escape_fn *escape_variables)
{
	size_t len = config_value_write(value, subject, head->data + head->len, head->capacity - head->len,
					CONFIG_MISSING_EMPTY, escape_variables);

	if (len == SIZE_MAX)
		head->overflow = true;
	else
		head->len += len;
	return len;
}
