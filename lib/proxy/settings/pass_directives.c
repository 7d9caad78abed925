#include <errno.h>

#include "http/message.h"
#include "proxy/settings/directives.h"
#include "proxy/worker.h"

const struct config_word proxy_http_versions[] = { { "1.0", 0 }, { "1.1", 1 }, { 0 } };

/* Arrays of settings grow by doubling inside the arena; what is left behind goes with the configuration. */
static void *
array_push(struct config *config, void **array, size_t *count, size_t item_size)
{
	if ((*count & (*count - 1)) == 0) {
		void *larger = arena_alloc(config_arena(config), (*count ? *count * 2 : 1) * item_size);

		if (*count)
			memcpy(larger, *array, *count * item_size);
		*array = larger;
	}
	return (char *)*array + (*count)++ * item_size;
}

/* ---- proxy_pass ---- */

static int
pass_uri(struct config_directive_call *call, struct proxy_location *location, struct bytes url, size_t host_len)
{
	struct bytes uri = bytes_from(url, host_len);

	if (uri.len == 0)
		return 0;
	if (bytes_index(uri, '$') >= 0) {
		location->pass_value = config_value_compile(call, uri);
		return location->pass_value ? 0 : -EINVAL;
	}
	if (location->kind == PROXY_LOCATION_REGEX)
		return config_fail(call, "\"proxy_pass\" cannot have URI part in location given by regular expression, "
					 "or inside named location, or inside \"if\" statement, "
					 "or inside \"limit_except\" block");
	if (uri.data[0] == '/') {
		location->pass_uri = uri;
		return 0;
	}
	/* "http://group?args" */
	location->pass_uri = bytes_of_string(
		arena_printf(config_arena(call->config), "/%.*s", (int)uri.len, (const char *)uri.data));
	return 0;
}

/* Where the port begins, ':' included; the whole length when there is none. */
static size_t
port_at(struct bytes host)
{
	for (size_t i = host.len; i-- > 0 && host.data[i] != ']';)
		if (host.data[i] == ':')
			return i;
	return host.len;
}

/* As in a Host field; `scheme_port` needs no mention. */
static void
pass_names(struct config_directive_call *call, struct proxy_location *location, struct bytes host,
	   struct bytes scheme_port)
{
	struct bytes port;
	size_t at;

	location->pass_host = arena_copy(config_arena(call->config), host);
	at = port_at(location->pass_host);
	port = bytes_from(location->pass_host, at + 1);
	location->pass_port = port.len ? port : scheme_port;
	location->pass_authority = location->pass_host;
	if (bytes_equal(location->pass_port, scheme_port))
		location->pass_authority.len = at;
}

int
proxy_pass_to(struct config_directive_call *call, struct bytes host, uint16_t scheme_port)
{
	struct proxy_location *location = call->settings;
	const char *port = scheme_port ? arena_printf(config_arena(call->config), "%u", scheme_port) : "";

	if (location->group)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	if (bytes_index(host, '$') >= 0)
		return config_fail(call, "\"%s\" with a variable for its host is not supported by this version of weir",
				   call->directive->name);
	if (host.len == 0)
		return config_fail(call, "no host in upstream \"%s\"", (const char *)host.data);
	pass_names(call, location, host, bytes_of_string(port));
	location->group = upstream_group_refer(call, location->pass_host, scheme_port);
	return location->group ? 0 : -EINVAL;
}

int
proxy_set_pass(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;
	struct bytes url = call->words[1], plain = BYTES("http://"), secure = BYTES("https://");
	bool is_secure = bytes_start_with(url, secure);
	size_t host_len = 0;

	if (!is_secure && !bytes_start_with(url, plain))
		return config_fail(call, "invalid URL prefix");
	url = bytes_from(url, is_secure ? secure.len : plain.len);
	while (host_len < url.len && url.data[host_len] != '/' && url.data[host_len] != '?')
		host_len++;
	if (proxy_pass_to(call, bytes_of(url.data, host_len), is_secure ? 443 : 80) < 0)
		return -EINVAL;
	location->open = proxy_link_open;
	location->pass_secure = is_secure;
	location->pass_scheme = bytes_of_string(is_secure ? "https" : "http");
	return pass_uri(call, location, url, host_len);
}

