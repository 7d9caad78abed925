#include "proxy/settings/map.h"

#include <errno.h>

#include "proxy/settings/names.h"

/* What a source may be long, in bytes; a longer one is like none of the keys. */
#define SOURCE_MAX 2048
/* Maps in maps. */
#define DEPTH_MAX 16

struct map {
	struct bytes variable;
	struct config_value *source;
	struct proxy_map_row *rows, **rows_end, *fallback;
	uint32_t row_count;
	bool hostnames;
	struct proxy_names names;
	struct proxy_map_row **regexes;
	uint32_t regex_count;
	struct map *next;
};

struct map_settings {
	struct map *maps, *last;
};

/* ---- lcores ---- */

static const struct proxy_map_row *
find_row(const struct map *map, struct bytes source, struct bytes lower)
{
	const struct proxy_map_row *row;
	size_t offsets[2];

	/* A full name may end in a dot. */
	if (map->hostnames && lower.len && lower.data[lower.len - 1] == '.')
		lower.len--;
	row = proxy_names_find(&map->names, lower);
	for (uint32_t i = 0; !row && i < map->regex_count; i++)
		if (config_regex_match(map->regexes[i]->regex, source, offsets, 1) > 0)
			row = map->regexes[i];
	return row ? row : map->fallback;
}

static const struct proxy_map_row *
row_for(const struct map *map, void *subject)
{
	uint8_t source[SOURCE_MAX], lower[SOURCE_MAX];
	size_t len = config_value_write(map->source, subject, source, sizeof(source), CONFIG_MISSING_EMPTY, NULL);

	if (len == SIZE_MAX)
		return map->fallback;
	return find_row(map, bytes_of(source, len), bytes_lower(bytes_of(source, len), lower));
}

static bool
get_mapped(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
	   size_t scratch_size, struct bytes *value)
{
	static _Thread_local unsigned int depth;
	const struct proxy_map_row *row;
	size_t len;

	if (depth == DEPTH_MAX)
		return false;
	depth++;
	row = row_for(variable->data, subject);
	if (!row) {
		*value = bytes_of(scratch, 0);
	} else if (!config_value_constant(row->value, value)) {
		len = config_value_write(row->value, subject, scratch, scratch_size, CONFIG_MISSING_EMPTY, NULL);
		*value = bytes_of(scratch, len == SIZE_MAX ? 0 : len);
	}
	depth--;
	return true;
}

/* ---- the block ---- */

static int
open_map(struct config_directive_call *call)
{
	struct map_settings *settings = call->settings;
	struct arena *arena = config_arena(call->config);
	struct map *map = arena_alloc(arena, sizeof(*map));
	struct config_variable variable = { .get = get_mapped, .data = map, .changeable = true };
	struct bytes name = call->words[2];

	if (name.len < 2 || name.data[0] != '$')
		return config_fail(call, "invalid variable name \"%s\"", (const char *)name.data);
	map->variable = bytes_from(name, 1);
	map->rows_end = &map->rows;
	map->source = config_value_compile(call, call->words[1]);
	variable.name = (const char *)map->variable.data;
	if (!map->source || config_variable_add(call, &variable) < 0)
		return -EINVAL;
	map->next = settings->maps;
	settings->maps = settings->last = map;
	return 0;
}

static int
set_regex(struct config_directive_call *call, struct proxy_map_row *row, struct bytes pattern)
{
	bool ignore_case = pattern.len && pattern.data[0] == '*';
	size_t named;

	row->regex = config_regex_compile(call, bytes_from(pattern, ignore_case), ignore_case);
	if (!row->regex)
		return -EINVAL;
	config_regex_names(row->regex, &named);
	return named ? config_fail(call, "groups with names are not supported in \"map\": what an expression there has "
					 "found is not kept")
		     : 0;
}

static bool
uses_capture(struct bytes text)
{
	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.data[i] == '$' && text.data[i + 1] >= '1' && text.data[i + 1] <= '9')
			return true;
	return false;
}

