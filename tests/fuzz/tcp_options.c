/*
 * Options of any bytes: parsing stays inside them, and what is understood survives being written and read again.
 */
#include <stdlib.h>
#include <string.h>

#include "tcp/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_options options = { 0 }, again = { 0 };
	uint8_t written[TCP_OPTIONS_MAX], *exact;
	uint32_t len;
	bool syn;

	if (size < 1 || size > 1 + TCP_OPTIONS_MAX)
		return 0;
	syn = data[0] & 1;
	/* A copy of the exact length, so that reading past it is noticed. */
	exact = malloc(size);
	memcpy(exact, data + 1, size - 1);
	tcp_options_parse(exact, (uint32_t)size - 1, syn, &options);
	free(exact);
	len = tcp_options_fit(&options);
	if (len > TCP_OPTIONS_MAX || len % 4)
		abort();
	tcp_options_write(written, &options);
	if (!tcp_options_parse(written, len, syn, &again))
		abort();
	if (again.flags != options.flags || again.sack_count != options.sack_count)
		abort();
	if (options.flags & TCP_OPTION_TIMESTAMP &&
	    (again.timestamp != options.timestamp || again.timestamp_echo != options.timestamp_echo))
		abort();
	if (options.flags & TCP_OPTION_MSS && again.mss != options.mss)
		abort();
	if (memcmp(again.sack, options.sack, options.sack_count * sizeof(options.sack[0])) != 0)
		abort();
	return 0;
}
