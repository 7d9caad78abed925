/* The directives of `upstream`. The balancing methods' rows are made from balance_methods. */
#include <assert.h>
#include <errno.h>

#include "upstream/internal.h"

/* nginx's defaults. */
#define KEEPALIVE_REQUESTS_DEFAULT 1000
#define KEEPALIVE_TIMEOUT_DEFAULT_MS 60000
#define KEEPALIVE_TIME_DEFAULT_MS 3600000

#define UPSTREAM_SPACES (CONFIG_HTTP | CONFIG_STREAM)
#define UPSTREAM_BLOCKS (CONFIG_UPSTREAM | CONFIG_STREAM_UPSTREAM)

static void
settings_init(struct config *config, void *settings)
{
	struct upstream_settings *s = settings;

	s->defined_end = &s->defined;
	s->referred_end = &s->referred;
	s->keepalive = s->keepalive_requests = s->keepalive_timeout_ms = s->keepalive_time_ms = CONFIG_UNSET;
}

static int
set_upstream(struct config_directive_call *call)
{
	struct upstream_settings *space = call->settings;
	struct upstream_settings *own = config_settings(call->block, &upstream_module);

	if (upstream_entry_find(space, call->words[1]))
		return config_fail(call, "duplicate upstream \"%s\"", (const char *)call->words[1].data);
	own->entry = upstream_entry_new(call, call->words[1]);
	*space->defined_end = own->entry;
	space->defined_end = &own->entry->next;
	return 0;
}

/* What it means depends on who refers to the group: of a packet there is nothing but its addresses and ports. */
static int
set_stream_key(struct upstream_group *group, struct bytes key)
{
	group->key_text = key;
	group->by_address = bytes_equal_string(key, "$remote_addr") || bytes_equal_string(key, "${remote_addr}");
	return 0;
}

static int
set_key(struct config_directive_call *call, struct upstream_group *group)
{
	bool written = call->word_count > 1;
	struct bytes key = BYTES("$remote_addr");

	if (written)
		key = call->words[1];
	if (call->scope->context == CONFIG_STREAM_UPSTREAM)
		return written ? set_stream_key(group, key) : 0;
	group->key = config_value_compile(call, key);
	return group->key ? 0 : -EINVAL;
}

/* The method's words: the key where it has one, then its options. */
static int
set_method_words(struct config_directive_call *call, struct upstream_group *group)
{
	const struct balance_method *method = group->method;
	bool has_key = method->properties & BALANCE_NEEDS_KEY;
	size_t first_option = has_key ? 2 : 1;

	group->by_address = method->properties & BALANCE_NEEDS_ADDRESS;
	if (has_key && set_key(call, group) < 0)
		return -EINVAL;
	for (size_t i = first_option; i < call->word_count; i++) {
		const char *word = (const char *)call->words[i].data, *error = "invalid parameter";

		if (!method->option || method->option(word, call->words[i].len, &group->method_options, &error) < 0)
			return config_fail(call, "%s \"%s\"", error, word);
	}
	return 0;
}

static int
set_method(struct config_directive_call *call)
{
	struct upstream_settings *own = call->settings;
	struct upstream_group *group = &own->entry->group;

	/* nginx warns of `keepalive` before the method too, and then forgets `keepalive`; Weir keeps both. */
	if (group->method || own->keepalive != CONFIG_UNSET)
		config_warn(call, "load balancing method redefined");
	group->method = call->directive->extra;
	group->method_options = 0;
	group->key = NULL;
	group->key_text = (struct bytes){ 0 };
	group->method_said = true;
	return set_method_words(call, group);
}

static int
set_keepalive(struct config_directive_call *call)
{
	struct upstream_settings *own = call->settings;
	uint64_t number;

	if (own->keepalive != CONFIG_UNSET)
		return config_fail(call, "\"keepalive\" directive is duplicate");
	if (!bytes_parse_unsigned(call->words[1], INT32_MAX, &number) || number == 0)
		return config_fail(call, "invalid value \"%s\" in \"keepalive\" directive",
				   (const char *)call->words[1].data);
	own->keepalive = (int64_t)number;
	return 0;
}

static int
refuse(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive is not supported by this version of weir: %s", call->directive->name,
			   (const char *)call->directive->extra);
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *settings)
{
	struct upstream_settings *own = settings;
	struct upstream_group *group;

	if (!(scope->context & UPSTREAM_BLOCKS)) {
		own->stream = scope->context == CONFIG_STREAM;
		return 0;
	}
	group = &own->entry->group;
	if (group->primary_count + group->backup_count == 0)
		return config_fail_at(config, scope->file, scope->line, "no servers are inside upstream");
	group->keepalive = own->keepalive == CONFIG_UNSET ? 0 : (uint32_t)own->keepalive;
	config_merge(own->keepalive_requests, CONFIG_UNSET, CONFIG_UNSET, KEEPALIVE_REQUESTS_DEFAULT);
	config_merge(own->keepalive_timeout_ms, CONFIG_UNSET, CONFIG_UNSET, KEEPALIVE_TIMEOUT_DEFAULT_MS);
	config_merge(own->keepalive_time_ms, CONFIG_UNSET, CONFIG_UNSET, KEEPALIVE_TIME_DEFAULT_MS);
	group->keepalive_requests = (uint32_t)own->keepalive_requests;
	group->keepalive_timeout_ms = own->keepalive_timeout_ms;
	group->keepalive_time_ms = own->keepalive_time_ms;
	return 0;
}

