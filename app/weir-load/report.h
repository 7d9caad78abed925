/*
 * What a load was found to be: as text, as wrk prints it, and as JSON.
 */
#ifndef WEIR_LOAD_REPORT_H
#define WEIR_LOAD_REPORT_H

#include <stdio.h>

#include "weir-load/cmdline.h"
#include "weir-load/load.h"

/* The sum over lcores; times are those of the longest. */
struct report {
	uint64_t counters[LOAD_COUNTER_COUNT];
	struct histogram latency;
	uint64_t answered; /* by us as the server */
	double seconds;
	bool interrupted;
	char problem[256]; /* see load_result */
};

void report_clear(struct report *report);
void report_add(struct report *report, const struct load_result *result, uint64_t answered);

/* What is printed before the load begins. */
void report_print_heading(const struct cmdline *cmdline, FILE *out);
void report_print(const struct report *report, const struct cmdline *cmdline, FILE *out);
/* 0 or -errno. */
int report_write_json(const struct report *report, const struct cmdline *cmdline, FILE *out);

/* Room for a time or an amount with its unit. */
#define REPORT_TEXT_MAX 32
/* As wrk has them: "81.32us", "1.20ms", "2.50s"; "512.00B", "1.25MB" (powers of 1024); "12.34k" (of 1000). */
void report_format_time(double ns, char out[REPORT_TEXT_MAX]);
void report_format_bytes(double bytes, char out[REPORT_TEXT_MAX]);
void report_format_count(double count, char out[REPORT_TEXT_MAX]);

#endif
