/* The modules' directives by name. */
#include "config/internal.h"

/* FNV-1a, 32 bit: names are a few bytes, and come from our own tables. */
static uint32_t
name_hash(struct bytes name)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ name.data[i]) * 16777619u;
	return hash;
}

static struct config_row **
slot_of(const struct config_row_table *table, struct bytes name)
{
	size_t i = name_hash(name) & table->mask;

	while (table->slots[i] && !bytes_equal_string(name, table->slots[i]->directive->name))
		i = (i + 1) & table->mask;
	return &table->slots[i];
}

static void
row_add(struct config *config, struct config_module *module, const struct config_directive *directive)
{
	struct config_row *row = arena_alloc(config->arena, sizeof(*row));
	struct config_row **place = slot_of(&config->rows, bytes_of_string(directive->name));

	row->directive = directive;
	row->module = module;
	while (*place)
		place = &(*place)->next_same_name;
	*place = row;
}

void
config_rows_build(struct config *config)
{
	size_t count = 0, slots = 16;

	for (size_t i = 0; i < config->module_count; i++)
		for (const struct config_directive *d = config->modules[i]->directives; d && d->name; d++)
			count++;
	while (slots < 2 * count)
		slots *= 2;
	config->rows.mask = slots - 1;
	config->rows.slots = arena_alloc(config->arena, slots * sizeof(*config->rows.slots));
	for (size_t i = 0; i < config->module_count; i++)
		for (const struct config_directive *d = config->modules[i]->directives; d && d->name; d++)
			row_add(config, config->modules[i], d);
}

const struct config_row *
config_rows_find(const struct config *config, struct bytes name)
{
	return *slot_of(&config->rows, name);
}
