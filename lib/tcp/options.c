#include "tcp/options.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	KIND_END = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WINDOW_SCALE = 3,
	KIND_SACK_PERMITTED = 4,
	KIND_SACK = 5,
	KIND_TIMESTAMP = 8,
};

static uint32_t
read32(const uint8_t *data)
{
	uint32_t value_be;

	memcpy(&value_be, data, 4);
	return ntohl(value_be);
}

static uint8_t *
write32(uint8_t *out, uint32_t value)
{
	uint32_t value_be = htonl(value);

	memcpy(out, &value_be, 4);
	return out + 4;
}

static uint8_t *
write_head(uint8_t *out, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	out[0] = a;
	out[1] = b;
	out[2] = c;
	out[3] = d;
	return out + 4;
}

static void
parse_sack(const uint8_t *data, uint32_t len, struct tcp_options *out)
{
	out->sack_count = 0;
	for (; len >= 8 && out->sack_count < TCP_SACK_BLOCKS_MAX; data += 8, len -= 8)
		out->sack[out->sack_count++] = (struct tcp_sack_block){ read32(data), read32(data + 4) };
	if (out->sack_count)
		out->flags |= TCP_OPTION_SACK;
}

/* One option of `len` bytes, kind and length included. A known kind of a wrong length is ignored, as if unknown. */
static void
parse_one(const uint8_t *data, uint32_t len, bool syn, struct tcp_options *out)
{
	uint8_t kind = data[0];

	if (kind == KIND_TIMESTAMP && len == 10) {
		out->timestamp = read32(data + 2);
		out->timestamp_echo = read32(data + 6);
		out->flags |= TCP_OPTION_TIMESTAMP;
	} else if (kind == KIND_SACK && len >= 10 && !syn) {
		parse_sack(data + 2, len - 2, out);
	} else if (!syn) {
		return;
	} else if (kind == KIND_MSS && len == 4) {
		out->mss = (uint16_t)(data[2] << 8 | data[3]);
		out->flags |= TCP_OPTION_MSS;
	} else if (kind == KIND_WINDOW_SCALE && len == 3) {
		/* Larger shifts are to be read as 14 (RFC 7323 section 2.3). */
		out->window_scale = data[2] > TCP_WINDOW_SCALE_MAX ? TCP_WINDOW_SCALE_MAX : data[2];
		out->flags |= TCP_OPTION_WINDOW_SCALE;
	} else if (kind == KIND_SACK_PERMITTED && len == 2) {
		out->flags |= TCP_OPTION_SACK_PERMITTED;
	}
}

bool
tcp_options_parse(const uint8_t *data, uint32_t len, bool syn, struct tcp_options *out)
{
	out->flags = 0;
	out->sack_count = 0;
	/* The only layout that established connections see without loss. */
	if (len == TCP_TIMESTAMP_OPTION_LEN && read32(data) == 0x0101080a) {
		out->timestamp = read32(data + 4);
		out->timestamp_echo = read32(data + 8);
		out->flags = TCP_OPTION_TIMESTAMP;
		return true;
	}
	while (len > 0) {
		if (data[0] == KIND_END)
			return true;
		if (data[0] == KIND_NOP) {
			data++;
			len--;
			continue;
		}
		if (len < 2 || data[1] < 2 || data[1] > len)
			return false;
		parse_one(data, data[1], syn, out);
		len -= data[1];
		data += data[1];
	}
	return true;
}

uint32_t
tcp_options_fit(struct tcp_options *options)
{
	uint32_t len = 0;

	if (options->flags & TCP_OPTION_MSS)
		len += 4;
	if (options->flags & TCP_OPTION_WINDOW_SCALE)
		len += 4;
	if (options->flags & TCP_OPTION_TIMESTAMP)
		len += TCP_TIMESTAMP_OPTION_LEN;
	if (options->flags & TCP_OPTION_SACK_PERMITTED)
		len += 4;
	if (options->flags & TCP_OPTION_SACK) {
		uint32_t blocks = (TCP_OPTIONS_MAX - len - 4) / 8;

		if (options->sack_count > blocks)
			options->sack_count = (uint8_t)blocks;
		len += 4 + 8u * options->sack_count;
	}
	return len;
}

void
tcp_options_write(uint8_t *out, const struct tcp_options *options)
{
	if (options->flags & TCP_OPTION_MSS)
		out = write_head(out, KIND_MSS, 4, (uint8_t)(options->mss >> 8), (uint8_t)options->mss);
	if (options->flags & TCP_OPTION_SACK_PERMITTED)
		out = write_head(out, KIND_NOP, KIND_NOP, KIND_SACK_PERMITTED, 2);
	if (options->flags & TCP_OPTION_TIMESTAMP) {
		out = write_head(out, KIND_NOP, KIND_NOP, KIND_TIMESTAMP, 10);
		out = write32(out, options->timestamp);
		out = write32(out, options->timestamp_echo);
	}
	if (options->flags & TCP_OPTION_WINDOW_SCALE)
		out = write_head(out, KIND_NOP, KIND_WINDOW_SCALE, 3, options->window_scale);
	if (options->flags & TCP_OPTION_SACK) {
		out = write_head(out, KIND_NOP, KIND_NOP, KIND_SACK, (uint8_t)(2 + 8 * options->sack_count));
		for (uint32_t i = 0; i < options->sack_count; i++) {
			out = write32(out, options->sack[i].start);
			out = write32(out, options->sack[i].end);
		}
	}
}
