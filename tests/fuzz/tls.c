/* What claims to be a client of TLS: its hello with names and protocols, and whatever comes behind it. The first byte says in
 * how large pieces the rest arrives. */
#include <assert.h>
#include <ctype.h>
#include <openssl/err.h>
#include <string.h>

#include "files.h"
#include "tls/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct wire {
	const uint8_t *data;
	size_t taken, arrived;
	unsigned int chosen;
	const struct tls_settings *settings;
};

static uint32_t
take(void *user, void *out, uint32_t len)
{
	struct wire *wire = user;
	size_t left = wire->arrived - wire->taken;

	len = len < left ? len : (uint32_t)left;
	memcpy(out, wire->data + wire->taken, len);
	wire->taken += len;
	return len;
}

static uint32_t
give(void *user, const void *data, uint32_t len)
{
	return len;
}

static const struct tls_settings *
choose(void *user, struct bytes name)
{
	struct wire *wire = user;

	assert(wire->chosen++ == 0);
	assert(name.len <= TLS_NAME_MAX);
	for (size_t i = 0; i < name.len; i++)
		assert(name.data[i] && !isupper(name.data[i]));
	return wire->settings;
}

static struct bytes
protocols(void *user)
{
	return (struct bytes)BYTES("\x02h2\x08http/1.1");
}

static void
check_facts(const struct tls_session *session)
{
	char text[4096];

	for (int fact = 0; fact <= TLS_FACT_CLIENT_CERTIFICATE; fact++)
		assert(tls_fact_write(session, (enum tls_fact)fact, text, sizeof(text)) <= sizeof(text));
	assert(tls_protocol(session).len <= 8);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tls_ends ends = { take, give, choose, protocols };
	static const struct tls_settings *settings;
	struct wire wire = { .data = data + 1 };
	struct tls_session *session;
	enum tls_status status = TLS_WAIT;
	size_t step;

	if (size < 2)
		return 0;
	if (!settings)
		settings =
			files_settings(files_config("server { ssl_certificate a.crt; ssl_certificate_key a.key; }"), 0);
	wire.settings = settings;
	step = data[0] ? data[0] : size;
	session = tls_accept(settings, &ends, &wire);
	assert(session);
	while (wire.arrived < size - 1 && status == TLS_WAIT) {
		wire.arrived = wire.arrived + step < size - 1 ? wire.arrived + step : size - 1;
		status = tls_handshake(session);
	}
	/* Nobody guesses the key that Finished takes. */
	assert(status == TLS_WAIT || status == TLS_FAILED);
	assert(status != TLS_FAILED || *tls_problem());
	check_facts(session);
	tls_free(session);
	ERR_clear_error();
	return 0;
}
