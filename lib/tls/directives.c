#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tls/internal.h"

#define FIELD(name) offsetof(struct tls_settings, name)
#define ANY (CONFIG_HTTP | CONFIG_SERVER | CONFIG_STREAM | CONFIG_STREAM_SERVER)
#define SPACES (CONFIG_HTTP | CONFIG_STREAM)
#define SERVERS (CONFIG_SERVER | CONFIG_STREAM_SERVER)

/* ---- ssl_session_cache ---- */

#define BUILTIN_SESSIONS 20480

static int
zone_add(struct config_directive_call *call, struct bytes name, size_t size)
{
	struct config_scope *space = call->scope;
	struct tls_settings *settings;
	struct tls_zone *zone;

	while (!(space->context & SPACES))
		space = space->parent;
	settings = config_settings(space, &tls_module);
	for (zone = settings->zones; zone; zone = zone->next) {
		if (!bytes_equal(zone->name, name))
			continue;
		if (zone->size == size)
			return 0;
		return config_fail(call,
				   "the size %zu of shared memory zone \"%s\" conflicts with already declared size %zu",
				   size, (const char *)name.data, zone->size);
	}
	zone = arena_alloc(config_arena(call->config), sizeof(*zone));
	*zone = (struct tls_zone){ name, size, settings->zones };
	settings->zones = zone;
	return 0;
}

static int
cache_invalid(struct config_directive_call *call, struct bytes word)
{
	return config_fail(call, "invalid session cache \"%s\"", (const char *)word.data);
}

/* "shared:NAME:SIZE" */
static int
cache_shared(struct config_directive_call *call, struct tls_cache_settings *cache, struct bytes word)
{
	struct bytes rest = bytes_from(word, sizeof("shared:") - 1);
	ptrdiff_t colon = bytes_index(rest, ':');

	if (colon <= 0 || config_parse_size(bytes_from(rest, (size_t)colon + 1), &cache->size) < 0)
		return cache_invalid(call, word);
	if (cache->size < TLS_CACHE_SIZE_MIN)
		return config_fail(call, "session cache \"%s\" is too small", (const char *)word.data);
	cache->mode = TLS_CACHE_SHARED;
	cache->name = tls_word_of(call, 1);
	cache->name.text = arena_copy(config_arena(call->config), bytes_of(rest.data, (size_t)colon));
	return zone_add(call, cache->name.text, cache->size);
}

static int
cache_builtin(struct config_directive_call *call, struct tls_cache_settings *cache, struct bytes word)
{
	uint64_t sessions = BUILTIN_SESSIONS;
	struct bytes prefix = BYTES("builtin:");

	if (bytes_start_with(word, prefix) &&
	    (!bytes_parse_unsigned(bytes_from(word, prefix.len), 100000000, &sessions) || !sessions))
		return cache_invalid(call, word);
	cache->sessions = sessions;
	/* Beside a shared one there would be nothing for it to do. */
	if (cache->mode != TLS_CACHE_SHARED)
		cache->mode = TLS_CACHE_BUILTIN;
	return 0;
}

static int
set_session_cache(struct config_directive_call *call)
{
	struct tls_cache_settings *cache = &((struct tls_settings *)call->settings)->cache;

	if (cache->mode != CONFIG_UNSET)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	for (size_t i = 1; i < call->word_count; i++) {
		struct bytes word = call->words[i];
		int result = 0;

		if (bytes_equal_string(word, "off"))
			cache->mode = TLS_CACHE_OFF;
		else if (bytes_equal_string(word, "none"))
			cache->mode = TLS_CACHE_NONE;
		else if (bytes_equal_string(word, "builtin") || bytes_start_with(word, (struct bytes)BYTES("builtin:")))
			result = cache_builtin(call, cache, word);
		else if (bytes_start_with(word, (struct bytes)BYTES("shared:")))
			result = cache_shared(call, cache, word);
		else
			result = cache_invalid(call, word);
		if (result < 0)
			return result;
	}
	return 0;
}

/* ---- ssl_alpn ---- */

