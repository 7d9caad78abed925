/*
 * The pages that stand in for a missing body: nginx's built-in pages for errors and redirects, byte for byte but for
 * the server's name. Content-Type is text/html. Pure functions, any lcore.
 */
#ifndef HTTP_ERROR_PAGE_H
#define HTTP_ERROR_PAGE_H

#include "http/message.h"

/* More than the longest page with padding. */
#define HTTP_ERROR_PAGE_MAX 1024

/* Codes inside the program, as in nginx: they can be told apart in error_page and $status, and go out as 400. */
enum http_internal_status {
	HTTP_HEAD_TOO_LARGE = 494,
	HTTP_CERTIFICATE_ERROR = 495,
	HTTP_NO_CERTIFICATE = 496,
	HTTP_PLAIN_ON_TLS_PORT = 497,
};

/* The code for the status line: 400 for the internal ones above, else the code itself. */
uint16_t http_status_on_wire(uint16_t status);

/* "weir/VERSION", or "weir" with server_tokens off: for the page's footer and for the Server field. */
struct bytes http_server_name(bool server_tokens);

/*
 * Writes the page for `status` into out (HTTP_ERROR_PAGE_MAX is enough) and returns it. `padding` makes pages of 400
 * and above long enough for browsers that would show a page of their own instead. Empty, as with nginx, for a status
 * without a built-in page, 304 and 431 among them, and where `size` is too small.
 */
struct bytes http_error_page_write(uint8_t *out, size_t size, uint16_t status, bool server_tokens, bool padding);

/* With msie_padding on: whether the request comes from such a browser, by nginx's reading of User-Agent. */
bool http_error_page_wants_padding(const struct http_message *request);

#endif
