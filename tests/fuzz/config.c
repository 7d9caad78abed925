/*
 * nginx's language from bytes: the whole parse with a small share of the directives, then the values and expressions it
 * compiled. Text alone: `include` is refused, so the file system is never touched.
 */
#include "sample.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_source source = {
		.path = "fuzz", .text = bytes_of(data, size), .unsupported = sample_unsupported, .without_files = true
	};
	struct config *config;
	size_t seen = 0;

	/* The first byte decides whether the rest is a file or the command line's globals. */
	if (size > 0 && data[0] == 'g') {
		source.globals = bytes_from(source.text, 1);
		source.text = (struct bytes)BYTES("events {}");
	}
	config_variables_define(sample_variables);
	sample_captures_bind();
	config = config_parse(&source, sample_modules);
	if (!config_error(config))
		walk(config_root(config), bytes_of(data, size));
	config_each_warning(config, read_warning, &seen);
	config_dump(config, write_nothing, &seen);
	config_free(config);
	return 0;
}
