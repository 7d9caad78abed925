/* Sizes and times as nginx writes them. */
#include <errno.h>

#include "config/config.h"

/* A run of digits from *at on, times `scale`; -EINVAL when there is none or the product passes INT64_MAX. */
static int
digits(struct bytes text, size_t *at, int64_t *value)
{
	size_t start = *at;

	*value = 0;
	for (; *at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9'; (*at)++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, text.data[*at] - '0', value))
			return -EINVAL;
	return *at > start ? 0 : -EINVAL;
}

int
config_parse_size(struct bytes text, size_t *out)
{
	size_t at = 0;
	int64_t value, scale = 1;

	if (digits(text, &at, &value) < 0)
		return -EINVAL;
	if (at < text.len) {
		switch (byte_lower(text.data[at++])) {
		case 'k':
			scale = 1 << 10;
			break;
		case 'm':
			scale = 1 << 20;
			break;
		case 'g':
			scale = 1 << 30;
			break;
		default:
			return -EINVAL;
		}
	}
	if (at != text.len || __builtin_mul_overflow(value, scale, &value))
		return -EINVAL;
	*out = (size_t)value;
	return 0;
}

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* From the largest: a time names each unit at most once, in this order. No unit means seconds, at the end. */
static const struct time_unit {
	char text[3];
	int32_t seconds;
} time_units[] = {
	{ "y", 365 * DAY }, { "M", 30 * DAY }, { "w", 7 * DAY }, { "d", DAY }, { "h", HOUR },
	{ "m", MINUTE },    { "s", 1 },        { "ms", 0 },      { "", 1 },
};
#define UNITS (sizeof(time_units) / sizeof(time_units[0]))
#define UNITS_WHOLE_SECONDS_ONLY 2 /* y and M */

/* The unit at `at`, -1 for a character that starts none. */
static int
unit_at(struct bytes text, size_t *at)
{
	struct bytes rest = bytes_from(text, *at);

	if (rest.len == 0 || rest.data[0] == ' ' || (rest.data[0] >= '0' && rest.data[0] <= '9'))
		return UNITS - 1;
	if (rest.len >= 2 && rest.data[0] == 'm' && rest.data[1] == 's') {
		*at += 2;
		return UNITS - 2;
	}
	for (size_t i = 0; i < UNITS - 2; i++)
		if (rest.data[0] == (uint8_t)time_units[i].text[0]) {
			*at += 1;
			return (int)i;
		}
	return -1;
}

/* `ticks` per second: 1 or 1000. */
static int
parse_time(struct bytes text, int64_t ticks, int64_t *out)
{
	int last = ticks == 1 ? -1 : UNITS_WHOLE_SECONDS_ONLY - 1;
	int64_t total = 0;
	size_t at = 0;

	do {
		int64_t value, scale;
		int unit;

		if (digits(text, &at, &value) < 0)
			return -EINVAL;
		unit = unit_at(text, &at);
		if (unit <= last)
			return -EINVAL;
		scale = time_units[unit].seconds * ticks;
		if (scale == 0) {
			if (ticks == 1)
				return -EINVAL;
			scale = 1;
		}
		if (__builtin_mul_overflow(value, scale, &value) || __builtin_add_overflow(total, value, &total))
			return -EINVAL;
		last = unit;
		while (at < text.len && text.data[at] == ' ')
			at++;
	} while (at < text.len);
	*out = total;
	return 0;
}

int
config_parse_milliseconds(struct bytes text, int64_t *out)
{
	return parse_time(text, 1000, out);
}

int
config_parse_seconds(struct bytes text, int64_t *out)
{
	return parse_time(text, 1, out);
}
