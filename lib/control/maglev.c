#include "control/maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/maglev.h"
#include "control/status.h"
#include "upstream/upstream.h"

#define WEIGHT_MAX 1000000

/* A table and its servers. */
struct table {
	struct balance_server *servers;
	uint32_t *entries; /* per server */
	size_t count;
	struct balance_maglev *maglev;
};

static const struct balance_method *
method(void)
{
	return balance_method_find("maglev", strlen("maglev"));
}

static void
table_free(struct table *table)
{
	free(table->servers);
	free(table->entries);
	free(table->maglev);
}

static int
table_new(struct table *table, size_t count)
{
	memset(table, 0, sizeof(*table));
	table->servers = calloc(count + 1, sizeof(*table->servers));
	table->entries = calloc(count + 1, sizeof(*table->entries));
	return table->servers && table->entries ? 0 : -ENOMEM;
}

/* From the servers, whose keys the table does not own. 0, -ENOMEM, or -EINVAL where there can be no such table. */
static int
table_build(struct table *table, uint32_t size_hint)
{
	size_t size = method()->table_size(table->servers, table->count, 0, size_hint);
	int result;

	if (!size)
		return -EINVAL;
	table->maglev = malloc(size);
	if (!table->maglev)
		return -ENOMEM;
	result = method()->build(table->maglev, table->servers, table->count, 0, size_hint);
	for (uint32_t i = 0; result == 0 && i < table->maglev->size; i++)
		table->entries[table->maglev->entries[i]]++;
	return result;
}

/* ---- table ---- */

/* "10.0.0.1:80=3"; the key is the address in the form that configurations' servers have. */
static int
parse_server(struct control_call *call, const char *word, struct balance_server *server, char *key)
{
	const char *equals = strrchr(word, '=');
	struct bytes address = bytes_of(word, equals ? (size_t)(equals - word) : strlen(word));
	struct endpoint endpoint;
	uint64_t weight = 1;

	if (equals && !bytes_parse_unsigned(bytes_of_string(equals + 1), WEIGHT_MAX, &weight))
		return control_call_fail(call, "invalid weight in \"%.64s\": it must be between 0 and %d", word,
					 WEIGHT_MAX);
	if (endpoint_parse(address, 0, &endpoint) < 0)
		return control_call_fail(call, "invalid server \"%.64s\": it must be ADDRESS:PORT, or ADDRESS alone",
					 word);
	server->key_len = endpoint.port_be ? endpoint_format(&endpoint, key, ENDPOINT_TEXT_MAX)
					   : ip_address_format(&endpoint.ip, key, ENDPOINT_TEXT_MAX);
	server->key = key;
	server->weight = (uint32_t)weight;
	return 0;
}

static int
parse_servers(struct control_call *call, const char *const *words, unsigned int count, struct table *table,
	      char (*keys)[ENDPOINT_TEXT_MAX])
{
	for (unsigned int i = 0; i < count; i++) {
		if (parse_server(call, words[i], &table->servers[i], keys[i]) < 0)
			return -EINVAL;
		for (unsigned int k = 0; k < i; k++)
			if (strcmp(keys[k], keys[i]) == 0)
				return control_call_fail(call, "server \"%s\" stands there twice", keys[i]);
	}
	table->count = count;
	return 0;
}

static int
answer_table(struct control_call *call, const char *const *words, unsigned int count, uint32_t size,
	     struct table *table, char (*keys)[ENDPOINT_TEXT_MAX])
{
	json_t *servers;
	int result = parse_servers(call, words, count, table, keys);

	if (result < 0)
		return result;
	result = table_build(table, size);
	if (result == -EINVAL)
		return control_call_fail(
			call, "no table of %u entries: it must be a prime up to %d, and not less than the servers",
			size ? size : BALANCE_MAGLEV_SIZE_DEFAULT, BALANCE_MAGLEV_SIZE_MAX);
	if (result < 0)
		return control_call_fail(call, "out of memory");
	servers = json_array();
	for (size_t i = 0; i < table->count; i++)
		json_array_append_new(
			servers,
			json_pack("{s:s,s:I,s:I,s:f}", "server", table->servers[i].key, "weight",
				  (json_int_t)table->servers[i].weight, "entries", (json_int_t)table->entries[i],
				  "share", table->maglev->size ? (double)table->entries[i] / table->maglev->size : 0));
	json_object_set_new(call->answer, "size", json_integer(table->maglev->size));
	json_object_set_new(call->answer, "servers", servers);
	return 0;
}

