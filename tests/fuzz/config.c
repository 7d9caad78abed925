/*
 * nginx's language from bytes: the whole parse with a small share of the directives, then the values and expressions it
 * compiled; or `stream` with all of its directives, and the services that come of it. Text alone: `include` is refused and
 * no name is resolved, so neither the file system nor the network is touched.
 */
#include <netdb.h>
#include <stdlib.h>

#include "l4/l4.h"
#include "sample.h"
#include "stream/stream.h"

/* In place of the C library's. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	*out = NULL;
	return EAI_NONAME;
}

static void
write_nothing(void *context, const char *text, size_t len)
{
	*(size_t *)context += len;
}

static void
read_warning(void *context, const char *text)
{
	*(size_t *)context += strlen(text);
}

static void
use(const struct sample_http *http, struct bytes text)
{
	struct sample_subject subject = { .host = "h", .group_count = 2, .groups = { BYTES("whole"), BYTES("one") } };
	uint8_t out[512];
	size_t offsets[8];

	if (http->answer && http->answer != CONFIG_UNSET_POINTER)
		config_value_write(http->answer, &subject, out, sizeof(out), CONFIG_MISSING_DASH, NULL);
	if (http->regex)
		config_regex_match(http->regex, text, offsets, 4);
}

static void
walk(const struct config_scope *scope, struct bytes text)
{
	const struct sample_http *http = config_settings(scope, &sample_http_module);

	if (http)
		use(http, text.len > 64 ? bytes_of(text.data, 64) : text);
	for (const struct config_scope *child = scope->children; child; child = child->next)
		walk(child, text);
}

static bool
no_route(void *context, const struct ip_address *server, struct ip_address *source)
{
	return false;
}

/* Every service is found where it listens. */
static void
use_services(struct config *config)
{
	struct l4_generation_config wanted = { .registry = l4_registry_new(), .config = config, .source_of = no_route };
	struct l4_generation *generation;
	char error[256];

	if (l4_generation_new(&wanted, &generation, error, sizeof(error)) < 0)
		abort();
	for (uint32_t i = 0; i < l4_generation_service_count(generation); i++) {
		const struct l4_service *s = l4_generation_service(generation, i);

		if (l4_service_find(generation, &s->ip, htons(s->port_last), s->ip_protocol) != s)
			abort();
	}
	l4_generation_free(generation);
	l4_registry_free(wanted.registry);
}

static void
parse_stream(struct bytes text)
{
	static struct config_module *const modules[] = { &upstream_module, &stream_module, &l4_module, NULL };
	struct config_source source = { .path = "fuzz", .text = text, .without_files = true };
	struct config *config = config_parse(&source, modules);
	size_t seen = 0;

	config_each_warning(config, read_warning, &seen);
	if (!config_error(config))
		use_services(config);
	config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_source source = {
		.path = "fuzz", .text = bytes_of(data, size), .unsupported = sample_unsupported, .without_files = true
	};
	struct config *config;
	size_t seen = 0;

	/* The first byte decides whether the rest is a file, one of `stream`, or the command line's globals. */
	if (size > 0 && data[0] == 's') {
		parse_stream(bytes_from(source.text, 1));
		return 0;
	}
	if (size > 0 && data[0] == 'g') {
		source.globals = bytes_from(source.text, 1);
		source.text = (struct bytes)BYTES("events {}");
	}
	config_variables_define(CONFIG_HTTP, sample_variables);
	sample_captures_bind();
	config = config_parse(&source, sample_modules);
	if (!config_error(config))
		walk(config_root(config), bytes_of(data, size));
	config_each_warning(config, read_warning, &seen);
	config_dump(config, write_nothing, &seen);
	config_free(config);
	return 0;
}
