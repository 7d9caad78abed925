#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct upstream_group *passed[8];
static size_t passed_count;
static char warnings[1024];

static int
set_pass(struct config_directive_call *call)
{
	uint16_t fallback = call->scope->context == CONFIG_STREAM ? 0 : 80;
	uint16_t port = call->word_count > 2 ? (uint16_t)atoi((const char *)call->words[2].data) : fallback;
	struct upstream_group *group = upstream_group_refer(call, call->words[1], port);

	passed[passed_count++] = group;
	return group ? 0 : -EINVAL;
}

static const struct config_directive rows[] = {
	{ .name = "http", .contexts = CONFIG_MAIN, .kind = CONFIG_BLOCK, .opens = CONFIG_HTTP },
	{ .name = "stream", .contexts = CONFIG_MAIN, .kind = CONFIG_BLOCK, .opens = CONFIG_STREAM },
	{ .name = "pass",
	  .contexts = CONFIG_HTTP | CONFIG_STREAM,
	  .arguments_min = 1,
	  .arguments_max = 2,
	  .set = set_pass },
	{ .name = NULL },
};

static struct config_module test_module = { .name = "test", .directives = rows };

static bool
get_text(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	 size_t scratch_size, struct bytes *value)
{
	*value = bytes_of_string(variable->data);
	return true;
}

static const struct config_variable variables[] = {
	{ .name = "remote_addr", .get = get_text, .data = "192.0.2.1" },
	{ .name = "arg_", .get = get_text, .data = "argument" },
	{ .name = NULL },
};

static struct config *
parse_in(const char *block, const char *text)
{
	static bool defined;
	struct config_module *const modules[] = { &test_module, &upstream_module, NULL };
	struct config_source source = { .path = "test.conf" };
	struct config *config;
	char *whole;

	if (!defined)
		config_variables_define(CONFIG_HTTP, variables);
	defined = true;
	passed_count = 0;
	assert_true(asprintf(&whole, "%s {\n%s\n}\n", block, text) > 0);
	source.text = bytes_of_string(whole);
	config = config_parse(&source, modules);
	free(whole);
	return config;
}

struct config *
fixture_parse(const char *text)
{
	return parse_in("http", text);
}

struct config *
fixture_parse_stream(const char *text)
{
	return parse_in("stream", text);
}

struct config *
fixture_parse_well(const char *text)
{
	struct config *config = fixture_parse(text);

	if (config_error(config))
		fail_msg("%s: %s", text, config_error(config));
	return config;
}

struct upstream_group *
fixture_passed(size_t index)
{
	assert_true(index < passed_count);
	return passed[index];
}

static void
add_warning(void *context, const char *text)
{
	size_t len = strlen(warnings);

	snprintf(warnings + len, sizeof(warnings) - len, "%s\n", text);
}

const char *
fixture_warnings(const struct config *config)
{
	warnings[0] = 0;
	config_each_warning(config, add_warning, NULL);
	return warnings;
}

/* ---- names, in place of the system's resolver (linked with --wrap) ---- */

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out);
void __wrap_freeaddrinfo(struct addrinfo *list);

static struct addrinfo *
address_new(const char *text, struct addrinfo *next)
{
	struct addrinfo *a = calloc(1, sizeof(*a));
	struct sockaddr_storage *storage = calloc(1, sizeof(*storage));
	struct sockaddr_in6 *v6 = (void *)storage;
	struct sockaddr_in *v4 = (void *)storage;

	assert_non_null(a);
	assert_non_null(storage);
	a->ai_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	storage->ss_family = (sa_family_t)a->ai_family;
	inet_pton(a->ai_family, text, a->ai_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr);
	a->ai_addr = (void *)storage;
	a->ai_next = next;
	return a;
}

int
__wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	*out = NULL;
	if (strcmp(name, "one.test") == 0)
		*out = address_new("10.0.0.1", NULL);
	else if (strcmp(name, "two.test") == 0)
		*out = address_new("2001:db8::2", address_new("10.0.0.2", address_new("10.0.0.3", NULL)));
	else if (strcmp(name, "many.test") == 0)
		for (int i = 0; i < 2000; i++)
			*out = address_new("10.0.0.4", *out);
	return *out ? 0 : EAI_NONAME;
}

void
__wrap_freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_addr);
		free(list);
		list = next;
	}
}
