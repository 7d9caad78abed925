/*
 * nginx's configuration language: a file becomes a tree of scopes, each with the settings of the modules that live there.
 *
 * A module is a room's (or a folder's) share of the language: a struct of settings for the contexts named, and rows of
 * directives. `app` hands config_parse() the list of all modules; config/ itself knows no directive but `include`.
 *
 * Control thread only. Everything a parse allocates is in its arena and lives as long as the configuration does: other
 * lcores read it through pointers that control publishes.
 *
 * Errors are nginx's: "WORDS in FILE:LINE", collected in config_error() for control to log at emerg (nothing is logged
 * here: a failed reload and `-t` tell it in different places). The first one ends the parse.
 *
 * The order: all statements are applied, then every scope is merged from the outside in, then every scope is finished
 * from the outside in. In each scope modules come in the order of config_parse()'s list.
 *
 * Source: nginx 1.22's grammar as documented and observed (quotes, escapes, comments, blocks, `include` with globs).
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/bytes.h"

struct config;

/* Blocks in blocks, and files that include files: deeper is an error, so that no input exhausts the stack. */
#define CONFIG_NESTING_MAX 64
#define CONFIG_INCLUDES_MAX 32
/* A word as it stands in the file, without its quotes; nginx's limit (its buffer of 4096 with the terminator). */
#define CONFIG_WORD_MAX 4095
/* One file; more is a mistake (a device, an endless pipe). */
#define CONFIG_FILE_MAX (256u << 20)

/* Where a directive may stand, and what kind a scope is. */
enum config_context {
	CONFIG_MAIN = 1 << 0,
	CONFIG_EVENTS = 1 << 1,
	CONFIG_HTTP = 1 << 2,
	CONFIG_SERVER = 1 << 3, /* in http */
	CONFIG_LOCATION = 1 << 4,
	CONFIG_UPSTREAM = 1 << 5, /* in http */
	CONFIG_INTERFACE = 1 << 6,
	CONFIG_TYPES = 1 << 7, /* `types { }`: free-form rows */
	CONFIG_STREAM = 1 << 8,
	CONFIG_STREAM_SERVER = 1 << 9,
	CONFIG_STREAM_UPSTREAM = 1 << 10,
};

struct config_scope {
	enum config_context context;
	struct config_scope *parent; /* NULL for main */
	struct config_scope *next;   /* sibling, in file order */
	struct config_scope *children, *last_child;
	const char *file;    /* where the block was opened */
	unsigned int line;   /* of the brace, as nginx counts; 0 for main */
	struct bytes *words; /* the directive that opened it: words[0] is its name */
	size_t word_count;
	void **settings; /* by module index; NULL where the module does not live in this context */
};

/* A directive being applied. */
struct config_directive_call {
	struct config *config;
	struct config_scope *scope; /* that it stands in */
	const struct config_directive *directive;
	const struct bytes *words; /* words[0] is the name; zero-terminated copies in the arena */
	size_t word_count;
	const char *file;
	unsigned int
		line; /* where the directive ends, as nginx counts; 0: without lines (the command line's globals) */
	/* Settings of the directive's module in `scope`, or NULL where it has none there. */
	void *settings;
	/* For blocks: the scope just opened, with fresh settings; it is the last child of `scope` already, its own
	 * children are not parsed yet. For rows: the block that the row stands in, while scope and settings are those
	 * around the block. */
	struct config_scope *block;
};

enum config_arguments {
	CONFIG_FLAG = 1 << 0,          /* exactly one: on | off */
	CONFIG_BLOCK = 1 << 1,         /* followed by { } that opens a scope of `opens` */
	CONFIG_ANYWHERE_ROWS = 1 << 2, /* in its block every word list is a row: rows go to `row` */
};

struct config_directive {
	const char *name;
	uint32_t contexts;                    /* enum config_context bits */
	uint8_t arguments_min, arguments_max; /* words after the name; 255: no limit */
	uint32_t kind;                        /* enum config_arguments bits */
	enum config_context opens;            /* with CONFIG_BLOCK */
	/* 0, or -EINVAL after config_fail(). With CONFIG_BLOCK: called when the block opens; may be NULL there. Several
	 * modules may have a row of the same name for different contexts; the context picks. */
	int (*set)(struct config_directive_call *call);
	size_t offset;     /* of the field in the settings, for the ready-made setters below */
	const void *extra; /* for setters: table of words, limits, ... */
	int (*row)(struct config_directive_call *call); /* CONFIG_ANYWHERE_ROWS */
};

