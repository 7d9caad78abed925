/*
 * The main context of the configuration: processes, logs, interfaces and `events`. Control only.
 */
#ifndef WEIR_CORE_H
#define WEIR_CORE_H

#include "base/log.h"
#include "config/config.h"
#include "net/net.h"
#include "port/port.h"
#include "weir/steering.h"

#define WORKERS_MAX 64

struct core_interface {
	struct port_config port;
	const char **addresses; /* ends with NULL */
	size_t address_count;
	struct net_fixed_neighbor *neighbors; /* for weir-replay, which has no Linux to ask */
	size_t neighbor_count;
	struct core_interface *next;
	const char *file;
	unsigned int line;
};

/* Lives in the main scope. */
struct core_settings {
	int daemon;
	int64_t worker_processes; /* CONFIG_UNSET until merged; `auto` is the number of CPUs */
	bool worker_processes_auto;
	struct bytes *affinity; /* masks as written, or one "auto" */
	size_t affinity_count;
	int64_t proxy_lcores; /* CONFIG_UNSET until merged; 0: workers do it themselves */
	uint8_t *proxy_cpus;  /* of each of them, where the directive lists CPUs; else NULL */
	int worker_poll;      /* enum core_poll */
	int tcp_congestion;   /* enum tcp_congestion_algorithm */
	int tcp_syn_cookies;  /* enum tcp_syn_cookies */
	int tcp_ecn;          /* enum tcp_ecn */
	int xdp_pin;          /* flag */
	int64_t worker_shutdown_timeout_ms;
	size_t packet_buffers; /* mbufs, in all; CONFIG_UNSET_SIZE: by worker_connections */
	size_t rlimit_core;    /* bytes of a core dump; CONFIG_UNSET_SIZE: there is none */
	struct bytes pid;
	struct bytes control; /* full path of the control socket; NULL data: beside the pid file */
	bool control_off;
	struct bytes user, group;
	const struct log_target *error_targets; /* NULL: none is named */
	struct core_interface *interfaces;
};

enum core_poll { CORE_POLL_ADAPTIVE, CORE_POLL_BUSY };

/* Lives in the events scope. */
struct core_events {
	int64_t worker_connections;
};

extern struct config_module core_module;
extern struct config_module events_module;

/* Directives of nginx that Weir does not have, with the reason: for config_source.unsupported. */
extern const char *const core_unsupported[];

const struct core_settings *core_settings(struct config *config);
const struct core_events *core_events(struct config *config);

/* Of worker_processes and proxy_lcores. */
struct worker_roles core_roles(const struct core_settings *settings);
/* CPUs of worker `index`, as a bit per CPU; 0: any. */
uint64_t core_affinity(const struct core_settings *settings, unsigned int index);

#endif
