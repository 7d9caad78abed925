/* The long options one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/balance.h"
#include "config/config.h"
#include "l4/forward.h"
#include "weir/cmdline_internal.h"

#define HTTP_PORT 80
#define HTTPS_PORT 443

static int
fail_value(struct cmdline *cmdline, const char *name, const char *value, const char *reason)
{
	return cmdline_fail(cmdline, "invalid value \"%s\" in option \"%s\": %s", value, name, reason);
}

static int
fail_too_many(struct cmdline *cmdline, const char *name, size_t most)
{
	return cmdline_fail(cmdline, "option \"%s\" is given more than %zu times", name, most);
}

static bool
port_parse(struct bytes text, uint64_t *port)
{
	return bytes_parse_unsigned(text, UINT16_MAX, port) && *port > 0;
}

static const struct scheme {
	const char *name;
	enum cmdline_scheme scheme;
} schemes[] = { { "http", CMDLINE_HTTP }, { "https", CMDLINE_HTTPS }, { "tcp", CMDLINE_TCP }, { "udp", CMDLINE_UDP } };

/* Takes "scheme://" off; -EINVAL for a scheme that Weir has not. */
static int
scheme_take(struct cmdline *cmdline, const char *value, const char **rest, enum cmdline_scheme *scheme)
{
	const char *end = strstr(value, "://");
	struct bytes name = bytes_of(value, end ? (size_t)(end - value) : 0);

	*rest = end ? end + strlen("://") : value;
	*scheme = CMDLINE_HTTP;
	if (!end)
		return 0;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (bytes_equal_string(name, schemes[i].name)) {
			*scheme = schemes[i].scheme;
			return 0;
		}
	return cmdline_fail(cmdline,
			    "invalid value \"%s\" in option \"--listen\": unknown scheme \"%.*s\", it must be http, "
			    "https, tcp or udp",
			    value, (int)name.len, value);
}

/* "80", ":80", "*:80", "10.0.0.1", "10.0.0.1:80", "[::1]:80". NULL when it is good, else what is wrong. */
static const char *
listen_read(struct cmdline *cmdline, struct bytes text, struct cmdline_listen *listen)
{
	struct bytes any = BYTES("*:");
	char written[ENDPOINT_TEXT_MAX];
	const char *ssl = listen->scheme == CMDLINE_HTTPS ? " ssl" : "";
	uint64_t port;

	if (bytes_start_with(text, any))
		text = bytes_from(text, 1);
	if (text.len > 0 && text.data[0] == ':' && bytes_parse_unsigned(bytes_from(text, 1), UINT64_MAX, &port))
		text = bytes_from(text, 1);
	if (bytes_parse_unsigned(text, UINT64_MAX, &port)) {
		if (port == 0 || port > UINT16_MAX)
			return "a port is a number from 1 to 65535";
		listen->endpoint = (struct endpoint){ ip_address_from_v4(0), htons((uint16_t)port) };
		listen->text = arena_printf(cmdline->arena, "%u%s", (unsigned int)port, ssl);
		return NULL;
	}
	if (endpoint_parse(text, *ssl ? HTTPS_PORT : HTTP_PORT, &listen->endpoint) < 0 || listen->endpoint.port_be == 0)
		return "it must be PORT, ADDR, ADDR:PORT or [IPV6]:PORT, with a numeric address";
	endpoint_format(&listen->endpoint, written, sizeof(written));
	listen->text = arena_printf(cmdline->arena, "%s%s", written, ssl);
	return NULL;
}

/* "10.0.1.1:25" alone: all addresses of the host, or a port by default, would be taken by mistake only. */
static const char *
packet_level_listen_read(struct cmdline *cmdline, struct bytes text, struct cmdline_listen *listen)
{
	char written[ENDPOINT_TEXT_MAX];

	if (endpoint_parse(text, 0, &listen->endpoint) < 0 || listen->endpoint.port_be == 0)
		return "it must be ADDR:PORT or [IPV6]:PORT, with a numeric address";
	if (ip_address_is_any(&listen->endpoint.ip))
		return "a packet-level service needs an address of its own";
	endpoint_format(&listen->endpoint, written, sizeof(written));
	listen->text = arena_printf(cmdline->arena, "%s%s", written, listen->scheme == CMDLINE_UDP ? " udp" : "");
	return NULL;
}

