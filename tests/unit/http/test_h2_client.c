/* A client and a server of HTTP/2 back to back in memory: what the client's side tells, and when a request may be made again. */
#include "parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http/h2_client.h"

#define STREAMS_MAX 8

struct end;

struct stream {
	struct end *end;
	int32_t id;
	char said[512]; /* all that was told of it, one word behind the other */
	const char *content;
	const char *trailers;
	uint32_t content_sent;
};

/* Of one connection. */
struct end {
	struct http2_session *session;
	uint8_t out[65536];
	uint32_t out_len;
	struct stream streams[STREAMS_MAX];
	int count, settings;
	bool refuses;
};

static struct end client, server;

static void __attribute__((format(printf, 2, 3))) tell(struct stream *stream, const char *format, ...)
{
	size_t len = strlen(stream->said);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(stream->said + len, sizeof(stream->said) - len, format, arguments);
	va_end(arguments);
}

static void *
begin(void *user, int32_t id)
{
	struct end *end = user;
	struct stream *stream = &end->streams[end->count];

	if (end->refuses)
		return NULL;
	end->count++;
	*stream = (struct stream){ .end = end, .id = id };
	return stream;
}

static void
field(void *stream, struct bytes name, struct bytes value, bool is_trailer)
{
	tell(stream, "%s%.*s=%.*s ", is_trailer ? "trailer " : "", (int)name.len, (const char *)name.data,
	     (int)value.len, (const char *)value.data);
}

static void
head(void *stream, bool ended)
{
	tell(stream, ended ? "head-and-end " : "head ");
}

static void
content(void *stream, struct bytes data)
{
	struct stream *s = stream;

	tell(s, "[%.*s] ", (int)data.len, (const char *)data.data);
	http2_consumed(s->end->session, s->id, (uint32_t)data.len);
}

static void
end_came(void *stream)
{
	tell(stream, "end ");
}

static void
malformed(void *user, void *stream)
{
	if (stream)
		tell(stream, "malformed ");
}

static uint32_t
write_bytes(void *user, struct bytes data)
{
	struct end *end = user;

	assert_true(data.len <= sizeof(end->out) - end->out_len);
	memcpy(end->out + end->out_len, data.data, data.len);
	end->out_len += (uint32_t)data.len;
	return (uint32_t)data.len;
}

static uint32_t
body(void *stream, uint32_t len, bool *last)
{
	struct stream *s = stream;
	uint32_t there = s->content ? (uint32_t)strlen(s->content) - s->content_sent : 0;

	len = len < there ? len : there;
	*last = s->content && len == there;
	if (*last && s->trailers)
		http2_trailers(s->end->session, s->id, bytes_of_string(s->trailers));
	return len;
}

static bool
body_send(void *stream, struct bytes header, uint32_t len)
{
	struct stream *s = stream;

	write_bytes(s->end, header);
	write_bytes(s->end, bytes_of((const uint8_t *)s->content + s->content_sent, len));
	s->content_sent += len;
	return true;
}

static void
closed(void *stream, uint32_t code)
{
	tell(stream, "closed:%u ", code);
}

static void
settings(void *user)
{
	((struct end *)user)->settings++;
}

static const struct http2_events events = { begin,       field, head,      content, end_came, malformed,
					    write_bytes, body,  body_send, closed,  settings };

/* Until neither has anything more to say. */
static void
exchange(void)
{
	static uint8_t bytes[65536];

	for (int i = 0; i < 20; i++) {
		struct end *from = i % 2 ? &server : &client, *to = i % 2 ? &client : &server;
		uint32_t len;

		http2_send(from->session);
		len = from->out_len;
		memcpy(bytes, from->out, len);
		from->out_len = 0;
		if (len)
			http2_receive(to->session, bytes_of(bytes, len), 1000000000);
	}
}

static int
setup(void **state)
{
	const struct http2_config config = { .streams_max = 2, .stream_window = 1000, .connection_window = 65535 };

	memset(&client, 0, sizeof(client));
	memset(&server, 0, sizeof(server));
	client.session = http2_client_new(&config, &events, &client, 0);
	server.session = http2_session_new(&config, &events, &server, 0);
	return client.session && server.session ? 0 : -1;
}

static int
teardown(void **state)
{
	http2_session_free(client.session);
	http2_session_free(server.session);
	return 0;
}

/* `head` is written to. */
static struct stream *
ask(const char *text, const char *content_of_it)
{
	static char buffer[4096];
	struct stream *stream = &client.streams[client.count++];

	*stream = (struct stream){ .end = &client, .content = content_of_it };
	snprintf(buffer, sizeof(buffer), "%s", text);
	stream->id = http2_request(client.session, stream, bytes_of_string("http"), bytes_of_string(buffer),
				   content_of_it != NULL);
	return stream;
}

