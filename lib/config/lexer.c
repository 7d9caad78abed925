#include "config/lexer.h"

#include <errno.h>

#include "config/internal.h"

void
config_lexer_init(struct config_lexer *lexer, struct config *config, const char *file, struct bytes text)
{
	*lexer = (struct config_lexer){
		.config = config, .file = file, .cursor = text.data, .end = text.data + text.len, .line = 1
	};
}

unsigned int
config_lexer_line(const struct config_lexer *lexer)
{
	return lexer->parameter ? 0 : lexer->line;
}

#define fail(lexer, ...) config_fail_at((lexer)->config, (lexer)->file, config_lexer_line(lexer), __VA_ARGS__)

static inline bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes one byte; every line feed passes here, whatever it stands in. */
static inline uint8_t
take(struct config_lexer *lexer)
{
	uint8_t c = *lexer->cursor++;

	if (c == '\n')
		lexer->line++;
	return c;
}

static void
skip_blanks_and_comments(struct config_lexer *lexer)
{
	bool comment = false;

	while (lexer->cursor < lexer->end) {
		uint8_t c = *lexer->cursor;

		if (c == '\n')
			comment = false;
		else if (c == '#')
			comment = true;
		else if (!comment && !is_blank(c))
			return;
		take(lexer);
	}
}

/* What stands behind a backslash: itself for quotes and the backslash, a control character for t, r, n; 0 for all others,
 * which keep their backslash ("\." stays "\.", for regular expressions). */
static uint8_t
escape_value(uint8_t c)
{
	switch (c) {
	case '"':
	case '\'':
	case '\\':
		return c;
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	default:
		return 0;
	}
}

static void
words_grow(struct config_lexer *lexer)
{
	size_t capacity = lexer->word_capacity ? 2 * lexer->word_capacity : 16;
	struct bytes *words = arena_alloc(lexer->config->arena, capacity * sizeof(*words));

	if (lexer->word_count)
		memcpy(words, lexer->words, lexer->word_count * sizeof(*words));
	lexer->words = words;
	lexer->word_capacity = capacity;
}

static int
word_add(struct config_lexer *lexer, const uint8_t *raw, size_t raw_len)
{
	uint8_t *word, *out;

	/* Words go to C functions too, which would see only half of such a path or name. */
	if (raw_len && memchr(raw, 0, raw_len))
		return fail(lexer, "unexpected NUL byte");
	if (lexer->word_count == lexer->word_capacity)
		words_grow(lexer);
	word = out = arena_alloc(lexer->config->arena, raw_len + 1);
	for (size_t i = 0; i < raw_len; i++) {
		uint8_t escaped = raw[i] == '\\' && i + 1 < raw_len ? escape_value(raw[i + 1]) : 0;

		*out++ = escaped ? escaped : raw[i];
		i += escaped != 0;
	}
	lexer->words[lexer->word_count++] = bytes_of(word, (size_t)(out - word));
	return 0;
}

static int
fail_end(struct config_lexer *lexer)
{
	if (lexer->parameter)
		return fail(lexer, "unexpected end of parameter, expecting \";\"");
	return fail(lexer, "unexpected end of file, expecting \";\" or \"}\"");
}

/* `quote` is 0 for a plain word. The error is told where the word begins: its end may be far away. */
static int
fail_too_long(struct config_lexer *lexer, const uint8_t *start, unsigned int start_line, uint8_t quote)
{
	lexer->line = start_line;
	if (quote)
		return fail(lexer, "too long parameter, probably missing terminating \"%c\" character", quote);
	return fail(lexer, "too long parameter \"%.10s...\" started", (const char *)start);
}

static int
read_quoted(struct config_lexer *lexer)
{
	uint8_t quote = take(lexer);
	const uint8_t *start = lexer->cursor;
	unsigned int start_line = lexer->line;

	while (lexer->cursor < lexer->end) {
		size_t len = (size_t)(lexer->cursor - start);
		uint8_t c;

		if (len > CONFIG_WORD_MAX)
			return fail_too_long(lexer, start, start_line, quote);
		c = take(lexer);
		if (c == quote) {
			if (word_add(lexer, start, len) < 0)
				return -EINVAL;
			c = lexer->cursor < lexer->end ? *lexer->cursor : ' ';
			/* nginx lets a ')' follow: the end of `if ($x = "y")`. */
			if (!is_blank(c) && c != ';' && c != '{' && c != ')')
				return fail(lexer, "unexpected \"%c\"", c);
			return 0;
		}
		if (c == '\\' && lexer->cursor < lexer->end)
			take(lexer);
	}
	return fail_end(lexer);
}

static int
read_plain(struct config_lexer *lexer)
{
	const uint8_t *start = lexer->cursor;
	unsigned int start_line = lexer->line;
	bool after_dollar = false;

	while (lexer->cursor < lexer->end) {
		size_t len = (size_t)(lexer->cursor - start);
		uint8_t c = *lexer->cursor;

		if (len > CONFIG_WORD_MAX)
			return fail_too_long(lexer, start, start_line, 0);
		/* In "${name}" the brace opens no block. */
		if (is_blank(c) || c == ';' || (c == '{' && !after_dollar))
			return word_add(lexer, start, len);
		after_dollar = c == '$' || (c == '{' && after_dollar);
		take(lexer);
		if (c == '\\' && lexer->cursor < lexer->end)
			take(lexer);
	}
	return fail_end(lexer);
}

enum config_statement
config_lexer_next(struct config_lexer *lexer)
{
	lexer->word_count = 0;
	for (;;) {
		uint8_t c;
		int error;

		skip_blanks_and_comments(lexer);
		if (lexer->cursor == lexer->end) {
			if (lexer->word_count == 0)
				return CONFIG_STATEMENT_END;
			fail_end(lexer);
			return CONFIG_STATEMENT_ERROR;
		}
		c = *lexer->cursor;
		if (c == ';' || c == '{' || c == '}') {
			take(lexer);
			if ((lexer->word_count == 0) != (c == '}')) {
				fail(lexer, "unexpected \"%c\"", c);
				return CONFIG_STATEMENT_ERROR;
			}
			return c == ';'   ? CONFIG_STATEMENT_SIMPLE
			       : c == '{' ? CONFIG_STATEMENT_OPEN
					  : CONFIG_STATEMENT_CLOSE;
		}
		error = c == '"' || c == '\'' ? read_quoted(lexer) : read_plain(lexer);
		if (error < 0)
			return CONFIG_STATEMENT_ERROR;
	}
}

void
config_print_word(FILE *out, const char *word)
{
	if (*word && !strpbrk(word, " \t\r\n;{}\"'\\#")) {
		fputs(word, out);
		return;
	}
	fputc('"', out);
	for (; *word; word++) {
		if (*word == '"' || *word == '\\')
			fputc('\\', out);
		fputc(*word, out);
	}
	fputc('"', out);
}
