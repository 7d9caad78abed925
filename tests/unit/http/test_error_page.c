#include "http/error_page.h"
#include "parse.h"

static struct bytes
page(uint16_t status, bool server_tokens, bool padding)
{
	static uint8_t out[HTTP_ERROR_PAGE_MAX];

	return http_error_page_write(out, sizeof(out), status, server_tokens, padding);
}

/* What nginx 1.22.1 answered to `return CODE`: the phrase of its status line, and the length of its page, of which its
 * name "nginx/1.22.1" is a part. It never sends a page for 408 (it closes); that row is as its neighbours are. */
static const struct row {
	uint16_t code;
	const char *reason, *title;
	size_t nginx_len;
} rows[] = {
	{ 301, "Moved Permanently", "301 Moved Permanently", 169 },
	{ 302, "Moved Temporarily", "302 Found", 145 },
	{ 303, "See Other", "303 See Other", 153 },
	{ 307, "Temporary Redirect", "307 Temporary Redirect", 171 },
	{ 308, "Permanent Redirect", "308 Permanent Redirect", 171 },
	{ 400, "Bad Request", "400 Bad Request", 157 },
	{ 401, "Unauthorized", "401 Authorization Required", 179 },
	{ 402, "Payment Required", "402 Payment Required", 167 },
	{ 403, "Forbidden", "403 Forbidden", 153 },
	{ 404, "Not Found", "404 Not Found", 153 },
	{ 405, "Not Allowed", "405 Not Allowed", 157 },
	{ 406, "Not Acceptable", "406 Not Acceptable", 163 },
	{ 408, "Request Time-out", "408 Request Time-out", 167 },
	{ 409, "Conflict", "409 Conflict", 151 },
	{ 410, "Gone", "410 Gone", 143 },
	{ 411, "Length Required", "411 Length Required", 165 },
	{ 412, "Precondition Failed", "412 Precondition Failed", 173 },
	{ 413, "Request Entity Too Large", "413 Request Entity Too Large", 183 },
	{ 414, "Request-URI Too Large", "414 Request-URI Too Large", 177 },
	{ 415, "Unsupported Media Type", "415 Unsupported Media Type", 179 },
	{ 416, "Requested Range Not Satisfiable", "416 Requested Range Not Satisfiable", 197 },
	{ 421, "Misdirected Request", "421 Misdirected Request", 173 },
	{ 429, "Too Many Requests", "429 Too Many Requests", 169 },
	{ 494, NULL, "400 Request Header Or Cookie Too Large", 233 },
	{ 495, NULL, "400 The SSL certificate error", 215 },
	{ 496, NULL, "400 No required SSL certificate was sent", 237 },
	{ 497, NULL, "400 The plain HTTP request was sent to HTTPS port", 255 },
	{ 500, "Internal Server Error", "500 Internal Server Error", 177 },
	{ 501, "Not Implemented", "501 Not Implemented", 165 },
	{ 502, "Bad Gateway", "502 Bad Gateway", 157 },
	{ 503, "Service Temporarily Unavailable", "503 Service Temporarily Unavailable", 197 },
	{ 504, "Gateway Time-out", "504 Gateway Time-out", 167 },
	{ 505, "HTTP Version Not Supported", "505 HTTP Version Not Supported", 187 },
	{ 507, "Insufficient Storage", "507 Insufficient Storage", 175 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void
every_page_has_nginxs_title_and_length(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		char title[128];
		struct bytes text = page(rows[i].code, true, false);
		snprintf(title, sizeof(title), "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>",
			 rows[i].title);
		assert_true(bytes_start_with(text, bytes_of_string(title)));
		assert_int_equal(text.len, rows[i].nginx_len - strlen("nginx/1.22.1") + strlen("weir/" WEIR_VERSION));
		assert_int_equal(http_status_on_wire(rows[i].code),
				 rows[i].code >= 494 && rows[i].code <= 497 ? 400 : rows[i].code);
	}
}

static void
phrases_are_nginxs_and_codes_without_one_have_no_page(void **state)
{
	static const struct {
		uint16_t code;
		const char *reason;
	} others[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 304, "Not Modified" },
	};

	for (unsigned int code = 0; code < 1000; code++) {
		const char *expected = NULL;
		bool has_page = false;
		for (size_t i = 0; i < ROWS; i++) {
			if (rows[i].code == code) {
				expected = rows[i].reason;
				has_page = true;
			}
		}
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			if (others[i].code == code)
				expected = others[i].reason;
		if (expected)
			assert_string_equal(http_reason((uint16_t)code), expected);
		else
			assert_null(http_reason((uint16_t)code));
		assert_int_equal(page((uint16_t)code, true, true).len != 0, has_page);
	}
}

