/*
 * `map SOURCE $variable { ... }`: a variable that is one text or another, by what other variables are. Of http and of stream.
 *
 * Built by control, in the configuration's arena; evaluated by lcores, at each use (which nginx does where the map says
 * `volatile`). Maps may use maps; a circle has no value.
 */
#ifndef PROXY_MAP_H
#define PROXY_MAP_H

#include "config/config.h"
#include "config/variable.h"

extern struct config_module proxy_map_module;

/* One row, or `default`. */
struct proxy_map_row {
	struct bytes key; /* in lower case, with its wildcard; empty for `default` */
	struct config_regex *regex;
	struct config_value *value;
	const char *file;
	unsigned int line;
	struct proxy_map_row *next; /* in order of the file */
};

/* The rows of the map that makes the variable of that name, in the space that `scope` is in; NULL: no map does. From when all
 * statements are applied. */
const struct proxy_map_row *proxy_map_rows(const struct config_scope *scope, struct bytes variable);

#endif
