/*
 * Paths of request targets: decoding and normalisation as nginx does it for $uri and location matching, and escaping
 * of what goes to a server. Pure functions into a caller's buffer, any thread.
 */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include <sys/types.h>

#include "base/bytes.h"

/*
 * True when normalising would change nothing, so that the path can be used where it is: begins with '/', no '%', no
 * "/." at the start of a segment and, with merge_slashes, no "//". False for what would be refused, too.
 */
bool http_uri_is_normal(struct bytes path, bool merge_slashes);

/*
 * Decodes %XX once, merges runs of slashes (merge_slashes), and resolves the segments "." and "..", escaped ones
 * included: "%2f" is a slash and "%2e" a dot, "%25", "%23" and "%3f" are plain characters. A '?' or '#' that is not
 * escaped ends the path. `size` must be at least path.len; `out` may be path.data itself. Returns the length, or
 * -EINVAL: no leading slash, %00, '%' without two hex digits, above the root; or -ENOSPC.
 */
ssize_t http_uri_normalise(uint8_t *out, size_t size, struct bytes path, bool merge_slashes);

/* Escapes a decoded path for a request line: everything up to 0x20 and from 0x7f, and "#%<>?\^`{|}. Returns the length
 * needed, at most three times that of `text`; nothing is written where it exceeds `size`, so size 0 measures. */
size_t http_uri_escape(uint8_t *out, size_t size, struct bytes text);

#endif
