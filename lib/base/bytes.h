/*
 * A borrowed run of bytes: a pointer and a length, not zero-terminated, never owned.
 *
 * Whoever hands one out says how long it lives. All functions are pure and may be called from any thread.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *data;
	size_t len;
};

/* A string literal as bytes; usable in static initialisers. */
#define BYTES(literal)                                                                                                 \
	{                                                                                                              \
		(const uint8_t *)(literal), sizeof(literal) - 1                                                        \
	}

static inline struct bytes
bytes_of(const void *data, size_t len)
{
	return (struct bytes){ (const uint8_t *)data, len };
}

static inline struct bytes
bytes_of_string(const char *string)
{
	return bytes_of(string, string ? strlen(string) : 0);
}

static inline bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
bytes_equal_string(struct bytes a, const char *string)
{
	return bytes_equal(a, bytes_of_string(string));
}

/* ASCII only: the locale never changes what a header name means. */
static inline uint8_t
byte_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Into `out`, which has room for as many bytes and may be where they are; returns them there. */
static inline struct bytes
bytes_lower(struct bytes text, uint8_t *out)
{
	for (size_t i = 0; i < text.len; i++)
		out[i] = byte_lower(text.data[i]);
	return bytes_of(out, text.len);
}

/* What a hexadecimal digit stands for; -1: it is none. */
static inline int
byte_hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = byte_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool
bytes_equal_ignoring_case(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (byte_lower(a.data[i]) != byte_lower(b.data[i]))
			return false;
	return true;
}

static inline bool
bytes_start_with(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* The bytes from offset on; empty when offset is at or past the end. */
static inline struct bytes
bytes_from(struct bytes a, size_t offset)
{
	return offset < a.len ? bytes_of(a.data + offset, a.len - offset) : bytes_of(a.data + a.len, 0);
}

/* Index of the first `c`, or -1. */
static inline ptrdiff_t
bytes_index(struct bytes a, uint8_t c)
{
	const uint8_t *found = a.len ? (const uint8_t *)memchr(a.data, c, a.len) : NULL;
	return found ? found - a.data : -1;
}

/* "%XX" (RFC 3986 section 2.1) into three bytes; returns what is behind them. */
static inline uint8_t *
byte_escape(uint8_t *out, uint8_t c)
{
	static const uint8_t digits[] = "0123456789ABCDEF";

	*out++ = '%';
	*out++ = digits[c >> 4];
	*out++ = digits[c & 15];
	return out;
}

/* Decimal digits only, whole input; false when empty, not a number, or above `max`. */
bool bytes_parse_unsigned(struct bytes text, uint64_t max, uint64_t *value);

#endif
