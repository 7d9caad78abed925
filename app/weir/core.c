#include "weir/core.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/settings/error_log.h"
#include "proxy/settings/settings.h"
#include "stream/stream.h"
#include "tcp/tcp.h"
#include "weir/cmdline.h"

/* ---- main ---- */

static int
set_worker_processes(struct config_directive_call *call)
{
	struct core_settings *settings = call->settings;
	uint64_t number;

	if (settings->worker_processes != CONFIG_UNSET)
		return config_fail(call, "\"worker_processes\" directive is duplicate");
	if (bytes_equal_string(call->words[1], "auto")) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		settings->worker_processes = cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : cpus;
		settings->worker_processes_auto = true;
		return 0;
	}
	if (!bytes_parse_unsigned(call->words[1], UINT32_MAX, &number) || number == 0)
		return config_fail(call, "\"worker_processes\" directive invalid value");
	if (number > WORKERS_MAX)
		return config_fail(call, "\"worker_processes %s\" is more than the %d that weir has",
				   (const char *)call->words[1].data, WORKERS_MAX);
	settings->worker_processes = (int64_t)number;
	return 0;
}

/* "2,4-7" to one CPU per worker. */
static int
set_proxy_cpus(struct config_directive_call *call, struct core_settings *settings)
{
	struct bytes left = call->words[1];

	settings->proxy_cpus = arena_alloc(config_arena(call->config), WORKERS_MAX);
	settings->proxy_lcores = 0;
	while (left.len) {
		ptrdiff_t comma = bytes_index(left, ',');
		struct bytes range = comma < 0 ? left : bytes_of(left.data, (size_t)comma);
		ptrdiff_t dash = bytes_index(range, '-');
		uint64_t first, last;

		left = comma < 0 ? bytes_of(NULL, 0) : bytes_from(left, (size_t)comma + 1);
		if (!bytes_parse_unsigned(dash < 0 ? range : bytes_of(range.data, (size_t)dash), 63, &first) ||
		    !bytes_parse_unsigned(dash < 0 ? range : bytes_from(range, (size_t)dash + 1), 63, &last) ||
		    last < first || (comma >= 0 && !left.len))
			return config_fail(
				call,
				"invalid CPUs \"%s\" in \"proxy_lcores\", such as 2,4-7 of CPUs 0 to 63 are meant",
				(const char *)call->words[1].data);
		for (uint64_t cpu = first; cpu <= last; cpu++) {
			if (settings->proxy_lcores == WORKERS_MAX ||
			    memchr(settings->proxy_cpus, (int)cpu, (size_t)settings->proxy_lcores))
				return config_fail(call, "CPU %d is listed twice in \"proxy_lcores\"", (int)cpu);
			settings->proxy_cpus[settings->proxy_lcores++] = (uint8_t)cpu;
		}
	}
	return 0;
}

static int
set_proxy_lcores(struct config_directive_call *call)
{
	struct core_settings *settings = call->settings;
	uint64_t number;

	if (settings->proxy_lcores != CONFIG_UNSET)
		return config_fail(call, "\"proxy_lcores\" directive is duplicate");
	if (bytes_index(call->words[1], ',') >= 0 || bytes_index(call->words[1], '-') > 0)
		return set_proxy_cpus(call, settings);
	if (!bytes_parse_unsigned(call->words[1], WORKERS_MAX, &number))
		return config_fail(call,
				   "invalid value \"%s\" in \"proxy_lcores\" directive, it must be a number of lcores "
				   "up to %d, or a list of CPUs",
				   (const char *)call->words[1].data, WORKERS_MAX);
	settings->proxy_lcores = (int64_t)number;
	return 0;
}

struct worker_roles
core_roles(const struct core_settings *settings)
{
	unsigned int io = (unsigned int)settings->worker_processes, proxy = (unsigned int)settings->proxy_lcores;

	return (struct worker_roles){ .count = io + proxy, .io = io, .stack_first = proxy ? io : 0 };
}

