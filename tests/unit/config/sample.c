#include "sample.h"

#include <errno.h>

static int
once(struct config_directive_call *call)
{
	for (struct config_scope *s = call->scope->children; s; s = s->next)
		if (s->context == call->block->context && s != call->block)
			return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	return 0;
}

static int
set_return(struct config_directive_call *call)
{
	struct sample_http *http = call->settings;

	http->answer = config_value_compile(call, call->words[call->word_count - 1]);
	return http->answer ? 0 : -EINVAL;
}

static int
open_location(struct config_directive_call *call)
{
	struct sample_http *http = config_settings(call->block, &sample_http_module);

	if (call->word_count == 2)
		return 0;
	http->regex = config_regex_compile(call, call->words[2], bytes_equal_string(call->words[1], "~*"));
	return http->regex ? 0 : -EINVAL;
}

static int
set_server_name(struct config_directive_call *call)
{
	struct sample_http *http = call->settings;

	if (call->words[1].len == 0 || call->words[1].data[0] != '~')
		return 0;
	http->regex = config_regex_compile(call, bytes_from(call->words[1], 1), true);
	return http->regex ? 0 : -EINVAL;
}

static int
type_row(struct config_directive_call *call)
{
	struct sample_http *http = call->settings;

	http->types += (unsigned int)call->word_count - 1;
	return 0;
}

static int
set_accepted(struct config_directive_call *call)
{
	return 0;
}

static int
upstream_server(struct config_directive_call *call)
{
	struct sample_upstream *upstream = call->settings;

	upstream->servers++;
	return 0;
}

static void
main_init(struct config *config, void *settings)
{
	struct sample_main *main = settings;

	main->worker_processes = main->worker_rlimit_nofile = CONFIG_UNSET;
	main->daemon = CONFIG_UNSET;
}

static int
main_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct sample_main *main = settings;

	if (!config_child(scope, CONFIG_EVENTS))
		return config_fail_at(config, NULL, 0, "no \"events\" section in configuration");
	if (main->daemon == CONFIG_UNSET)
		main->daemon = 1;
	return 0;
}

static void
http_init(struct config *config, void *settings)
{
	struct sample_http *http = settings;

	http->tcp_nodelay = http->satisfy = CONFIG_UNSET;
	http->send_timeout_ms = http->keepalive_timeout_s = CONFIG_UNSET;
	http->gzip_comp_level = http->keepalive_requests = CONFIG_UNSET;
	http->client_body_buffer_size = http->client_max_body_size = CONFIG_UNSET_SIZE;
	http->answer = CONFIG_UNSET_POINTER;
}

