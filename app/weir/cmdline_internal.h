/* The long options: what they said, between reading (cmdline_options.c) and writing it down (cmdline_text.c). */
#ifndef WEIR_CMDLINE_INTERNAL_H
#define WEIR_CMDLINE_INTERNAL_H

#include <stdint.h>

#include "base/address.h"
#include "weir/cmdline.h"

#define CMDLINE_LISTENS_MAX 64
#define CMDLINE_BACKENDS_MAX 1024
#define CMDLINE_INTERFACES_MAX 32
#define CMDLINE_CPUS_MAX 1024
#define CMDLINE_CERTIFICATES_MAX 8

enum cmdline_scheme { CMDLINE_HTTP, CMDLINE_HTTPS, CMDLINE_TCP, CMDLINE_UDP };

struct cmdline_listen {
	enum cmdline_scheme scheme; /* tcp and udp are packet-level */
	struct endpoint endpoint;   /* 0.0.0.0 where only a port is given */
	const char *text;           /* as the directive takes it */
};

struct cmdline_backend {
	const char *text; /* "10.0.0.1:80 weight=3 backup" */
	bool backup, has_port;
};

struct cmdline_options {
	const char *first; /* "--listen": the first long option there was; NULL: none */
	const char *interfaces[CMDLINE_INTERFACES_MAX];
	size_t interface_count;
	struct cmdline_listen listens[CMDLINE_LISTENS_MAX];
	size_t listen_count;
	struct cmdline_backend backends[CMDLINE_BACKENDS_MAX];
	size_t backend_count;
	const char *balance; /* the directive with its words; "" for round robin; NULL: not given */
	bool balance_without_backup;
	const char *balance_key;         /* of the method; NULL without */
	const char *forward;             /* the directive's words; NULL: not given */
	uint16_t cpus[CMDLINE_CPUS_MAX]; /* in the order given */
	size_t cpu_count;
	const char *access_log;
	const char *certificates[CMDLINE_CERTIFICATES_MAX], *keys[CMDLINE_CERTIFICATES_MAX]; /* in pairs */
	size_t certificate_count, key_count;
};

static inline bool
cmdline_listen_is_http(const struct cmdline_listen *listen)
{
	return listen->scheme == CMDLINE_HTTP || listen->scheme == CMDLINE_HTTPS;
}

static inline bool
cmdline_has_listen(const struct cmdline_options *options, bool http)
{
	for (size_t i = 0; i < options->listen_count; i++)
		if (cmdline_listen_is_http(&options->listens[i]) == http)
			return true;
	return false;
}

/* Records the error; -EINVAL. */
int cmdline_fail(struct cmdline *cmdline, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One long option; `value` is NULL where "=VALUE" or a next argument is missing. */
int cmdline_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value);
bool cmdline_option_known(const char *name);
/* What no option can know alone: a listener needs a backend, and so on. */
int cmdline_options_check(struct cmdline *cmdline, const struct cmdline_options *options);

/* The configuration, in the arena. `argv` is for the comment at its top; `error_log` is -e's or NULL. */
const char *cmdline_text(struct cmdline *cmdline, const struct cmdline_options *options, const char *error_log,
			 int argc, char *const argv[]);

#endif