static bool
listens_collide(const struct cmdline_listen *a, const struct cmdline_listen *b)
{
	return (a->scheme == CMDLINE_UDP) == (b->scheme == CMDLINE_UDP) && endpoint_equal(&a->endpoint, &b->endpoint);
}

static int
listen_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	struct cmdline_listen *listen = &options->listens[options->listen_count];
	const char *rest, *problem;
	struct bytes text;

	if (options->listen_count == CMDLINE_LISTENS_MAX)
		return fail_too_many(cmdline, name, CMDLINE_LISTENS_MAX);
	if (scheme_take(cmdline, value, &rest, &listen->scheme) < 0)
		return -EINVAL;
	text = bytes_of_string(rest);
	/* A URL may end with its '/'. */
	if (rest != value && text.len > 0 && text.data[text.len - 1] == '/')
		text.len--;
	if (bytes_index(text, '/') >= 0)
		return fail_value(cmdline, name, value, "a listener has no path");
	problem = cmdline_listen_is_http(listen) ? listen_read(cmdline, text, listen)
						 : packet_level_listen_read(cmdline, text, listen);
	if (problem)
		return fail_value(cmdline, name, value, problem);
	for (size_t i = 0; i < options->listen_count; i++)
		if (listens_collide(&options->listens[i], listen))
			return fail_value(cmdline, name, value, "this address and port are given twice");
	options->listen_count++;
	return 0;
}

/* A numeric address or a name, both with or without a port. NULL when it is good, else what is wrong. */
static const char *
backend_address_check(struct bytes text)
{
	struct endpoint endpoint;
	ptrdiff_t colon = bytes_index(text, ':');
	struct bytes host = colon < 0 ? text : bytes_of(text.data, (size_t)colon);
	bool letters = false;
	uint64_t port;

	if (endpoint_parse(text, HTTP_PORT, &endpoint) == 0)
		return endpoint.port_be ? NULL : "a port is a number from 1 to 65535";
	if (text.len == 0 || host.len == 0)
		return "it must begin with ADDR:PORT";
	if (bytes_index(text, '/') >= 0)
		return "it must begin with ADDR:PORT, without scheme or path";
	if (text.data[0] == '[')
		return "it must begin with ADDR:PORT, and \"[...]\" with an IPv6 address";
	for (size_t i = 0; i < host.len; i++) {
		uint8_t c = byte_lower(host.data[i]);

		letters |= c >= 'a' && c <= 'z';
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
			return "it must begin with ADDR:PORT, and this is neither an address nor a name";
	}
	if (colon >= 0 && bytes_index(bytes_from(text, (size_t)colon + 1), ':') >= 0)
		return "an IPv6 address stands in brackets: [::1]:80";
	if (!letters)
		return "it must begin with ADDR:PORT, and this is neither an address nor a name";
	if (colon >= 0 && !port_parse(bytes_from(text, (size_t)colon + 1), &port))
		return "a port is a number from 1 to 65535";
	return NULL;
}

/* "weight=3" and the like, by the rules of nginx's `server`. */
static const char *
backend_parameter_check(struct bytes text, bool *backup)
{
	ptrdiff_t equals = bytes_index(text, '=');
	struct bytes key = equals < 0 ? text : bytes_of(text.data, (size_t)equals);
	struct bytes value = equals < 0 ? bytes_of("", 0) : bytes_from(text, (size_t)equals + 1);
	uint64_t number;
	int64_t seconds;

	if (equals < 0 && bytes_equal_string(key, "backup")) {
		*backup = true;
		return NULL;
	}
	if (equals < 0 && bytes_equal_string(key, "down"))
		return NULL;
	if (bytes_equal_string(key, "weight"))
		return bytes_parse_unsigned(value, INT32_MAX, &number) && number > 0
			       ? NULL
			       : "weight is a number from 1 up (\"down\" takes a server out)";
	if (bytes_equal_string(key, "max_fails"))
		return bytes_parse_unsigned(value, INT32_MAX, &number) ? NULL : "max_fails is a number from 0 up";
	if (bytes_equal_string(key, "fail_timeout"))
		return config_parse_seconds(value, &seconds) == 0 ? NULL : "fail_timeout is a time such as 10s";
	return "after the address it takes weight=N, max_fails=N, fail_timeout=TIME, backup and down";
}

