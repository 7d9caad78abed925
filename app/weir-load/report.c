#include "weir-load/report.h"

#include <errno.h>
#include <jansson.h>

/* ---- numbers as text ---- */

static void
format_scaled(double value, double base, const char *const *units, size_t unit_count, char out[REPORT_TEXT_MAX])
{
	size_t i = 0;

	while (i + 1 < unit_count && value >= base) {
		value /= base;
		i++;
	}
	snprintf(out, REPORT_TEXT_MAX, "%.2f%s", value, units[i]);
}

void
report_format_time(double ns, char out[REPORT_TEXT_MAX])
{
	static const char *const units[] = { "us", "ms", "s" };

	format_scaled(ns / 1000, 1000, units, 3, out);
}

void
report_format_bytes(double bytes, char out[REPORT_TEXT_MAX])
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };

	format_scaled(bytes, 1024, units, 5, out);
}

void
report_format_count(double value, char out[REPORT_TEXT_MAX])
{
	static const char *const units[] = { "", "k", "M", "G" };

	format_scaled(value, 1000, units, 4, out);
}

/* ---- collecting ---- */

void
report_clear(struct report *report)
{
	memset(report, 0, sizeof(*report));
	histogram_clear(&report->latency);
}

void
report_add(struct report *report, const struct load_result *result, uint64_t answered)
{
	double seconds = (double)(result->end_ns - result->begin_ns) / 1e9;

	for (size_t i = 0; i < LOAD_COUNTER_COUNT; i++)
		report->counters[i] += result->counters[i];
	histogram_merge(&report->latency, &result->latency);
	report->answered += answered;
	if (seconds > report->seconds)
		report->seconds = seconds;
	if (!report->problem[0])
		snprintf(report->problem, sizeof(report->problem), "%s", result->problem);
}

static double
per_second(const struct report *report, enum load_counter counter)
{
	return report->seconds > 0 ? (double)report->counters[counter] / report->seconds : 0;
}

static double
resumed_percent(const struct report *report)
{
	const uint64_t *counters = report->counters;

	return counters[LOAD_CONNECTED] ? 100.0 * (double)counters[LOAD_RESUMED] / (double)counters[LOAD_CONNECTED] : 0;
}

/* ---- text ---- */

static const double percentiles[] = { 50, 75, 90, 99, 99.9, 99.99, 100 };

void
report_print_heading(const struct cmdline *cmdline, FILE *out)
{
	fprintf(out, "Running %.4gs test @ %s\n", (double)cmdline->duration_ms / 1000, cmdline->url);
	fprintf(out, "  %u lcore%s and %u connections", cmdline->lcores, cmdline->lcores == 1 ? "" : "s",
		cmdline->connections);
	if (cmdline->rate > 0)
		fprintf(out, ", %.10g requests/s", cmdline->rate);
	fprintf(out, "%s\n", cmdline->close ? ", one for each request" : "");
	fflush(out);
}

static void
print_latency(const struct report *report, const struct cmdline *cmdline, FILE *out)
{
	const struct histogram *latency = &report->latency;
	char average[REPORT_TEXT_MAX], deviation[REPORT_TEXT_MAX], most[REPORT_TEXT_MAX];

	report_format_time(histogram_mean(latency), average);
	report_format_time(histogram_deviation(latency), deviation);
	report_format_time((double)latency->most, most);
	fprintf(out, "  Stats        Avg      Stdev     Max   +/- Stdev\n");
	fprintf(out, "    Latency %9s %9s %9s %7.2f%%\n", average, deviation, most,
		histogram_within_deviation(latency));
	if (!cmdline->latency)
		return;
	fprintf(out, "  Latency Distribution%s\n", cmdline->rate > 0 ? " (from when a request was due)" : "");
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		report_format_time((double)histogram_percentile(latency, percentiles[i]), most);
		fprintf(out, "  %6g%% %9s\n", percentiles[i], most);
	}
}