static int
set_affinity(struct config_directive_call *call)
{
	struct core_settings *settings = call->settings;

	if (settings->affinity_count)
		return config_fail(call, "\"worker_cpu_affinity\" directive is duplicate");
	settings->affinity_count = call->word_count - 1;
	if (bytes_equal_string(call->words[1], "auto") && call->word_count > 3)
		return config_fail(call, "invalid number of arguments in \"worker_cpu_affinity\" directive");
	settings->affinity = arena_alloc(config_arena(call->config), settings->affinity_count * sizeof(struct bytes));
	for (size_t i = 0; i < settings->affinity_count; i++) {
		struct bytes mask = call->words[i + 1];

		settings->affinity[i] = mask;
		if (i == 0 && bytes_equal_string(mask, "auto"))
			continue;
		if (mask.len > 64)
			return config_fail(call, "\"worker_cpu_affinity\" supports up to 64 CPUs only");
		for (size_t c = 0; c < mask.len; c++)
			if (mask.data[c] != '0' && mask.data[c] != '1')
				return config_fail(call, "invalid character \"%c\" in \"worker_cpu_affinity\"",
						   mask.data[c]);
	}
	return 0;
}

static uint64_t
parse_mask(struct bytes mask)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < mask.len; i++)
		bits = bits << 1 | (mask.data[i] == '1');
	return bits;
}

/* One CPU of a mask, counted round and round; 0 of an empty one. */
static uint64_t
nth_bit(uint64_t mask, unsigned int n)
{
	uint64_t left = mask;

	if (!mask)
		return 0;
	for (n %= (unsigned int)__builtin_popcountll(mask); n > 0; n--)
		left &= left - 1;
	return left & -left;
}

uint64_t
core_affinity(const struct core_settings *settings, unsigned int index)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t all = cpus < 1 ? 1 : cpus >= 64 ? UINT64_MAX : (1ull << cpus) - 1;

	if (settings->proxy_cpus && index >= settings->worker_processes)
		return 1ull << settings->proxy_cpus[index - settings->worker_processes];
	if (!settings->affinity_count)
		return 0;
	if (bytes_equal_string(settings->affinity[0], "auto"))
		return nth_bit(settings->affinity_count > 1 ? parse_mask(settings->affinity[1]) : all, index);
	/* As nginx: the last mask holds for all further workers. */
	return parse_mask(settings->affinity[index < settings->affinity_count ? index : settings->affinity_count - 1]);
}

static int
set_user(struct config_directive_call *call)
{
	struct core_settings *settings = call->settings;

	if (settings->user.data)
		return config_fail(call, "\"user\" directive is duplicate");
	settings->user = call->words[1];
	settings->group = call->words[call->word_count - 1];
	errno = 0;
	if (!getpwnam((const char *)settings->user.data))
		return errno ? config_fail(call, "getpwnam(\"%s\") failed (%d: %s)", (const char *)settings->user.data,
					   errno, strerror(errno))
			     : config_fail(call, "getpwnam(\"%s\") failed", (const char *)settings->user.data);
	errno = 0;
	if (!getgrnam((const char *)settings->group.data))
		return errno ? config_fail(call, "getgrnam(\"%s\") failed (%d: %s)", (const char *)settings->group.data,
					   errno, strerror(errno))
			     : config_fail(call, "getgrnam(\"%s\") failed", (const char *)settings->group.data);
	return 0;
}

static int
set_error_log(struct config_directive_call *call)
{
	struct core_settings *settings = call->settings;

	return proxy_error_log_add(call, &settings->error_targets);
}

static int
set_control(struct config_directive_call *call)
{
	struct core_settings *settings = call->settings;
	const size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (settings->control.data || settings->control_off)
		return config_fail(call, "\"control\" directive is duplicate");
	if (bytes_equal_string(call->words[1], "off")) {
		settings->control_off = true;
		return 0;
	}
	settings->control = bytes_of_string(config_full_path(call->config, call->words[1]));
	if (settings->control.len > longest)
		return config_fail(call, "the path \"%s\" is longer than the %zu bytes that a socket may have",
				   (const char *)settings->control.data, longest);
	return 0;
}

static const struct config_word poll_words[] = {
	{ "adaptive", CORE_POLL_ADAPTIVE },
	{ "busy", CORE_POLL_BUSY },
	{ 0 },
};

static const struct config_word congestion_words[] = {
	{ "cubic", TCP_CUBIC },
	{ "new_reno", TCP_NEW_RENO },
	{ 0 },
};

static const struct config_word cookie_words[] = {
	{ "on", TCP_COOKIES_WHEN_FULL },
	{ "always", TCP_COOKIES_ALWAYS },
	{ "off", TCP_COOKIES_NEVER },
	{ 0 },
};