/* ---- proxy_set_header ---- */

static struct proxy_pass *
pass_of(const struct config_directive_call *call)
{
	return (struct proxy_pass *)(void *)((char *)call->settings + call->directive->offset);
}

int
proxy_set_header(struct config_directive_call *call)
{
	struct proxy_pass *pass = pass_of(call);
	struct proxy_header *header;

	header = array_push(call->config, (void **)&pass->headers, &pass->header_count, sizeof(*header));
	header->name = call->words[1];
	header->id = (uint8_t)http_field_identify(call->words[1]);
	if ((header->id == HTTP_FIELD_CONTENT_LENGTH || header->id == HTTP_FIELD_TRANSFER_ENCODING) &&
	    call->words[2].len)
		return config_fail(call, "\"%s %s\" is not supported: weir frames the body itself",
				   call->directive->name, (const char *)call->words[1].data);
	if (header->id != HTTP_FIELD_OTHER)
		pass->header_ids |= 1ull << header->id;
	header->value = config_value_compile(call, call->words[2]);
	return header->value ? 0 : -EINVAL;
}

/* ---- the rest ---- */

int
proxy_set_next_upstream(struct config_directive_call *call)
{
	static const struct config_word words[] = {
		{ "error", PROXY_NEXT_ERROR },
		{ "timeout", PROXY_NEXT_TIMEOUT },
		{ "invalid_header", PROXY_NEXT_INVALID_HEADER },
		{ "non_idempotent", PROXY_NEXT_NON_IDEMPOTENT },
		{ "http_500", PROXY_NEXT_500 },
		{ "http_502", PROXY_NEXT_502 },
		{ "http_503", PROXY_NEXT_503 },
		{ "http_504", PROXY_NEXT_504 },
		{ "http_403", PROXY_NEXT_403 },
		{ "http_404", PROXY_NEXT_404 },
		{ "http_429", PROXY_NEXT_429 },
		{ "off", PROXY_NEXT_OFF },
		{ 0 },
	};
	struct proxy_pass *pass = pass_of(call);

	for (size_t i = 1; i < call->word_count; i++) {
		const struct config_word *word = words;

		while (word->word && !bytes_equal_string(call->words[i], word->word))
			word++;
		if (!word->word)
			return config_fail(call, "invalid value \"%s\"", (const char *)call->words[i].data);
		if (pass->next & (uint32_t)word->value)
			config_warn(call, "duplicate value \"%s\"", word->word);
		pass->next |= (uint32_t)word->value;
	}
	return 0;
}

int
proxy_set_request_buffering(struct config_directive_call *call)
{
	if (bytes_equal_string(call->words[1], "off"))
		return 0;
	return config_fail(call,
			   "\"proxy_request_buffering %s\" is not supported: weir streams request bodies to the server",
			   (const char *)call->words[1].data);
}

int
proxy_set_redirect(struct config_directive_call *call)
{
	struct proxy_location *location = call->settings;
	bool off = call->word_count == 2 && bytes_equal_string(call->words[1], "off");
	bool is_default = call->word_count == 2 && bytes_equal_string(call->words[1], "default");
	struct proxy_redirect *redirect;

	if (location->redirect_mode == PROXY_REDIRECT_OFF || (off && location->redirect_mode != CONFIG_UNSET))
		return config_fail(call, "\"proxy_redirect\" directive is duplicate");
	if (off) {
		location->redirect_mode = PROXY_REDIRECT_OFF;
		return 0;
	}
	if (call->word_count == 2 && !is_default)
		return config_fail(call, "invalid parameter \"%s\"", (const char *)call->words[1].data);
	if (is_default && (!location->group || location->pass_http2))
		return config_fail(call,
				   "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive");
	if (call->words[1].data[0] == '~' || bytes_index(call->words[1], '$') >= 0)
		return config_fail(call, "\"proxy_redirect\" with variables or regular expressions is not supported by "
					 "this version of weir");
	location->redirect_mode = PROXY_REDIRECT_LIST;
	redirect =
		array_push(call->config, (void **)&location->redirects, &location->redirect_count, sizeof(*redirect));
	if (is_default)
		return 0;
	redirect->from = call->words[1];
	redirect->to = config_value_compile(call, call->words[2]);
	return redirect->to ? 0 : -EINVAL;
}