/* RFC 7301 section 3.1. */
static int
set_alpn(struct config_directive_call *call)
{
	struct tls_settings *settings = call->settings;
	size_t len = 0;
	uint8_t *list;

	if (settings->alpn.data)
		return config_fail(call, "\"%s\" directive is duplicate", call->directive->name);
	for (size_t i = 1; i < call->word_count; i++) {
		if (!call->words[i].len || call->words[i].len > 255)
			return config_fail(call, "the protocol \"%s\" must have 1 to 255 bytes",
					   (const char *)call->words[i].data);
		len += 1 + call->words[i].len;
	}
	list = arena_alloc(config_arena(call->config), len);
	settings->alpn = bytes_of(list, len);
	for (size_t i = 1; i < call->word_count; i++) {
		*list++ = (uint8_t)call->words[i].len;
		memcpy(list, call->words[i].data, call->words[i].len);
		list += call->words[i].len;
	}
	return 0;
}

/* ---- merging ---- */

static void
settings_init(struct config *config, void *object)
{
	struct tls_settings *settings = object;

	settings->prefer_server_ciphers = CONFIG_UNSET;
	settings->session_tickets = CONFIG_UNSET;
	settings->reject_handshake = CONFIG_UNSET;
	settings->stapling = CONFIG_UNSET;
	settings->stapling_verify = CONFIG_UNSET;
	settings->early_data = CONFIG_UNSET;
	settings->verify = CONFIG_UNSET;
	settings->verify_depth = CONFIG_UNSET;
	settings->session_timeout_s = CONFIG_UNSET;
	settings->buffer_size = CONFIG_UNSET_SIZE;
	settings->cache.mode = CONFIG_UNSET;
}

/* nginx's defaults, but for the protocols: its newer ones. */
static void
merge_settings(struct tls_settings *settings, const struct tls_settings *outer, const struct config_scope *scope)
{
	config_merge(settings->prefer_server_ciphers, outer->prefer_server_ciphers, CONFIG_UNSET, 0);
	config_merge(settings->session_tickets, outer->session_tickets, CONFIG_UNSET, 1);
	config_merge(settings->reject_handshake, outer->reject_handshake, CONFIG_UNSET, 0);
	config_merge(settings->stapling, outer->stapling, CONFIG_UNSET, 0);
	config_merge(settings->stapling_verify, outer->stapling_verify, CONFIG_UNSET, 0);
	config_merge(settings->early_data, outer->early_data, CONFIG_UNSET, 0);
	config_merge(settings->verify, outer->verify, CONFIG_UNSET, TLS_VERIFY_OFF);
	config_merge(settings->verify_depth, outer->verify_depth, CONFIG_UNSET, 1);
	config_merge(settings->session_timeout_s, outer->session_timeout_s, CONFIG_UNSET, 300);
	config_merge(settings->buffer_size, outer->buffer_size, CONFIG_UNSET_SIZE, TLS_RECORD_MAX);
	config_merge(settings->protocols, outer->protocols, 0, TLS_PROTOCOL_1_2 | TLS_PROTOCOL_1_3);
	if (!settings->alpn.data)
		settings->alpn = outer->alpn;
	if (settings->cache.mode == CONFIG_UNSET)
		settings->cache = outer->cache;
	if (settings->cache.mode == CONFIG_UNSET)
		settings->cache.mode = TLS_CACHE_NONE;
	tls_merge_word(&settings->ciphers, &outer->ciphers, "HIGH:!aNULL:!MD5", scope);
	tls_merge_word(&settings->curves, &outer->curves, "auto", scope);
	tls_merge_word(&settings->dhparam, &outer->dhparam, NULL, scope);
	tls_merge_word(&settings->client_certificate, &outer->client_certificate, NULL, scope);
	tls_merge_word(&settings->trusted_certificate, &outer->trusted_certificate, NULL, scope);
	tls_merge_word(&settings->crl, &outer->crl, NULL, scope);
	tls_merge_word(&settings->stapling_file, &outer->stapling_file, NULL, scope);
	tls_merge_word(&settings->stapling_responder, &outer->stapling_responder, NULL, scope);
	tls_merge_word(&settings->password_file, &outer->password_file, NULL, scope);
	tls_merge_words(&settings->certificates, &outer->certificates);
	tls_merge_words(&settings->keys, &outer->keys);
	tls_merge_words(&settings->ticket_keys, &outer->ticket_keys);
	tls_merge_words(&settings->commands, &outer->commands);
}

