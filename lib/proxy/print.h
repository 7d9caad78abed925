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

/* ---- for both tables of variables ---- */

/* A getter, with the parameters that nearly all of them leave alone. */
#define PROXY_GETTER(name)                                                                                             \
	bool name(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,        \
		  size_t scratch_size, struct bytes *value)

/* The text that is the row's data. */
PROXY_GETTER(proxy_get_constant);

#define PROXY_ROW(name, get, what)                                                                                     \
	{                                                                                                              \
		name, get, (const void *)(size_t)(what)                                                                \
	}

/* Rows that both have, each with a getter of its own for what the row names. */

#define PROXY_SESSION_VARIABLES(get)                                                                                   \
	PROXY_ROW("connection", get, SESSION_NUMBER), PROXY_ROW("hostname", get, SESSION_HOSTNAME),                    \
		PROXY_ROW("msec", get, SESSION_MSEC), PROXY_ROW("pid", get, SESSION_PID),                              \
		PROXY_ROW("proxy_protocol_addr", get, SESSION_ORIGIN_ADDR),                                            \
		PROXY_ROW("proxy_protocol_port", get, SESSION_ORIGIN_PORT),                                            \
		PROXY_ROW("proxy_protocol_server_addr", get, SESSION_ORIGIN_SERVER_ADDR),                              \
		PROXY_ROW("proxy_protocol_server_port", get, SESSION_ORIGIN_SERVER_PORT),                              \
		PROXY_ROW("realip_remote_addr", get, SESSION_PEER_ADDR),                                               \
		PROXY_ROW("realip_remote_port", get, SESSION_PEER_PORT),                                               \
		PROXY_ROW("server_addr", get, SESSION_SERVER_ADDR),                                                    \
		PROXY_ROW("server_port", get, SESSION_SERVER_PORT),                                                    \
		PROXY_ROW("time_iso8601", get, SESSION_TIME_ISO8601), PROXY_ROW("time_local", get, SESSION_TIME_LOCAL)

#define PROXY_TLS_VARIABLES(get)                                                                                       \
	PROXY_ROW("ssl_alpn_protocol", get, TLS_FACT_ALPN), PROXY_ROW("ssl_cipher", get, TLS_FACT_CIPHER),             \
		PROXY_ROW("ssl_client_fingerprint", get, TLS_FACT_CLIENT_FINGERPRINT),                                 \
		PROXY_ROW("ssl_client_i_dn", get, TLS_FACT_CLIENT_ISSUER),                                             \
		PROXY_ROW("ssl_client_s_dn", get, TLS_FACT_CLIENT_SUBJECT),                                            \
		PROXY_ROW("ssl_client_serial", get, TLS_FACT_CLIENT_SERIAL),                                           \
		PROXY_ROW("ssl_client_v_end", get, TLS_FACT_CLIENT_END),                                               \
		PROXY_ROW("ssl_client_v_remain", get, TLS_FACT_CLIENT_REMAIN),                                         \
		PROXY_ROW("ssl_client_v_start", get, TLS_FACT_CLIENT_START),                                           \
		PROXY_ROW("ssl_client_verify", get, TLS_FACT_CLIENT_VERIFY),                                           \
		PROXY_ROW("ssl_curve", get, TLS_FACT_CURVE), PROXY_ROW("ssl_protocol", get, TLS_FACT_PROTOCOL),        \
		PROXY_ROW("ssl_server_name", get, TLS_FACT_SERVER_NAME),                                               \
		PROXY_ROW("ssl_session_id", get, TLS_FACT_SESSION_ID),                                                 \
		PROXY_ROW("ssl_session_reused", get, TLS_FACT_SESSION_REUSED)

#define PROXY_ATTEMPT_VARIABLES(get)                                                                                   \
	PROXY_ROW("upstream_addr", get, ATTEMPT_ADDRESS), PROXY_ROW("upstream_bytes_received", get, ATTEMPT_RECEIVED), \
		PROXY_ROW("upstream_bytes_sent", get, ATTEMPT_SENT),                                                   \
		PROXY_ROW("upstream_connect_time", get, ATTEMPT_CONNECT)

#endif
