#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

/* strftime() would follow the locale. */
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* A second never seen, so that an empty cache matches nothing. */
#define NO_SECOND UINT64_MAX

struct time_text {
	uint64_t second;
	size_t len;
	char text[LOG_TIME_MAX];
};

typedef size_t time_format_fn(time_t second, char out[LOG_TIME_MAX]);

static inline size_t
time_cached(struct time_text *cache, uint64_t real_ns, char out[LOG_TIME_MAX], time_format_fn *format)
{
	uint64_t second = real_ns / NS_PER_SECOND;

	if (cache->second != second) {
		cache->len = format((time_t)second, cache->text);
		cache->second = second;
	}
	memcpy(out, cache->text, LOG_TIME_MAX);
	return cache->len;
}

static size_t print_tm(char out[LOG_TIME_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

static size_t
print_tm(char out[LOG_TIME_MAX], const char *format, ...)
{
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(out, LOG_TIME_MAX, format, arguments);
	va_end(arguments);
	return len < LOG_TIME_MAX ? (size_t)len : LOG_TIME_MAX - 1;
}

static char
offset_sign(const struct tm *t)
{
	return t->tm_gmtoff < 0 ? '-' : '+';
}

static int
offset_minutes(const struct tm *t)
{
	return (int)((t->tm_gmtoff < 0 ? -t->tm_gmtoff : t->tm_gmtoff) / 60);
}

static size_t
format_local(time_t second, char out[LOG_TIME_MAX])
{
	struct tm t;

	localtime_r(&second, &t);
	return print_tm(out, "%02d/%s/%d:%02d:%02d:%02d %c%02d%02d", t.tm_mday, month_names[t.tm_mon], t.tm_year + 1900,
			t.tm_hour, t.tm_min, t.tm_sec, offset_sign(&t), offset_minutes(&t) / 60,
			offset_minutes(&t) % 60);
}

static size_t
format_iso8601(time_t second, char out[LOG_TIME_MAX])
{
	struct tm t;

	localtime_r(&second, &t);
	return print_tm(out, "%d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
			t.tm_hour, t.tm_min, t.tm_sec, offset_sign(&t), offset_minutes(&t) / 60,
			offset_minutes(&t) % 60);
}

static size_t
format_error(time_t second, char out[LOG_TIME_MAX])
{
	struct tm t;

	localtime_r(&second, &t);
	return print_tm(out, "%d/%02d/%02d %02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
			t.tm_min, t.tm_sec);
}

static size_t
format_http(time_t second, char out[LOG_TIME_MAX])
{
	struct tm t;

	gmtime_r(&second, &t);
	return print_tm(out, "%s, %02d %s %d %02d:%02d:%02d GMT", day_names[t.tm_wday], t.tm_mday,
			month_names[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

size_t
log_time_local(uint64_t real_ns, char out[LOG_TIME_MAX])
{
	static __thread struct time_text cache = { .second = NO_SECOND };

	return time_cached(&cache, real_ns, out, format_local);
}

size_t
log_time_iso8601(uint64_t real_ns, char out[LOG_TIME_MAX])
{
	static __thread struct time_text cache = { .second = NO_SECOND };

	return time_cached(&cache, real_ns, out, format_iso8601);
}

size_t
log_time_error(uint64_t real_ns, char out[LOG_TIME_MAX])
{
	static __thread struct time_text cache = { .second = NO_SECOND };

	return time_cached(&cache, real_ns, out, format_error);
}

size_t
log_time_http(uint64_t real_ns, char out[LOG_TIME_MAX])
{
	static __thread struct time_text cache = { .second = NO_SECOND };

	return time_cached(&cache, real_ns, out, format_http);
}
