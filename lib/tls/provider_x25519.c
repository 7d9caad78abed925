#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "tls/provider.h"

#define NAME "X25519"
#define KEY_SIZE crypto_scalarmult_curve25519_BYTES
#define FUNCTIONS_MAX 32
#define STACK_SIZE 4096 /* that a multiplication may take */

/* Who has it without us, and what it does with keys. */
static struct {
	EVP_KEYMGMT *keys; /* while that is there its provider is, too */
	const OSSL_PROVIDER *provider;
	OSSL_FUNC_keymgmt_new_fn *key_new;
	OSSL_FUNC_keymgmt_free_fn *key_free;
	OSSL_FUNC_keymgmt_import_fn *key_import;
} others;

OSSL_ALGORITHM tls_provider_x25519_keys[2], tls_provider_x25519_exchange[2];

void *
tls_provider_x25519_context(void)
{
	return others.provider ? OSSL_PROVIDER_get0_provider_ctx(others.provider) : NULL;
}

/* ---- how a key is made ---- */

/* What is asked for, as a context of its own. libssl has one made with nothing in it, too, for what the peer says. */
static struct maker {
	bool blank;
} of_keys, of_blanks = { .blank = true };

static int
maker_set(void *maker, const OSSL_PARAM params[])
{
	const OSSL_PARAM *group = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);

	return !group || (group->data_type == OSSL_PARAM_UTF8_STRING && strcasecmp(group->data, NAME) == 0);
}

static void *
maker_new(void *context, int selection, const OSSL_PARAM params[])
{
	if (!maker_set(NULL, params))
		return NULL;
	return selection & OSSL_KEYMGMT_SELECT_KEYPAIR ? &of_keys : &of_blanks;
}

static void
maker_free(void *maker)
{
}

/*
 * sodium_init() is not called: nothing that it is for is used here (random numbers, guarded memory), and with it, where there is AVX,
 * base points are multiplied as all others are, in twice the time.
 */
static bool
fill(void *key)
{
	uint8_t secret[KEY_SIZE], open[KEY_SIZE];
	const OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, secret, sizeof(secret)),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, open, sizeof(open)),
		OSSL_PARAM_END,
	};
	bool filled = RAND_priv_bytes(secret, sizeof(secret)) == 1 &&
		      crypto_scalarmult_curve25519_base(open, secret) == 0 &&
		      others.key_import(key, OSSL_KEYMGMT_SELECT_KEYPAIR, params) == 1;

	OPENSSL_cleanse(secret, sizeof(secret));
	sodium_stackzero(STACK_SIZE); /* where the secret was taken apart into digits */
	return filled;
}

static void *
maker_make(void *maker, OSSL_CALLBACK *progress, void *argument)
{
	void *key = others.key_new(tls_provider_x25519_context());

	if (key && !((struct maker *)maker)->blank && !fill(key)) {
		others.key_free(key);
		return NULL;
	}
	return key;
}

static const OSSL_DISPATCH makes[] = {
	{ OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))maker_new },
	{ OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))maker_set },
	{ OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))maker_make },
	{ OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))maker_free },
};
#define MAKES (sizeof(makes) / sizeof(makes[0]))

/* ---- that libssl has the group with us: it takes it only from who has its keys ---- */

struct listener {
	OSSL_CALLBACK *hear;
	void *argument;
};

static int
group_heard(const OSSL_PARAM params[], void *argument)
{
	const OSSL_PARAM *algorithm = OSSL_PARAM_locate_const(params, OSSL_CAPABILITY_TLS_GROUP_ALG);
	const struct listener *listener = argument;

	if (!algorithm || strcmp(algorithm->data, NAME) != 0)
		return 1;
	return listener->hear(params, listener->argument);
}

int
tls_provider_x25519_capabilities(void *context, const char *capability, OSSL_CALLBACK *hear, void *argument)
{
	struct listener listener = { hear, argument };

	if (!others.provider || strcmp(capability, "TLS-GROUP") != 0)
		return 1;
	return OSSL_PROVIDER_get_capabilities(others.provider, capability, group_heard, &listener);
}

/* ---- from what others have ---- */

static const OSSL_ALGORITHM *
of_others(const OSSL_PROVIDER *provider, int operation)
{
	int not_to_be_kept;
	const OSSL_ALGORITHM *at = OSSL_PROVIDER_query_operation(provider, operation, &not_to_be_kept);
	size_t len = strlen(NAME);

	for (; at && at->algorithm_names; at++)
		if (strncmp(at->algorithm_names, NAME, len) == 0 &&
		    (at->algorithm_names[len] == '\0' || at->algorithm_names[len] == ':'))
			return at;
	return NULL;
}

static OSSL_DISPATCH
ours_or(const OSSL_DISPATCH *theirs)
{
	for (const OSSL_DISPATCH *at = makes; at < makes + MAKES; at++)
		if (at->function_id == theirs->function_id)
			return *at;
	return *theirs;
}

/* False: one that we call is missing. */
static bool
functions_copy(const OSSL_DISPATCH *theirs, OSSL_DISPATCH functions[FUNCTIONS_MAX])
{
	for (OSSL_DISPATCH *at = functions; theirs->function_id; theirs++) {
		if (at == functions + FUNCTIONS_MAX - 1)
			return false;
		*at++ = ours_or(theirs);
		if (theirs->function_id == OSSL_FUNC_KEYMGMT_NEW)
			others.key_new = OSSL_FUNC_keymgmt_new(theirs);
		else if (theirs->function_id == OSSL_FUNC_KEYMGMT_FREE)
			others.key_free = OSSL_FUNC_keymgmt_free(theirs);
		else if (theirs->function_id == OSSL_FUNC_KEYMGMT_IMPORT)
			others.key_import = OSSL_FUNC_keymgmt_import(theirs);
	}
	return others.key_new && others.key_free && others.key_import;
}

static OSSL_ALGORITHM
ours(const OSSL_ALGORITHM *theirs, const OSSL_DISPATCH *functions)
{
	return (OSSL_ALGORITHM){ theirs->algorithm_names, "provider=weir", functions,
				 "X25519 with keys made by libsodium" };
}

void
tls_provider_x25519_prepare(void)
{
	static OSSL_DISPATCH functions[FUNCTIONS_MAX];
	const OSSL_ALGORITHM *keys, *exchange;
	const OSSL_PROVIDER *provider;

	others.keys = EVP_KEYMGMT_fetch(NULL, NAME, TLS_PROPERTIES_OF_OTHERS);
	if (!others.keys)
		return;
	provider = EVP_KEYMGMT_get0_provider(others.keys);
	keys = of_others(provider, OSSL_OP_KEYMGMT);
	exchange = of_others(provider, OSSL_OP_KEYEXCH);
	if (!keys || !exchange || !functions_copy(keys->implementation, functions))
		return;
	tls_provider_x25519_keys[0] = ours(keys, functions);
	tls_provider_x25519_exchange[0] = ours(exchange, exchange->implementation);
	others.provider = provider;
}
