/* Statements become scopes and calls of setters. */
#include <errno.h>

#include "config/internal.h"

static int
fail_unknown(struct config_directive_call *call)
{
	const char *name = (const char *)call->words[0].data;
	const char *const *pair = call->config->unsupported;

	for (; pair && pair[0] && pair[1]; pair += 2)
		if (strcmp(pair[0], name) == 0)
			return config_fail(call, "\"%s\" directive is not supported by this version of weir: %s", name,
					   pair[1]);
	return config_fail(call, "unknown directive \"%s\"", name);
}

/* nginx's order of questions: terminator, then number of words. */
static int
check_form(struct config_directive_call *call, bool block, bool is_open, size_t least, size_t most)
{
	const char *name = (const char *)call->words[0].data;
	size_t arguments = call->word_count - 1;

	if (is_open && !block)
		return config_fail(call, "directive \"%s\" is not terminated by \";\"", name);
	if (!is_open && block)
		return config_fail(call, "directive \"%s\" has no opening \"{\"", name);
	if (arguments < least || (most != 255 && arguments > most))
		return config_fail(call, "invalid number of arguments in \"%s\" directive", name);
	return 0;
}

static int
include_one(struct config_directive_call *call, const char *path, struct config_directive_call *rows_of)
{
	struct config *config = call->config;
	struct config_file *file;
	struct config_lexer lexer;
	int error;

	if (config_file_read(config, path, call->file, call->line, &file) < 0)
		return -EINVAL;
	config_lexer_init(&lexer, config, file->path, file->text);
	/* A file is whole statements: a block neither opens before it nor closes after it. */
	config->include_depth++;
	error = config_parse_text(config, &lexer, call->scope, rows_of);
	config->include_depth--;
	return error;
}

static int
include(struct config_directive_call *call, bool is_open, struct config_directive_call *rows_of)
{
	const char **paths;
	size_t count;

	if (check_form(call, false, is_open, 1, 1) < 0)
		return -EINVAL;
	if (call->config->without_files)
		return config_fail(call, "\"include\" directive is not allowed here");
	if (call->config->include_depth == CONFIG_INCLUDES_MAX)
		return config_fail(call,
				   "\"include\" directives are nested deeper than %d: does a file include itself?",
				   CONFIG_INCLUDES_MAX);
	if (config_file_expand(call, &paths, &count) < 0)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (include_one(call, paths[i], rows_of) < 0)
			return -EINVAL;
	return 0;
}

static int
set_called(struct config_directive_call *call, int (*set)(struct config_directive_call *call))
{
	if (set && set(call) < 0)
		return config_fail(call, "\"%s\" directive is invalid", call->directive->name); /* unless it said why */
	return call->config->error ? -EINVAL : 0;
}

static int parse_statements(struct config_lexer *lexer, struct config_scope *scope,
			    struct config_directive_call *rows_of, bool in_block);

static int
block(struct config_lexer *lexer, struct config_directive_call *call)
{
	struct config *config = call->config;
	bool free_form = call->directive->kind & CONFIG_ANYWHERE_ROWS;
	int error;

	if (config->block_depth == CONFIG_NESTING_MAX)
		return config_fail(call, "blocks are nested deeper than %d", CONFIG_NESTING_MAX);
	call->block = config_scope_open(config, call->scope, call->directive->opens);
	call->block->file = call->file;
	call->block->line = call->line;
	call->block->words = (struct bytes *)(uintptr_t)call->words;
	call->block->word_count = call->word_count;
	if (set_called(call, call->directive->set) < 0)
		return -EINVAL;
	config->block_depth++;
	error = parse_statements(lexer, call->block, free_form ? call : NULL, true);
	config->block_depth--;
	return error;
}

static int
directive(struct config_lexer *lexer, struct config_directive_call *call, bool is_open)
{
	const struct config_row *row = config_rows_find(call->config, call->words[0]);
	bool is_block;

	if (!row)
		return fail_unknown(call);
	while (row && !(row->directive->contexts & call->scope->context))
		row = row->next_same_name;
	if (!row)
		return config_fail(call, "\"%s\" directive is not allowed here", (const char *)call->words[0].data);

	call->directive = row->directive;
	call->settings = call->scope->settings[row->module->index];
	is_block = row->directive->kind & CONFIG_BLOCK;
	if (row->directive->kind & CONFIG_FLAG) {
		if (check_form(call, false, is_open, 1, 1) < 0)
			return -EINVAL;
	} else if (check_form(call, is_block, is_open, row->directive->arguments_min, row->directive->arguments_max) <
		   0) {
		return -EINVAL;
	}
	return is_block ? block(lexer, call) : set_called(call, row->directive->set);
}

static int
row(struct config_directive_call *call, bool is_open, struct config_directive_call *rows_of)
{
	if (is_open)
		return config_fail(call, "unexpected \"{\"");
	if (bytes_equal_string(call->words[0], "include"))
		return include(call, is_open, rows_of);
	call->directive = rows_of->directive;
	call->scope = rows_of->scope;
	call->settings = rows_of->settings;
	call->block = rows_of->block;
	return set_called(call, rows_of->directive->row);
}

static int
statement(struct config_lexer *lexer, struct config_scope *scope, struct config_directive_call *rows_of, bool is_open)
{
	struct config *config = lexer->config;
	struct bytes *words = arena_alloc(config->arena, lexer->word_count * sizeof(*words));
	struct config_directive_call call = { .config = config,
					      .scope = scope,
					      .words = words,
					      .word_count = lexer->word_count,
					      .file = lexer->file,
					      .line = config_lexer_line(lexer) };

	memcpy(words, lexer->words, lexer->word_count * sizeof(*words));
	if (is_open && lexer->parameter)
		return config_fail(&call, "block directives are not supported in -g option");
	if (rows_of)
		return row(&call, is_open, rows_of);
	if (bytes_equal_string(words[0], "include"))
		return include(&call, is_open, NULL);
	return directive(lexer, &call, is_open);
}

static int
parse_statements(struct config_lexer *lexer, struct config_scope *scope, struct config_directive_call *rows_of,
		 bool in_block)
{
	for (;;) {
		enum config_statement kind = config_lexer_next(lexer);

		switch (kind) {
		case CONFIG_STATEMENT_ERROR:
			return -EINVAL;
		case CONFIG_STATEMENT_CLOSE:
			if (in_block)
				return 0;
			return config_fail_at(lexer->config, lexer->file, config_lexer_line(lexer), "unexpected \"}\"");
		case CONFIG_STATEMENT_END:
			if (!in_block)
				return 0;
			return config_fail_at(lexer->config, lexer->file, config_lexer_line(lexer),
					      "unexpected end of file, expecting \"}\"");
		default:
			if (statement(lexer, scope, rows_of, kind == CONFIG_STATEMENT_OPEN) < 0)
				return -EINVAL;
		}
	}
}

int
config_parse_text(struct config *config, struct config_lexer *lexer, struct config_scope *scope,
		  struct config_directive_call *rows_of)
{
	return parse_statements(lexer, scope, rows_of, false);
}
