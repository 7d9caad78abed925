/* Setters and merging that the directives of both sides have in common. */
#include <errno.h>

#include "tls/internal.h"

struct tls_word
tls_word_of(const struct config_directive_call *call, size_t index)
{
	return (struct tls_word){ call->words[index], call->file, call->line };
}

int
tls_set_word(struct config_directive_call *call)
{
	struct tls_word *word = (void *)((char *)call->settings + call->directive->offset);

	if (word->text.data)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	*word = tls_word_of(call, 1);
	return 0;
}

static void
words_add(struct config_directive_call *call, struct tls_words *words, struct tls_word word)
{
	struct tls_word *more = arena_alloc(config_arena(call->config), (words->count + 1) * sizeof(*more));

	for (size_t i = 0; i < words->count; i++)
		more[i] = words->words[i];
	more[words->count++] = word;
	words->words = more;
}

int
tls_add_words(struct config_directive_call *call)
{
	struct tls_words *words = (void *)((char *)call->settings + call->directive->offset);

	for (size_t i = 1; i < call->word_count; i++)
		words_add(call, words, tls_word_of(call, i));
	return 0;
}

int
tls_add_file(struct config_directive_call *call)
{
	if (bytes_index(call->words[1], '$') >= 0)
		return config_fail(call, "variables in \"%s\" are not supported", call->directive->name);
	if (bytes_start_with(call->words[1], (struct bytes)BYTES("engine:")) ||
	    bytes_start_with(call->words[1], (struct bytes)BYTES("data:")))
		return config_fail(call, "\"%s\" in \"%s\" is not supported: name a file",
				   (const char *)call->words[1].data, call->directive->name);
	return tls_add_words(call);
}

int
tls_set_file(struct config_directive_call *call)
{
	const struct tls_words *words = (void *)((char *)call->settings + call->directive->offset);

	if (words->count)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	return tls_add_file(call);
}

int
tls_set_protocols(struct config_directive_call *call)
{
	static const struct config_word known[] = {
		{ "TLSv1", TLS_PROTOCOL_1_0 },
		{ "TLSv1.1", TLS_PROTOCOL_1_1 },
		{ "TLSv1.2", TLS_PROTOCOL_1_2 },
		{ "TLSv1.3", TLS_PROTOCOL_1_3 },
		{ "SSLv2", 0 },
		{ "SSLv3", 0 },
		{ NULL, 0 },
	};
	uint32_t *protocols = (void *)((char *)call->settings + call->directive->offset);

	if (*protocols)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	for (size_t i = 1; i < call->word_count; i++) {
		const struct config_word *word = known;

		while (word->word && !bytes_equal_ignoring_case(call->words[i], bytes_of_string(word->word)))
			word++;
		if (!word->word)
			return config_fail(call, "invalid value \"%s\"", (const char *)call->words[i].data);
		if (!word->value)
			return config_fail(call, "\"%s\" is not supported: OpenSSL 3 does not have it", word->word);
		if (*protocols & (uint32_t)word->value)
			config_warn(call, "duplicate value \"%s\"", (const char *)call->words[i].data);
		*protocols |= (uint32_t)word->value;
	}
	return 0;
}

void
tls_merge_word(struct tls_word *word, const struct tls_word *outer, const char *fallback,
	       const struct config_scope *scope)
{
	if (!word->text.data)
		*word = *outer;
	if (!word->text.data && fallback)
		*word = (struct tls_word){ bytes_of_string(fallback), scope->file, scope->line };
}

void
tls_merge_words(struct tls_words *words, const struct tls_words *outer)
{
	if (!words->count)
		*words = *outer;
}
