#include "parse.h"

struct decoded {
	enum http1_result result;
	enum http1_error error;
	size_t consumed, content_len;
	uint8_t content[256];
};

static void
feed(struct http1_body *body, struct bytes piece, struct decoded *out)
{
	while (piece.len && out->result == HTTP1_MORE) {
		size_t consumed, offset, size;
		out->result = http1_body_decode(body, piece.data, piece.len, &consumed, &offset, &size, &out->error);
		assert_true(consumed <= piece.len && offset + size <= consumed);
		assert_true(consumed > 0 || out->result != HTTP1_MORE);
		assert_true(out->content_len + size <= sizeof(out->content));
		memcpy(out->content + out->content_len, piece.data + offset, size);
		out->content_len += size;
		out->consumed += consumed;
		piece = bytes_from(piece, consumed);
	}
}

static struct http1_body
new_body(enum http_framing framing, uint64_t length)
{
	static struct http_message message;
	struct http1_body body;

	message.framing = framing;
	message.content_length = length;
	http1_body_init(&body, &message);
	return body;
}

static struct decoded
decode(enum http_framing framing, uint64_t length, struct bytes raw, size_t split, size_t second_split)
{
	struct http1_body body = new_body(framing, length);
	struct decoded out = { .result = HTTP1_MORE };

	feed(&body, bytes_of(raw.data, split), &out);
	feed(&body, bytes_of(raw.data + split, second_split - split), &out);
	feed(&body, bytes_of(raw.data + second_split, raw.len - second_split), &out);
	return out;
}