static bool
backend_has_port(struct bytes text)
{
	struct endpoint endpoint;

	return endpoint_parse(text, 0, &endpoint) == 0 ? endpoint.port_be != 0 : bytes_index(text, ':') >= 0;
}

static int
backend_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	struct cmdline_backend *backend = &options->backends[options->backend_count];
	struct bytes rest = bytes_of_string(value);
	const char *problem = NULL, *text = NULL;

	if (options->backend_count == CMDLINE_BACKENDS_MAX)
		return fail_too_many(cmdline, name, CMDLINE_BACKENDS_MAX);
	for (bool last = false; !last && !problem;) {
		ptrdiff_t comma = bytes_index(rest, ',');
		struct bytes part = comma < 0 ? rest : bytes_of(rest.data, (size_t)comma);

		last = comma < 0;
		if (!text)
			backend->has_port = backend_has_port(part);
		problem = text ? backend_parameter_check(part, &backend->backup) : backend_address_check(part);
		text = arena_printf(cmdline->arena, "%s%s%.*s", text ? text : "", text ? " " : "", (int)part.len,
				    (const char *)part.data);
		rest = bytes_from(rest, part.len + 1);
	}
	if (problem)
		return fail_value(cmdline, name, value, problem);
	backend->text = text;
	options->backend_count++;
	return 0;
}

static const char *
method_names(struct cmdline *cmdline)
{
	const char *names = "";

	for (const struct balance_method *const *m = balance_methods; *m; m++)
		names = arena_printf(cmdline->arena, "%s%s\"%s%s%s\"", names, *names ? ", " : "", (*m)->name,
				     *(*m)->argument ? " " : "", (*m)->argument);
	return names;
}

/* The words behind a method's name: a key where it takes one, then its own. */
static const char *
method_words_check(const struct balance_method *method, char *words, const char **text, const char **key_word,
		   struct cmdline *cmdline)
{
	bool key = method->properties & BALANCE_NEEDS_KEY, optional = method->properties & BALANCE_KEY_OPTIONAL;
	uint32_t method_options = 0;
	char *state, *word;

	for (word = strtok_r(words, " \t", &state); word; word = strtok_r(NULL, " \t", &state)) {
		const char *error = "the method takes no such word";

		if (strpbrk(word, ";{}\"'\\#\r\n"))
			return "a word here is plain text and variables, without quotes, braces and semicolons";
		if (key) {
			key = false;
			*key_word = word;
		} else if (!method->option || method->option(word, strlen(word), &method_options, &error) < 0)
			return error;
		*text = arena_printf(cmdline->arena, "%s %s", *text, word);
	}
	return key && !optional ? "the method needs a key, such as $request_uri" : NULL;
}

static int
balance_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	size_t len = strcspn(value, " \t");
	const struct balance_method *method = balance_method_find(value, len);
	const char *text, *problem;

	if (options->balance)
		return cmdline_fail(cmdline, "option \"%s\" is given twice", name);
	if (!method)
		return cmdline_fail(cmdline, "invalid value \"%s\" in option \"%s\": it must be one of %s", value, name,
				    method_names(cmdline));
	text = method->name;
	problem = method_words_check(method, arena_printf(cmdline->arena, "%s", value + len), &text,
				     &options->balance_key, cmdline);
	if (problem)
		return fail_value(cmdline, name, value, problem);
	options->balance = method == balance_methods[0] ? "" : text;
	options->balance_without_backup = method->properties & BALANCE_NO_BACKUP;
	return 0;
}

