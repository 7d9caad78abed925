/*
 * Certificates and keys in a directory that goes when the program ends, and configurations that name them.
 */
#ifndef TESTS_TLS_FILES_H
#define TESTS_TLS_FILES_H

#include <openssl/x509.h>

#include "tls/settings.h"

/* The directory; made with the first call. In it:
 *
 *     a.crt a.key      a.test, P-256          b.crt b.key      b.test, P-256
 *     rsa.crt rsa.key  a.test, RSA-2048       secret.key       a.key under the password "open sesame"
 *     garbage          no PEM                 passwords        two lines, the second is the password
 *     ticket48 ticket80 ticket47              keys of session tickets by their size
 */
const char *files_directory(void);

/* A configuration `http { BODY }` with relative paths in that directory; ask config_error(). The modules are those of http
 * and server blocks without anything else, and tls. */
struct config *files_config(const char *body);
/* The same in place of *config, which is freed; NULL: there was none. The first server's settings; ends the program where BODY has
 * an error. */
const struct tls_settings *files_configured(struct config **config, const char *body);
/* The n-th server, and its settings. */
struct config_scope *files_scope(struct config *config, unsigned int server);
const struct tls_settings *files_settings(struct config *config, unsigned int server);

#endif
