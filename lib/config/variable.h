/*
 * Variables ("$host") and the values compiled from text that contains them.
 *
 * Rooms register variables before the parse (config_variable_define in a module's or the program's set-up); text is
 * compiled once, at parse time; lcores evaluate it per request against a subject (an exchange) that only the getters
 * understand. Evaluation does not allocate: it appends to the caller's buffer and says when that is too small.
 */
#ifndef CONFIG_VARIABLE_H
#define CONFIG_VARIABLE_H

#include "base/bytes.h"
#include "config/config.h"

/*
 * The value of a variable for `subject`. False: the variable has no value ("not found"; prints as "" in headers and as
 * "-" in logs). The bytes must stay valid until the subject's current step ends; `scratch` (scratch_size bytes) may
 * hold a value made on the spot.
 */
#define CONFIG_VARIABLE_SCRATCH 256
struct config_variable {
	const char *name; /* "host"; a name that ends with '_' is a prefix: "http_" gets what follows in `suffix` */
	bool (*get)(void *subject, const struct config_variable *variable, struct bytes suffix, uint8_t *scratch,
		    size_t scratch_size, struct bytes *value);
	const void *data;
	bool changeable; /* a configuration (`map`, a named group) may define a variable of this name */
};

/*
 * As in nginx, http and stream have variables of their own: a name may stand in both, for different subjects. A value belongs to
 * the space that it is compiled in (`call->scope`: below stream it is CONFIG_STREAM, everywhere else CONFIG_HTTP).
 */

/* Makes variables known to all parses that follow; the array is static, ended by a NULL name. At most
 * CONFIG_VARIABLE_SETS calls with different arrays (the same one again changes nothing). */
#define CONFIG_VARIABLE_SETS 16
void config_variables_define(enum config_context space, const struct config_variable *variables);

/* Defines a variable for one configuration, in the space of `call`: the copy in its arena shadows program-wide ones. -EINVAL
 * after config_fail() with nginx's `the duplicate "NAME" variable` when one of that name exists that is not changeable. */
int config_variable_add(struct config_directive_call *call, const struct config_variable *variable);

struct config_value; /* compiled text */

/*
 * Compiles `text`; of `call` only config, scope, file and line are used. Names are as nginx has them: letters, digits and '_',
 * in any case; $1..$9 are captures. As a variable may be defined further down in the file, `unknown "NAME" variable` (with
 * the place of its first use) is told when the whole file is read. NULL after config_fail() for a missing bracket.
 *
 * A '$' that starts no name, which nginx refuses, stands for itself, with a warning.
 */
struct config_value *config_value_compile(struct config_directive_call *call, struct bytes text);

/* True when it is plain text, which is then in *text. */
bool config_value_constant(const struct config_value *value, struct bytes *text);

enum config_missing { CONFIG_MISSING_EMPTY, CONFIG_MISSING_DASH };
/* A piece of escaping applied to variables only (not to literal text): access logs escape what clients send. Returns the
 * length, or SIZE_MAX when it does not fit. */
typedef size_t config_escape_fn(uint8_t *out, size_t size, struct bytes in);

/*
 * Appends the value to out[0..size). Returns the length, or SIZE_MAX when it does not fit (out is then undefined).
 * escape may be NULL.
 */
size_t config_value_write(const struct config_value *value, void *subject, uint8_t *out, size_t size,
			  enum config_missing missing, config_escape_fn *escape);

/*
 * Captures of the last regular expression that matched for a subject: $1..$9. Groups with a name, (?<name>), are
 * variables that keep their value when another expression matches: each name of a configuration has a slot, and is asked
 * for as number CONFIG_CAPTURE_NAMED + slot. The subject keeps both; a function per space is bound once by the room that owns
 * subjects (proxy/).
 */
#define CONFIG_CAPTURE_NAMED 256
#define CONFIG_NAMED_CAPTURES_MAX 32 /* names in one configuration */
typedef bool config_capture_fn(void *subject, unsigned int number, struct bytes *value);
void config_captures_bind(enum config_context space, config_capture_fn *get);

/*
 * ---- regular expressions: PCRE2, JIT compiled at parse time ----
 *
 * A match allocates nothing from the heap: PCRE2's match data and, for expressions that cannot be JIT compiled, its
 * backtracking frames live in a block of thread-local memory, so any thread may match without having been prepared. Time
 * and memory of one match are bounded; beyond the bounds it ends with an error.
 */

#define CONFIG_REGEX_GROUPS_MAX 31

struct config_regex;

/* NULL after config_fail(). Named groups become variables. */
struct config_regex *config_regex_compile(struct config_directive_call *call, struct bytes pattern, bool ignore_case);
/* 0: no match; n > 0: matched, n-1 groups; offsets[2*i], offsets[2*i+1] of group i in `text` (up to max_groups, (size_t)-1
 * for unset ones). Group 0 is the whole match and counts towards max_groups. Negative: error (counts as no match for
 * callers, who log it). */
int config_regex_match(const struct config_regex *regex, struct bytes text, size_t *offsets, size_t max_groups);
/* Group number of a name (any case), or -1. */
int config_regex_group(const struct config_regex *regex, struct bytes name);

/* A group with a name: where it is in a match, and where the subject keeps it. */
struct config_regex_name {
	struct bytes name;
	uint8_t group, slot;
};
/* The named groups of an expression, for subjects to walk after a match. */
const struct config_regex_name *config_regex_names(const struct config_regex *regex, size_t *count);

#endif
