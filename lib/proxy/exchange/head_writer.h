/*
 * A message head under construction, in memory of the exchange it belongs to. Overflow is remembered, not written: the
 * caller asks once, at the end.
 */
#ifndef PROXY_HEAD_WRITER_H
#define PROXY_HEAD_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "config/variable.h"

struct proxy_head_writer {
	uint8_t *data;
	size_t len, capacity;
	bool overflow;
};

static inline void
proxy_head_put(struct proxy_head_writer *head, struct bytes text)
{
	if (text.len > head->capacity - head->len) {
		head->overflow = true;
		return;
	}
	if (text.len)
		memcpy(head->data + head->len, text.data, text.len);
	head->len += text.len;
}

#define proxy_head_literal(head, literal) proxy_head_put((head), (struct bytes)BYTES(literal))

/* Decimal. */
void proxy_head_number(struct proxy_head_writer *head, uint64_t number);
/* "Name: value\r\n" */
void proxy_head_field(struct proxy_head_writer *head, struct bytes name, struct bytes value);

/*
 * Nobody ends a line of a head but us: control characters that a variable brings, as $uri can after "%0d%0a" was decoded,
 * are percent-encoded again; in a request target, spaces too.
 */
config_escape_fn proxy_escape_field;
config_escape_fn proxy_escape_target;

/* Evaluates a value into the head; returns its length, SIZE_MAX (and overflow) when it does not fit. */
size_t proxy_head_value(struct proxy_head_writer *head, const struct config_value *value, void *subject,
			config_escape_fn *escape_variables);

#endif
