/* proxy_ssl_*, and the same as grpc_ssl_*. */
#include <errno.h>

#include "config/variable.h"
#include "tls/internal.h"

#define FIELD(name) offsetof(struct tls_client_settings, name)
#define ANY (CONFIG_HTTP | CONFIG_SERVER | CONFIG_LOCATION)

static void
settings_init(struct config *config, void *object)
{
	struct tls_client_settings *settings = object;

	settings->verify = CONFIG_UNSET;
	settings->verify_depth = CONFIG_UNSET;
	settings->session_reuse = CONFIG_UNSET;
	settings->server_name = CONFIG_UNSET;
}

/* nginx's defaults, but for the protocols: its newer ones. Files are read where there is something to connect to. */
static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *object)
{
	static struct tls_client_settings unset;
	struct tls_client_settings *settings = object;
	const struct tls_client_settings *outer = parent ? parent : &unset;

	settings_init(NULL, &unset);
	config_merge(settings->verify, outer->verify, CONFIG_UNSET, 0);
	config_merge(settings->verify_depth, outer->verify_depth, CONFIG_UNSET, 1);
	config_merge(settings->session_reuse, outer->session_reuse, CONFIG_UNSET, 1);
	config_merge(settings->server_name, outer->server_name, CONFIG_UNSET, 0);
	config_merge(settings->protocols, outer->protocols, 0, TLS_PROTOCOL_1_2 | TLS_PROTOCOL_1_3);
	config_merge(settings->name, outer->name, NULL, NULL);
	tls_merge_word(&settings->ciphers, &outer->ciphers, "DEFAULT", scope);
	tls_merge_word(&settings->trusted_certificate, &outer->trusted_certificate, NULL, scope);
	tls_merge_word(&settings->crl, &outer->crl, NULL, scope);
	tls_merge_word(&settings->password_file, &outer->password_file, NULL, scope);
	tls_merge_words(&settings->certificates, &outer->certificates);
	tls_merge_words(&settings->keys, &outer->keys);
	tls_merge_words(&settings->commands, &outer->commands);
	return 0;
}

#define ROWS(prefix)                                                                                                   \
	{ prefix "_ssl_session_reuse", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(session_reuse) },             \
		{ prefix "_ssl_protocols", ANY, 1, 255, 0, 0, tls_set_protocols, FIELD(protocols) },                   \
		{ prefix "_ssl_ciphers", ANY, 1, 1, 0, 0, tls_set_word, FIELD(ciphers) },                              \
		{ prefix "_ssl_name", ANY, 1, 1, 0, 0, config_set_value, FIELD(name) },                                \
		{ prefix "_ssl_server_name", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(server_name) },         \
		{ prefix "_ssl_verify", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(verify) },                   \
		{ prefix "_ssl_verify_depth", ANY, 1, 1, 0, 0, config_set_number, FIELD(verify_depth) },               \
		{ prefix "_ssl_trusted_certificate", ANY, 1, 1, 0, 0, tls_set_word, FIELD(trusted_certificate) },      \
		{ prefix "_ssl_crl", ANY, 1, 1, 0, 0, tls_set_word, FIELD(crl) },                                      \
		{ prefix "_ssl_certificate", ANY, 1, 1, 0, 0, tls_set_file, FIELD(certificates) },                     \
		{ prefix "_ssl_certificate_key", ANY, 1, 1, 0, 0, tls_set_file, FIELD(keys) },                         \
		{ prefix "_ssl_password_file", ANY, 1, 1, 0, 0, tls_set_word, FIELD(password_file) },                  \
		{ prefix "_ssl_conf_command", ANY, 2, 2, 0, 0, tls_add_words, FIELD(commands) },                       \
	{                                                                                                              \
		0                                                                                                      \
	}

static const struct config_directive proxy_directives[] = { ROWS("proxy") };
static const struct config_directive grpc_directives[] = { ROWS("grpc") };

struct config_module tls_client_module = {
	.name = "tls_client",
	.contexts = ANY,
	.settings_size = sizeof(struct tls_client_settings),
	.init = settings_init,
	.merge = settings_merge,
	.directives = proxy_directives,
};

struct config_module tls_grpc_module = {
	.name = "tls_grpc",
	.contexts = ANY,
	.settings_size = sizeof(struct tls_client_settings),
	.init = settings_init,
	.merge = settings_merge,
	.directives = grpc_directives,
};