static void
pages_are_byte_for_byte_nginxs_but_for_the_name(void **state)
{
	assert_bytes(page(404, true, false),
		     "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n"
		     "<center><h1>404 Not Found</h1></center>\r\n<hr><center>weir/" WEIR_VERSION "</center>\r\n"
		     "</body>\r\n</html>\r\n");
	assert_bytes(page(302, false, false), "<html>\r\n<head><title>302 Found</title></head>\r\n<body>\r\n"
					      "<center><h1>302 Found</h1></center>\r\n<hr><center>weir</center>\r\n"
					      "</body>\r\n</html>\r\n");
	assert_bytes(
		page(HTTP_HEAD_TOO_LARGE, false, false),
		"<html>\r\n<head><title>400 Request Header Or Cookie Too Large</title></head>\r\n<body>\r\n"
		"<center><h1>400 Bad Request</h1></center>\r\n<center>Request Header Or Cookie Too Large</center>\r\n"
		"<hr><center>weir</center>\r\n</body>\r\n</html>\r\n");
}

#define PADDING "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"

static void
errors_are_padded_and_redirects_are_not(void **state)
{
	struct bytes plain = page(404, false, false);
	size_t len = plain.len;
	struct bytes padded = page(404, false, true);

	assert_bytes(bytes_from(padded, len), PADDING PADDING PADDING PADDING PADDING PADDING);
	/* nginx's page for server_tokens off, padded. */
	assert_int_equal(padded.len, 548 - strlen("nginx") + strlen("weir"));
	assert_int_equal(page(302, false, true).len, page(302, false, false).len);
}

static void
a_page_that_does_not_fit_is_empty(void **state)
{
	uint8_t out[HTTP_ERROR_PAGE_MAX];
	size_t len = page(404, true, true).len;

	assert_int_equal(http_error_page_write(out, len, 404, true, true).len, 0);
	assert_int_equal(http_error_page_write(out, len + 1, 404, true, true).len, len);
	assert_int_equal(http_error_page_write(out, 10, 404, true, false).len, 0);
}

/* What nginx 1.22.1 padded its 404 for. */
static void
the_same_browsers_get_padding_as_from_nginx(void **state)
{
	static const struct {
		const char *fields;
		bool padding;
	} agents[] = {
		{ "", false },
		{ "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows)\r\n", true },
		{ "User-Agent: MSIE 9\r\n", false },
		{ "User-Agent: MSIE 9.\r\n", false },
		{ "User-Agent: MSIE 9.0\r\n", true },
		{ "User-Agent: MSIE\r\n", false },
		{ "User-Agent: MSIE 9.0 Opera\r\n", false },
		{ "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 "
		  "Safari/537.36\r\n",
		  true },
		{ "User-Agent: Chrome/\r\n", true },
		{ "User-Agent: chrome/1\r\n", false },
		{ "User-Agent: Gecko/1 Chrome/2\r\n", false },
		{ "User-Agent: Opera Chrome/2\r\n", false },
		{ "User-Agent: Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko\r\n", false },
		{ "User-Agent: HeadlessChrome/1\r\n", true },
		{ "User-Agent: Chrome/1\r\nUser-Agent: x\r\n", true },
		{ "User-Agent: x\r\nUser-Agent: Chrome/1\r\n", false },
	};

	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
		static struct http_message message;
		char raw[256];
		size_t head_len;
		snprintf(raw, sizeof(raw), "GET / HTTP/1.0\r\n%s\r\n", agents[i].fields);
		assert_int_equal(parse_request(&message, bytes_of_string(raw), &head_len), HTTP1_NONE);
		assert_int_equal(http_error_page_wants_padding(&message), agents[i].padding);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_has_nginxs_title_and_length),
		cmocka_unit_test(phrases_are_nginxs_and_codes_without_one_have_no_page),
		cmocka_unit_test(pages_are_byte_for_byte_nginxs_but_for_the_name),
		cmocka_unit_test(errors_are_padded_and_redirects_are_not),
		cmocka_unit_test(a_page_that_does_not_fit_is_empty),
		cmocka_unit_test(the_same_browsers_get_padding_as_from_nginx),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