static void
answer(struct stream *stream, unsigned int status, const char *fields, const char *content_of_it, const char *trailers)
{
	static char buffer[1024], lines[64]; /* both are written to */

	snprintf(buffer, sizeof(buffer), "HTTP/1.1 %u X\r\n%s\r\n", status, fields);
	stream->content = content_of_it;
	snprintf(lines, sizeof(lines), "%s", trailers ? trailers : "");
	stream->trailers = trailers ? lines : NULL;
	assert_true(http2_answer(server.session, stream->id, status, bytes_of_string(buffer), content_of_it != NULL));
}

#define GET "GET /p?q HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\nConnection: close\r\nTE: trailers\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n\r\n"

static void
a_request_comes_as_it_was_meant(void **state)
{
	ask(GET, NULL);
	ask("PUT /x HTTP/1.1\r\nHost: b\r\n\r\n", "body");
	exchange();
	assert_string_equal(server.streams[0].said,
			    ":method=GET :scheme=http :authority=a.test :path=/p?q x-one=1 te=trailers head-and-end ");
	assert_string_equal(server.streams[1].said, ":method=PUT :scheme=http :authority=b :path=/x head [body] end ");
}

static void
what_is_no_request_is_refused(void **state)
{
	static const char *const wrong[] = { "", "GET / HTTP/1.1", "\r\n\r\n", "GET\r\n\r\n", " / HTTP/1.1\r\n\r\n" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++, client.count = 0)
		assert_true(ask(wrong[i], NULL)->id <= 0);
}

static void
an_answer_has_heads_content_and_trailers(void **state)
{
	struct stream *stream = ask(POST, "body");

	exchange();
	answer(&server.streams[0], 103, "Link: x\r\n", NULL, NULL);
	exchange();
	answer(&server.streams[0], 200, "A: 1\r\n", "content", "grpc-status: 0\r\n");
	exchange();
	assert_string_equal(stream->said,
			    ":status=103 link=x head :status=200 a=1 head [content] trailer grpc-status=0 "
			    "end closed:0 ");
}

static void
an_answer_may_be_a_head_alone(void **state)
{
	struct stream *stream = ask(GET, NULL);

	exchange();
	answer(&server.streams[0], 200, "grpc-status: 12\r\n", NULL, NULL);
	exchange();
	assert_string_equal(stream->said, ":status=200 grpc-status=12 head-and-end closed:0 ");
}

static void
the_server_says_how_many_it_takes(void **state)
{
	assert_int_equal(client.settings, 0);
	exchange();
	assert_int_equal(client.settings, 1);
	assert_int_equal(http2_requests_max(client.session), 2);
}

static void
what_is_refused_is_told_so(void **state)
{
	struct stream *stream = ask(GET, NULL);

	server.refuses = true;
	exchange();
	assert_string_equal(stream->said, "closed:7 ");
	assert_true(http2_may_request(client.session));
}

/* It is about what the server has not seen; what has begun goes on. */
static void
after_goaway_no_request_goes(void **state)
{
	struct stream *first = ask(GET, NULL), *second;

	exchange();
	http2_go_away(server.session);
	http2_send(server.session);
	second = ask(GET, NULL); /* before that has come */
	exchange();
	assert_false(http2_may_request(client.session));
	assert_string_equal(second->said, "closed:7 ");
	answer(&server.streams[0], 200, "", NULL, NULL);
	exchange();
	assert_string_equal(first->said, ":status=200 head-and-end closed:0 ");
	assert_true(http2_is_over(client.session));
}

static void
of_what_is_forgotten_nothing_is_told(void **state)
{
	struct stream *gone = ask(GET, NULL), *unsent;

	exchange();
	unsent = ask(GET, NULL);
	http2_forget(client.session, gone->id);
	http2_reset(client.session, gone->id, HTTP2_CANCEL);
	http2_forget(client.session, unsent->id);
	http2_reset(client.session, unsent->id, HTTP2_CANCEL);
	exchange();
	assert_string_equal(gone->said, "");
	assert_string_equal(unsent->said, "");
	assert_int_equal(server.count, 1);
	assert_non_null(strstr(server.streams[0].said, "closed:8"));
}

