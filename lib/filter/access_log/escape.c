#include "filter/access_log/escape.h"

static const char hex_upper[] = "0123456789ABCDEF";

size_t
access_log_escape_default(uint8_t *out, size_t size, struct bytes in)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		if (size - len < (plain ? 1 : 4))
			return SIZE_MAX;
		if (plain) {
			out[len++] = c;
			continue;
		}
		out[len++] = '\\';
		out[len++] = 'x';
		out[len++] = (uint8_t)hex_upper[c >> 4];
		out[len++] = (uint8_t)hex_upper[c & 15];
	}
	return len;
}

static char
json_short(uint8_t c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	default:
		return 0;
	}
}

size_t
access_log_escape_json(uint8_t *out, size_t size, struct bytes in)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];
		char brief = json_short(c);
		size_t need = brief ? 2 : c < 0x20 ? 6 : 1;

		if (size - len < need)
			return SIZE_MAX;
		if (need > 1)
			out[len++] = '\\';
		if (need == 6) {
			memcpy(out + len, "u00", 3);
			len += 3;
			out[len++] = (uint8_t)hex_upper[c >> 4];
			out[len++] = (uint8_t)hex_upper[c & 15];
		} else {
			out[len++] = brief ? (uint8_t)brief : c;
		}
	}
	return len;
}