static int
add_row(struct config_directive_call *call, struct map *map, struct bytes key, struct bytes value)
{
	struct proxy_map_row *row = arena_alloc(config_arena(call->config), sizeof(*row));
	bool is_default = bytes_equal_string(key, "default");

	row->file = call->file;
	row->line = call->line;
	if (uses_capture(value))
		return config_fail(call,
				   "captures are not supported in \"map\": what an expression there has found is not "
				   "kept");
	row->value = config_value_compile(call, value);
	if (!row->value)
		return -EINVAL;
	if (is_default && map->fallback)
		return config_fail(call, "duplicate default map parameter");
	if (key.len && key.data[0] == '~') {
		if (set_regex(call, row, bytes_from(key, 1)) < 0)
			return -EINVAL;
		map->regex_count++;
	} else if (!is_default) {
		row->key = arena_copy_lower(config_arena(call->config),
					    key.len && key.data[0] == '\\' ? bytes_from(key, 1) : key);
	}
	if (is_default)
		map->fallback = row;
	*map->rows_end = row;
	map->rows_end = &row->next;
	map->row_count++;
	return 0;
}

static int
set_row(struct config_directive_call *call)
{
	struct map *map = ((struct map_settings *)call->settings)->last;

	if (call->word_count == 1 && bytes_equal_string(call->words[0], "hostnames")) {
		map->hostnames = true;
		return 0;
	}
	if (call->word_count == 1 && bytes_equal_string(call->words[0], "volatile"))
		return 0; /* as all are */
	if (call->word_count != 2)
		return config_fail(call, "invalid number of the map parameters");
	return add_row(call, map, call->words[0], call->words[1]);
}

/* ---- when all rows are known ---- */

/* A key's place, or places: ".a.b" is "a.b" and "*.a.b". True: another row has one of them. */
static bool
insert(struct map *map, const struct proxy_map_row *row)
{
	struct bytes key = row->key;
	struct proxy_names *names = &map->names;

	if (map->hostnames && key.len > 1 && key.data[0] == '.')
		return proxy_name_insert(&names->exact, bytes_from(key, 1), row) ||
		       proxy_name_insert(&names->head, bytes_from(key, 1), row);
	if (map->hostnames && key.len > 2 && bytes_start_with(key, (struct bytes)BYTES("*.")))
		return proxy_name_insert(&names->head, bytes_from(key, 2), row);
	if (map->hostnames && key.len > 2 && bytes_equal_string(bytes_from(key, key.len - 2), ".*"))
		return proxy_name_insert(&names->tail, bytes_of(key.data, key.len - 2), row);
	return proxy_name_insert(&names->exact, key, row);
}

static int
build(struct config *config, struct map *map)
{
	struct arena *arena = config_arena(config);
	uint32_t regexes = 0;

	proxy_names_init(arena, &map->names, map->row_count);
	map->regexes = arena_alloc(arena, (map->regex_count + 1) * sizeof(*map->regexes));
	for (struct proxy_map_row *row = map->rows; row; row = row->next) {
		if (row->regex)
			map->regexes[regexes++] = row;
		else if (row != map->fallback && insert(map, row))
			return config_fail_at(config, row->file, row->line, "conflicting parameter \"%s\"",
					      (const char *)row->key.data);
	}
	return 0;
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *object)
{
	for (struct map *map = ((struct map_settings *)object)->maps; map; map = map->next)
		if (build(config, map) < 0)
			return -EINVAL;
	return 0;
}

const struct proxy_map_row *
proxy_map_rows(const struct config_scope *scope, struct bytes variable)
{
	const struct map_settings *settings;

	while (!(scope->context & (CONFIG_HTTP | CONFIG_STREAM)))
		scope = scope->parent;
	settings = config_settings(scope, &proxy_map_module);
	for (const struct map *map = settings->maps; map; map = map->next)
		if (bytes_equal_ignoring_case(map->variable, variable))
			return map->rows;
	return NULL;
}

#define SPACES (CONFIG_HTTP | CONFIG_STREAM)

static const struct config_directive directives[] = {
	{ "map", SPACES, 2, 2, CONFIG_BLOCK | CONFIG_ANYWHERE_ROWS, CONFIG_TYPES, open_map, 0, NULL, set_row },
	{ 0 },
};

struct config_module proxy_map_module = {
	.name = "proxy_map",
	.contexts = SPACES,
	.settings_size = sizeof(struct map_settings),
	.merge = settings_merge,
	.directives = directives,
};
