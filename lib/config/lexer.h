/*
 * nginx's tokens: statements are words ended by ';', '{' or '}'.
 *
 * Works on a text in memory; the words of a statement are zero-terminated copies in the configuration's arena, with
 * quotes taken off and escapes replaced. Knows no directives.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct config;

enum config_statement {
	CONFIG_STATEMENT_ERROR,  /* told through config_fail_at() */
	CONFIG_STATEMENT_SIMPLE, /* words, then ';' */
	CONFIG_STATEMENT_OPEN,   /* words, then '{' */
	CONFIG_STATEMENT_CLOSE,  /* '}' */
	CONFIG_STATEMENT_END,    /* of the text */
};

struct config_lexer {
	struct config *config;
	const char *file;
	const uint8_t *cursor, *end;
	unsigned int line;
	bool parameter; /* the command line's globals: messages have no line, blocks do not exist */

	/* The statement just read; valid until the next one. */
	struct bytes *words;
	size_t word_count, word_capacity;
};

void config_lexer_init(struct config_lexer *lexer, struct config *config, const char *file, struct bytes text);
enum config_statement config_lexer_next(struct config_lexer *lexer);
/* The line for messages: 0 where they have none. */
unsigned int config_lexer_line(const struct config_lexer *lexer);

#endif
