/* The ready-made setters. */
#include <errno.h>
#include <inttypes.h>

#include "config/config.h"
#include "config/variable.h"

static void *
field(struct config_directive_call *call)
{
	return (char *)call->settings + call->directive->offset;
}

static int
fail_duplicate(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
}

static int
fail_value(struct config_directive_call *call)
{
	return config_fail(call, "\"%s\" directive invalid value", call->directive->name);
}

int
config_set_flag(struct config_directive_call *call)
{
	struct bytes on = BYTES("on"), off = BYTES("off");
	int *flag = field(call);

	if (*flag != CONFIG_UNSET)
		return fail_duplicate(call);
	if (bytes_equal_ignoring_case(call->words[1], on))
		*flag = 1;
	else if (bytes_equal_ignoring_case(call->words[1], off))
		*flag = 0;
	else
		return config_fail(call, "invalid value \"%s\" in \"%s\" directive, it must be \"on\" or \"off\"",
				   (const char *)call->words[1].data, call->directive->name);
	return 0;
}

int
config_set_number(struct config_directive_call *call)
{
	const struct config_limits *limits = call->directive->extra;
	int64_t *number = field(call);
	uint64_t value;

	if (*number != CONFIG_UNSET)
		return fail_duplicate(call);
	if (!bytes_parse_unsigned(call->words[1], INT64_MAX, &value))
		return config_fail(call, "\"%s\" directive invalid number", call->directive->name);
	*number = (int64_t)value;
	if (!limits || (*number >= limits->least && (limits->most < 0 || *number <= limits->most)))
		return 0;
	if (limits->most < 0)
		return config_fail(call, "value must be equal to or greater than %" PRId64, limits->least);
	return config_fail(call, "value must be between %" PRId64 " and %" PRId64, limits->least, limits->most);
}

int
config_set_size(struct config_directive_call *call)
{
	size_t *size = field(call);

	if (*size != CONFIG_UNSET_SIZE)
		return fail_duplicate(call);
	return config_parse_size(call->words[1], size) < 0 ? fail_value(call) : 0;
}

static int
set_time(struct config_directive_call *call, int (*parse)(struct bytes text, int64_t *out))
{
	int64_t *time = field(call);

	if (*time != CONFIG_UNSET)
		return fail_duplicate(call);
	return parse(call->words[1], time) < 0 ? fail_value(call) : 0;
}

int
config_set_milliseconds(struct config_directive_call *call)
{
	return set_time(call, config_parse_milliseconds);
}

int
config_set_seconds(struct config_directive_call *call)
{
	return set_time(call, config_parse_seconds);
}

int
config_set_string(struct config_directive_call *call)
{
	struct bytes *string = field(call);

	if (string->data)
		return fail_duplicate(call);
	*string = call->words[1];
	return 0;
}

int
config_set_word(struct config_directive_call *call)
{
	int *value = field(call);

	if (*value != CONFIG_UNSET)
		return fail_duplicate(call);
	for (const struct config_word *w = call->directive->extra; w->word; w++)
		if (bytes_equal_ignoring_case(call->words[1], bytes_of_string(w->word))) {
			*value = w->value;
			return 0;
		}
	return config_fail(call, "invalid value \"%s\"", (const char *)call->words[1].data);
}

int
config_set_value(struct config_directive_call *call)
{
	struct config_value **value = field(call);

	if (*value && *value != CONFIG_UNSET_POINTER)
		return fail_duplicate(call);
	*value = config_value_compile(call, call->words[1]);
	return *value ? 0 : -EINVAL;
}
