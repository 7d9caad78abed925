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

/* ---- rows of both tables of variables: ROW(name, what of it is printed) ---- */

#define PROXY_SESSION_VARIABLES(ROW)                                                                                   \
	ROW("connection", SESSION_NUMBER), ROW("hostname", SESSION_HOSTNAME), ROW("msec", SESSION_MSEC),               \
		ROW("pid", SESSION_PID), ROW("proxy_protocol_addr", SESSION_ORIGIN_ADDR),                              \
		ROW("proxy_protocol_port", SESSION_ORIGIN_PORT),                                                       \
		ROW("proxy_protocol_server_addr", SESSION_ORIGIN_SERVER_ADDR),                                         \
		ROW("proxy_protocol_server_port", SESSION_ORIGIN_SERVER_PORT),                                         \
		ROW("realip_remote_addr", SESSION_PEER_ADDR), ROW("realip_remote_port", SESSION_PEER_PORT),            \
		ROW("server_addr", SESSION_SERVER_ADDR), ROW("server_port", SESSION_SERVER_PORT),                      \
		ROW("time_iso8601", SESSION_TIME_ISO8601), ROW("time_local", SESSION_TIME_LOCAL)

#define PROXY_TLS_VARIABLES(ROW)                                                                                       \
	ROW("ssl_alpn_protocol", TLS_FACT_ALPN), ROW("ssl_cipher", TLS_FACT_CIPHER),                                   \
		ROW("ssl_client_fingerprint", TLS_FACT_CLIENT_FINGERPRINT),                                            \
		ROW("ssl_client_i_dn", TLS_FACT_CLIENT_ISSUER), ROW("ssl_client_s_dn", TLS_FACT_CLIENT_SUBJECT),       \
		ROW("ssl_client_serial", TLS_FACT_CLIENT_SERIAL), ROW("ssl_client_v_end", TLS_FACT_CLIENT_END),        \
		ROW("ssl_client_v_remain", TLS_FACT_CLIENT_REMAIN), ROW("ssl_client_v_start", TLS_FACT_CLIENT_START),  \
		ROW("ssl_client_verify", TLS_FACT_CLIENT_VERIFY), ROW("ssl_curve", TLS_FACT_CURVE),                    \
		ROW("ssl_protocol", TLS_FACT_PROTOCOL), ROW("ssl_server_name", TLS_FACT_SERVER_NAME),                  \
		ROW("ssl_session_id", TLS_FACT_SESSION_ID), ROW("ssl_session_reused", TLS_FACT_SESSION_REUSED)

#define PROXY_ATTEMPT_VARIABLES(ROW)                                                                                   \
	ROW("upstream_addr", ATTEMPT_ADDRESS), ROW("upstream_bytes_received", ATTEMPT_RECEIVED),                       \
		ROW("upstream_bytes_sent", ATTEMPT_SENT), ROW("upstream_connect_time", ATTEMPT_CONNECT)

#endif