int
control_maglev_table(struct control_call *call)
{
	const char *const *words = call->words;
	unsigned int count = call->count;
	char(*keys)[ENDPOINT_TEXT_MAX];
	struct table table;
	uint64_t size = 0;
	int result;

	/* In front of the servers, of which there may be thousands. */
	if (strcmp(words[0], "--size") == 0) {
		if (count < 2 || !bytes_parse_unsigned(bytes_of_string(words[1]), BALANCE_MAGLEV_SIZE_MAX, &size) ||
		    !size)
			return control_call_fail(call, "--size must be a prime up to %d", BALANCE_MAGLEV_SIZE_MAX);
		words += 2;
		count -= 2;
	}
	if (!count)
		return control_call_fail(call, "usage: %s %s", call->command->name, call->command->arguments);
	keys = calloc(count, sizeof(*keys));
	result = table_new(&table, count);
	if (result < 0 || !keys)
		result = control_call_fail(call, "out of memory");
	else
		result = answer_table(call, words, count, (uint32_t)size, &table, keys);
	table_free(&table);
	free(keys);
	return result;
}

void
control_maglev_table_render(const json_t *answer, FILE *out)
{
	json_t *server;
	size_t index;

	json_array_foreach(json_object_get(answer, "servers"), index, server)
		fprintf(out, "%s %lld %.3f%%\n", json_string_value(json_object_get(server, "server")),
			(long long)json_integer_value(json_object_get(server, "entries")),
			json_number_value(json_object_get(server, "share")) * 100);
}

/* ---- diff ---- */

static bool
add_servers(struct table *table, const struct upstream_group *group, uint32_t first, uint32_t last, bool with_down)
{
	bool any = false;

	for (uint32_t i = first; i < last; i++) {
		const struct upstream_server *server = &group->servers[i];

		if ((server->down && !with_down) || server->weight == 0)
			continue;
		table->servers[table->count++] =
			(struct balance_server){ .key = (const char *)server->address_text.data,
						 .key_len = server->address_text.len,
						 .weight = server->weight };
		any = true;
	}
	return any;
}

/* `group` NULL: it has no entries. */
static int
table_of(struct table *table, const struct upstream_group *group, bool stream)
{
	uint32_t all = group ? group->primary_count + group->backup_count : 0;
	int result = table_new(table, all);

	if (result < 0 || !group)
		return result;
	if (!add_servers(table, group, 0, group->primary_count, !stream) && stream)
		add_servers(table, group, group->primary_count, all, false);
	return table->count ? table_build(table, 0) : 0;
}

static const struct balance_server *
owner(const struct table *table, uint32_t entry)
{
	return table->count ? &table->servers[table->maglev->entries[entry]] : NULL;
}

