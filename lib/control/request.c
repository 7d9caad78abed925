#include "control/request.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

static int
add_word(struct control_request *request, const char *word, size_t len, const char **error)
{
	if (len == strlen("--json") && memcmp(word, "--json", len) == 0) {
		request->json = true;
		return 0;
	}
	if (request->count == CONTROL_WORDS_MAX) {
		*error = "too many words";
		return -EINVAL;
	}
	/* A word and its terminator take at most two bytes of `text` per byte of the line. */
	assert(request->used + len < sizeof(request->text));
	memcpy(request->text + request->used, word, len);
	request->text[request->used + len] = 0;
	request->words[request->count++] = request->text + request->used;
	request->used += len + 1;
	return 0;
}

static int
parse_words(const char *line, size_t len, struct control_request *out, const char **error)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && line[i] != ' ' && line[i] != '\t')
			continue;
		if (i > start && add_word(out, line + start, i - start, error) < 0)
			return -EINVAL;
		start = i + 1;
	}
	return 0;
}

static int
parse_json(const char *line, size_t len, struct control_request *out, const char **error)
{
	json_t *array = json_loadb(line, len, 0, NULL), *word;
	size_t index;
	int result = 0;

	if (!json_is_array(array)) {
		*error = "not a JSON array of words";
		json_decref(array);
		return -EINVAL;
	}
	json_array_foreach(array, index, word)
	{
		if (!json_is_string(word)) {
			*error = "not a JSON array of words";
			result = -EINVAL;
		} else {
			result = add_word(out, json_string_value(word), json_string_length(word), error);
		}
		if (result < 0)
			break;
	}
	json_decref(array);
	return result;
}

int
control_request_parse(const char *line, size_t len, struct control_request *out, const char **error)
{
	size_t blank = 0;

	out->count = 0;
	out->used = 0;
	out->json = false;
	if (len && line[len - 1] == '\r')
		len--;
	if (len > CONTROL_LINE_MAX) {
		*error = "the line is too long";
		return -EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f) {
			*error = "control characters in the line";
			return -EINVAL;
		}
	while (blank < len && (line[blank] == ' ' || line[blank] == '\t'))
		blank++;
	if (blank < len && line[blank] == '[')
		return parse_json(line + blank, len - blank, out, error);
	return parse_words(line, len, out, error);
}