static void
print_errors(const struct report *report, FILE *out)
{
	const uint64_t *counters = report->counters;
	uint64_t connect = counters[LOAD_CONNECT_REFUSED] + counters[LOAD_CONNECT_TIMED_OUT] +
			   counters[LOAD_CONNECT_UNREACHABLE] + counters[LOAD_CONNECT_NO_PORT];

	if (connect || counters[LOAD_READ] || counters[LOAD_TIMEOUT])
		fprintf(out, "  Socket errors: connect %lu, read %lu, timeout %lu\n", (unsigned long)connect,
			(unsigned long)counters[LOAD_READ], (unsigned long)counters[LOAD_TIMEOUT]);
	if (connect)
		fprintf(out, "  Failed connections: refused %lu, timed out %lu, unreachable %lu, no local port %lu\n",
			(unsigned long)counters[LOAD_CONNECT_REFUSED], (unsigned long)counters[LOAD_CONNECT_TIMED_OUT],
			(unsigned long)counters[LOAD_CONNECT_UNREACHABLE],
			(unsigned long)counters[LOAD_CONNECT_NO_PORT]);
	if (counters[LOAD_TLS])
		fprintf(out, "  Failures of TLS: %lu (%s)\n", (unsigned long)counters[LOAD_TLS], report->problem);
	if (counters[LOAD_BAD_STATUS])
		fprintf(out, "  Non-2xx or 3xx responses: %lu\n", (unsigned long)counters[LOAD_BAD_STATUS]);
	if (counters[LOAD_BAD_ANSWER])
		fprintf(out, "  Answers that are no HTTP/1.1: %lu\n", (unsigned long)counters[LOAD_BAD_ANSWER]);
	if (counters[LOAD_WRONG_SIZE])
		fprintf(out, "  Bodies of a wrong size: %lu\n", (unsigned long)counters[LOAD_WRONG_SIZE]);
}

void
report_print(const struct report *report, const struct cmdline *cmdline, FILE *out)
{
	const uint64_t *counters = report->counters;
	char bytes[REPORT_TEXT_MAX];

	print_latency(report, cmdline, out);
	report_format_bytes((double)counters[LOAD_BYTES], bytes);
	fprintf(out, "  %lu requests in %.2fs, %s read\n", (unsigned long)counters[LOAD_ANSWERS], report->seconds,
		bytes);
	if (cmdline->rate > 0 && counters[LOAD_DUE] > counters[LOAD_ANSWERS])
		fprintf(out, "  Due and not answered in time: %lu of %lu\n",
			(unsigned long)(counters[LOAD_DUE] - counters[LOAD_ANSWERS]),
			(unsigned long)counters[LOAD_DUE]);
	if (cmdline->answer_port)
		fprintf(out, "  %lu requests answered at port %u\n", (unsigned long)report->answered,
			cmdline->answer_port);
	print_errors(report, out);
	if (report->interrupted)
		fprintf(out, "  Interrupted\n");
	fprintf(out, "Requests/sec: %10.2f\n", per_second(report, LOAD_ANSWERS));
	if (cmdline->close)
		fprintf(out, "Connections/sec: %7.2f\n", per_second(report, LOAD_CONNECTED));
	if (cmdline->resume)
		fprintf(out, "Resumed: %14.2f%%\n", resumed_percent(report));
	report_format_bytes(per_second(report, LOAD_BYTES), bytes);
	fprintf(out, "Transfer/sec: %10s\n", bytes);
}

/* ---- JSON ---- */

static json_t *
latency_json(const struct histogram *latency)
{
	json_t *marks = json_object(), *buckets = json_array();
	char name[REPORT_TEXT_MAX];

	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		snprintf(name, sizeof(name), "%g", percentiles[i]);
		json_object_set_new(marks, name,
				    json_integer((json_int_t)histogram_percentile(latency, percentiles[i])));
	}
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (latency->buckets[i])
			json_array_append_new(buckets, json_pack("[I, I]", (json_int_t)histogram_bucket_end(i),
								 (json_int_t)latency->buckets[i]));
	return json_pack("{s:f, s:f, s:I, s:I, s:o, s:o}", "mean", histogram_mean(latency), "stdev",
			 histogram_deviation(latency), "min", (json_int_t)(latency->count ? latency->least : 0), "max",
			 (json_int_t)latency->most, "percentiles", marks, "buckets", buckets);
}

int
report_write_json(const struct report *report, const struct cmdline *cmdline, FILE *out)
{
	json_t *counters = json_object(), *root;
	int result = 0;

	for (size_t i = 0; i < LOAD_COUNTER_COUNT; i++)
		json_object_set_new(counters, load_counter_names[i], json_integer((json_int_t)report->counters[i]));
	root = json_pack("{s:s, s:i, s:i, s:f, s:b, s:f, s:b, s:f, s:f, s:f, s:I, s:o, s:o}", "url", cmdline->url,
			 "lcores", (int)cmdline->lcores, "connections", (int)cmdline->connections, "rate",
			 cmdline->rate, "close", cmdline->close, "seconds", report->seconds, "interrupted",
			 report->interrupted, "requests_per_second", per_second(report, LOAD_ANSWERS),
			 "connections_per_second", per_second(report, LOAD_CONNECTED), "bytes_per_second",
			 per_second(report, LOAD_BYTES), "answered", (json_int_t)report->answered, "counters", counters,
			 "latency_ns", latency_json(&report->latency));
	if (!root)
		return -ENOMEM;
	if (json_dumpf(root, out, JSON_INDENT(1)) < 0 || fputc('\n', out) == EOF)
		result = -EIO;
	json_decref(root);
	return result;
}