static const struct config_word ecn_words[] = {
	{ "accept", TCP_ECN_ACCEPT },
	{ "on", TCP_ECN_ON },
	{ "off", TCP_ECN_OFF },
	{ 0 },
};

static void
main_init(struct config *config, void *settings)
{
	struct core_settings *core = settings;

	core->daemon = CONFIG_UNSET;
	core->worker_processes = CONFIG_UNSET;
	core->proxy_lcores = CONFIG_UNSET;
	core->worker_poll = CONFIG_UNSET;
	core->tcp_congestion = CONFIG_UNSET;
	core->tcp_syn_cookies = CONFIG_UNSET;
	core->tcp_ecn = CONFIG_UNSET;
	core->xdp_pin = CONFIG_UNSET;
	core->worker_shutdown_timeout_ms = CONFIG_UNSET;
	core->packet_buffers = CONFIG_UNSET_SIZE;
	core->rlimit_core = CONFIG_UNSET_SIZE;
}

static int
main_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct core_settings *core = settings;

	config_merge(core->daemon, CONFIG_UNSET, CONFIG_UNSET, 1);
	config_merge(core->worker_processes, CONFIG_UNSET, CONFIG_UNSET, 1);
	config_merge(core->proxy_lcores, CONFIG_UNSET, CONFIG_UNSET, 0);
	config_merge(core->worker_poll, CONFIG_UNSET, CONFIG_UNSET, CORE_POLL_ADAPTIVE);
	config_merge(core->tcp_congestion, CONFIG_UNSET, CONFIG_UNSET, TCP_CUBIC);
	config_merge(core->tcp_syn_cookies, CONFIG_UNSET, CONFIG_UNSET, TCP_COOKIES_WHEN_FULL);
	config_merge(core->tcp_ecn, CONFIG_UNSET, CONFIG_UNSET, TCP_ECN_ACCEPT);
	config_merge(core->xdp_pin, CONFIG_UNSET, CONFIG_UNSET, 0);
	config_merge(core->worker_shutdown_timeout_ms, CONFIG_UNSET, CONFIG_UNSET, 0);
	core->pid = bytes_of_string(core->pid.data ? config_full_path(config, core->pid) : CMDLINE_PID);
	if (core->worker_processes + core->proxy_lcores > WORKERS_MAX)
		return config_fail_at(
			config, NULL, 0,
			"worker_processes %d and proxy_lcores %d are more than the %d lcores that weir has",
			(int)core->worker_processes, (int)core->proxy_lcores, WORKERS_MAX);
	if (!config_child(scope, CONFIG_EVENTS))
		return config_fail_at(config, NULL, 0, "no \"events\" section in configuration");
	return 0;
}

/* One endpoint cannot be http's and stream's: neither knows of the other. */
static int
check_listens(struct config *config, const struct config_scope *server)
{
	const struct proxy_server *settings = config_settings(server, &proxy_server_module);
	char text[ENDPOINT_TEXT_MAX];
	const char *file;
	unsigned int line;

	for (const struct proxy_listen *l = settings->listens; l; l = l->next) {
		if (!stream_listens_on(config, &l->endpoint, IPPROTO_TCP, &file, &line))
			continue;
		endpoint_format(&l->endpoint, text, sizeof(text));
		return config_fail_at(config, l->file, l->line,
				      "\"listen %s\" in http is taken by the \"listen\" in stream of %s:%u", text, file,
				      line);
	}
	return 0;
}

static int
main_finish(struct config *config, struct config_scope *scope, void *settings)
{
	const struct config_scope *http = config_child(scope, CONFIG_HTTP);

	for (const struct config_scope *child = http ? http->children : NULL; child; child = child->next)
		if (child->context == CONFIG_SERVER && check_listens(config, child) < 0)
			return -EINVAL;
	return 0;
}

/* ---- interface ---- */

static struct core_interface *
last_interface(struct config_directive_call *call)
{
	struct core_settings *core = config_settings(config_root(call->config), &core_module);
	struct core_interface *interface = core->interfaces;

	while (interface->next)
		interface = interface->next;
	return interface;
}

