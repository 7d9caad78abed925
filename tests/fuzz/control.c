/* A request of the control socket is refused with a reason, or it is words: bounded, terminated, and the same again when they
 * are written as JSON and read back. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_words(const struct control_request *request)
{
	assert(request->count <= CONTROL_WORDS_MAX && request->used <= sizeof(request->text));
	for (unsigned int i = 0; i < request->count; i++) {
		const char *word = request->words[i];

		assert(word >= request->text && word + strlen(word) < request->text + request->used);
		assert(strcmp(word, "--json") != 0);
	}
}

static void
check_again(const struct control_request *request)
{
	struct control_request again;
	json_t *array = json_array();
	const char *error;
	char *text;

	for (unsigned int i = 0; i < request->count; i++)
		/* Words between blanks may be no UTF-8, which JSON cannot say. */
		if (json_array_append_new(array, json_string(request->words[i])) < 0) {
			json_decref(array);
			return;
		}
	text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	assert(text);
	if (strlen(text) <= CONTROL_LINE_MAX && !strchr(text, 0x7f)) {
		assert(control_request_parse(text, strlen(text), &again, &error) == 0);
		assert(again.count == request->count);
		for (unsigned int i = 0; i < again.count; i++)
			assert(strcmp(again.words[i], request->words[i]) == 0);
	}
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct control_request request;
	/* Of its exact size, so that a read behind it is seen. */
	char *line = malloc(size);
	const char *error = NULL;

	if (size)
		memcpy(line, data, size);
	if (control_request_parse(line, size, &request, &error) == 0) {
		check_words(&request);
		check_again(&request);
	} else {
		assert(error && *error);
	}
	free(line);
	return 0;
}