static int
settings_merge(struct config *config, struct config_scope *scope, const void *parent, void *object)
{
	static struct tls_settings unset;
	struct tls_settings *settings = object;
	const struct tls_word *last;

	settings_init(NULL, &unset);
	merge_settings(settings, parent ? parent : &unset, scope);
	if (!(scope->context & SERVERS) || (!settings->certificates.count && !settings->reject_handshake))
		return 0;
	if (settings->keys.count < settings->certificates.count) {
		last = &settings->certificates.words[settings->certificates.count - 1];
		return config_fail_at(config, last->file, last->line,
				      "no \"ssl_certificate_key\" is defined for certificate \"%s\"",
				      (const char *)last->text.data);
	}
	if ((settings->verify == TLS_VERIFY_ON || settings->verify == TLS_VERIFY_OPTIONAL) &&
	    !settings->client_certificate.text.data)
		return config_fail_at(config, scope->file, scope->line,
				      "no ssl_client_certificate for ssl_verify_client");
	settings->context = tls_context_new(config, scope, settings);
	return settings->context ? 0 : -EINVAL;
}

/* ---- rows ---- */

static const struct config_word verify_words[] = {
	{ "off", TLS_VERIFY_OFF },
	{ "on", TLS_VERIFY_ON },
	{ "optional", TLS_VERIFY_OPTIONAL },
	{ "optional_no_ca", TLS_VERIFY_OPTIONAL_NO_CA },
	{ NULL, 0 },
};

static const struct config_directive directives[] = {
	{ "ssl_certificate", ANY, 1, 1, 0, 0, tls_add_file, FIELD(certificates) },
	{ "ssl_certificate_key", ANY, 1, 1, 0, 0, tls_add_file, FIELD(keys) },
	{ "ssl_password_file", ANY, 1, 1, 0, 0, tls_set_word, FIELD(password_file) },
	{ "ssl_protocols", ANY, 1, 255, 0, 0, tls_set_protocols, FIELD(protocols) },
	{ "ssl_ciphers", ANY, 1, 1, 0, 0, tls_set_word, FIELD(ciphers) },
	{ "ssl_prefer_server_ciphers", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(prefer_server_ciphers) },
	{ "ssl_ecdh_curve", ANY, 1, 1, 0, 0, tls_set_word, FIELD(curves) },
	{ "ssl_dhparam", ANY, 1, 1, 0, 0, tls_set_word, FIELD(dhparam) },
	{ "ssl_conf_command", ANY, 2, 2, 0, 0, tls_add_words, FIELD(commands) },
	{ "ssl_session_cache", ANY, 1, 2, 0, 0, set_session_cache },
	{ "ssl_session_timeout", ANY, 1, 1, 0, 0, config_set_seconds, FIELD(session_timeout_s) },
	{ "ssl_session_tickets", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(session_tickets) },
	{ "ssl_session_ticket_key", ANY, 1, 1, 0, 0, tls_add_words, FIELD(ticket_keys) },
	{ "ssl_buffer_size", ANY, 1, 1, 0, 0, config_set_size, FIELD(buffer_size) },
	{ "ssl_reject_handshake", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(reject_handshake) },
	{ "ssl_trusted_certificate", ANY, 1, 1, 0, 0, tls_set_word, FIELD(trusted_certificate) },
	{ "ssl_client_certificate", ANY, 1, 1, 0, 0, tls_set_word, FIELD(client_certificate) },
	{ "ssl_verify_client", ANY, 1, 1, 0, 0, config_set_word, FIELD(verify), verify_words },
	{ "ssl_verify_depth", ANY, 1, 1, 0, 0, config_set_number, FIELD(verify_depth) },
	{ "ssl_crl", ANY, 1, 1, 0, 0, tls_set_word, FIELD(crl) },
	{ "ssl_stapling", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(stapling) },
	{ "ssl_stapling_file", ANY, 1, 1, 0, 0, tls_set_word, FIELD(stapling_file) },
	{ "ssl_stapling_responder", ANY, 1, 1, 0, 0, tls_set_word, FIELD(stapling_responder) },
	{ "ssl_stapling_verify", ANY, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(stapling_verify) },
	{ "ssl_alpn", CONFIG_STREAM | CONFIG_STREAM_SERVER, 1, 255, 0, 0, set_alpn },
	{ "ssl_early_data", CONFIG_HTTP | CONFIG_SERVER, 1, 1, CONFIG_FLAG, 0, config_set_flag, FIELD(early_data) },
	{ 0 },
};

struct config_module tls_module = {
	.name = "tls",
	.contexts = ANY,
	.settings_size = sizeof(struct tls_settings),
	.init = settings_init,
	.merge = settings_merge,
	.directives = directives,
};