static int
forward_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	size_t len = strcspn(value, " ");
	const char *names = "";

	if (options->forward)
		return cmdline_fail(cmdline, "option \"%s\" is given twice", name);
	for (const struct l4_forwarder *const *f = l4_forwarders; *f; f++)
		names = arena_printf(cmdline->arena, "%s%s%s", names, *names ? ", " : "", (*f)->name);
	if (!l4_forwarder_find(value, len))
		return cmdline_fail(cmdline, "invalid value \"%s\" in option \"%s\": it must be one of %s", value, name,
				    names);
	/* The words behind it are the directive's business, if they can stand there at all. */
	if (strpbrk(value + len, "\t\r\n;{}\"'\\#"))
		return fail_value(cmdline, name, value, "a word here is plain text");
	options->forward = value;
	return 0;
}

static int
interface_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	if (options->interface_count == CMDLINE_INTERFACES_MAX)
		return fail_too_many(cmdline, name, CMDLINE_INTERFACES_MAX);
	if (!*value || strpbrk(value, " \t\r\n"))
		return fail_value(cmdline, name, value, "it must be an interface, a PCI address or vdev:ARGUMENTS");
	for (size_t i = 0; i < options->interface_count; i++)
		if (strcmp(options->interfaces[i], value) == 0)
			return fail_value(cmdline, name, value, "this interface is given twice");
	options->interfaces[options->interface_count++] = value;
	return 0;
}

/* "3" or "0-3" added to the list; NULL when it is good. */
static const char *
cpu_range_add(struct cmdline_options *options, struct bytes text)
{
	ptrdiff_t dash = bytes_index(text, '-');
	uint64_t first, last;

	if (!bytes_parse_unsigned(dash < 0 ? text : bytes_of(text.data, (size_t)dash), CMDLINE_CPUS_MAX - 1, &first))
		return "it must be a list of CPU numbers and ranges, such as 1,3 or 0-3";
	last = first;
	if (dash >= 0 && !bytes_parse_unsigned(bytes_from(text, (size_t)dash + 1), CMDLINE_CPUS_MAX - 1, &last))
		return "it must be a list of CPU numbers and ranges, such as 1,3 or 0-3";
	if (last < first)
		return "a range goes from the smaller number to the larger";
	for (; first <= last; first++) {
		for (size_t i = 0; i < options->cpu_count; i++)
			if (options->cpus[i] == first)
				return "a CPU is given twice";
		options->cpus[options->cpu_count++] = (uint16_t)first;
	}
	return NULL;
}

static int
lcores_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	struct bytes rest = bytes_of_string(value);
	const char *problem = NULL;

	if (options->cpu_count > 0)
		return cmdline_fail(cmdline, "option \"%s\" is given twice", name);
	for (bool last = false; !last && !problem;) {
		ptrdiff_t comma = bytes_index(rest, ',');
		struct bytes part = comma < 0 ? rest : bytes_of(rest.data, (size_t)comma);

		last = comma < 0;
		problem = cpu_range_add(options, part);
		rest = bytes_from(rest, part.len + 1);
	}
	return problem ? fail_value(cmdline, name, value, problem) : 0;
}

static int
access_log_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	if (options->access_log)
		return cmdline_fail(cmdline, "option \"%s\" is given twice", name);
	if (!*value)
		return fail_value(cmdline, name, value, "it must be a file name or off");
	options->access_log = value;
	return 0;
}

static int
file_add(struct cmdline *cmdline, const char **files, size_t *count, const char *name, const char *value)
{
	if (*count == CMDLINE_CERTIFICATES_MAX)
		return fail_too_many(cmdline, name, CMDLINE_CERTIFICATES_MAX);
	if (!*value)
		return fail_value(cmdline, name, value, "it must be a file name");
	files[(*count)++] = value;
	return 0;
}

static int
certificate_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	return file_add(cmdline, options->certificates, &options->certificate_count, name, value);
}

static int
key_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	return file_add(cmdline, options->keys, &options->key_count, name, value);
}

