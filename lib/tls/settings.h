/*
 * The ssl_* directives of `http` and `server`, the proxy_ssl_* and grpc_ssl_* directives of `http`, `server` and `location`,
 * and the contexts that they make.
 *
 * Built by control, in the configuration's arena; lcores read it. Files are read when the configuration is: certificates
 * and keys that do not fit are errors of the configuration, with nginx's words and the place of the directive.
 */
#ifndef TLS_SETTINGS_H
#define TLS_SETTINGS_H

#include "config/config.h"

extern struct config_module tls_module;        /* ssl_*: towards clients */
extern struct config_module tls_client_module; /* proxy_ssl_*: towards servers, as their client */
extern struct config_module tls_grpc_module;   /* grpc_ssl_*: likewise, and HTTP/2 is what they are asked for */

struct tls_client;
struct tls_context;
struct config_value;

/* A word of the configuration, for messages. data NULL: not given. */
struct tls_word {
	struct bytes text;
	const char *file;
	unsigned int line;
};

struct tls_words {
	struct tls_word *words;
	size_t count;
};

enum tls_protocol_bit {
	TLS_PROTOCOL_1_0 = 1 << 0,
	TLS_PROTOCOL_1_1 = 1 << 1,
	TLS_PROTOCOL_1_2 = 1 << 2,
	TLS_PROTOCOL_1_3 = 1 << 3,
};

enum tls_verify { TLS_VERIFY_OFF, TLS_VERIFY_ON, TLS_VERIFY_OPTIONAL, TLS_VERIFY_OPTIONAL_NO_CA };

enum tls_cache_mode {
	TLS_CACHE_OFF,     /* sessions are not resumed by their number, and clients are told so */
	TLS_CACHE_NONE,    /* likewise, but clients are not told */
	TLS_CACHE_BUILTIN, /* one of the server's own */
	TLS_CACHE_SHARED,  /* by name */
};

struct tls_cache_settings {
	int mode; /* enum tls_cache_mode */
	struct tls_word name;
	size_t size;     /* bytes */
	size_t sessions; /* of a builtin one */
};

/* Names of shared caches in one configuration: a size for each. */
struct tls_zone {
	struct bytes name;
	size_t size;
	struct tls_zone *next;
};

struct tls_settings {
	struct tls_words certificates, keys; /* in pairs */
	struct tls_words ticket_keys;
	struct tls_words commands; /* ssl_conf_command: name, value, name, value, ... */
	struct tls_word ciphers, curves, dhparam, client_certificate, trusted_certificate, crl, password_file;
	uint32_t protocols; /* enum tls_protocol_bit; 0: unset */
	struct tls_word stapling_file, stapling_responder;
	int prefer_server_ciphers, session_tickets, reject_handshake, stapling, stapling_verify, early_data;
	int verify; /* enum tls_verify */
	int64_t verify_depth, session_timeout_s;
	size_t buffer_size;
	struct bytes alpn; /* stream's ssl_alpn, as a hello lists it; empty: anything */
	struct tls_cache_settings cache;
	struct tls_zone *zones;      /* http's */
	struct tls_context *context; /* NULL: no certificate */
};

struct tls_client_settings {
	struct tls_words certificates, keys; /* one of each at most */
	struct tls_words commands;           /* ..._ssl_conf_command, as above */
	struct tls_word ciphers, trusted_certificate, crl, password_file;
	uint32_t protocols; /* enum tls_protocol_bit; 0: unset */
	int verify, session_reuse, server_name;
	int64_t verify_depth;
	struct config_value *name;  /* ..._ssl_name; NULL: the host of ..._pass */
	struct tls_client *clients; /* http's: all that were made, so that equal settings share one */
};

/* Control, in a finish(): what connections of this scope's `https://` or `grpcs://` speak with (`module`: whose settings),
 * shared with all scopes that have the same settings. NULL after config_fail_at(). As long as the configuration. */
const struct tls_client *tls_client_get(struct config *config, const struct config_scope *scope,
					const struct config_module *module);

#endif
