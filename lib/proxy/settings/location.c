#include <errno.h>
#include <stdlib.h>

#include "proxy/settings/location.h"

struct prefix_entry {
	const struct proxy_location *location;
	int32_t shorter; /* index of the longest other prefix that this one begins with; -1: none */
};

struct proxy_locations {
	const struct proxy_location **exact;   /* sorted by name */
	struct prefix_entry *prefixes;         /* sorted by name */
	const struct proxy_location **regexes; /* in file order */
	uint32_t exact_count, prefix_count, regex_count;
};

static int
compare_bytes(struct bytes a, struct bytes b)
{
	int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int
compare_exact(const void *a, const void *b)
{
	return compare_bytes((*(const struct proxy_location *const *)a)->name,
			     (*(const struct proxy_location *const *)b)->name);
}

static int
compare_prefix(const void *a, const void *b)
{
	return compare_bytes(((const struct prefix_entry *)a)->location->name,
			     ((const struct prefix_entry *)b)->location->name);
}

static int
refuse_duplicate(struct config *config, const struct proxy_location *a, const struct proxy_location *b)
{
	/* The later one in the file is at fault; sorting may have turned them round. */
	const struct proxy_location *later = a->scope->line > b->scope->line ? a : b;

	return config_fail_at(config, later->scope->file, later->scope->line, "duplicate location \"%.*s\"",
			      (int)later->name.len, (const char *)later->name.data);
}

static int
sort_and_link(struct config *config, struct proxy_locations *l)
{
	qsort(l->exact, l->exact_count, sizeof(*l->exact), compare_exact);
	qsort(l->prefixes, l->prefix_count, sizeof(*l->prefixes), compare_prefix);
	for (uint32_t i = 1; i < l->exact_count; i++)
		if (bytes_equal(l->exact[i - 1]->name, l->exact[i]->name))
			return refuse_duplicate(config, l->exact[i - 1], l->exact[i]);
	for (uint32_t i = 0; i < l->prefix_count; i++) {
		struct prefix_entry *entry = &l->prefixes[i];
		int32_t shorter = (int32_t)i - 1;

		if (i && bytes_equal(l->prefixes[i - 1].location->name, entry->location->name))
			return refuse_duplicate(config, l->prefixes[i - 1].location, entry->location);
		while (shorter >= 0 && !bytes_start_with(entry->location->name, l->prefixes[shorter].location->name))
			shorter = l->prefixes[shorter].shorter;
		entry->shorter = shorter;
	}
	return 0;
}

int
proxy_locations_build(struct config *config, struct config_scope *scope, struct proxy_locations **out)
{
	struct arena *arena = config_arena(config);
	struct proxy_locations *l;
	uint32_t count = 0;

	for (struct config_scope *s = scope->children; s; s = s->next)
		count += s->context == CONFIG_LOCATION;
	*out = NULL;
	if (!count)
		return 0;
	l = arena_alloc(arena, sizeof(*l));
	l->exact = arena_alloc(arena, count * sizeof(*l->exact));
	l->prefixes = arena_alloc(arena, count * sizeof(*l->prefixes));
	l->regexes = arena_alloc(arena, count * sizeof(*l->regexes));
	for (struct config_scope *s = scope->children; s; s = s->next) {
		const struct proxy_location *location;

		if (s->context != CONFIG_LOCATION)
			continue;
		location = config_settings(s, &proxy_location_module);
		if (location->kind == PROXY_LOCATION_EXACT)
			l->exact[l->exact_count++] = location;
		else if (location->kind == PROXY_LOCATION_REGEX)
			l->regexes[l->regex_count++] = location;
		else
			l->prefixes[l->prefix_count++].location = location;
	}
	*out = l;
	return sort_and_link(config, l);
}

static const struct proxy_location *
exact_find(const struct proxy_locations *l, struct bytes path)
{
	uint32_t low = 0, high = l->exact_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = compare_bytes(l->exact[middle]->name, path);

		if (order == 0)
			return l->exact[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* The last entry that sorts at or before the path either is a prefix of it, or leads to the longest one that is. */
static const struct proxy_location *
prefix_find(const struct proxy_locations *l, struct bytes path)
{
	uint32_t low = 0, high = l->prefix_count;
	int32_t i;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (compare_bytes(l->prefixes[middle].location->name, path) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (i = (int32_t)low - 1; i >= 0; i = l->prefixes[i].shorter)
		if (bytes_start_with(path, l->prefixes[i].location->name))
			return l->prefixes[i].location;
	return NULL;
}

/* Compares a name with the path and a slash behind it. */
static int
compare_with_slash(struct bytes name, struct bytes path)
{
	int order = memcmp(name.data, path.data, name.len < path.len ? name.len : path.len);

	if (order)
		return order;
	if (name.len <= path.len)
		return -1;
	if (name.data[path.len] != '/')
		return name.data[path.len] < '/' ? -1 : 1;
	return name.len > path.len + 1;
}

/* A proxied "/dir/" answers "/dir" with a redirect, where nothing has just that name. */
static const struct proxy_location *
slash_find(const struct proxy_locations *l, struct bytes path)
{
	for (int exact = 1; exact >= 0; exact--) {
		uint32_t low = 0, high = exact ? l->exact_count : l->prefix_count;

		while (low < high) {
			uint32_t middle = (low + high) / 2;
			const struct proxy_location *location = exact ? l->exact[middle] : l->prefixes[middle].location;
			int order = compare_with_slash(location->name, path);

			if (order == 0 && location->group)
				return location;
			if (order < 0)
				low = middle + 1;
			else
				high = middle;
		}
	}
	return NULL;
}

static bool find_in(const struct proxy_locations *l, struct bytes path, size_t *offsets, size_t max_groups,
		    struct proxy_match *match);

static bool
regex_find(const struct proxy_locations *l, struct bytes path, size_t *offsets, size_t max_groups,
	   struct proxy_match *match)
{
	for (uint32_t i = 0; i < l->regex_count; i++) {
		int groups = config_regex_match(l->regexes[i]->regex, path, offsets, max_groups);

		if (groups <= 0)
			continue;
		match->location = l->regexes[i];
		match->regex = l->regexes[i]->regex;
		match->groups = groups;
		if (match->location->locations)
			find_in(match->location->locations, path, offsets, max_groups, match);
		return true;
	}
	return false;
}

/* True when the search is over: an exact match, a redirect, or a regular expression. `^~` keeps the regular expressions
 * beside it out, not those around the location that it is nested in. */
static bool
find_in(const struct proxy_locations *l, struct bytes path, size_t *offsets, size_t max_groups,
	struct proxy_match *match)
{
	const struct proxy_location *found = exact_find(l, path), *slash = NULL;

	if (found) {
		match->location = found;
		return true;
	}
	found = prefix_find(l, path);
	if (!found || found->name.len != path.len)
		slash = slash_find(l, path);
	if (slash) {
		match->location = slash;
		match->add_slash = true;
		return true;
	}
	if (found)
		match->location = found;
	if (found && found->locations && find_in(found->locations, path, offsets, max_groups, match))
		return true;
	if (found && found->kind == PROXY_LOCATION_PREFERRED)
		return false;
	return regex_find(l, path, offsets, max_groups, match);
}

void
proxy_location_find(const struct proxy_locations *locations, struct bytes path, size_t *offsets, size_t max_groups,
		    struct proxy_match *match)
{
	*match = (struct proxy_match){ 0 };
	if (locations)
		find_in(locations, path, offsets, max_groups, match);
}
