/*
 * TCP options: end, no-operation, MSS (RFC 9293 section 3.7.1), window scale and timestamps (RFC 7323), SACK-permitted
 * and SACK (RFC 2018). Unknown ones are skipped by their length. Pure functions.
 */
#ifndef TCP_OPTIONS_H
#define TCP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_OPTIONS_MAX 40
#define TCP_SACK_BLOCKS_MAX 4
#define TCP_TIMESTAMP_OPTION_LEN 12 /* with the two no-operations in front */
#define TCP_WINDOW_SCALE_MAX 14

enum tcp_option_flag {
	TCP_OPTION_MSS = 1 << 0,
	TCP_OPTION_WINDOW_SCALE = 1 << 1,
	TCP_OPTION_TIMESTAMP = 1 << 2,
	TCP_OPTION_SACK_PERMITTED = 1 << 3,
	TCP_OPTION_SACK = 1 << 4,
};

struct tcp_sack_block {
	uint32_t start, end;
};

/* What a segment carries, and what one is to carry. Host order. */
struct tcp_options {
	uint32_t timestamp, timestamp_echo;
	uint16_t mss;
	uint8_t window_scale;
	uint8_t flags; /* enum tcp_option_flag: which of the others count */
	uint8_t sack_count;
	struct tcp_sack_block sack[TCP_SACK_BLOCKS_MAX];
};

/* Reads `len` bytes behind the fixed header. Options only a SYN may carry are ignored elsewhere. False when a length
 * contradicts itself or the header; what came before it is in *out. */
bool tcp_options_parse(const uint8_t *data, uint32_t len, bool syn, struct tcp_options *out);

/* Length that tcp_options_write() will need: a multiple of 4, at most TCP_OPTIONS_MAX. Drops SACK blocks that do not
 * fit. */
uint32_t tcp_options_fit(struct tcp_options *options);
/* Writes exactly tcp_options_fit() bytes. */
void tcp_options_write(uint8_t *out, const struct tcp_options *options);

#endif
