/*
 * What the files of config/ share: the configuration under construction, and the steps of a parse. Not for other rooms.
 */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include <stdarg.h>

#include "config/config.h"
#include "config/lexer.h"
#include "config/variable.h"

/* A text read: kept for config_dump() and as the home of the path in messages. */
struct config_file {
	struct config_file *next;
	const char *path;
	struct bytes text;
};

struct config_warning {
	struct config_warning *next;
	const char *text;
};

/* A directive of a module in the table by name; rows of the same name are chained in the order of the modules. */
struct config_row {
	struct config_row *next_same_name;
	const struct config_directive *directive;
	struct config_module *module;
};

struct config_row_table {
	struct config_row **slots;
	size_t mask;
};

struct config_local_variable {
	struct config_local_variable *next;
	struct config_variable variable;
	enum config_context space;
	struct bytes name;
	bool capture; /* a named group: other expressions may have it too */
	uint8_t slot;
};

/* A use of a variable that was not defined yet when its text was compiled. */
struct config_variable_use {
	struct config_variable_use *next;
	enum config_context space;
	struct bytes name;
	const struct config_variable **variable;
	struct bytes *suffix;
	const char *file;
	unsigned int line;
};

struct config {
	struct arena *arena;
	struct config_scope *root;
	struct config_module *const *modules;
	size_t module_count;
	const char *const *unsupported;
	const char *prefix, *include_directory;
	bool without_files;
	struct config_row_table rows;
	unsigned int block_depth, include_depth;

	const char *error;
	struct config_warning *warnings, **warnings_end;
	struct config_file *files, **files_end;

	struct config_local_variable *variables;
	struct config_variable_use *undefined;
	uint8_t named_captures;
};

/* file.c: 0, or -EINVAL with the error told at the place of the `include` (file NULL: the main file, no place). */
int config_file_read(struct config *config, const char *path, const char *file, unsigned int line,
		     struct config_file **out);
struct config_file *config_file_add(struct config *config, const char *path, struct bytes text);
/* The paths of an `include`: sorted matches of a pattern, or the one path. -EINVAL after config_fail(). */
int config_file_expand(struct config_directive_call *call, const char ***paths, size_t *count);

/* parser.c */
int config_parse_text(struct config *config, struct config_lexer *lexer, struct config_scope *scope,
		      struct config_directive_call *rows_of);

/* rows.c */
void config_rows_build(struct config *config);
const struct config_row *config_rows_find(const struct config *config, struct bytes name);

/* merge.c */
struct config_scope *config_scope_open(struct config *config, struct config_scope *parent, enum config_context context);
int config_merge_all(struct config *config);
int config_finish_all(struct config *config);

/* value.c: variables that were used before they were defined. -EINVAL after config_fail_at(). */
int config_variables_resolve(struct config *config);
/* variable.c: the space that a statement is in. */
enum config_context config_variable_space(const struct config_directive_call *call);
/* Exact names first, then prefixes. NULL when there is none. */
const struct config_variable *config_variable_find(const struct config *config, enum config_context space,
						   struct bytes name, struct bytes *suffix);
/* The slot of a named group, defining its variable at first sight. -EINVAL after config_fail(). */
int config_variable_add_capture(struct config_directive_call *call, struct bytes name, uint8_t *slot);
config_capture_fn *config_capture_getter(enum config_context space);

#endif
