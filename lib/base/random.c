#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void
random_fill(void *out, size_t len)
{
	char *at = out;

	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			fprintf(stderr, "weir: no randomness from the kernel: %s\n", strerror(errno));
			exit(EXIT_FAILURE);
		}
		at += got;
		len -= (size_t)got;
	}
}
