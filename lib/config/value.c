/* Text with variables, compiled to parts. */
#include <errno.h>

#include "config/internal.h"

struct config_part {
	const struct config_variable *variable; /* NULL: literal or capture */
	struct bytes text;                      /* the literal, or the variable's suffix */
	uint8_t capture;                        /* 1..9; 0: none */
};

struct config_value {
	enum config_context space;
	size_t count;
	struct config_part parts[];
};

static inline bool
is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void
variable_refer(struct config_directive_call *call, struct bytes written, struct config_part *part)
{
	struct config *config = call->config;
	enum config_context space = config_variable_space(call);
	struct bytes name = arena_copy_lower(config->arena, written);
	struct config_variable_use *use;

	part->variable = config_variable_find(config, space, name, &part->text);
	if (part->variable)
		return;
	use = arena_alloc(config->arena, sizeof(*use));
	*use = (struct config_variable_use){ .next = config->undefined,
					     .space = space,
					     .name = name,
					     .variable = &part->variable,
					     .suffix = &part->text,
					     .file = call->file,
					     .line = call->line };
	config->undefined = use;
}

int
config_variables_resolve(struct config *config)
{
	const struct config_variable_use *first = NULL;

	/* The list has the last use first; the message is about the first one in the file. */
	for (struct config_variable_use *use = config->undefined; use; use = use->next) {
		*use->variable = config_variable_find(config, use->space, use->name, use->suffix);
		if (!*use->variable)
			first = use;
	}
	config->undefined = NULL;
	if (first)
		return config_fail_at(config, first->file, first->line, "unknown \"%s\" variable",
				      (const char *)first->name.data);
	return 0;
}

/* One "$..." at `at`: its length, 0 when it starts no name, -EINVAL after config_fail(). */
static ptrdiff_t
dollar(struct config_directive_call *call, struct bytes text, size_t at, struct config_part *part)
{
	bool bracket = at + 1 < text.len && text.data[at + 1] == '{';
	size_t start = at + 1 + bracket, end = start;

	if (!bracket && start < text.len && text.data[start] >= '1' && text.data[start] <= '9') {
		part->capture = (uint8_t)(text.data[start] - '0');
		return 2;
	}
	while (end < text.len && is_name_byte(text.data[end]))
		end++;
	if (end == start)
		return 0;
	if (bracket && (end == text.len || text.data[end] != '}'))
		return config_fail(call, "the closing bracket in \"%.*s\" variable is missing", (int)(end - start),
				   (const char *)text.data + start);
	variable_refer(call, bytes_of(text.data + start, end - start), part);
	return (ptrdiff_t)(end + bracket - at);
}

static size_t
count_parts_at_most(struct bytes text)
{
	size_t dollars = 0;

	for (size_t i = 0; i < text.len; i++)
		dollars += text.data[i] == '$';
	return 2 * dollars + 1;
}

static void
literal_end(struct config_value *value, struct bytes text, size_t start, size_t end)
{
	if (end > start)
		value->parts[value->count++].text = bytes_of(text.data + start, end - start);
}

struct config_value *
config_value_compile(struct config_directive_call *call, struct bytes text)
{
	struct arena *arena = call->config->arena;
	size_t parts_size = count_parts_at_most(text) * sizeof(struct config_part), literal_start = 0, at = 0;
	struct config_value *value = arena_alloc(arena, sizeof(*value) + parts_size);

	value->space = config_variable_space(call);
	text = arena_copy(arena, text);
	while (at < text.len) {
		struct config_part part = { 0 };
		ptrdiff_t len = 1;

		if (text.data[at] != '$') {
			at++;
			continue;
		}
		literal_end(value, text, literal_start, at);
		/* The part's final place: variable_refer() may keep its address. */
		len = dollar(call, text, at, &value->parts[value->count]);
		if (len < 0)
			return NULL;
		literal_start = at;
		if (len == 0) {
			config_warn(call, "\"$\" in \"%s\" starts no variable name and stands for itself",
				    (const char *)text.data);
			value->parts[value->count] = part;
			at++;
			continue;
		}
		value->count++;
		at += (size_t)len;
		literal_start = at;
	}
	literal_end(value, text, literal_start, text.len);
	return value;
}

bool
config_value_constant(const struct config_value *value, struct bytes *text)
{
	const struct config_part *only = &value->parts[0];

	if (value->count == 0)
		*text = bytes_of("", 0);
	else if (value->count == 1 && !only->variable && !only->capture)
		*text = only->text;
	else
		return false;
	return true;
}

/* The bytes of a variable or capture; false when it has none. */
static bool
part_get(const struct config_value *value, const struct config_part *part, void *subject, uint8_t *scratch,
	 struct bytes *bytes)
{
	config_capture_fn *capture = config_capture_getter(value->space);

	if (part->capture)
		return capture && capture(subject, part->capture, bytes);
	return part->variable->get(subject, part->variable, part->text, scratch, CONFIG_VARIABLE_SCRATCH, bytes);
}

static size_t
copy_out(uint8_t *out, size_t size, struct bytes in)
{
	if (in.len > size)
		return SIZE_MAX;
	if (in.len)
		memcpy(out, in.data, in.len);
	return in.len;
}

size_t
config_value_write(const struct config_value *value, void *subject, uint8_t *out, size_t size,
		   enum config_missing missing, config_escape_fn *escape)
{
	static const struct bytes dash = BYTES("-");
	size_t len = 0;

	for (const struct config_part *part = value->parts; part < value->parts + value->count; part++) {
		uint8_t scratch[CONFIG_VARIABLE_SCRATCH];
		struct bytes bytes = { NULL, 0 };
		size_t added;

		if (!part->variable && !part->capture)
			added = copy_out(out + len, size - len, part->text);
		else if (part_get(value, part, subject, scratch, &bytes))
			added = escape ? escape(out + len, size - len, bytes) : copy_out(out + len, size - len, bytes);
		else if (missing == CONFIG_MISSING_DASH)
			added = copy_out(out + len, size - len, dash);
		else
			added = 0;
		if (added > size - len)
			return SIZE_MAX;
		len += added;
	}
	return len;
}