static int
settings_finish(struct config *config, struct config_scope *scope, void *settings)
{
	return scope->context & UPSTREAM_SPACES ? upstream_groups_finish(config, settings) : 0;
}

static const struct config_limits requests_limits = { .least = 0, .most = INT32_MAX };

#define IN_UPSTREAM(word, least, most)                                                                                 \
	.name = word, .contexts = CONFIG_UPSTREAM, .arguments_min = least, .arguments_max = most
#define SETTING(field) .offset = offsetof(struct upstream_settings, field)
#define REFUSED(word, where, reason)                                                                                   \
	{                                                                                                              \
		.name = word, .contexts = where, .arguments_max = 255, .set = refuse, .extra = reason                  \
	}

static const struct config_directive fixed_rows[] = {
	{ .name = "upstream",
	  .contexts = CONFIG_HTTP,
	  .arguments_min = 1,
	  .arguments_max = 1,
	  .kind = CONFIG_BLOCK,
	  .opens = CONFIG_UPSTREAM,
	  .set = set_upstream },
	{ .name = "upstream",
	  .contexts = CONFIG_STREAM,
	  .arguments_min = 1,
	  .arguments_max = 1,
	  .kind = CONFIG_BLOCK,
	  .opens = CONFIG_STREAM_UPSTREAM,
	  .set = set_upstream },
	{ .name = "server",
	  .contexts = UPSTREAM_BLOCKS,
	  .arguments_min = 1,
	  .arguments_max = 255,
	  .set = upstream_server_set },
	{ IN_UPSTREAM("keepalive", 1, 1), .set = set_keepalive },
	{ IN_UPSTREAM("keepalive_requests", 1, 1), .set = config_set_number, SETTING(keepalive_requests),
	  .extra = &requests_limits },
	{ IN_UPSTREAM("keepalive_timeout", 1, 1), .set = config_set_milliseconds, SETTING(keepalive_timeout_ms) },
	{ IN_UPSTREAM("keepalive_time", 1, 1), .set = config_set_milliseconds, SETTING(keepalive_time_ms) },
	REFUSED("zone", UPSTREAM_BLOCKS, "every lcore has its own state, nothing is shared between them"),
	REFUSED("state", UPSTREAM_BLOCKS, "servers are listed in the configuration"),
	REFUSED("ntlm", CONFIG_UPSTREAM, "connections are not bound to clients"),
	REFUSED("least_time", UPSTREAM_BLOCKS, "response times are not measured; least_conn is the nearest"),
	REFUSED("sticky", CONFIG_UPSTREAM, "no cookies are set; ip_hash, hash and maglev keep a client at its server"),
	REFUSED("queue", CONFIG_UPSTREAM, "a request that finds no server is answered at once"),
};

#define FIXED_ROWS (sizeof(fixed_rows) / sizeof(fixed_rows[0]))
#define METHOD_ROWS_MAX 32

static struct config_directive rows[FIXED_ROWS + METHOD_ROWS_MAX + 1];

/* Before main(), as the table has to be complete when config_parse() is handed the module. The first method is what a
 * group of http has without being told; in stream another one is, so there it needs its word. */
static void __attribute__((constructor)) rows_build(void)
{
	struct config_directive *row = rows + FIXED_ROWS;

	memcpy(rows, fixed_rows, sizeof(fixed_rows));
	for (const struct balance_method *const *method = balance_methods; *method; method++) {
		bool first = method == balance_methods;

		assert(row < rows + FIXED_ROWS + METHOD_ROWS_MAX);
		*row++ = (struct config_directive){ .name = (*method)->name,
						    .contexts = first ? CONFIG_STREAM_UPSTREAM : UPSTREAM_BLOCKS,
						    .arguments_min = (*method)->words_min,
						    .arguments_max = (*method)->words_max,
						    .set = set_method,
						    .extra = *method };
	}
}

struct config_module upstream_module = {
	.name = "upstream",
	.contexts = UPSTREAM_SPACES | UPSTREAM_BLOCKS,
	.settings_size = sizeof(struct upstream_settings),
	.init = settings_init,
	.merge = settings_merge,
	.finish = settings_finish,
	.directives = rows,
};