struct config_module {
	const char *name;
	uint32_t contexts;    /* in which scopes settings exist */
	size_t settings_size; /* zeroed, then init() */
	void (*init)(struct config *config, void *settings);
	/* After a scope's children are parsed and its parent is merged: fills what is unset from `parent` (NULL at the
	 * outermost scope that has settings) or the default. 0, or -EINVAL after config_fail_at(). */
	int (*merge)(struct config *config, struct config_scope *scope, const void *parent, void *settings);
	/* When the whole tree is merged: cross-references, tables. Called per scope, outermost first. */
	int (*finish)(struct config *config, struct config_scope *scope, void *settings);
	const struct config_directive *directives; /* ends with a NULL name; may be NULL */
	size_t index;                              /* set by config_parse(); module pointers must be static objects */
};

/* Fields hold "unset" until set or merged, so that merging and "is duplicate" work. */
#define CONFIG_UNSET (-1) /* int, int64_t, flags */
#define CONFIG_UNSET_SIZE SIZE_MAX
#define CONFIG_UNSET_POINTER ((void *)-1)

struct config_source {
	const char *path;     /* the file; "<command line>" with text */
	struct bytes text;    /* used instead of reading the file when data is not NULL */
	const char *prefix;   /* for relative paths of include, logs, ... ("-p") */
	struct bytes globals; /* "-g": directives of the main context, parsed first ("command line" in messages) */
	/* Rows for directives that Weir does not have yet, or that cannot apply, by name, so that the message can say more
	 * than "unknown directive". Name and reason pairs, ended by NULL; may be NULL. */
	const char *const *unsupported;
	bool without_files; /* text from outside: `include` is refused, the file system is not touched */
};

/* Parses, applies, merges, finishes; stops at the first error. Always returns a config; config_error() tells whether it is
 * usable. `modules` ends with NULL. */
struct config *config_parse(const struct config_source *source, struct config_module *const *modules);
void config_free(struct config *config);

/* NULL when all is well, else the first error, complete with file and line. */
const char *config_error(const struct config *config);
/* Warnings and notes met on the way, one call each ("warn"/"notice" text complete with place). */
void config_each_warning(const struct config *config, void (*each)(void *context, const char *text), void *context);

struct config_scope *config_root(struct config *config);
struct arena *config_arena(struct config *config);
const char *config_prefix(const struct config *config);
/* Relative paths are relative to the prefix (`include` alone goes by the directory of the main file). In the arena. */
const char *config_full_path(struct config *config, struct bytes path);
/* The text of all files read, in nginx's -T form ("# configuration file PATH:" and the file, per file). */
void config_dump(const struct config *config, void (*write)(void *context, const char *text, size_t len),
		 void *context);

static inline void *
config_settings(const struct config_scope *scope, const struct config_module *module)
{
	return scope->settings[module->index];
}

/* The first child of that context, for `http` and `events`; NULL when absent. */
struct config_scope *config_child(const struct config_scope *scope, enum config_context context);

/* Record an error or a warning at the call's place; config_fail returns -EINVAL. */
int config_fail(struct config_directive_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
int config_fail_at(struct config *config, const char *file, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void config_warn(struct config_directive_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void config_warn_at(struct config *config, const char *file, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A word as a configuration has it: in quotes where it needs them. */
void config_print_word(FILE *out, const char *word);

/* ---- ready-made setters: field at directive->offset; each refuses a second use with `"NAME" directive is duplicate` ---- */

int config_set_flag(struct config_directive_call *call);         /* int: 1 or 0 */
int config_set_number(struct config_directive_call *call);       /* int64_t >= 0; extra: struct config_limits or NULL */
int config_set_size(struct config_directive_call *call);         /* size_t: 1024, 8k, 1m, 1g */
int config_set_milliseconds(struct config_directive_call *call); /* int64_t ms: 60, 60s, 1m30s, 500ms */
int config_set_seconds(struct config_directive_call *call);      /* int64_t s */
int config_set_string(struct config_directive_call *call);       /* struct bytes, data NULL while unset */
int config_set_word(struct config_directive_call *call);         /* int, by struct config_word[] in extra */
int config_set_value(struct config_directive_call *call); /* struct config_value *, compiled (config/variable.h) */

struct config_word {
	const char *word; /* NULL ends the table */
	int value;
};

struct config_limits {
	int64_t least, most; /* most -1: no upper limit */
};

/* nginx's number forms; -EINVAL for anything else, and for what does not fit. A time without a unit is in seconds; years
 * and months (y, M) exist in whole seconds only, ms in milliseconds only. */
int config_parse_size(struct bytes text, size_t *out);
int config_parse_milliseconds(struct bytes text, int64_t *out);
int config_parse_seconds(struct bytes text, int64_t *out);

#define config_merge(field, parent_field, unset, fallback)                                                             \
	do {                                                                                                           \
		if ((field) == (unset))                                                                                \
			(field) = (parent_field) == (unset) ? (fallback) : (parent_field);                             \
	} while (0)

#endif
