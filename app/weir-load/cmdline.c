#include "weir-load/cmdline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "config/config.h"

#define CONNECTIONS_MAX 1000000
#define BODY_MAX (64 << 20)
#define ANSWER_SIZE 128
/* What proxies have towards a server beyond one connection for each of a client: kept ones, and those that are closing. */
#define ANSWER_CONNECTIONS_MORE 1024

static int __attribute__((format(printf, 2, 3))) fail(struct cmdline *cmdline, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(cmdline->error, sizeof(cmdline->error), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

void
cmdline_print_usage(FILE *out)
{
	fputs("Usage: weir-load [options] URL [-- DPDK's arguments]\n"
	      "\n"
	      "Sends HTTP/1.1 requests through Weir's own TCP and prints how fast they were answered.\n"
	      "\n"
	      "  -c N               : connections in all (default: 10)\n"
	      "  -t N               : lcores (default: 1)\n"
	      "  -d TIME            : for how long: 10s, 500ms, 2m, 1h (default: 10s)\n"
	      "  -R RATE            : requests per second in all, latency from when each was due (default: as fast\n"
	      "                       as answers come)\n"
	      "  -H 'NAME: VALUE'   : a header; Host replaces the URL's\n"
	      "  --close            : a connection for each request; with https:// a full handshake too\n"
	      "  --resume           : of the handshakes, all but the first go on with a session of before\n"
	      "  --tls-version 1.N  : 1.2 or 1.3 (default: what the server has)\n"
	      "  --server-name NAME : the name for TLS (default: the URL's host); certificates are not verified\n"
	      "  --body BYTES       : POST a body of that many bytes\n"
	      "  --size BYTES       : what every body of a 2xx answer must have\n"
	      "  --timeout TIME     : for connecting, and for an answer (default: 2s)\n"
	      "  --warmup TIME      : load before it counts, and until the first answer (default: 0s)\n"
	      "  --latency          : print the distribution of latencies\n"
	      "  --json FILE        : write everything, with the histogram; \"-\" is standard output\n"
	      "  --answer PORT      : be the server behind what is loaded, too: answer requests to that port\n"
	      "  --answer-size BYTES: of each such answer's body (default: 128)\n"
	      "  --interface NAME   : a kernel interface (AF_XDP), vdev:NAME,ARGUMENTS or a PCI address (DPDK);\n"
	      "                       default: the interface that Linux routes to the server by (may be repeated,\n"
	      "                       each with what follows)\n"
	      "  --address A/PREFIX : of a DPDK interface, put on its TAP twin (may be repeated)\n"
	      "  --twin NAME        : of its TAP twin\n"
	      "  --cpus LIST        : a CPU for each lcore: 1,3\n"
	      "  --busy             : never sleep\n"
	      "  --verbose          : say what is done at the start\n"
	      "  -h, -v             : this help, the version\n",
	      out);
}

/* ---- values ---- */

static int
parse_number(struct cmdline *cmdline, const char *option, const char *text, uint64_t least, uint64_t most,
	     uint64_t *value)
{
	if (bytes_parse_unsigned(bytes_of_string(text), most, value) && *value >= least)
		return 0;
	return fail(cmdline, "invalid value \"%s\" of option \"%s\", it must be between %lu and %lu", text, option,
		    (unsigned long)least, (unsigned long)most);
}

static int
parse_time(struct cmdline *cmdline, const char *option, const char *text, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "", 1000 } };
	size_t digits = strspn(text, "0123456789");
	uint64_t number;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text + digits, units[i].unit) == 0 &&
		    bytes_parse_unsigned(bytes_of(text, digits), 1000000, &number)) {
			*ms = number * units[i].ms;
			return 0;
		}
	return fail(cmdline, "invalid time \"%s\" of option \"%s\", it must be as 10s, 500ms, 2m or 1h", text, option);
}