int
proxy_set_name_list(struct config_directive_call *call)
{
	struct proxy_name_list *list =
		(struct proxy_name_list *)(void *)((char *)call->settings + call->directive->offset);
	struct bytes *name = array_push(call->config, (void **)&list->names, &list->count, sizeof(*name));

	*name = call->words[1];
	return 0;
}

static void
pass_init(struct proxy_pass *pass)
{
	pass->http_minor = CONFIG_UNSET;
	pass->buffer_size = CONFIG_UNSET_SIZE;
	pass->connect_timeout_ms = CONFIG_UNSET;
	pass->send_timeout_ms = CONFIG_UNSET;
	pass->read_timeout_ms = CONFIG_UNSET;
	pass->next_tries = CONFIG_UNSET;
	pass->next_timeout_ms = CONFIG_UNSET;
	pass->ignore_client_abort = CONFIG_UNSET;
	pass->request_body = CONFIG_UNSET;
	pass->request_headers = CONFIG_UNSET;
}

void
proxy_pass_init(struct proxy_location *location)
{
	pass_init(&location->proxy);
	pass_init(&location->grpc);
	location->redirect_mode = CONFIG_UNSET;
}

/* The largest response head that is sure to fit into a send buffer next to what is added to it. */
#define BUFFER_SIZE_MAX 32768

static int
pass_merge(struct config *config, struct config_scope *scope, const struct proxy_pass *parent, struct proxy_pass *pass,
	   const char *buffer_directive)
{
	config_merge(pass->http_minor, parent->http_minor, CONFIG_UNSET, 0);
	config_merge(pass->buffer_size, parent->buffer_size, CONFIG_UNSET_SIZE, 4096);
	config_merge(pass->connect_timeout_ms, parent->connect_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(pass->send_timeout_ms, parent->send_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(pass->read_timeout_ms, parent->read_timeout_ms, CONFIG_UNSET, 60000);
	config_merge(pass->next_tries, parent->next_tries, CONFIG_UNSET, 0);
	config_merge(pass->next_timeout_ms, parent->next_timeout_ms, CONFIG_UNSET, 0);
	config_merge(pass->ignore_client_abort, parent->ignore_client_abort, CONFIG_UNSET, 0);
	config_merge(pass->request_body, parent->request_body, CONFIG_UNSET, 1);
	config_merge(pass->request_headers, parent->request_headers, CONFIG_UNSET, 1);
	config_merge(pass->next, parent->next, 0, PROXY_NEXT_ERROR | PROXY_NEXT_TIMEOUT);
	if (!pass->header_count) {
		pass->headers = parent->headers;
		pass->header_count = parent->header_count;
		pass->header_ids = parent->header_ids;
	}
	if (!pass->hidden.count)
		pass->hidden = parent->hidden;
	if (!pass->passed.count)
		pass->passed = parent->passed;
	if (pass->buffer_size < 128 || pass->buffer_size > BUFFER_SIZE_MAX)
		return config_fail_at(config, scope->file, scope->line, "\"%s\" must be between 128 and %d bytes",
				      buffer_directive, BUFFER_SIZE_MAX);
	return 0;
}

int
proxy_pass_merge(struct config *config, struct config_scope *scope, const struct proxy_location *parent,
		 struct proxy_location *location)
{
	if (location->redirect_mode == CONFIG_UNSET) {
		location->redirects = parent->redirects;
		location->redirect_count = parent->redirect_count;
	}
	config_merge(location->redirect_mode, parent->redirect_mode, CONFIG_UNSET, PROXY_REDIRECT_DEFAULT);
	location->pass = location->pass_http2 ? &location->grpc : &location->proxy;
	if (pass_merge(config, scope, &parent->proxy, &location->proxy, "proxy_buffer_size") < 0)
		return -EINVAL;
	return pass_merge(config, scope, &parent->grpc, &location->grpc, "grpc_buffer_size");
}