static int
open_interface(struct config_directive_call *call)
{
	struct core_settings *core = call->settings;
	struct core_interface **last = &core->interfaces;
	struct core_interface *interface;

	for (; *last; last = &(*last)->next)
		if (bytes_equal_string(call->words[1], (*last)->port.name))
			return config_fail(call, "duplicate interface \"%s\"", (const char *)call->words[1].data);
	interface = arena_alloc(config_arena(call->config), sizeof(*interface));
	interface->port.name = (const char *)call->words[1].data;
	interface->file = call->file;
	interface->line = call->line;
	*last = interface;
	return 0;
}

static int
word_of(struct config_directive_call *call, const struct config_word *words, int *value)
{
	for (; words->word; words++)
		if (bytes_equal_string(call->words[1], words->word)) {
			*value = words->value;
			return 0;
		}
	return config_fail(call, "invalid value \"%s\" in \"%s\" directive", (const char *)call->words[1].data,
			   call->directive->name);
}

static int
set_driver(struct config_directive_call *call)
{
	static const struct config_word words[] = {
		{ "auto", PORT_DRIVER_AUTO }, { "dpdk", PORT_DRIVER_DPDK }, { "xdp", PORT_DRIVER_XDP }, { 0 }
	};
	int value;

	if (word_of(call, words, &value) < 0)
		return -EINVAL;
	last_interface(call)->port.driver = value;
	return 0;
}

static int
set_xdp_mode(struct config_directive_call *call)
{
	static const struct config_word words[] = {
		{ "auto", PORT_XDP_AUTO }, { "native", PORT_XDP_NATIVE }, { "generic", PORT_XDP_GENERIC }, { 0 }
	};
	int value;

	if (word_of(call, words, &value) < 0)
		return -EINVAL;
	last_interface(call)->port.xdp_mode = value;
	return 0;
}

/* `extra` bounds the number, `offset` is the field of struct port_config. */
static int
set_port_number(struct config_directive_call *call)
{
	const struct config_limits *limits = call->directive->extra;
	uint16_t *field = (uint16_t *)(void *)((char *)&last_interface(call)->port + call->directive->offset);
	uint64_t number;

	if (!bytes_parse_unsigned(call->words[1], (uint64_t)limits->most, &number) || number < (uint64_t)limits->least)
		return config_fail(call, "invalid value \"%s\" in \"%s\" directive, it must be between %d and %d",
				   (const char *)call->words[1].data, call->directive->name, (int)limits->least,
				   (int)limits->most);
	*field = (uint16_t)number;
	return 0;
}

static int
set_twin(struct config_directive_call *call)
{
	if (call->words[1].len == 0 || call->words[1].len > 15)
		return config_fail(call, "invalid interface name \"%s\"", (const char *)call->words[1].data);
	last_interface(call)->port.twin = (const char *)call->words[1].data;
	return 0;
}

static int
set_address(struct config_directive_call *call)
{
	struct core_interface *interface = last_interface(call);
	struct ip_address address;
	ptrdiff_t slash = bytes_index(call->words[1], '/');
	uint64_t prefix;
	const char **larger;

	if (slash < 0 || ip_address_parse(bytes_of(call->words[1].data, (size_t)slash), &address) < 0 ||
	    !bytes_parse_unsigned(bytes_from(call->words[1], (size_t)slash + 1), ip_address_is_v4(&address) ? 32 : 128,
				  &prefix))
		return config_fail(call, "invalid address \"%s\", it must be ADDRESS/PREFIX",
				   (const char *)call->words[1].data);
	larger = arena_alloc(config_arena(call->config), (interface->address_count + 2) * sizeof(*larger));
	if (interface->address_count)
		memcpy(larger, interface->addresses, interface->address_count * sizeof(*larger));
	larger[interface->address_count++] = (const char *)call->words[1].data;
	interface->addresses = larger;
	interface->port.addresses = larger;
	return 0;
}

/* "02:00:00:00:00:01" */
static bool
parse_mac(struct bytes text, uint8_t mac[6])
{
	if (text.len != 17)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int digit = byte_hex(text.data[i]);

		if (i % 3 == 2 ? text.data[i] != ':' : digit < 0)
			return false;
		if (i % 3 < 2)
			mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | digit);
	}
	return !(mac[0] & 1);
}

