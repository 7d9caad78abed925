#include "config/config.h"

#include <errno.h>
#include <stdio.h>

#include "config/internal.h"

/* The directory of a path with its '/', "" when it has none. */
static const char *
directory_of(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (const char *)arena_copy(arena, bytes_of(path, (size_t)(slash + 1 - path))).data : "";
}

static struct config *
config_new(const struct config_source *source, struct config_module *const *modules)
{
	struct arena *arena = arena_new();
	struct config *config = arena_alloc(arena, sizeof(*config));

	config->arena = arena;
	config->warnings_end = &config->warnings;
	config->files_end = &config->files;
	config->unsupported = source->unsupported;
	config->without_files = source->without_files;
	config->prefix = source->prefix ? (const char *)arena_copy(arena, bytes_of_string(source->prefix)).data : "";
	if (*config->prefix && config->prefix[strlen(config->prefix) - 1] != '/')
		config->prefix = arena_printf(arena, "%s/", config->prefix);
	config->include_directory = source->text.data ? config->prefix : directory_of(arena, source->path);
	config->modules = modules;
	for (; modules[config->module_count]; config->module_count++)
		/* On a reload it is there already, and lcores are reading it. */
		if (modules[config->module_count]->index != config->module_count)
			modules[config->module_count]->index = config->module_count;
	config_rows_build(config);
	config->root = config_scope_open(config, NULL, CONFIG_MAIN);
	return config;
}

static int
parse_globals(struct config *config, struct bytes globals)
{
	struct config_lexer lexer;

	if (globals.len == 0)
		return 0;
	config_lexer_init(&lexer, config, "command line", arena_copy(config->arena, globals));
	lexer.parameter = true;
	return config_parse_text(config, &lexer, config->root, NULL);
}

static int
parse_main_file(struct config *config, const struct config_source *source)
{
	struct config_lexer lexer;
	struct config_file *file;

	if (source->text.data)
		file = config_file_add(config,
				       (const char *)arena_copy(config->arena, bytes_of_string(source->path)).data,
				       arena_copy(config->arena, source->text));
	else if (config_file_read(config, source->path, NULL, 0, &file) < 0)
		return -EINVAL;
	config->root->file = file->path;
	config_lexer_init(&lexer, config, file->path, file->text);
	return config_parse_text(config, &lexer, config->root, NULL);
}

struct config *
config_parse(const struct config_source *source, struct config_module *const *modules)
{
	struct config *config = config_new(source, modules);

	if (parse_globals(config, source->globals) < 0 || parse_main_file(config, source) < 0 ||
	    config_variables_resolve(config) < 0 || config_merge_all(config) < 0 || config_finish_all(config) < 0)
		return config;
	/* Merging and finishing may have compiled values of their own. */
	config_variables_resolve(config);
	return config;
}

void
config_free(struct config *config)
{
	if (config)
		arena_free(config->arena);
}

const char *
config_error(const struct config *config)
{
	return config->error;
}

void
config_each_warning(const struct config *config, void (*each)(void *context, const char *text), void *context)
{
	for (const struct config_warning *w = config->warnings; w; w = w->next)
		each(context, w->text);
}

struct config_scope *
config_root(struct config *config)
{
	return config->root;
}

struct arena *
config_arena(struct config *config)
{
	return config->arena;
}

const char *
config_prefix(const struct config *config)
{
	return config->prefix;
}

const char *
config_full_path(struct config *config, struct bytes path)
{
	if (path.len && path.data[0] == '/')
		return (const char *)arena_copy(config->arena, path).data;
	return arena_printf(config->arena, "%s%.*s", config->prefix, (int)path.len, (const char *)path.data);
}

void
config_dump(const struct config *config, void (*write)(void *context, const char *text, size_t len), void *context)
{
	for (const struct config_file *file = config->files; file; file = file->next) {
		write(context, "# configuration file ", strlen("# configuration file "));
		write(context, file->path, strlen(file->path));
		write(context, ":\n", 2);
		write(context, (const char *)file->text.data, file->text.len);
		write(context, "\n", 1);
	}
}

struct config_scope *
config_child(const struct config_scope *scope, enum config_context context)
{
	struct config_scope *child = scope->children;

	while (child && child->context != context)
		child = child->next;
	return child;
}

static const char *message_at(struct config *config, const char *file, unsigned int line, const char *format,
			      va_list arguments) __attribute__((format(printf, 4, 0)));

static const char *
message_at(struct config *config, const char *file, unsigned int line, const char *format, va_list arguments)
{
	/* Longer than any word: only a message with several long words is cut. */
	char words[2 * CONFIG_WORD_MAX];

	vsnprintf(words, sizeof(words), format, arguments);
	if (!file)
		return arena_printf(config->arena, "%s", words);
	if (line == 0)
		return arena_printf(config->arena, "%s in %s", words, file);
	return arena_printf(config->arena, "%s in %s:%u", words, file, line);
}

/* The first error is the one to tell: what follows may only be its consequence. */
#define fail_va(config, file, line, format)                                                                            \
	do {                                                                                                           \
		va_list arguments;                                                                                     \
                                                                                                                       \
		va_start(arguments, format);                                                                           \
		if (!(config)->error)                                                                                  \
			(config)->error = message_at((config), (file), (line), (format), arguments);                   \
		va_end(arguments);                                                                                     \
	} while (0)

int
config_fail(struct config_directive_call *call, const char *format, ...)
{
	fail_va(call->config, call->file, call->line, format);
	return -EINVAL;
}

int
config_fail_at(struct config *config, const char *file, unsigned int line, const char *format, ...)
{
	fail_va(config, file, line, format);
	return -EINVAL;
}

static void
warn(struct config *config, const char *text)
{
	struct config_warning *warning = arena_alloc(config->arena, sizeof(*warning));

	warning->text = text;
	*config->warnings_end = warning;
	config->warnings_end = &warning->next;
}

void
config_warn(struct config_directive_call *call, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	warn(call->config, message_at(call->config, call->file, call->line, format, arguments));
	va_end(arguments);
}

void
config_warn_at(struct config *config, const char *file, unsigned int line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	warn(config, message_at(config, file, line, format, arguments));
	va_end(arguments);
}
