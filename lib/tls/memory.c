#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls.h"

static void *
take(size_t size, const char *file, int line)
{
	return malloc(size);
}

static void
give_back(void *memory, const char *file, int line)
{
	if (memory)
		OPENSSL_cleanse(memory, malloc_usable_size(memory));
	free(memory);
}

static void *
take_more(void *memory, size_t size, const char *file, int line)
{
	size_t had = memory ? malloc_usable_size(memory) : 0;
	void *more;

	if (memory && size && size <= had)
		return memory;
	more = size ? malloc(size) : NULL;
	if (size && !more)
		return NULL;
	if (more && had)
		memcpy(more, memory, had);
	give_back(memory, file, line);
	return more;
}

int
tls_memory_prepare(void)
{
	return CRYPTO_set_mem_functions(take, take_more, give_back) == 1 ? 0 : -1;
}