static int
set_neighbor(struct config_directive_call *call)
{
	struct core_interface *interface = last_interface(call);
	struct net_fixed_neighbor neighbor = { 0 }, *larger;

	if (!bytes_equal_string(call->words[1], "default") &&
	    (ip_address_parse(call->words[1], &neighbor.address) < 0 || ip_address_is_any(&neighbor.address)))
		return config_fail(call, "invalid address \"%s\", it must be an IP address or \"default\"",
				   (const char *)call->words[1].data);
	if (!parse_mac(call->words[2], neighbor.mac))
		return config_fail(call, "invalid MAC \"%s\", it must be the address of one host: 02:00:00:00:00:01",
				   (const char *)call->words[2].data);
	for (size_t i = 0; i < interface->neighbor_count; i++)
		if (ip_address_equal(&interface->neighbors[i].address, &neighbor.address))
			return config_fail(call, "duplicate neighbor \"%s\"", (const char *)call->words[1].data);
	if (interface->neighbor_count == 0)
		config_warn(call, "\"neighbor\" is for weir-replay: weir itself goes by Linux's neighbour table");
	larger = arena_alloc(config_arena(call->config), (interface->neighbor_count + 1) * sizeof(*larger));
	if (interface->neighbor_count)
		memcpy(larger, interface->neighbors, interface->neighbor_count * sizeof(*larger));
	larger[interface->neighbor_count++] = neighbor;
	interface->neighbors = larger;
	return 0;
}

static const struct config_limits queue_limits = { 1, PORT_QUEUES_MAX };
static const struct config_limits mtu_limits = { 576, 9000 };
static const struct config_limits descriptor_limits = { 64, 8192 };

static int
open_events(struct config_directive_call *call)
{
	if (config_child(call->scope, CONFIG_EVENTS) != call->block)
		return config_fail(call, "\"events\" directive is duplicate");
	return 0;
}

#define PORT_FIELD(name) offsetof(struct port_config, name)
#define MAIN_FIELD(name) offsetof(struct core_settings, name)

static const struct config_directive main_directives[] = {
	{ "daemon", CONFIG_MAIN, 1, 1, CONFIG_FLAG, 0, config_set_flag, MAIN_FIELD(daemon) },
	{ "user", CONFIG_MAIN, 1, 2, 0, 0, set_user },
	{ "pid", CONFIG_MAIN, 1, 1, 0, 0, config_set_string, MAIN_FIELD(pid) },
	{ "control", CONFIG_MAIN, 1, 1, 0, 0, set_control },
	{ "error_log", CONFIG_MAIN, 1, 255, 0, 0, set_error_log },
	{ "worker_processes", CONFIG_MAIN, 1, 1, 0, 0, set_worker_processes },
	{ "worker_cpu_affinity", CONFIG_MAIN, 1, 255, 0, 0, set_affinity },
	{ "proxy_lcores", CONFIG_MAIN, 1, 1, 0, 0, set_proxy_lcores },
	{ "worker_poll", CONFIG_MAIN, 1, 1, 0, 0, config_set_word, MAIN_FIELD(worker_poll), poll_words },
	{ "tcp_congestion", CONFIG_MAIN, 1, 1, 0, 0, config_set_word, MAIN_FIELD(tcp_congestion), congestion_words },
	{ "tcp_syn_cookies", CONFIG_MAIN, 1, 1, 0, 0, config_set_word, MAIN_FIELD(tcp_syn_cookies), cookie_words },
	{ "tcp_ecn", CONFIG_MAIN, 1, 1, 0, 0, config_set_word, MAIN_FIELD(tcp_ecn), ecn_words },
	{ "xdp_pin", CONFIG_MAIN, 1, 1, CONFIG_FLAG, 0, config_set_flag, MAIN_FIELD(xdp_pin) },
	{ "worker_shutdown_timeout", CONFIG_MAIN, 1, 1, 0, 0, config_set_milliseconds,
	  MAIN_FIELD(worker_shutdown_timeout_ms) },
	{ "packet_buffers", CONFIG_MAIN, 1, 1, 0, 0, config_set_size, MAIN_FIELD(packet_buffers) },
	{ "worker_rlimit_core", CONFIG_MAIN, 1, 1, 0, 0, config_set_size, MAIN_FIELD(rlimit_core) },
	{ "events", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_EVENTS, open_events },
	{ "interface", CONFIG_MAIN, 1, 1, CONFIG_BLOCK, CONFIG_INTERFACE, open_interface },
	{ "driver", CONFIG_INTERFACE, 1, 1, 0, 0, set_driver },
	{ "xdp_mode", CONFIG_INTERFACE, 1, 1, 0, 0, set_xdp_mode },
	{ "queues", CONFIG_INTERFACE, 1, 1, 0, 0, set_port_number, PORT_FIELD(queues), &queue_limits },
	{ "mtu", CONFIG_INTERFACE, 1, 1, 0, 0, set_port_number, PORT_FIELD(mtu), &mtu_limits },
	{ "rx_descriptors", CONFIG_INTERFACE, 1, 1, 0, 0, set_port_number, PORT_FIELD(rx_descriptors),
	  &descriptor_limits },
	{ "tx_descriptors", CONFIG_INTERFACE, 1, 1, 0, 0, set_port_number, PORT_FIELD(tx_descriptors),
	  &descriptor_limits },
	{ "twin", CONFIG_INTERFACE, 1, 1, 0, 0, set_twin },
	{ "address", CONFIG_INTERFACE, 1, 1, 0, 0, set_address },
	{ "neighbor", CONFIG_INTERFACE, 2, 2, 0, 0, set_neighbor },
	{ 0 },
};

