/* PCRE2 without the heap at match time. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/internal.h"

/* How much backtracking one match may do: some milliseconds of work, far beyond what any sane expression needs for a
 * URI. PCRE2's own default (ten million) lets one request hold an lcore for a large part of a second. */
#define MATCH_LIMIT 1000000

/* For the match data (some 700 bytes for 32 pairs) and the interpreter's frames, some 150 bytes plus 16 per group each:
 * a depth of several hundred. */
#define MATCH_MEMORY (96 * 1024)
#define MATCH_PAIRS (CONFIG_REGEX_GROUPS_MAX + 1)

struct config_regex {
	pcre2_code *code;
	uint8_t groups; /* without the whole match */
	uint8_t name_count;
	struct config_regex_name names[];
};

/* What PCRE2 takes during a match: never given back one by one, but all at once when the next match begins. */
static _Thread_local struct {
	_Alignas(16) uint8_t block[MATCH_MEMORY];
	size_t used;
	bool matching;
} match_memory;

static pcre2_general_context *general_context;
static pcre2_match_context *match_context;

static void *
match_allocate(size_t size, void *unused)
{
	size_t rounded = (size + 15) & ~(size_t)15;
	void *memory = match_memory.block + match_memory.used;

	(void)unused;
	if (!match_memory.matching)
		return malloc(size); /* the context itself, made once */
	if (rounded < size || rounded > MATCH_MEMORY - match_memory.used)
		return NULL;
	match_memory.used += rounded;
	return memory;
}

static void
match_release(void *memory, void *unused)
{
	(void)unused;
	if (!match_memory.matching)
		free(memory);
}

/* By the control thread before the first expression exists, and so before any thread can match. */
static void
contexts_make_once(void)
{
	if (match_context)
		return;
	general_context = pcre2_general_context_create(match_allocate, match_release, NULL);
	match_context = pcre2_match_context_create(NULL);
	if (!general_context || !match_context) {
		fprintf(stderr, "weir: out of memory (PCRE2)\n");
		exit(EXIT_FAILURE);
	}
	pcre2_set_match_limit(match_context, MATCH_LIMIT);
}

static void
code_release(void *code)
{
	pcre2_code_free(code);
}

static int
fail_compile(struct config_directive_call *call, struct bytes pattern, int error, size_t offset)
{
	char reason[256];

	pcre2_get_error_message(error, (PCRE2_UCHAR *)reason, sizeof(reason));
	if (offset >= pattern.len)
		return config_fail(call, "pcre2_compile() failed: %s in \"%.*s\"", reason, (int)pattern.len,
				   (const char *)pattern.data);
	return config_fail(call, "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"", reason, (int)pattern.len,
			   (const char *)pattern.data, (int)(pattern.len - offset),
			   (const char *)pattern.data + offset);
}

/* PCRE2's table: per name two bytes of group number, then the name with its zero. */
static int
names_read(struct config_directive_call *call, struct config_regex *regex)
{
	uint32_t entry_size;
	const uint8_t *entry;

	pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &entry_size);
	pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &entry);
	for (uint8_t i = 0; i < regex->name_count; i++, entry += entry_size) {
		struct config_regex_name *name = &regex->names[i];

		name->group = entry[1];
		name->name = arena_copy(config_arena(call->config), bytes_of_string((const char *)entry + 2));
		if (config_variable_add_capture(call, name->name, &name->slot) < 0)
			return -EINVAL;
	}
	return 0;
}

struct config_regex *
config_regex_compile(struct config_directive_call *call, struct bytes pattern, bool ignore_case)
{
	struct arena *arena = config_arena(call->config);
	uint32_t options = ignore_case ? PCRE2_CASELESS : 0, groups = 0, names = 0;
	struct config_regex *regex;
	pcre2_code *code;
	size_t offset;
	int error;

	contexts_make_once();
	code = pcre2_compile(pattern.len ? pattern.data : (const uint8_t *)"", pattern.len, options, &error, &offset,
			     NULL);
	if (!code) {
		fail_compile(call, pattern, error, offset);
		return NULL;
	}
	arena_on_free(arena, code_release, code);
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &names);
	if (groups > CONFIG_REGEX_GROUPS_MAX || names > CONFIG_REGEX_GROUPS_MAX) {
		config_fail(call, "more than %d groups in \"%.*s\"", CONFIG_REGEX_GROUPS_MAX, (int)pattern.len,
			    (const char *)pattern.data);
		return NULL;
	}
	/* An expression that JIT cannot take is interpreted. */
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	regex = arena_alloc(arena, sizeof(*regex) + names * sizeof(regex->names[0]));
	regex->code = code;
	regex->groups = (uint8_t)groups;
	regex->name_count = (uint8_t)names;
	return names_read(call, regex) < 0 ? NULL : regex;
}

int
config_regex_match(const struct config_regex *regex, struct bytes text, size_t *offsets, size_t max_groups)
{
	size_t count = regex->groups + 1u;
	pcre2_match_data *match;
	const PCRE2_SIZE *pairs;
	int matched;

	match_memory.used = 0;
	match_memory.matching = true;
	match = pcre2_match_data_create(MATCH_PAIRS, general_context);
	matched = pcre2_match(regex->code, text.len ? text.data : (const uint8_t *)"", text.len, 0, 0, match,
			      match_context);
	match_memory.matching = false;
	if (matched < 0)
		return matched == PCRE2_ERROR_NOMATCH ? 0 : matched;
	pairs = pcre2_get_ovector_pointer(match);
	/* PCRE2 leaves groups above the last one that took part to us; it sets the others to PCRE2_UNSET, SIZE_MAX. */
	for (size_t i = 0; i < count && i < max_groups; i++) {
		offsets[2 * i] = i < (size_t)matched ? pairs[2 * i] : SIZE_MAX;
		offsets[2 * i + 1] = i < (size_t)matched ? pairs[2 * i + 1] : SIZE_MAX;
	}
	return (int)count;
}

int
config_regex_group(const struct config_regex *regex, struct bytes name)
{
	for (uint8_t i = 0; i < regex->name_count; i++)
		if (bytes_equal_ignoring_case(regex->names[i].name, name))
			return regex->names[i].group;
	return -1;
}

const struct config_regex_name *
config_regex_names(const struct config_regex *regex, size_t *count)
{
	*count = regex->name_count;
	return regex->names;
}