static const struct long_option {
	const char *name, *argument;
	int (*take)(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value);
} long_options[] = {
	{ "--listen", "an address and a port", listen_option },
	{ "--backend", "an address and a port", backend_option },
	{ "--balance", "a method", balance_option },
	{ "--forward", "a mode", forward_option },
	{ "--interface", "a name", interface_option },
	{ "--lcores", "a list of CPUs", lcores_option },
	{ "--access-log", "a file name", access_log_option },
	{ "--certificate", "a file name", certificate_option },
	{ "--certificate-key", "a file name", key_option },
};

static const struct long_option *
find(const char *name)
{
	for (size_t i = 0; i < sizeof(long_options) / sizeof(long_options[0]); i++)
		if (strcmp(long_options[i].name, name) == 0)
			return &long_options[i];
	return NULL;
}

bool
cmdline_option_known(const char *name)
{
	return find(name);
}

int
cmdline_option(struct cmdline *cmdline, struct cmdline_options *options, const char *name, const char *value)
{
	const struct long_option *option = find(name);

	if (!value)
		return cmdline_fail(cmdline, "option \"%s\" requires %s", name, option->argument);
	if (!options->first)
		options->first = option->name;
	return option->take(cmdline, options, name, value);
}

/* What packet-level listeners ask of the other options, and those of them. */
static int
packet_level_check(struct cmdline *cmdline, const struct cmdline_options *options)
{
	if (!cmdline_has_listen(options, false)) {
		if (options->forward)
			return cmdline_fail(
				cmdline,
				"option \"--forward\" needs \"--listen tcp://ADDR:PORT\" or \"udp://\" beside it");
		return 0;
	}
	for (size_t i = 0; i < options->backend_count; i++)
		if (!options->backends[i].has_port)
			return cmdline_fail(
				cmdline,
				"option \"--backend\": with \"--listen tcp://\" or \"udp://\" a server needs "
				"a port: \"%s\"",
				options->backends[i].text);
	if (options->balance_key && strcmp(options->balance_key, "$remote_addr") != 0)
		return cmdline_fail(cmdline,
				    "option \"--balance\": with \"--listen tcp://\" or \"udp://\" the key can only be "
				    "$remote_addr");
	if (options->access_log && !cmdline_has_listen(options, true))
		return cmdline_fail(cmdline, "option \"--access-log\" needs \"--listen http://ADDR:PORT\" beside it");
	return 0;
}

static int
certificates_check(struct cmdline *cmdline, const struct cmdline_options *options)
{
	bool https = false;

	for (size_t i = 0; i < options->listen_count; i++)
		https |= options->listens[i].scheme == CMDLINE_HTTPS;
	if (https && !options->certificate_count)
		return cmdline_fail(cmdline, "option \"--listen https://\" needs \"--certificate FILE\" and "
					     "\"--certificate-key FILE\" beside it");
	if (!https && (options->certificate_count || options->key_count))
		return cmdline_fail(cmdline, "option \"%s\" needs \"--listen https://ADDR:PORT\" beside it",
				    options->certificate_count ? "--certificate" : "--certificate-key");
	if (options->certificate_count != options->key_count)
		return cmdline_fail(cmdline, "each \"--certificate\" needs a \"--certificate-key\" of its own");
	return 0;
}

int
cmdline_options_check(struct cmdline *cmdline, const struct cmdline_options *options)
{
	size_t backups = 0;

	if (options->listen_count == 0)
		return cmdline_fail(cmdline, "option \"%s\" needs \"--listen ADDR:PORT\" beside it", options->first);
	if (options->backend_count == 0)
		return cmdline_fail(cmdline, "option \"%s\" needs \"--backend ADDR:PORT\" beside it", options->first);
	for (size_t i = 0; i < options->backend_count; i++)
		backups += options->backends[i].backup;
	if (backups == options->backend_count)
		return cmdline_fail(cmdline, "option \"--backend\": at least one server must not be a backup");
	if (backups > 0 && options->balance_without_backup)
		return cmdline_fail(cmdline, "option \"--backend\": \"backup\" cannot be used with \"--balance %s\"",
				    options->balance);
	if (certificates_check(cmdline, options) < 0)
		return -EINVAL;
	return packet_level_check(cmdline, options);
}