struct config_module core_module = {
	.name = "core",
	.contexts = CONFIG_MAIN,
	.settings_size = sizeof(struct core_settings),
	.init = main_init,
	.merge = main_merge,
	.finish = main_finish,
	.directives = main_directives,
};

/* ---- events ---- */

static int
set_use(struct config_directive_call *call)
{
	static const char *const nginx_methods[] = { "epoll", "poll", "select", "eventport", "kqueue", "/dev/poll" };

	for (size_t i = 0; i < sizeof(nginx_methods) / sizeof(nginx_methods[0]); i++)
		if (bytes_equal_string(call->words[1], nginx_methods[i])) {
			config_warn(call, "\"use %s\" has no effect: weir polls its packet queues itself",
				    nginx_methods[i]);
			return 0;
		}
	return config_fail(call, "invalid event type \"%s\"", (const char *)call->words[1].data);
}

static int
set_multi_accept(struct config_directive_call *call)
{
	if (bytes_equal_string(call->words[1], "on"))
		return 0; /* all connections of a burst are accepted */
	if (!bytes_equal_string(call->words[1], "off"))
		return config_fail(call, "invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"",
				   (const char *)call->words[1].data, call->directive->name);
	return config_fail(call, "\"multi_accept %s\" is not supported: weir accepts all connections of a burst",
			   (const char *)call->words[1].data);
}

static void
events_init(struct config *config, void *settings)
{
	((struct core_events *)settings)->worker_connections = CONFIG_UNSET;
}

static int
events_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct core_events *events = settings;

	config_merge(events->worker_connections, CONFIG_UNSET, CONFIG_UNSET, 512);
	return 0;
}

#define CONNECTIONS_MAX 10000000

static int
set_connections(struct config_directive_call *call)
{
	struct core_events *events = call->settings;
	uint64_t number;

	if (events->worker_connections != CONFIG_UNSET)
		return config_fail(call, "\"worker_connections\" directive is duplicate");
	if (!bytes_parse_unsigned(call->words[1], CONNECTIONS_MAX, &number) || number == 0)
		return config_fail(call, "invalid number \"%s\"", (const char *)call->words[1].data);
	events->worker_connections = (int64_t)number;
	return 0;
}

static const struct config_directive events_directives[] = {
	{ "worker_connections", CONFIG_EVENTS, 1, 1, 0, 0, set_connections },
	{ "use", CONFIG_EVENTS, 1, 1, 0, 0, set_use },
	{ "multi_accept", CONFIG_EVENTS, 1, 1, CONFIG_FLAG, 0, set_multi_accept },
	{ 0 },
};

struct config_module events_module = {
	.name = "events",
	.contexts = CONFIG_EVENTS,
	.settings_size = sizeof(struct core_events),
	.init = events_init,
	.merge = events_merge,
	.directives = events_directives,
};

const struct core_settings *
core_settings(struct config *config)
{
	return config_settings(config_root(config), &core_module);
}

const struct core_events *
core_events(struct config *config)
{
	return config_settings(config_child(config_root(config), CONFIG_EVENTS), &events_module);
}