static int
parse_rate(struct cmdline *cmdline, const char *text)
{
	char *end;

	cmdline->rate = strtod(text, &end);
	/* As wrk has it: 10k, 2M. */
	if (end != text && (*end == 'k' || *end == 'K' || *end == 'm' || *end == 'M'))
		cmdline->rate *= *end++ == 'k' || end[-1] == 'K' ? 1e3 : 1e6;
	if (end == text || *end || !(cmdline->rate > 0) || cmdline->rate > 1e9)
		return fail(cmdline, "invalid value \"%s\" of option \"-R\", it must be requests per second: 1000, 20k",
			    text);
	return 0;
}

static int
parse_cpus(struct cmdline *cmdline, const char *text)
{
	struct bytes left = bytes_of_string(text);

	for (;;) {
		ptrdiff_t comma = bytes_index(left, ',');
		struct bytes word = bytes_of(left.data, comma < 0 ? left.len : (size_t)comma);

		if (cmdline->cpu_count == CMDLINE_LCORES_MAX ||
		    !bytes_parse_unsigned(word, 63, &cmdline->cpus[cmdline->cpu_count++]))
			return fail(cmdline,
				    "invalid value \"%s\" of option \"--cpus\", it must be numbers of CPUs: 0,1", text);
		if (comma < 0)
			return 0;
		left = bytes_from(left, (size_t)comma + 1);
	}
}

static bool
is_printable(const char *text, bool blanks)
{
	for (; *text; text++)
		if ((unsigned char)*text < (blanks ? ' ' : '!') || *text == 127)
			return false;
	return true;
}

static int
parse_header(struct cmdline *cmdline, const char *text)
{
	static const char *const ours[] = { "connection", "content-length", "transfer-encoding" };
	size_t name = strcspn(text, ":");

	if (text[name] != ':' || name == 0 || strcspn(text, " \t") < name || !is_printable(text, true))
		return fail(cmdline, "invalid header \"%s\", it must be \"NAME: VALUE\"", text);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (bytes_equal_ignoring_case(bytes_of(text, name), bytes_of_string(ours[i])))
			return fail(cmdline, "the header \"%.*s\" is weir-load's own: see --close and --body",
				    (int)name, text);
	if (cmdline->header_count == CMDLINE_HEADERS_MAX)
		return fail(cmdline, "more than %d headers", CMDLINE_HEADERS_MAX);
	cmdline->headers[cmdline->header_count++] = text;
	return 0;
}

static int
parse_tls_version(struct cmdline *cmdline, const char *text)
{
	if (strcmp(text, "1.2") != 0 && strcmp(text, "1.3") != 0)
		return fail(cmdline, "invalid value \"%s\" of option \"--tls-version\", it must be 1.2 or 1.3", text);
	cmdline->tls_version = text;
	return 0;
}

static int
parse_server_name(struct cmdline *cmdline, const char *text)
{
	if (!*text || strlen(text) > CMDLINE_NAME_MAX || !is_printable(text, false))
		return fail(cmdline, "invalid value \"%s\" of option \"--server-name\", it must be a name", text);
	cmdline->server_name = text;
	return 0;
}

static int
parse_answer(struct cmdline *cmdline, const char *text)
{
	uint64_t port;
	int result = parse_number(cmdline, "--answer", text, 1, 65535, &port);

	cmdline->answer_port = result < 0 ? 0 : (uint16_t)port;
	return result;
}

/* ---- interfaces ---- */

static int
add_interface(struct cmdline *cmdline, const char *name)
{
	if (cmdline->interface_count == CMDLINE_INTERFACES_MAX)
		return fail(cmdline, "more than %d interfaces", CMDLINE_INTERFACES_MAX);
	cmdline->interfaces[cmdline->interface_count++].name = name;
	return 0;
}

/* The one that --address and --twin belong to. NULL: there is none, which is said. */
static struct cmdline_interface *
last_interface(struct cmdline *cmdline)
{
	if (cmdline->interface_count)
		return &cmdline->interfaces[cmdline->interface_count - 1];
	fail(cmdline, "--address and --twin belong behind an --interface");
	return NULL;
}

