#include <openssl/err.h>
#include <stdio.h>

#include "tls/internal.h"

static _Thread_local char problem[1024];

size_t
tls_error_drain(char *out, size_t size)
{
	const char *data;
	unsigned long error;
	size_t len = 0;
	int flags;

	if (size == 0)
		return 0;
	out[0] = '\0';
	for (bool first = true; (error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0; first = false) {
		char text[256];
		bool has_data = data && *data && flags & ERR_TXT_STRING;
		int written;

		ERR_error_string_n(error, text, sizeof(text));
		written = snprintf(out + len, size - len, "%s%s%s%s", first ? " (SSL: " : " ", text,
				   has_data ? ":" : "", has_data ? data : "");
		len = written < 0 ? len : len + (size_t)written < size ? len + (size_t)written : size - 1;
	}
	if (len && len < size - 1) {
		out[len++] = ')';
		out[len] = '\0';
	}
	return len;
}

void
tls_problem_set(const char *what)
{
	int len = snprintf(problem, sizeof(problem), "%s", what);

	tls_error_drain(problem + len, sizeof(problem) - (size_t)len);
}

const char *
tls_problem(void)
{
	return problem;
}
