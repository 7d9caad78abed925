#include "files.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

__attribute__((noreturn)) static void
stop(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	abort();
}

static void
directory_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		fprintf(stderr, "%s failed\n", command);
}

static FILE *
file_open(const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	if (!file)
		stop("fopen");
	return file;
}

static void
file_write(const char *name, const char *text, size_t len)
{
	FILE *file = file_open(name);

	fwrite(text, 1, len, file);
	fclose(file);
}

static void
key_write(const char *name, EVP_PKEY *key, const char *password)
{
	FILE *file = file_open(name);

	if (!PEM_write_PrivateKey(file, key, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
				  (void *)(uintptr_t)password))
		stop("PEM_write_PrivateKey");
	fclose(file);
}

static void
certificate_write(const char *name, EVP_PKEY *key, const char *subject)
{
	X509 *certificate = X509_new();
	X509_NAME *text = X509_get_subject_name(certificate);
	FILE *file = file_open(name);

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 4711);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_txt(text, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
	X509_set_issuer_name(certificate, text);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()) || !PEM_write_X509(file, certificate))
		stop("X509_sign");
	fclose(file);
	X509_free(certificate);
}

const char *
files_directory(void)
{
	EVP_PKEY *a, *b, *rsa;

	if (directory[0])
		return directory;
	strcpy(directory, "/tmp/weirtest-tls-XXXXXX");
	if (!mkdtemp(directory))
		stop("mkdtemp");
	atexit(directory_remove);
	a = EVP_EC_gen("P-256");
	b = EVP_EC_gen("P-256");
	rsa = EVP_RSA_gen(2048);
	certificate_write("a.crt", a, "a.test");
	key_write("a.key", a, NULL);
	key_write("secret.key", a, "open sesame");
	certificate_write("b.crt", b, "b.test");
	key_write("b.key", b, NULL);
	certificate_write("rsa.crt", rsa, "a.test");
	key_write("rsa.key", rsa, NULL);
	file_write("garbage", "nothing\n", 8);
	file_write("passwords", "wrong\nopen sesame\n", 18);
	file_write("ticket47", "0123456789abcdef0123456789abcdef0123456789abcde", 47);
	file_write("ticket48", "0123456789abcdef0123456789abcdef0123456789abcdef", 48);
	file_write("ticket80", "0123456789abcdeX0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 80);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	EVP_PKEY_free(rsa);
	return directory;
}

static const struct config_directive rows[] = {
	{ "http", CONFIG_MAIN, 0, 0, CONFIG_BLOCK, CONFIG_HTTP, NULL },
	{ "server", CONFIG_HTTP, 0, 0, CONFIG_BLOCK, CONFIG_SERVER, NULL },
	{ 0 },
};
static struct config_module blocks = { .name = "blocks", .directives = rows };

struct config *
files_config(const char *body)
{
	static struct config_module *const modules[] = { &blocks, &tls_module, &tls_client_module, &tls_grpc_module,
							 NULL };
	char prefix[80], text[4096];
	struct config_source source = { .path = "test.conf", .prefix = prefix };

	snprintf(prefix, sizeof(prefix), "%s/", files_directory());
	snprintf(text, sizeof(text), "http {\n%s\n}\n", body);
	source.text = bytes_of_string(text);
	return config_parse(&source, modules);
}

struct config_scope *
files_scope(struct config *config, unsigned int server)
{
	struct config_scope *scope = config_child(config_root(config), CONFIG_HTTP)->children;

	while (server-- > 0)
		scope = scope->next;
	return scope;
}

const struct tls_settings *
files_settings(struct config *config, unsigned int server)
{
	return config_settings(files_scope(config, server), &tls_module);
}

const struct tls_settings *
files_configured(struct config **config, const char *body)
{
	if (*config)
		config_free(*config);
	*config = files_config(body);
	if (config_error(*config))
		stop(config_error(*config));
	return files_settings(*config, 0);
}
