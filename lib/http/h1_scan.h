/*
 * Scanning for the HTTP/1 parsers: character classes, and runs of plain text 16 bytes at a time.
 *
 * Private to this room. A scanner never reads at or past `end`.
 */
#ifndef HTTP_H1_SCAN_H
#define HTTP_H1_SCAN_H

#include "http/h1.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bits of http1_classes[]. */
#define HTTP1_IS_TOKEN 1    /* tchar, RFC 9110 section 5.6.2 */
#define HTTP1_IS_METHOD 2   /* nginx's set: A-Z, '-', '_' */
#define HTTP1_IS_HOST 4     /* unreserved and sub-delims, RFC 3986 section 3.2.2; not '%' */
#define HTTP1_BREAKS_PATH 8 /* what normalising a path has to look at: NUL '#' '%' '/' '?' */

extern const uint8_t http1_classes[256];

/* What is left to parse, and why it was refused. */
struct http1_input {
	const uint8_t *at, *end;
	enum http1_error error;
	uint64_t repeated; /* bit per enum http_field_id that came more than once */
};

static inline enum http1_result
http1_refuse(struct http1_input *in, enum http1_error error)
{
	in->error = error;
	return HTTP1_BAD;
}

/* `lower` has no upper-case letter. The bit that makes a letter lower case is forced on where `lower` has a letter. */
static inline bool
http1_word_matches(const uint8_t *at, const char *lower)
{
	uint64_t word, expected;

	memcpy(&word, at, 8);
	memcpy(&expected, lower, 8);
	return (word | ((expected & 0x4040404040404040ull) >> 1)) == expected;
}

/* Ignoring the case of `text`; `lower` is of letters, digits and dashes. */
static inline bool
http1_text_is(struct bytes text, const char *lower, size_t len)
{
	if (text.len != len)
		return false;
	if (len < 8) {
		for (size_t i = 0; i < len; i++)
			if ((text.data[i] | ((lower[i] & 0x40) >> 1)) != lower[i])
				return false;
		return true;
	}
	for (size_t i = 0; i + 8 < len; i += 8)
		if (!http1_word_matches(text.data + i, lower + i))
			return false;
	return http1_word_matches(text.data + len - 8, lower + len - 8);
}

#define HTTP1_TEXT_IS(text, literal) http1_text_is(text, literal, sizeof(literal) - 1)

static inline const uint8_t *
http1_skip_class(const uint8_t *at, const uint8_t *end, uint8_t class)
{
	while (at < end && (http1_classes[*at] & class))
		at++;
	return at;
}

/* Over a token. Field names are mostly letters and dashes: those go 16 at a time, the rest by the table. */
static inline const uint8_t *
http1_skip_token(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
	if (end - at >= 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
		__m128i plain = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
					     _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
		at += __builtin_ctz(~(unsigned int)_mm_movemask_epi8(plain));
	}
#endif
	return http1_skip_class(at, end, HTTP1_IS_TOKEN);
}

static inline const uint8_t *
http1_skip_blanks(const uint8_t *at, const uint8_t *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* To the first byte that is at most `low`, or DEL, or one of the two others; inlined with constants. */
static inline __attribute__((always_inline)) const uint8_t *
http1_skip_text(const uint8_t *at, const uint8_t *end, uint8_t low, uint8_t stop_a, uint8_t stop_b)
{
#ifdef __SSE2__
	const __m128i lows = _mm_set1_epi8((char)low), del = _mm_set1_epi8(0x7f);
	const __m128i a = _mm_set1_epi8((char)stop_a), b = _mm_set1_epi8((char)stop_b);

	while (end - at >= 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(x, lows), x), _mm_cmpeq_epi8(x, del));
		hit = _mm_or_si128(hit, _mm_or_si128(_mm_cmpeq_epi8(x, a), _mm_cmpeq_epi8(x, b)));
		unsigned int mask = (unsigned int)_mm_movemask_epi8(hit);
		if (mask)
			return at + __builtin_ctz(mask);
		at += 16;
	}
#endif
	for (; at < end; at++)
		if (*at <= low || *at == 0x7f || *at == stop_a || *at == stop_b)
			break;
	return at;
}

/* CR LF or nothing: `otherwise` is the error for any other byte. */
static inline enum http1_result
http1_line_end(struct http1_input *in, enum http1_error otherwise)
{
	if (in->at == in->end)
		return HTTP1_MORE;
	if (*in->at == '\n')
		return http1_refuse(in, HTTP1_BARE_LINE_FEED);
	if (*in->at != '\r')
		return http1_refuse(in, otherwise);
	if (in->end - in->at < 2)
		return HTTP1_MORE;
	if (in->at[1] != '\n')
		return http1_refuse(in, otherwise);
	in->at += 2;
	return HTTP1_DONE;
}

/* False while parsing again is not worth it: what came since *scanned ends neither head nor start line, and shows no
 * bare line feed. */
bool http1_head_may_end(const uint8_t *data, size_t len, size_t *scanned);

/* Field lines up to and including the empty line. `blanks_before_colon`: tolerated and taken off, for responses. */
enum http1_result http1_parse_fields(struct http1_input *in, struct http_message *message, bool blanks_before_colon);

/* Every forwarded field is looked up in Connection, so what a peer can write there is bounded: all its values
 * together. */
#define HTTP1_CONNECTION_MAX 512

/* What both kinds of message conclude from their fields: keep_alive, upgrade, connection_has_options. */
enum http1_error http1_read_connection(struct http_message *message);

/* Of a Transfer-Encoding that came once, or HTTP1_NONE: chunked alone is known. */
enum http1_error http1_check_transfer_encoding(const struct http_message *message, uint64_t repeated);

#define HTTP1_SEEN(set, id) (((set) >> HTTP_FIELD_##id) & 1)

#endif
