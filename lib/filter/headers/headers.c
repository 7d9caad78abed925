#include <errno.h>

#include "filter/headers/headers.h"
#include "proxy/exchange/exchange.h"

struct added_header {
	struct bytes name;
	struct config_value *value;
	bool always;
	struct added_header *next;
};

struct headers_settings {
	struct added_header *first, **last;
};

static int
set_add_header(struct config_directive_call *call)
{
	struct headers_settings *settings = call->settings;
	struct added_header *header = arena_alloc(config_arena(call->config), sizeof(*header));

	header->name = call->words[1];
	header->value = config_value_compile(call, call->words[2]);
	if (!header->value)
		return -EINVAL;
	if (call->word_count == 4) {
		if (!bytes_equal_string(call->words[3], "always"))
			return config_fail(call, "invalid parameter \"%s\"", (const char *)call->words[3].data);
		header->always = true;
	}
	if (!settings->last)
		settings->last = &settings->first;
	*settings->last = header;
	settings->last = &header->next;
	return 0;
}

static int
merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct headers_settings *own = settings;

	if (!own->first && parent)
		own->first = ((const struct headers_settings *)parent)->first;
	return 0;
}

static bool
status_is_named(uint16_t status)
{
	switch (status) {
	case 200:
	case 201:
	case 204:
	case 206:
	case 301:
	case 302:
	case 303:
	case 304:
	case 307:
	case 308:
		return true;
	default:
		return false;
	}
}

static struct config_module module;

static void
add_headers(struct proxy_exchange *x, struct proxy_head_writer *head)
{
	const struct headers_settings *settings = proxy_exchange_settings(x, &module);

	for (const struct added_header *h = settings->first; h; h = h->next) {
		size_t start = head->len;

		if (!h->always && !status_is_named(x->status))
			continue;
		proxy_head_put(head, h->name);
		proxy_head_literal(head, ": ");
		if (proxy_head_value(head, h->value, x, proxy_escape_field) == 0) {
			head->len = start; /* nginx adds no empty fields */
			continue;
		}
		proxy_head_literal(head, "\r\n");
	}
}

static const struct config_directive directives[] = {
	{ "add_header", CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION, 2, 3, 0, 0, set_add_header },
	{ 0 },
};

static struct config_module module = {
	.name = "headers",
	.contexts = CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION,
	.settings_size = sizeof(struct headers_settings),
	.merge = merge,
	.directives = directives,
};

const struct proxy_filter headers_filter = {
	.name = "headers",
	.module = &module,
	.response_head = add_headers,
};