static int
parse_address(struct cmdline *cmdline, const char *text)
{
	struct cmdline_interface *interface = last_interface(cmdline);

	if (!interface)
		return -EINVAL;
	if (interface->address_count == CMDLINE_ADDRESSES_MAX)
		return fail(cmdline, "more than %d addresses", CMDLINE_ADDRESSES_MAX);
	interface->addresses[interface->address_count++] = text;
	return 0;
}

static int
parse_twin(struct cmdline *cmdline, const char *text)
{
	struct cmdline_interface *interface = last_interface(cmdline);

	if (!interface)
		return -EINVAL;
	interface->twin = text;
	return 0;
}

/* ---- the URL ---- */

static int
parse_url(struct cmdline *cmdline, const char *url)
{
	const char *authority, *host, *end;
	size_t authority_len, len;
	uint64_t port;

	cmdline->url = url;
	cmdline->secure = strncmp(url, "https://", 8) == 0;
	if (!cmdline->secure && strncmp(url, "http://", 7) != 0)
		return fail(cmdline, "invalid URL \"%s\": it must begin with http:// or https://", url);
	port = cmdline->secure ? 443 : 80;
	authority = host = url + (cmdline->secure ? 8 : 7);
	if (!is_printable(url, false))
		return fail(cmdline, "invalid URL: there is a blank or control character in it");
	authority_len = strcspn(authority, "/?#");
	cmdline->target = authority[authority_len] ? authority + authority_len : "/";
	if (memchr(authority, '@', authority_len))
		return fail(cmdline, "invalid URL \"%s\": user names are not supported", url);
	if (*host == '[') {
		end = memchr(host, ']', authority_len);
		len = end ? (size_t)(end - ++host) : 0;
		end = end ? end + 1 : NULL;
	} else {
		len = strcspn(host, ":/?#");
		end = host + len;
	}
	if (len == 0 || len >= sizeof(cmdline->host))
		return fail(cmdline, "invalid URL \"%s\": it names no host", url);
	memcpy(cmdline->host, host, len);
	if (*end == ':') {
		cmdline->port_given = true;
		end++;
		if (!bytes_parse_unsigned(bytes_of(end, authority_len - (size_t)(end - authority)), 65535, &port) ||
		    !port)
			return fail(cmdline, "invalid URL \"%s\": its port must be between 1 and 65535", url);
	} else if ((size_t)(end - authority) != authority_len) {
		return fail(cmdline, "invalid URL \"%s\": the host is no name and no address", url);
	}
	cmdline->port = (uint16_t)port;
	return 0;
}

/* ---- all of it ---- */

enum {
	OPTION_CLOSE = 256,
	OPTION_RESUME,
	OPTION_TLS_VERSION,
	OPTION_SERVER_NAME,
	OPTION_BODY,
	OPTION_SIZE,
	OPTION_TIMEOUT,
	OPTION_WARMUP,
	OPTION_LATENCY,
	OPTION_JSON,
	OPTION_ANSWER,
	OPTION_ANSWER_SIZE,
	OPTION_INTERFACE,
	OPTION_ADDRESS,
	OPTION_TWIN,
	OPTION_CPUS,
	OPTION_BUSY,
	OPTION_VERBOSE,
};

