#include "tls/tickets.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IV_SIZE 16 /* of AES-CBC */

struct ticket_key {
	uint8_t name[16], mac[32], cipher[32];
	uint8_t mac_len, cipher_len;
};

struct tls_ticket_keys {
	size_t count;
	struct ticket_key keys[]; /* the first makes tickets */
};

static struct tls_ticket_keys *current; /* control writes, lcores read */
static uint64_t longest_s = 3600;
static EVP_CIPHER *aes_128, *aes_256; /* fetched once */

static struct tls_ticket_keys *
keys_new(size_t count)
{
	struct tls_ticket_keys *keys = calloc(1, sizeof(*keys) + count * sizeof(keys->keys[0]));

	if (keys)
		keys->count = count;
	return keys;
}

void
tls_ticket_keys_free(struct tls_ticket_keys *keys)
{
	if (!keys)
		return;
	OPENSSL_cleanse(keys->keys, keys->count * sizeof(keys->keys[0]));
	free(keys);
}

/* ---- files ---- */

/* nginx's two forms: 16 bytes of name, AES-128 key and HMAC key of 16 each, or HMAC and AES-256 keys of 32 each. */
static int
key_parse(struct ticket_key *key, const uint8_t *data, size_t len)
{
	memcpy(key->name, data, sizeof(key->name));
	if (len == 48) {
		key->cipher_len = key->mac_len = 16;
		memcpy(key->cipher, data + 16, 16);
		memcpy(key->mac, data + 32, 16);
	} else if (len == 80) {
		key->cipher_len = key->mac_len = 32;
		memcpy(key->mac, data + 16, 32);
		memcpy(key->cipher, data + 48, 32);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int
key_read(struct config *config, const struct tls_word *file, struct ticket_key *key)
{
	const char *path = config_full_path(config, file->text);
	uint8_t data[81];
	ssize_t len = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC), result;

	if (fd >= 0)
		len = read(fd, data, sizeof(data));
	if (len < 0)
		result = config_fail_at(config, file->file, file->line, "%s() \"%s\" failed (%d: %s)",
					fd < 0 ? "open" : "read", path, errno, strerror(errno));
	else if (len < 16 || key_parse(key, data, (size_t)len) < 0)
		result = config_fail_at(config, file->file, file->line, "\"%s\" must be 48 or 80 bytes", path);
	else
		result = 0;
	OPENSSL_cleanse(data, sizeof(data));
	if (fd >= 0)
		close(fd);
	return result;
}

int
tls_ticket_keys_load(struct config *config, const struct tls_words *files, struct tls_ticket_keys **out)
{
	struct tls_ticket_keys *keys = keys_new(files->count);

	*out = NULL;
	if (!keys)
		return config_fail_at(config, files->words[0].file, files->words[0].line, "out of memory");
	for (size_t i = 0; i < files->count; i++)
		if (key_read(config, &files->words[i], &keys->keys[i]) < 0) {
			tls_ticket_keys_free(keys);
			return -EINVAL;
		}
	*out = keys;
	return 0;
}

/* ---- control's own ---- */

struct tls_ticket_keys *
tls_tickets_rotate(void)
{
	struct tls_ticket_keys *old = current, *keys = keys_new(old ? 2 : 1);

	if (!keys)
		return NULL;
	keys->keys[0].mac_len = keys->keys[0].cipher_len = 32;
	if (RAND_bytes(keys->keys[0].name, sizeof(keys->keys[0].name)) != 1 ||
	    RAND_priv_bytes(keys->keys[0].mac, 32) != 1 || RAND_priv_bytes(keys->keys[0].cipher, 32) != 1) {
		tls_ticket_keys_free(keys);
		return NULL;
	}
	if (old)
		keys->keys[1] = old->keys[0];
	__atomic_store_n(&current, keys, __ATOMIC_RELEASE);
	return old;
}

int
tls_tickets_prepare(void)
{
	if (!aes_128)
		aes_128 = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
	if (!aes_256)
		aes_256 = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	return aes_128 && aes_256 ? 0 : -1;
}

void
tls_tickets_lifetime(uint64_t seconds)
{
	if (seconds > longest_s)
		longest_s = seconds;
	if (!current)
		tls_ticket_keys_free(tls_tickets_rotate());
}

uint64_t
tls_tickets_period_s(void)
{
	return longest_s;
}

/* ---- lcores ---- */

bool
tls_tickets_random(uint8_t *out, size_t len)
{
	static _Thread_local struct {
		uint8_t bytes[512];
		size_t left;
	} pool;

	assert(len <= sizeof(pool.bytes));
	if (pool.left < len) {
		if (RAND_bytes(pool.bytes, sizeof(pool.bytes)) != 1)
			return false;
		pool.left = sizeof(pool.bytes);
	}
	pool.left -= len;
	memcpy(out, pool.bytes + pool.left, len);
	return true;
}

static int
start(const struct ticket_key *key, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	uint8_t mac_key[32];
	OSSL_PARAM parameters[3];
	int good;

	memcpy(mac_key, key->mac, sizeof(mac_key)); /* OSSL_PARAM takes no const */
	parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, key->mac_len);
	parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "sha256" }, 0);
	parameters[2] = OSSL_PARAM_construct_end();
	good = EVP_MAC_CTX_set_params(mac, parameters) &&
	       EVP_CipherInit_ex(cipher, key->cipher_len == 16 ? aes_128 : aes_256, NULL, key->cipher, iv, encrypt);
	OPENSSL_cleanse(mac_key, sizeof(mac_key));
	return good ? 1 : -1;
}

int
tls_ticket_apply(const struct tls_ticket_keys *keys, uint8_t name[16], uint8_t *iv, EVP_CIPHER_CTX *cipher,
		 EVP_MAC_CTX *mac, int encrypt)
{
	if (!keys)
		keys = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
	if (!keys)
		return encrypt ? -1 : 0;
	if (encrypt) {
		memcpy(name, keys->keys[0].name, sizeof(keys->keys[0].name));
		if (!tls_tickets_random(iv, IV_SIZE))
			return -1;
		return start(&keys->keys[0], iv, cipher, mac, 1);
	}
	for (size_t i = 0; i < keys->count; i++)
		if (memcmp(name, keys->keys[i].name, sizeof(keys->keys[i].name)) == 0) {
			int result = start(&keys->keys[i], iv, cipher, mac, 0);

			return result < 0 || i == 0 ? result : 2; /* 2: and give it one of the new key */
		}
	return 0;
}