static int
http_merge(struct config *config, struct config_scope *scope, const void *parent_settings, void *settings)
{
	static const struct sample_http nothing = { .tcp_nodelay = CONFIG_UNSET,
						    .send_timeout_ms = CONFIG_UNSET,
						    .client_max_body_size = CONFIG_UNSET_SIZE };
	const struct sample_http *parent = parent_settings ? parent_settings : &nothing;
	struct sample_http *http = settings;

	http->merged_from = parent_settings;
	config_merge(http->tcp_nodelay, parent->tcp_nodelay, CONFIG_UNSET, 1);
	config_merge(http->send_timeout_ms, parent->send_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(http->client_max_body_size, parent->client_max_body_size, CONFIG_UNSET_SIZE, 1 << 20);
	if (http->client_max_body_size == 13)
		return config_fail_at(config, scope->file, scope->line, "13 brings bad luck");
	return 0;
}

static unsigned int finished;

static int
http_finish(struct config *config, struct config_scope *scope, void *settings)
{
	struct sample_http *http = settings;

	http->finished = ++finished;
	return 0;
}

static void
upstream_init(struct config *config, void *settings)
{
	((struct sample_upstream *)settings)->keepalive_timeout_ms = CONFIG_UNSET;
}

static const struct config_word satisfy_words[] = { { "all", 0 }, { "any", 1 }, { NULL, 0 } };
static const struct config_limits level_limits = { 1, 9 }, positive = { 1, -1 };

#define HTTP_ALL (CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION)
#define IN_HTTP(name, set, field)                                                                                      \
	{                                                                                                              \
		name, HTTP_ALL, 1, 1, 0, 0, set, offsetof(struct sample_http, field)                                   \
	}

static const struct config_directive main_directives[] = {
	{ "worker_processes", CONFIG_MAIN, 1, 1, 0, 0, config_set_number,
	  offsetof(struct sample_main, worker_processes), &positive },
	{ "worker_rlimit_nofile", CONFIG_MAIN, 1, 1, 0, 0, config_set_number,
	  offsetof(struct sample_main, worker_rlimit_nofile) },
	{ "daemon", CONFIG_MAIN, 0, 0, CONFIG_FLAG, 0, config_set_flag, offsetof(struct sample_main, daemon) },
	{ "pid", CONFIG_MAIN, 1, 1, 0, 0, config_set_string, offsetof(struct sample_main, pid) },
	{ "events", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_EVENTS, once },
	{ "worker_connections", CONFIG_EVENTS, 1, 1, 0, 0, set_accepted },
	{ NULL },
};

static const struct config_directive http_directives[] = {
	{ "http", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_HTTP, once },
	{ "server", CONFIG_HTTP, 0, 0, CONFIG_BLOCK, CONFIG_SERVER },
	{ "location", CONFIG_SERVER | CONFIG_LOCATION, 1, 2, CONFIG_BLOCK, CONFIG_LOCATION, open_location },
	{ "types", HTTP_ALL, 0, 0, CONFIG_BLOCK | CONFIG_ANYWHERE_ROWS, CONFIG_TYPES, NULL, 0, NULL, type_row },
	{ "listen", CONFIG_SERVER, 1, 255, 0, 0, set_accepted },
	{ "server_name", CONFIG_SERVER, 1, 255, 0, 0, set_server_name },
	{ "log_format", CONFIG_HTTP, 2, 255, 0, 0, set_accepted },
	{ "return", CONFIG_SERVER | CONFIG_LOCATION, 1, 2, 0, 0, set_return },
	{ "tcp_nodelay", HTTP_ALL, 0, 0, CONFIG_FLAG, 0, config_set_flag, offsetof(struct sample_http, tcp_nodelay) },
	{ "satisfy", HTTP_ALL, 1, 1, 0, 0, config_set_word, offsetof(struct sample_http, satisfy), satisfy_words },
	{ "gzip_comp_level", HTTP_ALL, 1, 1, 0, 0, config_set_number, offsetof(struct sample_http, gzip_comp_level),
	  &level_limits },
	IN_HTTP("send_timeout", config_set_milliseconds, send_timeout_ms),
	IN_HTTP("keepalive_timeout", config_set_seconds, keepalive_timeout_s),
	IN_HTTP("keepalive_requests", config_set_number, keepalive_requests),
	IN_HTTP("client_body_buffer_size", config_set_size, client_body_buffer_size),
	IN_HTTP("client_max_body_size", config_set_size, client_max_body_size),
	IN_HTTP("auth_basic", config_set_string, root),
	IN_HTTP("answer", config_set_value, answer),
	{ NULL },
};

static const struct config_directive upstream_directives[] = {
	{ "upstream", CONFIG_HTTP, 1, 1, CONFIG_BLOCK, CONFIG_UPSTREAM },
	{ "server", CONFIG_UPSTREAM, 1, 255, 0, 0, upstream_server },
	{ "keepalive_timeout", CONFIG_UPSTREAM, 1, 1, 0, 0, config_set_milliseconds,
	  offsetof(struct sample_upstream, keepalive_timeout_ms) },
	{ NULL },
};

struct config_module sample_main_module = { .name = "main",
					    .contexts = CONFIG_MAIN,
					    .settings_size = sizeof(struct sample_main),
					    .init = main_init,
					    .merge = main_merge,
					    .directives = main_directives };
struct config_module sample_http_module = { .name = "http",
					    .contexts = HTTP_ALL,
					    .settings_size = sizeof(struct sample_http),
					    .init = http_init,
					    .merge = http_merge,
					    .finish = http_finish,
					    .directives = http_directives };
struct config_module sample_upstream_module = { .name = "upstream",
						.contexts = CONFIG_UPSTREAM,
						.settings_size = sizeof(struct sample_upstream),
						.init = upstream_init,
						.directives = upstream_directives };
struct config_module *const sample_modules[] = { &sample_main_module, &sample_http_module, &sample_upstream_module,
						 NULL };
const char *const sample_unsupported[] = { "stream", "it has no use for it yet", "ssl_certificate", "TLS comes later",
					   NULL };

static bool
get_host(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	 size_t scratch_size, struct bytes *value)
{
	const struct sample_subject *s = subject;

	*value = bytes_of_string(s->host);
	return s->host;
}

static bool
get_missing(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	    size_t scratch_size, struct bytes *value)
{
	return false;
}

/* The suffix turned round, made on the spot. */
static bool
get_header(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	   size_t scratch_size, struct bytes *value)
{
	if (suffix.len > scratch_size)
		return false;
	for (size_t i = 0; i < suffix.len; i++)
		scratch[i] = suffix.data[suffix.len - 1 - i];
	*value = bytes_of(scratch, suffix.len);
	return true;
}

static bool
get_long(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	 size_t scratch_size, struct bytes *value)
{
	memset(scratch, 'x', scratch_size);
	*value = bytes_of(scratch, scratch_size);
	return true;
}

const struct config_variable sample_variables[] = {
	{ "host", get_host, NULL, false },    { "request_uri", get_host, NULL, false },
	{ "http_", get_header, NULL, false }, { "http_long_", get_missing, NULL, false },
	{ "long", get_long, NULL, false },    { "missing", get_missing, NULL, false },
	{ "free", get_missing, NULL, true },  { NULL, NULL, NULL, false },
};

static bool
get_capture(void *subject, unsigned int number, struct bytes *value)
{
	const struct sample_subject *s = subject;

	if (number >= CONFIG_CAPTURE_NAMED)
		*value = s->named[number - CONFIG_CAPTURE_NAMED];
	else if (number < s->group_count)
		*value = s->groups[number];
	else
		return false;
	return value->data;
}

void
sample_captures_bind(void)
{
	config_captures_bind(CONFIG_HTTP, get_capture);
}

struct config *
sample_parse(const char *text)
{
	struct config_source source = {
		.path = "t.conf", .text = bytes_of(text, strlen(text)), .prefix = "", .unsupported = sample_unsupported
	};

	config_variables_define(CONFIG_HTTP, sample_variables);
	return config_parse(&source, sample_modules);
}
