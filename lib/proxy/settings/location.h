/*
 * From a normalised path to a location.
 *
 * nginx's order: an exact location; else the longest prefix; where that prefix is not `^~`, the first regular expression
 * that matches (inside the longest prefix first, then around it) goes before it. `^~` keeps out the expressions beside it,
 * not those around the location that it is nested in. Nested locations likewise.
 * Built by control, looked up by lcores in O(log n) for prefixes.
 */
#ifndef PROXY_LOCATION_H
#define PROXY_LOCATION_H

#include "proxy/settings/settings.h"

struct proxy_locations;

struct proxy_match {
	const struct proxy_location *location; /* NULL: none */
	bool add_slash;                        /* "/dir" asked for where "/dir/" is proxied: redirect there */
	const struct config_regex *regex;
	int groups; /* captures over the path, when a regular expression matched */
};

/* Builds the table of a server's or a location's children; NULL in *out when it has none. 0 or -EINVAL. */
int proxy_locations_build(struct config *config, struct config_scope *scope, struct proxy_locations **out);

void proxy_location_find(const struct proxy_locations *locations, struct bytes path, size_t *offsets, size_t max_groups,
			 struct proxy_match *match);

#endif