static const struct option long_options[] = {
	{ "close", no_argument, NULL, OPTION_CLOSE },
	{ "resume", no_argument, NULL, OPTION_RESUME },
	{ "tls-version", required_argument, NULL, OPTION_TLS_VERSION },
	{ "server-name", required_argument, NULL, OPTION_SERVER_NAME },
	{ "body", required_argument, NULL, OPTION_BODY },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "warmup", required_argument, NULL, OPTION_WARMUP },
	{ "latency", no_argument, NULL, OPTION_LATENCY },
	{ "json", required_argument, NULL, OPTION_JSON },
	{ "answer", required_argument, NULL, OPTION_ANSWER },
	{ "answer-size", required_argument, NULL, OPTION_ANSWER_SIZE },
	{ "interface", required_argument, NULL, OPTION_INTERFACE },
	{ "address", required_argument, NULL, OPTION_ADDRESS },
	{ "twin", required_argument, NULL, OPTION_TWIN },
	{ "cpus", required_argument, NULL, OPTION_CPUS },
	{ "busy", no_argument, NULL, OPTION_BUSY },
	{ "verbose", no_argument, NULL, OPTION_VERBOSE },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ 0 },
};

static int
take_option(struct cmdline *cmdline, int option, char *argument)
{
	uint64_t number;
	int result = 0;

	switch (option) {
	case 'c':
		result = parse_number(cmdline, "-c", argument, 1, CONNECTIONS_MAX, &number);
		cmdline->connections = result < 0 ? 0 : (uint32_t)number;
		return result;
	case 't':
		result = parse_number(cmdline, "-t", argument, 1, CMDLINE_LCORES_MAX, &number);
		cmdline->lcores = result < 0 ? 0 : (uint32_t)number;
		return result;
	case 'd':
		return parse_time(cmdline, "-d", argument, &cmdline->duration_ms);
	case 'R':
		return parse_rate(cmdline, argument);
	case 'H':
		return parse_header(cmdline, argument);
	case OPTION_BODY:
		return parse_number(cmdline, "--body", argument, 0, BODY_MAX, &cmdline->body_bytes);
	case OPTION_SIZE:
		return parse_number(cmdline, "--size", argument, 0, INT64_MAX, &cmdline->size);
	case OPTION_TIMEOUT:
		return parse_time(cmdline, "--timeout", argument, &cmdline->timeout_ms);
	case OPTION_WARMUP:
		return parse_time(cmdline, "--warmup", argument, &cmdline->warmup_ms);
	case OPTION_ANSWER:
		return parse_answer(cmdline, argument);
	case OPTION_ANSWER_SIZE:
		return parse_number(cmdline, "--answer-size", argument, 0, BODY_MAX, &cmdline->answer_size);
	case OPTION_INTERFACE:
		return add_interface(cmdline, argument);
	case OPTION_TWIN:
		return parse_twin(cmdline, argument);
	case OPTION_ADDRESS:
		return parse_address(cmdline, argument);
	case OPTION_CPUS:
		return parse_cpus(cmdline, argument);
	case OPTION_TLS_VERSION:
		return parse_tls_version(cmdline, argument);
	case OPTION_SERVER_NAME:
		return parse_server_name(cmdline, argument);
	case OPTION_RESUME:
		cmdline->resume = true;
		return 0;
	case OPTION_CLOSE:
		cmdline->close = true;
		return 0;
	case OPTION_LATENCY:
		cmdline->latency = true;
		return 0;
	case OPTION_BUSY:
		cmdline->busy = true;
		return 0;
	case OPTION_VERBOSE:
		cmdline->verbose = true;
		return 0;
	case OPTION_JSON:
		cmdline->json = argument;
		return 0;
	case 'h':
		cmdline->help = true;
		return 0;
	case 'v':
		cmdline->version = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int
check(struct cmdline *cmdline)
{
	if (!cmdline->url)
		return fail(cmdline, "no URL");
	if (cmdline->lcores > cmdline->connections)
		return fail(cmdline, "%u lcores need at least as many connections", cmdline->lcores);
	if (cmdline->cpu_count && cmdline->cpu_count != cmdline->lcores)
		return fail(cmdline, "--cpus names %zu CPUs for %u lcores", cmdline->cpu_count, cmdline->lcores);
	if (!cmdline->duration_ms || !cmdline->timeout_ms)
		return fail(cmdline, "a time of 0 for option \"%s\"", cmdline->duration_ms ? "--timeout" : "-d");
	if (cmdline->answer_size != ANSWER_SIZE && !cmdline->answer_port)
		return fail(cmdline, "--answer-size belongs to --answer");
	if ((cmdline->resume || cmdline->tls_version || cmdline->server_name) && !cmdline->secure)
		return fail(cmdline, "--resume, --tls-version and --server-name belong to https://");
	if (!cmdline->server_name)
		cmdline->server_name = cmdline->host;
	return 0;
}

/* What an option says that getopt_long() does not know, or that lacks its argument. */
static int
refuse_option(struct cmdline *cmdline, int result, char **argv)
{
	const char *word = argv[optind - 1];

	if (optopt && optopt < 256)
		return fail(cmdline, result == ':' ? "option \"-%c\" needs a value" : "unknown option \"-%c\"", optopt);
	return fail(cmdline, result == ':' ? "option \"%s\" needs a value" : "unknown option \"%s\"", word);
}

int
cmdline_parse(struct cmdline *cmdline, int argc, char **argv)
{
	int option, eal = argc;

	*cmdline = (struct cmdline){
		.connections = 10,
		.lcores = 1,
		.duration_ms = 10000,
		.timeout_ms = 2000,
		.size = UINT64_MAX,
		.answer_size = ANSWER_SIZE,
	};
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			eal = i;
			break;
		}
	optind = 0;
	while ((option = getopt_long(eal, argv, ":c:t:d:R:H:hv", long_options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return refuse_option(cmdline, option, argv);
		if (take_option(cmdline, option, optarg) < 0)
			return -EINVAL;
	}
	if (cmdline->help || cmdline->version)
		return 0;
	cmdline->eal_argc = argc - eal;
	cmdline->eal_argv = argv + eal;
	if (eal - optind > 1)
		return fail(cmdline, "unexpected argument \"%s\"", argv[optind + 1]);
	if (eal - optind == 1 && parse_url(cmdline, argv[optind]) < 0)
		return -EINVAL;
	return check(cmdline);
}

/* ---- what it stands for ---- */

/* nginx's masks: the lowest CPU at the right. */
static void
print_cpus(FILE *out, const struct cmdline *cmdline)
{
	fputs("worker_cpu_affinity", out);
	for (size_t i = 0; i < cmdline->cpu_count; i++) {
		fputs(" 1", out);
		for (uint64_t cpu = 0; cpu < cmdline->cpus[i]; cpu++)
			fputc('0', out);
	}
	fputs(";\n", out);
}

static void
print_tls(FILE *out, const struct cmdline *cmdline)
{
	fprintf(out, "http {\n\tproxy_ssl_server_name on;\n\tproxy_ssl_session_reuse %s;\n",
		cmdline->resume ? "on" : "off");
	if (cmdline->tls_version)
		fprintf(out, "\tproxy_ssl_protocols TLSv%s;\n", cmdline->tls_version);
	fputs("}\n", out);
}

static void
print_interface(FILE *out, const struct cmdline_interface *interface)
{
	fputs("interface ", out);
	config_print_word(out, interface->name);
	fputs(" {\n", out);
	for (size_t i = 0; i < interface->address_count; i++) {
		fputs("\taddress ", out);
		config_print_word(out, interface->addresses[i]);
		fputs(";\n", out);
	}
	if (interface->twin) {
		fputs("\ttwin ", out);
		config_print_word(out, interface->twin);
		fputs(";\n", out);
	}
	fputs("}\n", out);
}

uint32_t
cmdline_connections_max(const struct cmdline *cmdline)
{
	uint32_t own = cmdline->connections / cmdline->lcores + 1;

	return cmdline->answer_port ? 2 * own + ANSWER_CONNECTIONS_MORE : own;
}

size_t
cmdline_configuration(const struct cmdline *cmdline, char *out, size_t size)
{
	FILE *file = fmemopen(out, size, "w");
	long len;

	if (!file)
		return size;
	fprintf(file, "worker_processes %u;\nworker_poll %s;\n", cmdline->lcores, cmdline->busy ? "busy" : "adaptive");
	if (cmdline->cpu_count)
		print_cpus(file, cmdline);
	fprintf(file, "events {\n\tworker_connections %u;\n}\n", cmdline_connections_max(cmdline));
	for (size_t i = 0; i < cmdline->interface_count; i++)
		print_interface(file, &cmdline->interfaces[i]);
	if (cmdline->secure)
		print_tls(file, cmdline);
	fflush(file);
	len = ferror(file) ? -1 : ftell(file);
	fclose(file);
	return len < 0 || (size_t)len >= size ? size : (size_t)len;
}

static bool
has_header(const struct cmdline *cmdline, const char *name)
{
	for (size_t i = 0; i < cmdline->header_count; i++)
		if (bytes_equal_ignoring_case(bytes_of(cmdline->headers[i], strcspn(cmdline->headers[i], ":")),
					      bytes_of_string(name)))
			return true;
	return false;
}

static void
print_request(FILE *out, const struct cmdline *cmdline)
{
	bool v6 = strchr(cmdline->host, ':') != NULL;

	fprintf(out, "%s %s%.*s HTTP/1.1\r\n", cmdline->body_bytes ? "POST" : "GET", *cmdline->target == '/' ? "" : "/",
		(int)strcspn(cmdline->target, "#"), cmdline->target);
	if (!has_header(cmdline, "host")) {
		fprintf(out, "Host: %s%s%s", v6 ? "[" : "", cmdline->host, v6 ? "]" : "");
		if (cmdline->port_given)
			fprintf(out, ":%u", cmdline->port);
		fputs("\r\n", out);
	}
	for (size_t i = 0; i < cmdline->header_count; i++)
		fprintf(out, "%s\r\n", cmdline->headers[i]);
	if (cmdline->close)
		fputs("Connection: close\r\n", out);
	if (cmdline->body_bytes)
		fprintf(out, "Content-Length: %lu\r\n", (unsigned long)cmdline->body_bytes);
	fputs("\r\n", out);
}

static void
print_body(FILE *out, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		fputc('a' + (int)(i % 26), out);
}

uint8_t *
cmdline_request(struct cmdline *cmdline, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out) {
		fail(cmdline, "out of memory");
		return NULL;
	}
	print_request(out, cmdline);
	fflush(out);
	if (*len > CMDLINE_REQUEST_MAX) {
		fail(cmdline, "the request's head has %zu bytes, more than %d", *len, CMDLINE_REQUEST_MAX);
		fclose(out);
		free(text);
		return NULL;
	}
	print_body(out, cmdline->body_bytes);
	if (fclose(out) == 0)
		return (uint8_t *)text;
	fail(cmdline, "out of memory");
	free(text);
	return NULL;
}

uint8_t *
cmdline_answer(struct cmdline *cmdline, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (out) {
		print_body(out, cmdline->answer_size);
		if (fclose(out) == 0)
			return (uint8_t *)text;
	}
	fail(cmdline, "out of memory");
	free(text);
	return NULL;
}

int
cmdline_resolve(struct cmdline *cmdline, struct endpoint *server)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	int result;

	if (ip_address_parse(bytes_of_string(cmdline->host), &server->ip) == 0) {
		server->port_be = htons(cmdline->port);
		return 0;
	}
	result = getaddrinfo(cmdline->host, NULL, &hints, &found);
	if (result != 0)
		return fail(cmdline, "host \"%s\" not found (%s)", cmdline->host, gai_strerror(result));
	result = endpoint_from_sockaddr(found->ai_addr, server);
	freeaddrinfo(found);
	server->port_be = htons(cmdline->port);
	return result < 0 ? fail(cmdline, "host \"%s\" has no IP address", cmdline->host) : 0;
}
