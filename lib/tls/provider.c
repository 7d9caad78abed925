#include "tls/provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include "base/process.h"

static const OSSL_ALGORITHM *
algorithms(void *provider, int operation, int *not_to_be_kept)
{
	static const OSSL_ALGORITHM kdfs[] = {
		{ "TLS13-KDF", "provider=weir", tls_provider_tls13_kdf, "HKDF of TLS 1.3" },
		{ "TLS1-PRF", "provider=weir", tls_provider_tls1_prf, "PRF of TLS 1.2" },
		{ NULL, NULL, NULL, NULL },
	};

	*not_to_be_kept = 0;
	switch (operation) {
	case OSSL_OP_KDF:
		return kdfs;
	case OSSL_OP_KEYMGMT:
		return tls_provider_x25519_keys;
	case OSSL_OP_KEYEXCH:
		return tls_provider_x25519_exchange;
	default:
		return NULL;
	}
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))algorithms },
		{ OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))tls_provider_x25519_capabilities },
		{ 0, NULL },
	};

	*out = functions;
	/* Some functions are another's and look into its context; the rest needs none, but OpenSSL wants one. */
	*provider = tls_provider_x25519_context();
	if (!*provider)
		*provider = (void *)(uintptr_t)functions;
	return 1;
}

/* Beside those that are there without being asked for: OpenSSL's own. */
int
tls_provider_prepare(void)
{
	static OSSL_PROVIDER *provider;

	process_id_keep();
	if (provider)
		return 0;
	tls_provider_x25519_prepare();
	if (tls_provider_kdf_prepare() == 0 && OSSL_PROVIDER_add_builtin(NULL, "weir", provider_init) == 1)
		provider = OSSL_PROVIDER_try_load(NULL, "weir", 1);
	return provider ? 0 : -1;
}
