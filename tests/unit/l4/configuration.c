#include "configuration.h"

#include <stdio.h>
#include <string.h>

#include "stream/stream.h"
#include "support/cmocka.h"

static char warnings[4096];

struct config *
configuration_parse(const char *text)
{
	static struct config_module *const modules[] = { &upstream_module, &stream_module, &l4_module, NULL };
	struct config_source source = { .path = "t.conf", .text = bytes_of_string(text) };

	return config_parse(&source, modules);
}

struct config *
configuration_parse_well(const char *text)
{
	struct config *config = configuration_parse(text);

	if (config_error(config))
		fail_msg("%s\n got: %s", text, config_error(config));
	return config;
}

void
configuration_assert_error(const char *text, const char *wanted)
{
	struct config *config = configuration_parse(text);
	const char *error = config_error(config);

	if (!error || strcmp(error, wanted) != 0)
		fail_msg("%s\n wanted: %s\n got:    %s", text, wanted, error ? error : "nothing");
	config_free(config);
}

static void
add_warning(void *context, const char *text)
{
	size_t len = strlen(warnings);

	snprintf(warnings + len, sizeof(warnings) - len, "%s\n", text);
}

const char *
configuration_warnings(const struct config *config)
{
	warnings[0] = 0;
	config_each_warning(config, add_warning, NULL);
	return warnings;
}

static bool
source_of(void *context, const struct ip_address *server, struct ip_address *source)
{
	const char *text = ip_address_is_v4(server) ? "192.0.2.1" : "2001:db8::1";

	return ip_address_parse(bytes_of_string(text), source) == 0;
}

struct l4_generation *
configuration_generation(struct l4_registry *registry, struct config *config, const struct l4_generation *previous)
{
	struct l4_generation_config wanted = {
		.registry = registry, .config = config, .previous = previous, .source_of = source_of
	};
	struct l4_generation *generation;
	char error[256] = "";

	if (l4_generation_new(&wanted, &generation, error, sizeof(error)) < 0)
		fail_msg("no generation: %s", error);
	return generation;
}

const struct l4_service *
configuration_service(const struct l4_generation *generation, const char *endpoint, uint8_t ip_protocol)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(bytes_of_string(endpoint), 0, &e), 0);
	return l4_service_find(generation, &e.ip, e.port_be, ip_protocol);
}
