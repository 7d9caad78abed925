/* A hello says the same however it is spread over records, and each of its beginnings waits for more. */
#include <assert.h>
#include <stdlib.h>

#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The handshake bytes of whole records, a byte in each. */
static size_t
shred(const uint8_t *data, size_t size, uint8_t *out)
{
	size_t len = 0;

	while (size >= 5) {
		size_t record = (size_t)data[3] << 8 | data[4];

		if (data[0] != 0x16 || data[1] != 3 || record == 0 || size < 5 + record)
			break;
		for (size_t i = 0; i < record; i++) {
			memcpy(out + len, "\x16\3\1\0\1", 5);
			out[len + 5] = data[5 + i];
			len += 6;
		}
		data += 5 + record;
		size -= 5 + record;
	}
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No longer than what is there, so that a byte read behind it is seen. */
	uint8_t *copy = malloc(size + 1), *shreds = malloc(6 * size + 1);
	struct tls_hello hello, again;

	assert(copy && shreds);
	memcpy(copy, data, size);
	if (tls_hello_parse(bytes_of(copy, size), &hello) == TLS_HELLO_DONE) {
		assert(hello.protocols_len <= sizeof(hello.protocols));
		for (size_t len = 0; len < size; len += 1 + len / 16)
			assert(tls_hello_parse(bytes_of(copy, len), &again) != TLS_HELLO_NONE);
		if (!(data[0] & 0x80)) {
			size_t len = shred(copy, size, shreds);

			assert(tls_hello_parse(bytes_of(shreds, len), &again) == TLS_HELLO_DONE);
			assert(again.version == hello.version && again.name_len == hello.name_len &&
			       again.protocols_len == hello.protocols_len &&
			       memcmp(again.name, hello.name, hello.name_len) == 0 &&
			       memcmp(again.protocols, hello.protocols, hello.protocols_len) == 0);
		}
	}
	free(copy);
	free(shreds);
	return 0;
}
