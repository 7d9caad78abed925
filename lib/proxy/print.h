/* What the variables of http and stream print alike. Into `out`, which *value then is; true, as getters say. */
#ifndef PROXY_PRINT_H
#define PROXY_PRINT_H

#include "proxy/exchange/exchange.h"

bool proxy_print(uint8_t *out, size_t size, struct bytes *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool proxy_print_address(const struct ip_address *ip, uint8_t *out, size_t size, struct bytes *value);
/* As $binary_remote_addr: 4 bytes or 16. */
struct bytes proxy_address_bytes(const struct ip_address *ip);
/* "1.234" */
bool proxy_print_seconds(uint64_t ms, uint8_t *out, size_t size, struct bytes *value);

/* What is about the connection with the client, and about where and when. */
enum proxy_session_fact {
	SESSION_NUMBER,
	SESSION_PEER_ADDR, /* the other end, whoever that speaks for */
	SESSION_PEER_PORT,
	SESSION_SERVER_ADDR,
	SESSION_SERVER_PORT,
	SESSION_ORIGIN_ADDR, /* what the PROXY protocol has said */
	SESSION_ORIGIN_PORT,
	SESSION_ORIGIN_SERVER_ADDR,
	SESSION_ORIGIN_SERVER_PORT,
	SESSION_MSEC,
	SESSION_TIME_LOCAL,
	SESSION_TIME_ISO8601,
	SESSION_PID,
	SESSION_HOSTNAME,
};

/* False: there is none. */
bool proxy_print_session(const struct proxy_session *session, enum proxy_session_fact fact, uint8_t *out, size_t size,
			 struct bytes *value);

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
