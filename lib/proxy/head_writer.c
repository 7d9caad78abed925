#include "proxy/head_writer.h"

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
	proxy_head_put(head, name);
	proxy_head_literal(head, ": ");
	proxy_head_put(head, value);
	proxy_head_literal(head, "\r\n");
}
