#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "filter/access_log/access_log.h"
#include "filter/access_log/escape.h"
#include "proxy/exchange/exchange.h"
#include "proxy/relay/relay.h"

struct log_format {
	struct bytes name;
	struct config_value *line;
	config_escape_fn *escape;
	enum config_missing missing;
	struct log_format *next;
};

struct access_log {
	struct log_file *file;
	const struct log_format *format;
	struct access_log *next;
};

struct access_log_settings {
	struct access_log *logs;
	bool off;
	bool set;                   /* anything said at this level */
	struct log_format *formats; /* at the level of http or stream */
};

static struct config_module module;

#define SPACES (CONFIG_HTTP | CONFIG_STREAM)

static bool
in_stream(const struct config_scope *scope)
{
	return scope->context & (CONFIG_STREAM | CONFIG_STREAM_SERVER);
}

/* ---- log_format ---- */

static const struct {
	const char *word;
	config_escape_fn *escape;
	enum config_missing missing;
} escapes[] = {
	{ "escape=default", access_log_escape_default, CONFIG_MISSING_DASH },
	{ "escape=json", access_log_escape_json, CONFIG_MISSING_EMPTY },
	{ "escape=none", NULL, CONFIG_MISSING_EMPTY },
};

static struct log_format *
format_find(struct access_log_settings *http, struct bytes name)
{
	struct log_format *format = http->formats;

	while (format && !bytes_equal(format->name, name))
		format = format->next;
	return format;
}

/* Where the name of a variable begins that the word ends with, as in "a$host"; its length when there is none. */
static size_t
last_name(struct bytes word)
{
	size_t at = word.len;

	while (at > 0 && ((byte_lower(word.data[at - 1]) >= 'a' && byte_lower(word.data[at - 1]) <= 'z') ||
			  (word.data[at - 1] >= '0' && word.data[at - 1] <= '9') || word.data[at - 1] == '_'))
		at--;
	if (at == 0 || at == word.len || word.data[at - 1] != '$' || word.data[at] <= '9')
		return word.len; /* a capture, $1, is one digit and ends by itself */
	return at;
}

/* The words behind the name are one text, as the file breaks it only for readers; but no name of a variable goes on in the
 * next word: it gets brackets. */
static struct bytes
join(struct config_directive_call *call, size_t first)
{
	size_t len = 0, at = 0;
	uint8_t *text;

	for (size_t i = first; i < call->word_count; i++)
		len += call->words[i].len + 2;
	text = arena_alloc(config_arena(call->config), len + 1);
	for (size_t i = first; i < call->word_count; i++) {
		struct bytes word = call->words[i];
		size_t name = last_name(word);

		memcpy(text + at, word.data, name);
		at += name;
		if (name == word.len)
			continue;
		text[at++] = '{';
		memcpy(text + at, word.data + name, word.len - name);
		at += word.len - name;
		text[at++] = '}';
	}
	return bytes_of(text, at);
}

static int
set_log_format(struct config_directive_call *call)
{
	struct access_log_settings *http = call->settings;
	struct log_format *format;
	size_t first = 2, kind = 0;

	if (format_find(http, call->words[1]) || bytes_equal_string(call->words[1], "combined"))
		return config_fail(call, "duplicate \"log_format\" name \"%s\"", (const char *)call->words[1].data);
	if (bytes_start_with(call->words[2], (struct bytes)BYTES("escape="))) {
		while (kind < sizeof(escapes) / sizeof(escapes[0]) &&
		       !bytes_equal_string(call->words[2], escapes[kind].word))
			kind++;
		if (kind == sizeof(escapes) / sizeof(escapes[0]))
			return config_fail(call, "unknown log format escaping \"%s\"",
					   (const char *)call->words[2].data + 7);
		first = 3;
	}
	format = arena_alloc(config_arena(call->config), sizeof(*format));
	format->name = call->words[1];
	format->escape = escapes[kind].escape;
	format->missing = escapes[kind].missing;
	format->line = config_value_compile(call, join(call, first));
	format->next = http->formats;
	http->formats = format;
	return format->line ? 0 : -EINVAL;
}

/* nginx's predefined format. */
static struct log_format *
format_combined(struct config_directive_call *call, struct access_log_settings *http)
{
	static const char text[] = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "
				   "\"$http_referer\" \"$http_user_agent\"";
	struct log_format *format = format_find(http, (struct bytes)BYTES("combined"));

	if (format)
		return format;
	format = arena_alloc(config_arena(call->config), sizeof(*format));
	format->name = (struct bytes)BYTES("combined");
	format->escape = access_log_escape_default;
	format->missing = CONFIG_MISSING_DASH;
	format->line = config_value_compile(call, bytes_of(text, sizeof(text) - 1));
	format->next = http->formats;
	http->formats = format;
	return format;
}

/* ---- access_log ---- */

/* Of http, or of stream: where the formats are. */
static struct access_log_settings *
space_settings(struct config_directive_call *call)
{
	struct config_scope *scope = call->scope;

	while (!(scope->context & SPACES))
		scope = scope->parent;
	return config_settings(scope, &module);
}

