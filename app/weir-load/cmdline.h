/*
 * The command line of weir-load: what to load, and how. No I/O but the name's resolution.
 */
#ifndef WEIR_LOAD_CMDLINE_H
#define WEIR_LOAD_CMDLINE_H

#include <stdio.h>

#include "base/address.h"

#define CMDLINE_HEADERS_MAX 32
#define CMDLINE_INTERFACES_MAX 4
#define CMDLINE_ADDRESSES_MAX 8 /* of each */
#define CMDLINE_LCORES_MAX 64
#define CMDLINE_REQUEST_MAX 8192
#define CMDLINE_NAME_MAX 255

struct cmdline_interface {
	const char *name, *twin;
	const char *addresses[CMDLINE_ADDRESSES_MAX];
	size_t address_count;
};

struct cmdline {
	const char *url;
	char host[CMDLINE_NAME_MAX + 1]; /* of the URL, without brackets */
	uint16_t port;                   /* host order */
	bool port_given;
	const char *target; /* path and query */
	bool secure;        /* https:// */
	bool resume;
	const char *server_name; /* that TLS names: the host, where nothing else is said */
	const char *tls_version; /* NULL: what both have */
	uint32_t connections;
	uint32_t lcores;
	uint64_t cpus[CMDLINE_LCORES_MAX]; /* of each lcore */
	size_t cpu_count;
	uint64_t duration_ms, warmup_ms, timeout_ms;
	double rate;          /* requests per second in all; 0: closed loop */
	uint64_t body_bytes;  /* of the request */
	uint64_t size;        /* of an answer's body; UINT64_MAX: any */
	uint16_t answer_port; /* host order: requests to it are answered; 0: none */
	uint64_t answer_size; /* bytes of body */
	struct cmdline_interface interfaces[CMDLINE_INTERFACES_MAX];
	size_t interface_count;
	const char *headers[CMDLINE_HEADERS_MAX];
	size_t header_count;
	bool close, busy, latency, verbose;
	const char *json;
	bool help, version;
	int eal_argc; /* arguments for DPDK: what stands behind "--", with the program's name in front */
	char **eal_argv;
	char error[512];
};

/* 0, or -EINVAL with the reason in cmdline->error. */
int cmdline_parse(struct cmdline *cmdline, int argc, char **argv);
void cmdline_print_usage(FILE *out);

/* The configuration of Weir that the options stand for, as text. Returns its length; `size` or more: it did not fit. */
size_t cmdline_configuration(const struct cmdline *cmdline, char *out, size_t size);

/* Connections that a lcore may have, those of its answers included. */
uint32_t cmdline_connections_max(const struct cmdline *cmdline);

/* The request as it is sent: head, and body_bytes of body. For the caller to free(); NULL with the reason in
 * cmdline->error. */
uint8_t *cmdline_request(struct cmdline *cmdline, size_t *len);

/* The body of answers of our own, likewise. */
uint8_t *cmdline_answer(struct cmdline *cmdline, size_t *len);

/* The server's address; a name's first. 0, or -EINVAL with the reason in cmdline->error. */
int cmdline_resolve(struct cmdline *cmdline, struct endpoint *server);

#endif
