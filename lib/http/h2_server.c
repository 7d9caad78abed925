/* The server's role of a session: who is asked. */
#include "http/h2_internal.h"

static void
streams_follow(struct http2_streams *streams, const struct http2_frame *frame)
{
	bool is_message = frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA;

	if (frame->type == NGHTTP2_HEADERS)
		http2_streams_opened(streams, frame->stream);
	if (frame->type == NGHTTP2_RST_STREAM || (is_message && frame->flags & NGHTTP2_FLAG_END_STREAM))
		http2_streams_ended(streams, frame->stream);
}

/* nghttp2 passes over the kinds that it does not know, which here are all of later RFCs, without a word. */
static bool
is_paid_for(struct http2_session *s, uint8_t type)
{
	return type <= NGHTTP2_CONTINUATION ||
	       http2_charge(s, type == NGHTTP2_PRIORITY_UPDATE ? HTTP2_FLOOD_PRIORITIES : HTTP2_FLOOD_OTHERS);
}

uint32_t
http2_server_error_of(struct http2_session *s, const struct http2_frame *frame)
{
	bool is_message = frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA;
	uint32_t code = 0;

	if (!is_paid_for(s, frame->type))
		return NGHTTP2_ENHANCE_YOUR_CALM;
	if (frame->type == NGHTTP2_PRIORITY && (frame->stream == 0 || frame->stream == frame->depends_on))
		return NGHTTP2_PROTOCOL_ERROR;
	/* -1: it is not there. */
	if (is_message && nghttp2_session_get_stream_remote_close(s->nghttp2, frame->stream) == -1)
		code = http2_streams_error(&s->streams, frame->stream);
	if (!code)
		streams_follow(&s->streams, frame);
	return code;
}

/* ---- streams that are answered early ---- */

static const uint8_t early_word[8] = "answered";

static bool
is_unfinished(const struct http2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_remote_close(s->nghttp2, id) == 0;
}

static void
early_stop(struct http2_session *s, int32_t id)
{
	if (is_unfinished(s, id))
		nghttp2_submit_rst_stream(s->nghttp2, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
}

static void
early_ask(struct http2_session *s)
{
	s->early.asked = s->early.count;
	if (s->early.asked)
		nghttp2_submit_ping(s->nghttp2, NGHTTP2_FLAG_NONE, early_word);
}

void
http2_server_answered(struct http2_session *s, int32_t id)
{
	struct http2_early *early = &s->early;

	if (!is_unfinished(s, id))
		return;
	if (early->count == HTTP2_EARLY_MAX) {
		early_stop(s, id);
		return;
	}
	early->ids[early->count++] = id;
	if (!early->asked)
		early_ask(s);
}

void
http2_server_pong(struct http2_session *s, const uint8_t *word)
{
	struct http2_early *early = &s->early;

	if (!early->asked || memcmp(word, early_word, sizeof(early_word)) != 0)
		return;
	for (uint8_t i = 0; i < early->asked; i++)
		early_stop(s, early->ids[i]);
	early->count -= early->asked;
	memmove(early->ids, early->ids + early->asked, early->count * sizeof(early->ids[0]));
	early_ask(s);
}

/* ---- what is said ---- */

bool
http2_answer(struct http2_session *s, int32_t id, unsigned int status, struct bytes head, bool has_body)
{
	static _Thread_local nghttp2_nv nv[HTTP2_FIELDS_MAX];
	const uint8_t *fields = head.len == 0 ? NULL : memchr(head.data, '\n', head.len);
	char digits[4] = { (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10) };
	size_t count = 1;

	nv[0] = http2_field(":status", bytes_of(digits, 3));
	if (fields &&
	    !http2_read_lines(bytes_from(head, (size_t)(fields + 1 - head.data)), HTTP2_NOT_IN_HEADS, nv, &count))
		return false;
	if (status < 200)
		return nghttp2_submit_headers(s->nghttp2, NGHTTP2_FLAG_NONE, id, NULL, nv, count, NULL) == 0;
	return nghttp2_submit_response(s->nghttp2, id, nv, count, has_body ? &http2_body : NULL) == 0;
}

struct http2_session *
http2_session_new(const struct http2_config *config, const struct http2_events *events, void *user, uint64_t now_ns)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, config->streams_max },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, config->stream_window },
		/* Weights and dependencies are not followed, and cost nothing (RFC 9218 section 2.1). */
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};

	return http2_session_make(false, config, settings, sizeof(settings) / sizeof(settings[0]), events, user,
				  now_ns);
}
