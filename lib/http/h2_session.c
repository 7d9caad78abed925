#include <stdlib.h>

#include "base/clock.h"
#include "http/h2_internal.h"

#define ROW(name, burst, per_second, per_message, text) [HTTP2_FLOOD_##name] = text,
const char *const http2_flood_names[HTTP2_FLOOD_COUNT] = { HTTP2_FLOODS(ROW) };
#undef ROW

/* ---- floods ---- */

static void
budgets_init(struct http2_session *s)
{
	static const struct http2_budget initial[HTTP2_FLOOD_COUNT] = {
#define ROW(name, burst, per_second, per_message, text)                                                                \
	[HTTP2_FLOOD_##name] = { burst, burst, per_second, per_message },
		HTTP2_FLOODS(ROW)
#undef ROW
	};

	memcpy(s->budgets, initial, sizeof(initial));
	s->flooded = HTTP2_FLOOD_COUNT;
}

static void
budget_add(struct http2_budget *budget, uint64_t more, uint32_t bound)
{
	if (budget->left < bound)
		budget->left = more < bound - budget->left ? budget->left + (uint32_t)more : bound;
}

static void
budgets_refill(struct http2_session *s, uint64_t now_ns)
{
	uint64_t seconds = (now_ns - s->refilled_ns) / NS_PER_SECOND;

	if (!seconds)
		return;
	s->refilled_ns += seconds * NS_PER_SECOND;
	for (int i = 0; i < HTTP2_FLOOD_COUNT; i++)
		budget_add(&s->budgets[i], seconds * s->budgets[i].per_second, s->budgets[i].burst);
}

/* A frame that carries something has come or gone. What that allows may come much later: there is no bound to speak of. */
static void
message_frame(struct http2_session *s)
{
	for (int i = 0; i < HTTP2_FLOOD_COUNT; i++)
		budget_add(&s->budgets[i], s->budgets[i].per_message, UINT32_MAX);
}

bool
http2_charge(struct http2_session *s, enum http2_flood kind)
{
	if (s->budgets[kind].left == 0) {
		s->flooded = kind;
		return false;
	}
	s->budgets[kind].left--;
	return true;
}

/* Which budget a frame is taken from; HTTP2_FLOOD_COUNT: it is of use. */
static enum http2_flood
cost_of(const nghttp2_frame_hd *hd)
{
	switch (hd->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		return HTTP2_FLOOD_COUNT;
	case NGHTTP2_DATA:
		return hd->length || (hd->flags & NGHTTP2_FLAG_END_STREAM) ? HTTP2_FLOOD_COUNT
									   : HTTP2_FLOOD_EMPTY_FRAMES;
	case NGHTTP2_RST_STREAM:
		return HTTP2_FLOOD_RESETS;
	case NGHTTP2_PING:
		return HTTP2_FLOOD_PINGS;
	case NGHTTP2_SETTINGS:
		return HTTP2_FLOOD_SETTINGS;
	case NGHTTP2_PRIORITY:
		return HTTP2_FLOOD_PRIORITIES;
	case NGHTTP2_WINDOW_UPDATE:
		return HTTP2_FLOOD_WINDOW_UPDATES;
	default:
		return HTTP2_FLOOD_OTHERS;
	}
}

static int
frame_begins(nghttp2_session *n, const nghttp2_frame_hd *hd, void *user_data)
{
	struct http2_session *s = user_data;
	enum http2_flood kind = cost_of(hd);

	if (kind == HTTP2_FLOOD_COUNT) {
		message_frame(s);
		return 0;
	}
	return http2_charge(s, kind) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- what comes ---- */

static int
headers_begin(nghttp2_session *n, const nghttp2_frame *frame, void *user_data)
{
	struct http2_session *s = user_data;
	int32_t id = frame->hd.stream_id;
	void *stream;

	s->in_trailers = frame->headers.cat == NGHTTP2_HCAT_HEADERS;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = s->events->begin(s->user, id);
	if (!stream) {
		nghttp2_submit_rst_stream(n, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return nghttp2_session_set_stream_user_data(n, id, stream);
}

static int
field_came(nghttp2_session *n, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
	   size_t value_len, uint8_t flags, void *user_data)
{
	struct http2_session *s = user_data;
	void *stream = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);
	struct bytes field = bytes_of(name, name_len);

	/* It is the first of an answer's head, and not of its trailers, where nghttp2 does not let it pass. */
	if (s->is_client && bytes_equal_string(field, ":status"))
		s->in_trailers = false;
	if (stream)
		s->events->field(stream, field, bytes_of(value, value_len), s->in_trailers);
	return 0;
}

/* A field that nghttp2 would leave out in silence: who writes such a name or value wants to be read in two ways. */
static int
field_invalid(nghttp2_session *n, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
	      const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
	struct http2_session *s = user_data;

	s->events->malformed(s->user, nghttp2_session_get_stream_user_data(n, frame->hd.stream_id));
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
frame_invalid(nghttp2_session *n, const nghttp2_frame *frame, int error, void *user_data)
{
	struct http2_session *s = user_data;

	s->problem = nghttp2_strerror(error);
	if (frame->hd.stream_id)
		s->events->malformed(s->user, nghttp2_session_get_stream_user_data(n, frame->hd.stream_id));
	return 0;
}

static bool
is_padding(const nghttp2_frame *frame)
{
	return frame->hd.type == NGHTTP2_DATA && frame->hd.length && frame->hd.length == frame->data.padlen &&
	       !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

static int
frame_came(nghttp2_session *n, const nghttp2_frame *frame, void *user_data)
{
	struct http2_session *s = user_data;
	bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	void *stream;

	if (s->is_client && frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		s->events->settings(s->user);
	if (!s->is_client && frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
		http2_server_pong(s, frame->ping.opaque_data);
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	if (is_padding(frame) && !http2_charge(s, HTTP2_FLOOD_EMPTY_FRAMES))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	stream = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);
	if (!stream)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && !s->in_trailers)
		s->events->head(stream, ended);
	else if (ended)
		s->events->end(stream);
	return 0;
}

static int
content_came(nghttp2_session *n, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user_data)
{
	struct http2_session *s = user_data;
	void *stream = nghttp2_session_get_stream_user_data(n, id);

	if (stream)
		s->events->content(stream, bytes_of(data, len));
	else
		nghttp2_session_consume_connection(n, len);
	return 0;
}

/* What a stream is reset with for what the other side has sent. All else has to do with requests. */
static bool
is_of_its_making(uint32_t code)
{
	return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED ||
	       code == NGHTTP2_FRAME_SIZE_ERROR;
}

static int
frame_sent(nghttp2_session *n, const nghttp2_frame *frame, void *user_data)
{
	struct http2_session *s = user_data;
	bool is_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;

	if (!s->is_client && is_message && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		http2_server_answered(s, frame->hd.stream_id);
	if (!s->is_client && frame->hd.type == NGHTTP2_RST_STREAM && is_of_its_making(frame->rst_stream.error_code))
		http2_charge(s, HTTP2_FLOOD_RESETS); /* http2_receive() sees it */
	return 0;
}

static int
stream_closed(nghttp2_session *n, int32_t id, uint32_t code, void *user_data)
{
	struct http2_session *s = user_data;
	void *stream = nghttp2_session_get_stream_user_data(n, id);

	if (!stream)
		return 0;
	nghttp2_session_set_stream_user_data(n, id, NULL);
	s->events->closed(stream, code);
	return 0;
}

static uint32_t
code_of_failure(const struct http2_session *s)
{
	if (s->broken)
		return s->broken;
	return s->flooded < HTTP2_FLOOD_COUNT ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
}

static bool
fail(struct http2_session *s, int error)
{
	if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
		s->flooded = HTTP2_FLOOD_CONTINUATIONS;
	/* Answers pile up before any could go: to pings, as SETTINGS have a smaller budget than nghttp2 has for both. */
	if (error == NGHTTP2_ERR_FLOODED && s->flooded == HTTP2_FLOOD_COUNT)
		s->flooded = HTTP2_FLOOD_PINGS;
	s->problem = s->flooded < HTTP2_FLOOD_COUNT ? http2_flood_names[s->flooded]
		     : s->broken                    ? nghttp2_http2_strerror(s->broken)
						    : nghttp2_strerror(error);
	nghttp2_session_terminate_session(s->nghttp2, code_of_failure(s));
	return false;
}

static bool
take(struct http2_session *s, const uint8_t *data, size_t len)
{
	ssize_t taken = len ? nghttp2_session_mem_recv(s->nghttp2, data, len) : 0;

	return taken >= 0 || fail(s, (int)taken);
}

/* A frame is looked at when nghttp2 has had all before it. It is given the header as a whole: of a CONTINUATION's it would count
 * each piece as a frame of its own. */
static bool
take_frames(struct http2_session *s, struct bytes data)
{
	bool found = true;

	while (found) {
		const uint8_t *before = data.data;
		struct http2_frame frame;
		size_t len = http2_frames_next(&s->frames, &data, &frame, &found);

		if (!take(s, before, len))
			return false;
		s->broken = found && !s->is_client ? http2_server_error_of(s, &frame) : 0;
		if (s->broken)
			return fail(s, 0);
		if (found && !take(s, s->frames.start, s->frames.have))
			return false;
	}
	return true;
}

bool
http2_receive(struct http2_session *s, struct bytes data, uint64_t now_ns)
{
	budgets_refill(s, now_ns);
	if (s->flooded < HTTP2_FLOOD_COUNT)
		return fail(s, 0);
	return take_frames(s, data);
}

/* ---- what goes ---- */

#define DRIBBLE 64 /* bytes: who has no more room than this asks for frames, and not for content */

static ssize_t
write_bytes(nghttp2_session *n, const uint8_t *data, size_t len, int flags, void *user_data)
{
	struct http2_session *s = user_data;
	uint32_t taken = s->events->write(s->user, bytes_of(data, len));

	return taken ? (ssize_t)taken : NGHTTP2_ERR_WOULDBLOCK;
}

static ssize_t
body_read(nghttp2_session *n, int32_t id, uint8_t *unused, size_t len, uint32_t *flags, nghttp2_data_source *source,
	  void *user_data)
{
	struct http2_session *s = user_data;
	void *stream = nghttp2_session_get_stream_user_data(n, id);
	bool last = false;
	uint32_t got;

	if (!stream)
		return NGHTTP2_ERR_DEFERRED;
	s->has_trailers = false;
	got = s->events->body(stream, (uint32_t)len, &last);
	if (!got && !last)
		return NGHTTP2_ERR_DEFERRED;
	s->is_dribble = got < DRIBBLE && got == len && !last;
	*flags = NGHTTP2_DATA_FLAG_NO_COPY | (last ? NGHTTP2_DATA_FLAG_EOF : 0u);
	if (last && s->has_trailers)
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return (ssize_t)got;
}

const nghttp2_data_provider http2_body = { .read_callback = body_read };

static int
body_send(nghttp2_session *n, nghttp2_frame *frame, const uint8_t *header, size_t len, nghttp2_data_source *source,
	  void *user_data)
{
	struct http2_session *s = user_data;
	void *stream = nghttp2_session_get_stream_user_data(n, frame->hd.stream_id);

	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (!s->events->body_send(stream, bytes_of(header, HTTP2_FRAME_HEADER_LEN), (uint32_t)len))
		return NGHTTP2_ERR_WOULDBLOCK;
	if (!s->is_dribble)
		message_frame(s);
	return 0;
}

bool
http2_send(struct http2_session *s)
{
	int result = nghttp2_session_send(s->nghttp2);

	if (result == 0)
		return true;
	s->problem = nghttp2_strerror(result);
	return false;
}

bool
http2_wants_to_send(const struct http2_session *s)
{
	return nghttp2_session_want_write(s->nghttp2);
}

bool
http2_is_over(const struct http2_session *s)
{
	return !nghttp2_session_want_write(s->nghttp2) && !nghttp2_session_want_read(s->nghttp2);
}

const char *
http2_problem(const struct http2_session *s)
{
	return s->problem ? s->problem : "";
}

enum http2_flood
http2_flooded(const struct http2_session *s)
{
	return s->flooded;
}

void
http2_consumed(struct http2_session *s, int32_t id, uint32_t len)
{
	nghttp2_session_consume_connection(s->nghttp2, len);
	nghttp2_session_consume_stream(s->nghttp2, id, len);
}

/* A request whose head has not gone is no stream yet. */
static int32_t
stream_window(const struct http2_session *s, int32_t id)
{
	if (s->is_client && !nghttp2_session_find_stream(s->nghttp2, id))
		return (int32_t)nghttp2_session_get_remote_settings(s->nghttp2, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
	return nghttp2_session_get_stream_remote_window_size(s->nghttp2, id);
}

uint32_t
http2_window(const struct http2_session *s, int32_t id)
{
	int32_t all = nghttp2_session_get_remote_window_size(s->nghttp2);
	int32_t own = stream_window(s, id);
	int32_t least = all < own ? all : own;

	return least > 0 ? (uint32_t)least : 0;
}

/* ---- what either may say ---- */

void
http2_body_ready(struct http2_session *s, int32_t id)
{
	nghttp2_session_resume_data(s->nghttp2, id);
}

void
http2_reset(struct http2_session *s, int32_t id, enum http2_code code)
{
	nghttp2_submit_rst_stream(s->nghttp2, NGHTTP2_FLAG_NONE, id, (uint32_t)code);
}

void
http2_forget(struct http2_session *s, int32_t id)
{
	nghttp2_session_set_stream_user_data(s->nghttp2, id, NULL);
}

void
http2_go_away(struct http2_session *s)
{
	nghttp2_submit_goaway(s->nghttp2, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(s->nghttp2),
			      NGHTTP2_NO_ERROR, NULL, 0);
}

/* ---- life ---- */

static nghttp2_session_callbacks *
callbacks_new(void)
{
	nghttp2_session_callbacks *c;

	if (nghttp2_session_callbacks_new(&c) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_frame_callback(c, frame_begins);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, headers_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, field_came);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c, field_invalid);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, frame_invalid);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, content_came);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
	nghttp2_session_callbacks_set_send_callback(c, write_bytes);
	nghttp2_session_callbacks_set_send_data_callback(c, body_send);
	return c;
}

static nghttp2_session *
session_new(struct http2_session *s)
{
	nghttp2_session_callbacks *callbacks = callbacks_new();
	nghttp2_session *n = NULL;
	nghttp2_option *option;

	if (callbacks && nghttp2_option_new(&option) == 0) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		nghttp2_option_set_no_closed_streams(option, 1);
		/* Counted here, with a name. */
		nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
		if ((s->is_client ? nghttp2_session_client_new2 : nghttp2_session_server_new2)(&n, callbacks, s,
											       option) != 0)
			n = NULL;
		nghttp2_option_del(option);
	}
	nghttp2_session_callbacks_del(callbacks);
	return n;
}

static int
greet(struct http2_session *s, const struct http2_config *config, const nghttp2_settings_entry *settings, size_t count)
{
	int result = nghttp2_submit_settings(s->nghttp2, NGHTTP2_FLAG_NONE, settings, count);

	if (result != 0)
		return result;
	return nghttp2_session_set_local_window_size(s->nghttp2, NGHTTP2_FLAG_NONE, 0,
						     (int32_t)config->connection_window);
}

struct http2_session *
http2_session_make(bool is_client, const struct http2_config *config, const nghttp2_settings_entry *settings,
		   size_t setting_count, const struct http2_events *events, void *user, uint64_t now_ns)
{
	struct http2_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->is_client = is_client;
	s->events = events;
	s->user = user;
	s->refilled_ns = now_ns;
	budgets_init(s);
	http2_frames_init(&s->frames, !is_client);
	s->nghttp2 = session_new(s);
	if (s->nghttp2 && greet(s, config, settings, setting_count) == 0)
		return s;
	http2_session_free(s);
	return NULL;
}

void
http2_session_free(struct http2_session *s)
{
	if (!s)
		return;
	nghttp2_session_del(s->nghttp2);
	free(s);
}
