/*
 * OCSP stapling (RFC 6066 section 8, RFC 6960): what a responder says about our certificates, shown to clients with them.
 *
 * A staple is a certificate that is to have such an answer. Contexts make it (ssl_stapling); staples of the same certificate
 * are one, and outlive a reload with their answer. Control asks: it takes one that is due, brings the question to the
 * responder, and gives the answer back, which is verified before any lcore sees it. No I/O here.
 *
 * Control's alone, but for the answer in force: lcores read it through a pointer that control replaces (QSBR).
 */
#ifndef TLS_STAPLE_H
#define TLS_STAPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"

struct tls_staple;
struct tls_staple_answer;

/* What is asked, as the body of a POST (RFC 6960 appendix A.1). As long as the staple is asked about. */
struct tls_staple_question {
	struct bytes body;
	const char *authority, *path; /* of the responder's URL */
	struct endpoint responder;
	const char *certificate; /* its file */
};

/* One that is due, and from now on asked about, until either of the two below; NULL: none. */
struct tls_staple *tls_staple_due(uint64_t now_s);
void tls_staple_ask(const struct tls_staple *staple, struct tls_staple_question *out);

/* What the responder has said: in force from now on, if it is about the certificate, and verifies, and says `good`. False: it
 * is not, tls_problem() says why, and it was as if there had been no answer. *old is what lcores may still look at: to be
 * freed when all have been quiescent. */
bool tls_staple_answered(struct tls_staple *staple, struct bytes response, uint64_t now_s,
			 struct tls_staple_answer **old);
/* It could not be asked, or has not answered; the next of its addresses is asked after a while. */
void tls_staple_failed(struct tls_staple *staple, uint64_t now_s);
/* NULL is fine. */
void tls_staple_answer_free(struct tls_staple_answer *answer);

/* An answer is asked for anew so long before it expires, but at least once an hour and not before five minutes have passed
 * (nginx's); after a failure in five minutes, and sooner where there is no answer to show. */
#define TLS_STAPLE_BEFORE_S 300
#define TLS_STAPLE_LEAST_S 300
#define TLS_STAPLE_MOST_S 3600
#define TLS_STAPLE_RETRY_S 20

#endif