static bool
same(const struct balance_server *a, const struct balance_server *b)
{
	return a && b && a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* The server's place in `table`; -1: it is not there. */
static ptrdiff_t
place_of(const struct table *table, const struct balance_server *server)
{
	for (size_t i = 0; i < table->count; i++)
		if (same(&table->servers[i], server))
			return (ptrdiff_t)i;
	return -1;
}

struct movement {
	uint32_t *lost, *gained; /* per server of the old table, of the new one */
	uint32_t moved;
	uint32_t disturbed; /* of these, away from a server that stays */
};

static void
compare(const struct table *old, const struct table *new, struct movement *movement)
{
	uint32_t size = old->count ? old->maglev->size : new->count ? new->maglev->size : 0;
	bool *stays = calloc(old->count + 1, sizeof(*stays));

	for (size_t i = 0; stays && i < old->count; i++)
		stays[i] = place_of(new, &old->servers[i]) >= 0;
	for (uint32_t i = 0; i < size; i++) {
		const struct balance_server *before = owner(old, i), *after = owner(new, i);

		if (same(before, after))
			continue;
		movement->moved++;
		if (before) {
			movement->lost[before - old->servers]++;
			movement->disturbed += stays && stays[before - old->servers];
		}
		if (after)
			movement->gained[after - new->servers]++;
	}
	free(stays);
}

static void
append_server(json_t *list, const struct balance_server *server, uint32_t before, uint32_t after, uint32_t lost,
	      uint32_t gained)
{
	struct bytes key = bytes_of(server->key, server->key_len);

	json_array_append_new(list, json_pack("{s:o,s:I,s:I,s:I,s:I}", "server", control_text(key), "old",
					      (json_int_t)before, "new", (json_int_t)after, "lost", (json_int_t)lost,
					      "gained", (json_int_t)gained));
}

static json_t *
movement_rows(const struct table *old, const struct table *new, const struct movement *movement)
{
	json_t *list = json_array();

	for (size_t i = 0; i < old->count; i++) {
		ptrdiff_t place = place_of(new, &old->servers[i]);

		append_server(list, &old->servers[i], old->entries[i], place < 0 ? 0 : new->entries[place],
			      movement->lost[i], place < 0 ? 0 : movement->gained[place]);
	}
	for (size_t i = 0; i < new->count; i++)
		if (place_of(old, &new->servers[i]) < 0)
			append_server(list, &new->servers[i], 0, new->entries[i], 0, movement->gained[i]);
	return list;
}

static int
diff_group(struct control_call *call, const struct upstream_group *a, const struct upstream_group *b, bool stream)
{
	const struct upstream_group *named = a ? a : b;
	struct table old = { 0 }, new = { 0 };
	struct movement movement = { 0 };
	int result = table_of(&old, a, stream);

	if (result == 0)
		result = table_of(&new, b, stream);
	if (result == 0) {
		movement.lost = calloc(old.count + 1, sizeof(*movement.lost));
		movement.gained = calloc(new.count + 1, sizeof(*movement.gained));
		result = movement.lost && movement.gained ? 0 : -ENOMEM;
	}
	if (result == 0) {
		const struct table *sized = old.count ? &old : &new;

		compare(&old, &new, &movement);
		json_array_append_new(json_object_get(call->answer, "groups"),
				      json_pack("{s:o,s:s,s:s,s:I,s:I,s:I,s:o}", "group", control_text(named->name),
						"context", stream ? "stream" : "http", "change",
						!a   ? "added"
						: !b ? "removed"
						     : "kept",
						"entries", (json_int_t)(sized->count ? sized->maglev->size : 0),
						"moved", (json_int_t)movement.moved, "disturbed",
						(json_int_t)movement.disturbed, "servers",
						movement_rows(&old, &new, &movement)));
	} else {
		control_call_fail(call, "upstream \"%s\": %s", (const char *)named->name.data,
				  result == -EINVAL ? "its servers have no Maglev table" : "out of memory");
	}
	free(movement.lost);
	free(movement.gained);
	table_free(&old);
	table_free(&new);
	return result;
}

static bool
has_table(const struct upstream_group *group, bool stream)
{
	return group && (stream || group->method == method());
}

/* Groups of the old configuration with what became of them, then those that are new. */
static int
diff_groups(struct control_call *call, struct config *old, struct config *new, bool stream)
{
	struct upstream_group **(*list)(struct config *, uint32_t *) =
		stream ? upstream_stream_groups : upstream_groups;
	struct upstream_group *(*find)(struct config *, struct bytes) =
		stream ? upstream_stream_group_find : upstream_group_find;
	struct config *const sides[] = { old, new };

	for (int side = 0; side < 2; side++) {
		uint32_t count;
		struct upstream_group **groups = list(sides[side], &count);

		for (uint32_t i = 0; i < count; i++) {
			const struct upstream_group *other = find(sides[!side], groups[i]->name);

			if (!has_table(groups[i], stream))
				continue;
			if (!has_table(other, stream))
				other = NULL;
			if (side == 1 && other)
				continue;
			if (diff_group(call, side ? NULL : groups[i], side ? groups[i] : other, stream) < 0)
				return -EINVAL;
		}
	}
	return 0;
}

int
control_maglev_diff(struct control_call *call)
{
	struct config *configs[2] = { NULL, NULL };
	int result = 0;

	for (int i = 0; i < 2 && result == 0; i++) {
		configs[i] = call->parse(call->words[i], call->error, sizeof(call->error));
		if (!configs[i])
			result = -EINVAL;
	}
	if (result == 0) {
		json_object_set_new(call->answer, "groups", json_array());
		result = diff_groups(call, configs[0], configs[1], true);
	}
	if (result == 0)
		result = diff_groups(call, configs[0], configs[1], false);
	for (int i = 0; i < 2; i++)
		config_free(configs[i]);
	return result;
}

static long long
number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

void
control_maglev_diff_render(const json_t *answer, FILE *out)
{
	json_t *group, *server;
	size_t index, place;

	if (!json_array_size(json_object_get(answer, "groups")))
		fputs("no group has a Maglev table\n", out);
	json_array_foreach(json_object_get(answer, "groups"), index, group)
	{
		fprintf(out, "group %s (%s, %s): %lld of %lld entries move, %lld of them from servers that stay\n",
			json_string_value(json_object_get(group, "group")),
			json_string_value(json_object_get(group, "context")),
			json_string_value(json_object_get(group, "change")), number(group, "moved"),
			number(group, "entries"), number(group, "disturbed"));
		json_array_foreach(json_object_get(group, "servers"), place, server)
			fprintf(out, "    %-24s %lld -> %lld  lost %lld  gained %lld\n",
				json_string_value(json_object_get(server, "server")), number(server, "old"),
				number(server, "new"), number(server, "lost"), number(server, "gained"));
	}
}