static void
content_waits_for_the_window(void **state)
{
	static char large[2001];
	struct stream *stream;

	memset(large, 'x', sizeof(large) - 1);
	exchange();
	stream = ask(POST, large);
	assert_int_equal(http2_window(client.session, stream->id), 1000);
	exchange();
	assert_int_equal(stream->content_sent, 2000); /* given back as it was taken */
	assert_int_equal(http2_window(client.session, stream->id), 1000);
}

static void
resets_of_what_was_asked_are_no_flood(void **state)
{
	server.refuses = true;
	for (int i = 0; i < 3000; i++, client.count = 0) {
		ask(GET, NULL);
		exchange();
	}
	assert_true(http2_may_request(client.session));
	assert_int_equal(http2_flooded(client.session), HTTP2_FLOOD_COUNT);
}

/* A head in HEADERS and CONTINUATION frames of one byte each, behind SETTINGS. */
static size_t
head_of_many_frames(uint8_t *wire, struct bytes block)
{
	uint8_t *at = wire;

	*at++ = 0, *at++ = 0, *at++ = 0, *at++ = 4; /* SETTINGS: the rest is zero, too */
	at += 5;
	for (size_t i = 0; i < block.len; i++) {
		const uint8_t header[9] = { 0, 0, 1, i ? 9 : 1, i == block.len - 1 ? 4 : 0, 0, 0, 0, 1 };

		memcpy(at, header, sizeof(header));
		at[9] = block.data[i];
		at += 10;
	}
	wire[9 + 4] |= 1; /* END_STREAM */
	return (size_t)(at - wire);
}

static void
receive_byte_by_byte(struct end *end, struct bytes bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		assert_true(http2_receive(end->session, bytes_of(bytes.data + i, 1), 0));
}

/* nghttp2 bounds the CONTINUATIONs of a head to 8; so many pieces has the header of each one here. */
static void
pieces_of_a_continuation_are_no_flood(void **state)
{
	uint8_t wire[128] = { 0 };
	struct stream *stream = ask(GET, NULL);

	http2_send(client.session);
	receive_byte_by_byte(&server, bytes_of_string(HTTP2_PREFACE));
	receive_byte_by_byte(&server,
			     bytes_of(wire, head_of_many_frames(wire, bytes_of_string("\x82\x86\x84\x41\1a"))));
	assert_string_equal(server.streams[0].said, ":method=GET :scheme=http :path=/ :authority=a head-and-end ");
	memset(wire, 0, sizeof(wire));
	receive_byte_by_byte(&client, bytes_of(wire, head_of_many_frames(wire, bytes_of_string("\x88\x40\1x\1y"))));
	assert_string_equal(stream->said, ":status=200 x=y head-and-end closed:0 ");
}

static void
a_head_as_a_message(void **state)
{
	static struct http_message message;

	memset(&message, 0, sizeof(message));
	assert_int_equal(http2_response_field(&message, bytes_of_string(":status"), bytes_of_string("200")),
			 HTTP1_NONE);
	assert_int_equal(http2_response_field(&message, bytes_of_string("a"), bytes_of_string(" b ")), HTTP1_NONE);
	assert_int_equal(http2_response_field(&message, bytes_of_string("content-length"), bytes_of_string("x")),
			 HTTP1_BAD_CONTENT_LENGTH);
	assert_int_equal(http2_response_field(&message, bytes_of_string("a b"), bytes_of_string("")),
			 HTTP1_BAD_FIELD_NAME);
	assert_int_equal(http2_response_field(&message, bytes_of_string("a"), bytes_of_string("1\r\nb: 2")),
			 HTTP1_BAD_FIELD_VALUE);
	http2_response_conclude(&message, false, false);
	assert_int_equal(message.status, 200);
	assert_int_equal(message.framing, HTTP_TO_CLOSE);
	assert_true(bytes_equal_string(message.fields[0].value, "b"));
	http2_response_conclude(&message, false, true);
	assert_int_equal(message.framing, HTTP_NO_BODY);
	http2_response_conclude(&message, true, false);
	assert_int_equal(message.framing, HTTP_NO_BODY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_comes_as_it_was_meant),
		TEST(what_is_no_request_is_refused),
		TEST(an_answer_has_heads_content_and_trailers),
		TEST(an_answer_may_be_a_head_alone),
		TEST(the_server_says_how_many_it_takes),
		TEST(what_is_refused_is_told_so),
		TEST(after_goaway_no_request_goes),
		TEST(of_what_is_forgotten_nothing_is_told),
		TEST(content_waits_for_the_window),
		TEST(resets_of_what_was_asked_are_no_flood),
		TEST(pieces_of_a_continuation_are_no_flood),
		cmocka_unit_test(a_head_as_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
