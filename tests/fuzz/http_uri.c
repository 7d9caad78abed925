/* A normalised path holds no dot segments and no double slashes, and comes back whole from being escaped and
 * normalised. The first byte is merge_slashes. */
#include <assert.h>
#include <stdlib.h>

#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_normal(struct bytes path, bool merge_slashes)
{
	assert(path.len && path.data[0] == '/' && bytes_index(path, 0) < 0);
	assert(!merge_slashes || !memmem(path.data, path.len, "//", 2));
	assert(!memmem(path.data, path.len, "/../", 4) && !memmem(path.data, path.len, "/./", 3));
	assert(path.len < 3 || memcmp(path.data + path.len - 3, "/..", 3) != 0);
	assert(path.len < 2 || memcmp(path.data + path.len - 2, "/.", 2) != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	bool merge_slashes = data[0] & 1;
	struct bytes path = bytes_of(data + 1, size - 1);
	uint8_t *out = malloc(size), *escaped = malloc(3 * size), *back = malloc(3 * size);
	assert(out && escaped && back);

	ssize_t len = http_uri_normalise(out, path.len, path, merge_slashes);
	bool normal = http_uri_is_normal(path, merge_slashes);
	if (len >= 0) {
		struct bytes uri = bytes_of(out, (size_t)len);
		check_normal(uri, merge_slashes);
		assert(!normal || bytes_equal(uri, path));
		size_t escaped_len = http_uri_escape(escaped, 3 * size, uri);
		assert(escaped_len == http_uri_escape(NULL, 0, uri));
		ssize_t back_len = http_uri_normalise(back, 3 * size, bytes_of(escaped, escaped_len), merge_slashes);
		assert(back_len >= 0 && bytes_equal(bytes_of(back, (size_t)back_len), uri));
	} else {
		assert(!normal);
	}
	free(out);
	free(escaped);
	free(back);
	return 0;
}
