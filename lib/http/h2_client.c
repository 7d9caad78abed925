/* The client's role of a session: who asks. */
#include "http/h2_client.h"

#include "http/h2_internal.h"

struct http2_session *
http2_client_new(const struct http2_config *config, const struct http2_events *events, void *user, uint64_t now_ns)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, config->stream_window },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};

	return http2_session_make(true, config, settings, sizeof(settings) / sizeof(settings[0]), events, user, now_ns);
}

/* The word before the next space of a start line. */
static struct bytes
next_word(struct bytes *line)
{
	ptrdiff_t at = bytes_index(*line, ' ');
	struct bytes word = bytes_of(line->data, at < 0 ? line->len : (size_t)at);

	*line = bytes_from(*line, at < 0 ? line->len : (size_t)at + 1);
	return word;
}

/* :method, :scheme, :authority, :path, and then what the lines say. */
static bool
read_head(struct bytes head, struct bytes scheme, nghttp2_nv *nv, size_t *count)
{
	ptrdiff_t end = bytes_index(head, '\n');
	struct bytes line, method, authority = { 0 };
	size_t kept = 4;

	if (end < 1)
		return false;
	line = bytes_of(head.data, (size_t)end - 1);
	method = next_word(&line);
	nv[0] = http2_field(":method", method);
	nv[1] = http2_field(":scheme", scheme);
	nv[3] = http2_field(":path", next_word(&line));
	*count = 4;
	if (!method.len || !nv[3].valuelen ||
	    !http2_read_lines(bytes_from(head, (size_t)end + 1), HTTP2_NOT_IN_HEADS, nv, count))
		return false;
	for (size_t i = 4; i < *count; i++) {
		struct bytes value = bytes_of(nv[i].value, nv[i].valuelen);

		if (http_field_identify(bytes_of(nv[i].name, nv[i].namelen)) == HTTP_FIELD_HOST)
			authority = value;
		else
			nv[kept++] = nv[i];
	}
	nv[2] = http2_field(":authority", authority);
	*count = kept;
	return true;
}

int32_t
http2_request(struct http2_session *s, void *stream, struct bytes scheme, struct bytes head, bool has_body)
{
	static _Thread_local nghttp2_nv nv[HTTP2_FIELDS_MAX];
	nghttp2_nv *first = nv;
	size_t count;

	if (!read_head(head, scheme, nv, &count))
		return -1;
	if (!nv[2].valuelen) {
		/* Nobody has said which: it is left out, rather than empty. */
		nv[2] = nv[1];
		nv[1] = nv[0];
		first = nv + 1;
		count--;
	}
	s->budgets[HTTP2_FLOOD_RESETS].left += s->budgets[HTTP2_FLOOD_RESETS].left < UINT32_MAX;
	return nghttp2_submit_request(s->nghttp2, NULL, first, count, has_body ? &http2_body : NULL, stream);
}

bool
http2_may_request(const struct http2_session *s)
{
	return nghttp2_session_check_request_allowed(s->nghttp2);
}

uint32_t
http2_requests_max(const struct http2_session *s)
{
	return nghttp2_session_get_remote_settings(s->nghttp2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool
http2_request_went(const struct http2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_local_close(s->nghttp2, id) == 1;
}