static void
release_file(void *file)
{
	log_file_put(file);
}

static int
add_log(struct config *config, struct access_log_settings *settings, const char *path, const struct log_format *format)
{
	struct access_log *log = arena_alloc(config_arena(config), sizeof(*log)), **last = &settings->logs;
	int error = log_file_get(path, &log->file);

	if (error < 0)
		return error;
	arena_on_free(config_arena(config), release_file, log->file);
	log->format = format;
	while (*last)
		last = &(*last)->next;
	*last = log;
	return 0;
}

static int
set_access_log(struct config_directive_call *call)
{
	struct access_log_settings *settings = call->settings, *space = space_settings(call);
	const struct log_format *format;
	const char *path;
	int error;

	if (bytes_equal_string(call->words[1], "off")) {
		if (call->word_count > 2)
			return config_fail(call, "invalid parameter \"%s\"", (const char *)call->words[2].data);
		settings->off = settings->set = true;
		return 0;
	}
	for (size_t i = 3; i < call->word_count; i++)
		return config_fail(call,
				   "the \"%s\" parameter of \"access_log\" is not supported by this version of weir",
				   (const char *)call->words[i].data);
	if (bytes_start_with(call->words[1], (struct bytes)BYTES("syslog:")) || bytes_index(call->words[1], '$') >= 0)
		return config_fail(call,
				   "\"access_log\" to \"%s\" is not supported by this version of weir: name a file",
				   (const char *)call->words[1].data);
	if (call->word_count > 2 && !bytes_equal_string(call->words[2], "combined"))
		format = format_find(space, call->words[2]);
	else if (in_stream(call->scope))
		return config_fail(call, call->word_count > 2 ? "unknown log format \"combined\""
							      : "log format is not specified");
	else
		format = format_combined(call, space);
	if (!format)
		return config_fail(call, "unknown log format \"%s\"", (const char *)call->words[2].data);
	path = config_full_path(call->config, call->words[1]);
	error = add_log(call->config, settings, path, format);
	if (error < 0)
		return config_fail(call, "open() \"%s\" failed (%d: %s)", path, -error, strerror(-error));
	settings->set = true;
	return 0;
}

/* Packets have no sessions; and without being told, nothing is logged. */
static int
merge_in_stream(struct config *config, struct config_scope *scope, const void *parent, struct access_log_settings *own)
{
	const struct stream_settings *server = stream_server(scope);

	if (own->set && server && server->forward)
		return config_fail_at(
			config, scope->file, scope->line,
			"\"access_log\" cannot be used with \"forward %s\": packets are forwarded, there is no "
			"session to log",
			server->forward);
	if (!own->set && parent) {
		own->logs = ((const struct access_log_settings *)parent)->logs;
		own->off = ((const struct access_log_settings *)parent)->off;
	}
	return 0;
}

static int
merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct access_log_settings *own = settings;
	struct config_directive_call call = {
		.config = config, .scope = scope, .file = scope->file, .line = scope->line
	};
	int error;

	if (in_stream(scope))
		return merge_in_stream(config, scope, parent, own);
	if (own->set)
		return 0;
	if (parent) {
		own->logs = ((const struct access_log_settings *)parent)->logs;
		own->off = ((const struct access_log_settings *)parent)->off;
		return 0;
	}
	/* Without a server there is nothing to log, and no file is made. */
	if (!config_child(scope, CONFIG_SERVER))
		return 0;
	error = add_log(config, own, ACCESS_LOG_DEFAULT, format_combined(&call, own));
	if (error < 0)
		return config_fail(&call, "open() \"%s\" failed (%d: %s)", ACCESS_LOG_DEFAULT, -error,
				   strerror(-error));
	return 0;
}

/* ---- writing ---- */

static void
write_lines(const struct access_log_settings *settings, void *subject)
{
	uint8_t line[LOG_LINE_MAX];

	if (settings->off)
		return;
	for (const struct access_log *log = settings->logs; log; log = log->next) {
		size_t len = config_value_write(log->format->line, subject, line, sizeof(line) - 1,
						log->format->missing, log->format->escape);

		if (len == SIZE_MAX)
			continue;
		line[len++] = '\n';
		log_file_write(log->file, line, len);
	}
}

static void
log_exchange(struct proxy_exchange *x)
{
	if (x->status)
		write_lines(proxy_exchange_settings(x, &module), x);
}

static void
log_stream(struct proxy_relay *stream)
{
	write_lines(config_settings(stream->server->scope, &module), stream);
}

#define ANY (CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION | CONFIG_STREAM | CONFIG_STREAM_SERVER)

static const struct config_directive directives[] = {
	{ "log_format", SPACES, 2, 255, 0, 0, set_log_format },
	{ "access_log", ANY, 1, 255, 0, 0, set_access_log },
	{ 0 },
};

static struct config_module module = {
	.name = "access_log",
	.contexts = ANY,
	.settings_size = sizeof(struct access_log_settings),
	.merge = merge,
	.directives = directives,
};

const struct proxy_filter access_log_filter = {
	.name = "access_log",
	.module = &module,
	.log = log_exchange,
	.stream_log = log_stream,
};
