/* What the variables of http and stream print alike. Into `out`, which *value then is; true, as getters say. */
#ifndef PROXY_PRINT_H
#define PROXY_PRINT_H

#include "proxy/exchange.h"

bool proxy_print(uint8_t *out, size_t size, struct bytes *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool proxy_print_address(const struct ip_address *ip, uint8_t *out, size_t size, struct bytes *value);
/* "1.234" */
bool proxy_print_seconds(uint64_t ms, uint8_t *out, size_t size, struct bytes *value);

enum proxy_attempt_part {
	ATTEMPT_ADDRESS,
	ATTEMPT_STATUS,
	ATTEMPT_CONNECT,
	ATTEMPT_HEADER,
	ATTEMPT_RESPONSE,
	ATTEMPT_RECEIVED,
	ATTEMPT_SENT
};

/* One value per server tried, separated by ", " as nginx does, as many as fit: of the last `max` of `count` in a ring. */
bool proxy_print_attempts(const struct proxy_attempt *ring, uint32_t count, uint32_t max, enum proxy_attempt_part part,
			  uint8_t *out, size_t size, struct bytes *value);

#endif
