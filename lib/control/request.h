/*
 * One request of the control socket: a line of bytes from outside becomes words.
 *
 * A line is a JSON array of strings (["drain","web","10.0.0.1:80"], what weirctl sends) or words between blanks
 * (drain web 10.0.0.1:80, for whoever types into the socket). Pure; any thread.
 */
#ifndef CONTROL_REQUEST_H
#define CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* Of a line without its newline. */
#define CONTROL_LINE_MAX 4096
#define CONTROL_WORDS_MAX 64

struct control_request {
	const char *words[CONTROL_WORDS_MAX]; /* zero-terminated, in `text` */
	unsigned int count;
	bool json;                       /* the word --json was there; it is not among `words`: every answer is JSON */
	char text[CONTROL_LINE_MAX * 2]; /* words with their terminators */
	size_t used;
};

/* `line` without its newline; a carriage return behind it is left out. 0, or -EINVAL with *error set to static text.
 * An empty line is a request without words. */
int control_request_parse(const char *line, size_t len, struct control_request *out, const char **error);

#endif
