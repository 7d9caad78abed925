/*
 * A small share of nginx's language for the tests of config/ and its fuzz target: blocks, and a directive per kind of
 * setter, under nginx's names so that nginx's own messages can be compared with ours.
 */
#ifndef TESTS_CONFIG_SAMPLE_H
#define TESTS_CONFIG_SAMPLE_H

#include "config/config.h"
#include "config/variable.h"

struct sample_main {
	int64_t worker_processes, worker_rlimit_nofile;
	int daemon;
	struct bytes pid;
};

struct sample_http {
	int tcp_nodelay, satisfy;
	int64_t send_timeout_ms, keepalive_timeout_s, gzip_comp_level, keepalive_requests;
	size_t client_body_buffer_size, client_max_body_size;
	struct bytes root;
	struct config_value *answer;
	struct config_regex *regex;
	unsigned int types;
	const void *merged_from; /* what merge() got as parent */
	unsigned int finished;   /* position in the order of finish() */
};

struct sample_upstream {
	int64_t keepalive_timeout_ms;
	unsigned int servers;
};

extern struct config_module sample_main_module, sample_http_module, sample_upstream_module;
extern struct config_module *const sample_modules[];
extern const char *const sample_unsupported[];

/* $host, $request_uri, $http_NAME, $missing, $long (fills its scratch), $free (changeable). */
extern const struct config_variable sample_variables[];

/* What the getters read. */
struct sample_subject {
	const char *host;
	size_t group_count;
	struct bytes groups[10], named[CONFIG_NAMED_CAPTURES_MAX];
};
/* Binds it as the owner of captures. */
void sample_captures_bind(void);

struct config *sample_parse(const char *text);

#endif