static const struct chunked {
	struct bytes raw;
	const char *content; /* NULL where it is refused */
	enum http1_error error;
	size_t behind; /* bytes of the next message */
} chunked[] = {
	{ BYTES("0\r\n\r\n"), "", HTTP1_NONE, 0 },
	{ BYTES("5\r\nhello\r\n0\r\n\r\n"), "hello", HTTP1_NONE, 0 },
	{ BYTES("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), "hello", HTTP1_NONE, 16 },
	/* RFC 9112 section 7.1 leaves no way to write this content but chunks of it. */
	{ BYTES("4\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\n\r\n"), "Wikipedia in \r\n\r\nchunks.",
	  HTTP1_NONE, 0 },
	{ BYTES("a\r\n0123456789\r\n0\r\n\r\n"), "0123456789", HTTP1_NONE, 0 },
	{ BYTES("A\r\n0123456789\r\n00\r\n\r\n"), "0123456789", HTTP1_NONE, 0 },
	{ BYTES("000000000000005\r\nhello\r\n000000000000000\r\n\r\n"), "hello", HTTP1_NONE, 0 },
	{ BYTES("5;a=b\r\nhello\r\n0;c\r\n\r\n"), "hello", HTTP1_NONE, 0 },
	{ BYTES("5 ; a = \"b;\\\"c\" ;d\r\nhello\r\n0\r\n\r\n"), "hello", HTTP1_NONE, 0 },
	{ BYTES("5  \t\r\nhello\r\n0 \r\n\r\n"), "hello", HTTP1_NONE, 0 },
	{ BYTES("5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n"), "hello", HTTP1_NONE, 0 },
	{ BYTES("5\r\nhello\r\n0\r\nA: b\r\n\r\n\r\n"), "hello", HTTP1_NONE, 2 },
	{ BYTES("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"), "abc", HTTP1_NONE, 0 },
	{ BYTES("\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES(" 5\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("g\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("-5\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("+5\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("0x5\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5_\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5 5\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES(";a\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\rhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5;a\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5;a\r\rhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5;a\0\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5 \n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\r\nhello0\r\n\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\r\nhello\n0\r\n\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\r\nhello\r0\r\n\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\r\nhello!\r\n0\r\n\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("5\r\nhello\r\n\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("1000000000000000\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("fffffffffffffffff\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("0000000000000005\r\nhello\r\n"), NULL, HTTP1_BAD_CHUNK, 0 },
	{ BYTES("0\r\n\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\n\rx"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nA\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\n: a\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\n A: b\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nA : b\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nA: b\r\n c\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nA: b\nC: d\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nA: b\rC: d\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nA: \0\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
	{ BYTES("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), NULL, HTTP1_BAD_TRAILER, 0 },
};
#define CHUNKED_ROWS (sizeof(chunked) / sizeof(chunked[0]))

static void
check_chunked(const struct chunked *row, size_t split, size_t second_split)
{
	struct decoded out = decode(HTTP_CHUNKED, 0, row->raw, split, second_split);

	if (out.result != (row->content ? HTTP1_DONE : HTTP1_BAD) || out.error != row->error)
		fail_msg("%d %s at %zu, %zu: %s", out.result, http1_error_names[out.error], split, second_split,
			 (const char *)row->raw.data);
	if (!row->content)
		return;
	assert_bytes(bytes_of(out.content, out.content_len), row->content);
	assert_int_equal(out.consumed, row->raw.len - row->behind);
}

static void
chunked_bodies_are_decoded_or_refused_by_name(void **state)
{
	for (size_t i = 0; i < CHUNKED_ROWS; i++)
		check_chunked(&chunked[i], chunked[i].raw.len, chunked[i].raw.len);
}

static void
any_split_of_a_chunked_body_gives_the_same(void **state)
{
	for (size_t i = 0; i < CHUNKED_ROWS; i++)
		for (size_t first = 0; first <= chunked[i].raw.len; first++)
			for (size_t second = first; second <= chunked[i].raw.len; second++)
				check_chunked(&chunked[i], first, second);
}

static void
a_body_of_known_length_ends_there_however_it_is_split(void **state)
{
	const struct bytes raw = BYTES("hello worldGET /");

	for (size_t first = 0; first <= raw.len; first++) {
		for (size_t second = first; second <= raw.len; second++) {
			struct decoded out = decode(HTTP_LENGTH, 11, raw, first, second);
			assert_int_equal(out.result, HTTP1_DONE);
			assert_int_equal(out.consumed, 11);
			assert_bytes(bytes_of(out.content, out.content_len), "hello world");
		}
	}
}

static void
a_body_to_close_is_all_that_comes_and_may_always_end(void **state)
{
	struct decoded out = decode(HTTP_TO_CLOSE, 0, (struct bytes)BYTES("0\r\n\r\nabc"), 3, 5);
	struct http1_body body = new_body(HTTP_TO_CLOSE, 0);

	assert_int_equal(out.result, HTTP1_MORE);
	assert_bytes(bytes_of(out.content, out.content_len), "0\r\n\r\nabc");
	assert_true(http1_body_may_end(&body));
}

static void
no_body_is_done_before_anything_comes(void **state)
{
	static const struct {
		enum http_framing framing;
		enum http1_result result;
	} rows[] = { { HTTP_NO_BODY, HTTP1_DONE }, { HTTP_LENGTH, HTTP1_DONE }, { HTTP_CHUNKED, HTTP1_MORE } };

	for (size_t i = 0; i < 3; i++) {
		struct http1_body body = new_body(rows[i].framing, 0);
		size_t consumed, offset, size;
		enum http1_error error;
		assert_int_equal(http1_body_decode(&body, NULL, 0, &consumed, &offset, &size, &error), rows[i].result);
		assert_int_equal(consumed + size, 0);
		assert_int_equal(http1_body_may_end(&body), rows[i].result == HTTP1_DONE);
	}
}

static void
a_body_may_end_only_behind_its_last_byte(void **state)
{
	const struct bytes raw = BYTES("5\r\nhello\r\n0\r\nA: b\r\n\r\n");
	struct http1_body body = new_body(HTTP_CHUNKED, 0);
	struct decoded out = { .result = HTTP1_MORE };

	for (size_t i = 0; i < raw.len; i++) {
		assert_false(http1_body_may_end(&body));
		feed(&body, bytes_of(raw.data + i, 1), &out);
	}
	assert_true(http1_body_may_end(&body));
}

static void
a_refused_body_stays_refused(void **state)
{
	struct http1_body body = new_body(HTTP_CHUNKED, 0);
	struct decoded out = { .result = HTTP1_MORE };

	feed(&body, (struct bytes)BYTES("x"), &out);
	assert_int_equal(out.result, HTTP1_BAD);
	out = (struct decoded){ .result = HTTP1_MORE };
	feed(&body, (struct bytes)BYTES("0\r\n\r\n"), &out);
	assert_int_equal(out.error, HTTP1_BAD_CHUNK);
	assert_false(http1_body_may_end(&body));
}

/* Of a long run of one byte between two texts, in pieces. */
static struct decoded
decode_run(const char *before, char filler, size_t count, const char *after)
{
	struct http1_body body = new_body(HTTP_CHUNKED, 0);
	struct decoded out = { .result = HTTP1_MORE };

	feed(&body, bytes_of_string(before), &out);
	for (size_t i = 0; i < count; i++)
		feed(&body, bytes_of(&filler, 1), &out);
	feed(&body, bytes_of_string(after), &out);
	return out;
}

static void
chunk_extensions_are_bounded(void **state)
{
	assert_int_equal(decode_run("1;", 'x', HTTP1_CHUNK_LINE_MAX, "\r\na\r\n0\r\n\r\n").result, HTTP1_DONE);
	assert_int_equal(decode_run("1;", 'x', HTTP1_CHUNK_LINE_MAX + 1, "\r\na\r\n0\r\n\r\n").error, HTTP1_BAD_CHUNK);
	assert_int_equal(decode_run("1 ", ' ', HTTP1_CHUNK_LINE_MAX + 1, "\r\na\r\n0\r\n\r\n").error, HTTP1_BAD_CHUNK);
	/* The bound is per line. */
	assert_int_equal(
		decode_run("1;xxxxxxxxxxxxxxxx\r\na\r\n1;", 'x', HTTP1_CHUNK_LINE_MAX, "\r\na\r\n0\r\n\r\n").result,
		HTTP1_DONE);
}

static void
trailers_are_bounded_together(void **state)
{
	/* "A:" and four bytes of line ends belong to them. */
	assert_int_equal(decode_run("0\r\nA:", 'x', HTTP1_TRAILERS_MAX - 6, "\r\n\r\n").result, HTTP1_DONE);
	assert_int_equal(decode_run("0\r\nA:", 'x', HTTP1_TRAILERS_MAX - 5, "\r\n\r\n").error, HTTP1_BAD_TRAILER);
	assert_int_equal(decode_run("0\r\nA:b\r\nA:", 'x', HTTP1_TRAILERS_MAX - 6, "\r\n\r\n").error,
			 HTTP1_BAD_TRAILER);
}

static void
the_largest_chunk_is_counted_down_whole(void **state)
{
	struct http1_body body = new_body(HTTP_CHUNKED, 0);
	struct decoded out = { .result = HTTP1_MORE };

	feed(&body, (struct bytes)BYTES("fffffffffffffff\r\nabc"), &out);
	assert_int_equal(out.result, HTTP1_MORE);
	assert_true(body.left == 0xfffffffffffffffull - 3);
}

static void
content_and_the_end_behind_it_come_in_one_call(void **state)
{
	const struct bytes raw = BYTES("5\r\nhello\r\n0\r\n\r\n");
	struct http1_body body = new_body(HTTP_CHUNKED, 0);
	size_t consumed, offset, size;
	enum http1_error error;

	assert_int_equal(http1_body_decode(&body, raw.data, raw.len, &consumed, &offset, &size, &error), HTTP1_DONE);
	assert_int_equal(consumed, raw.len);
	assert_bytes(bytes_of(raw.data + offset, size), "hello");
}

static void
chunk_heads_are_written_without_leading_zeros(void **state)
{
	static const struct {
		uint64_t size;
		const char *text;
	} rows[] = {
		{ 0, "0\r\n" },           { 1, "1\r\n" },
		{ 15, "f\r\n" },          { 16, "10\r\n" },
		{ 255, "ff\r\n" },        { 256, "100\r\n" },
		{ 0x1a2b, "1a2b\r\n" },   { 0xffff, "ffff\r\n" },
		{ 0x10000, "10000\r\n" }, { UINT64_MAX, "ffffffffffffffff\r\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t out[HTTP1_CHUNK_HEAD_MAX];
		assert_bytes(bytes_of(out, http1_chunk_head(out, rows[i].size)), rows[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunked_bodies_are_decoded_or_refused_by_name),
		cmocka_unit_test(any_split_of_a_chunked_body_gives_the_same),
		cmocka_unit_test(a_body_of_known_length_ends_there_however_it_is_split),
		cmocka_unit_test(a_body_to_close_is_all_that_comes_and_may_always_end),
		cmocka_unit_test(no_body_is_done_before_anything_comes),
		cmocka_unit_test(a_body_may_end_only_behind_its_last_byte),
		cmocka_unit_test(a_refused_body_stays_refused),
		cmocka_unit_test(chunk_extensions_are_bounded),
		cmocka_unit_test(trailers_are_bounded_together),
		cmocka_unit_test(the_largest_chunk_is_counted_down_whole),
		cmocka_unit_test(content_and_the_end_behind_it_come_in_one_call),
		cmocka_unit_test(chunk_heads_are_written_without_leading_zeros),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
