#include "http/uri.h"

#include <errno.h>

#include "http/h1_scan.h"

/* A normalised path as it grows. out[0 .. len) ends in the segment that begins at `segment`, right behind a slash. */
struct path_writer {
	uint8_t *out;
	size_t len, segment;
	bool merge_slashes;
};

/* Whether "." or ".." is all there is up to the end or the next slash. */
static bool
is_dots(const uint8_t *at, const uint8_t *end)
{
	for (unsigned int count = 0; count < 3; count++, at++)
		if (at == end || *at != '.')
			return count && (at == end || *at == '/');
	return false;
}

bool
http_uri_is_normal(struct bytes path, bool merge_slashes)
{
	const uint8_t *at = path.data, *end = path.data + path.len;

	if (path.len == 0 || *at != '/')
		return false;
	while (at < end) {
		if (*at != '/')
			return false;
		at++;
		if (at < end && (*at == '.' ? is_dots(at, end) : *at == '/' && merge_slashes))
			return false;
		while (at < end && !(http1_classes[*at] & HTTP1_BREAKS_PATH))
			at++;
	}
	return true;
}

/* Resolves the last segment if it is made of dots. False when it leads above the root. */
static bool
close_segment(struct path_writer *w)
{
	const uint8_t *text = w->out + w->segment;
	size_t len = w->len - w->segment;

	if (len == 1 && text[0] == '.') {
		w->len = w->segment;
	} else if (len == 2 && text[0] == '.' && text[1] == '.') {
		if (w->segment == 1)
			return false;
		w->len = w->segment - 1;
		while (w->out[w->len - 1] != '/')
			w->len--;
		w->segment = w->len;
	}
	return true;
}

static bool
append_slash(struct path_writer *w)
{
	bool dots = w->len > w->segment;
	size_t before = w->len;

	if (!close_segment(w))
		return false;
	dots = dots && w->len != before;
	/* The slash behind dots is the one before what they stood for; the one behind nothing is a run of slashes. */
	if (dots || (w->len == w->segment && w->merge_slashes))
		return true;
	w->out[w->len++] = '/';
	w->segment = w->len;
	return true;
}

/* The byte that %XX at text[0..3) stands for; -1 when it is none that may be in a path. */
static int
decode_escape(const uint8_t *text, size_t len)
{
	int high = len >= 3 ? byte_hex(text[1]) : -1, low = len >= 3 ? byte_hex(text[2]) : -1;

	if (high < 0 || low < 0 || (high == 0 && low == 0))
		return -1;
	return high << 4 | low;
}

ssize_t
http_uri_normalise(uint8_t *out, size_t size, struct bytes path, bool merge_slashes)
{
	struct path_writer w = { .out = out, .len = 1, .segment = 1, .merge_slashes = merge_slashes };

	if (path.len == 0 || path.data[0] != '/')
		return -EINVAL;
	if (size < path.len)
		return -ENOSPC;
	out[0] = '/';
	for (size_t i = 1; i < path.len;) {
		uint8_t c = path.data[i];
		if (c == '?' || c == '#')
			break;
		if (c == '%') {
			int decoded = decode_escape(path.data + i, path.len - i);
			if (decoded < 0)
				return -EINVAL;
			c = (uint8_t)decoded;
			i += 2;
		}
		i++;
		if (c == 0)
			return -EINVAL;
		if (c != '/')
			w.out[w.len++] = c;
		else if (!append_slash(&w))
			return -EINVAL;
	}
	return close_segment(&w) ? (ssize_t)w.len : -EINVAL;
}

static bool
needs_escape(uint8_t c)
{
	switch (c) {
	case '"':
	case '#':
	case '%':
	case '<':
	case '>':
	case '?':
	case '\\':
	case '^':
	case '`':
	case '{':
	case '|':
	case '}':
		return true;
	default:
		return c <= 0x20 || c >= 0x7f;
	}
}

size_t
http_uri_escape(uint8_t *out, size_t size, struct bytes text)
{
	size_t len = text.len;

	for (size_t i = 0; i < text.len; i++)
		len += needs_escape(text.data[i]) ? 2 : 0;
	if (len > size)
		return len;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (needs_escape(c))
			out = byte_escape(out, c);
		else
			*out++ = c;
	}
	return len;
}
