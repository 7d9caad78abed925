#include "weir/stapling.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/h1.h"
#include "run/qsbr.h"
#include "tls/staple.h"
#include "tls/tls.h"

#define QUERIES_MAX 8
#define QUESTION_MAX 4096
#define RESPONSE_MAX 65536
#define TIMEOUT_NS (60 * NS_PER_SECOND) /* nginx's */

struct query {
	int fd; /* -1: free */
	struct tls_staple *staple;
	uint64_t until_ns;
	size_t sent, len; /* of `question` */
	size_t received;
	uint8_t question[QUESTION_MAX];
	uint8_t response[RESPONSE_MAX];
};

struct stapling {
	int poll_fd;
	struct query queries[QUERIES_MAX];
};

struct stapling *
stapling_new(void)
{
	struct stapling *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->poll_fd < 0) {
		free(s);
		return NULL;
	}
	for (int i = 0; i < QUERIES_MAX; i++)
		s->queries[i].fd = -1;
	return s;
}

int
stapling_fd(const struct stapling *s)
{
	return s->poll_fd;
}

/* ---- the end of a query ---- */

static void
finish(struct query *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	q->staple = NULL;
}

static void
complain(const struct query *q, const char *what)
{
	struct tls_staple_question question;
	char responder[ENDPOINT_TEXT_MAX];

	tls_staple_ask(q->staple, &question);
	endpoint_format(&question.responder, responder, sizeof(responder));
	log_error(LOG_ERR, "%s while requesting certificate status, responder: %s, peer: %s, certificate: \"%s\"", what,
		  question.authority, responder, question.certificate);
}

static void
fail(struct query *q, uint64_t real_s, const char *what)
{
	complain(q, what);
	tls_staple_failed(q->staple, real_s);
	finish(q);
}

static void
fail_by_number(struct query *q, uint64_t real_s, const char *call, int error)
{
	char text[128];

	snprintf(text, sizeof(text), "%s() failed (%d: %s)", call, error, strerror(error));
	fail(q, real_s, text);
}

void
stapling_free(struct stapling *s)
{
	if (!s)
		return;
	for (int i = 0; i < QUERIES_MAX; i++)
		if (s->queries[i].staple) {
			tls_staple_failed(s->queries[i].staple, 0);
			finish(&s->queries[i]);
		}
	close(s->poll_fd);
	free(s);
}

static void
answered(struct query *q, struct bytes body, uint64_t real_s)
{
	struct tls_staple_question question;
	struct tls_staple_answer *old;
	char what[512];

	tls_staple_ask(q->staple, &question);
	snprintf(what, sizeof(what), "\"%s\" has an answer of its OCSP responder", question.certificate);
	if (tls_staple_answered(q->staple, body, real_s, &old)) {
		log_error(LOG_INFO, "%s", what);
		qsbr_synchronize();
		tls_staple_answer_free(old);
	} else {
		log_error(LOG_ERR, "%s while requesting certificate status, responder: %s, certificate: \"%s\"",
			  tls_problem(), question.authority, question.certificate);
	}
	finish(q);
}

/* ---- HTTP ---- */

/* The content of a body that may come in chunks, moved together. True when it is complete. */
static bool
unframe(const struct http_message *message, uint8_t *data, size_t len, bool ended, size_t *content_len)
{
	struct http1_body body;
	enum http1_result result = HTTP1_MORE;
	enum http1_error error;
	size_t at = 0;

	*content_len = 0;
	http1_body_init(&body, message);
	while (result == HTTP1_MORE && at < len) {
		size_t consumed, offset, size;

		result = http1_body_decode(&body, data + at, len - at, &consumed, &offset, &size, &error);
		memmove(data + *content_len, data + at + offset, size);
		*content_len += size;
		at += consumed;
	}
	return result == HTTP1_DONE || (ended && result == HTTP1_MORE && http1_body_may_end(&body));
}

static void
take(struct query *q, bool ended, uint64_t real_s)
{
	static struct http_message message;
	static uint8_t content[RESPONSE_MAX];
	enum http1_error error;
	enum http1_result result;
	size_t scanned = 0, head_len, len;

	result = http1_parse_response(&message, q->response, q->received, &scanned, &head_len, false, &error);
	if (result == HTTP1_BAD) {
		fail(q, real_s, "OCSP responder sent invalid response");
	} else if (result == HTTP1_DONE && message.status != 200) {
		fail(q, real_s, "OCSP responder did not say 200");
	} else if (result == HTTP1_DONE) {
		len = q->received - head_len;
		memcpy(content, q->response + head_len, len);
		if (unframe(&message, content, len, ended, &len))
			answered(q, bytes_of(content, len), real_s);
	}
	if (q->staple && ended)
		fail(q, real_s, "OCSP responder prematurely closed connection");
	else if (q->staple && q->received == sizeof(q->response))
		fail(q, real_s, "OCSP responder sent too large response");
}

static void
receive(struct query *q, uint64_t real_s)
{
	ssize_t got = recv(q->fd, q->response + q->received, sizeof(q->response) - q->received, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < 0) {
		fail_by_number(q, real_s, "recv", errno);
		return;
	}
	q->received += (size_t)got;
	take(q, got == 0, real_s);
}

static void
transmit(struct stapling *s, struct query *q, uint64_t real_s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = q };
	ssize_t sent = send(q->fd, q->question + q->sent, q->len - q->sent, MSG_NOSIGNAL);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent < 0) {
		fail_by_number(q, real_s, "send", errno);
		return;
	}
	q->sent += (size_t)sent;
	if (q->sent == q->len)
		epoll_ctl(s->poll_fd, EPOLL_CTL_MOD, q->fd, &event);
}

static bool
compose(struct query *q, const struct tls_staple_question *question)
{
	int head = snprintf((char *)q->question, sizeof(q->question),
			    "POST %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/ocsp-request\r\n"
			    "Content-Length: %zu\r\n\r\n",
			    question->path, question->authority, question->body.len);

	if (head < 0 || (size_t)head + question->body.len > sizeof(q->question))
		return false;
	memcpy(q->question + head, question->body.data, question->body.len);
	q->len = (size_t)head + question->body.len;
	q->sent = q->received = 0;
	return true;
}

static void
begin(struct stapling *s, struct query *q, struct tls_staple *staple, uint64_t now_ns, uint64_t real_s)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = q };
	struct tls_staple_question question;
	struct sockaddr_storage address;
	socklen_t len;

	tls_staple_ask(staple, &question);
	len = endpoint_to_sockaddr(&question.responder, &address);
	q->staple = staple;
	q->until_ns = now_ns + TIMEOUT_NS;
	if (!compose(q, &question)) {
		fail(q, real_s, "the request is too large");
		return;
	}
	q->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (q->fd < 0)
		fail_by_number(q, real_s, "socket", errno);
	else if (connect(q->fd, (const struct sockaddr *)&address, len) < 0 && errno != EINPROGRESS)
		fail_by_number(q, real_s, "connect", errno);
	else if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, q->fd, &event) < 0)
		fail_by_number(q, real_s, "epoll_ctl", errno);
}

void
stapling_run(struct stapling *s, uint64_t now_ns, uint64_t real_s)
{
	struct epoll_event events[QUERIES_MAX];
	int count = epoll_wait(s->poll_fd, events, QUERIES_MAX, 0);

	for (int i = 0; i < count; i++) {
		struct query *q = events[i].data.ptr;

		if (events[i].events & EPOLLOUT)
			transmit(s, q, real_s);
		else
			receive(q, real_s);
	}
	for (int i = 0; i < QUERIES_MAX; i++) {
		struct query *q = &s->queries[i];
		struct tls_staple *staple;

		if (q->staple && now_ns >= q->until_ns)
			fail(q, real_s, "OCSP responder timed out (110: Connection timed out)");
		if (!q->staple && (staple = tls_staple_due(real_s)) != NULL)
			begin(s, q, staple, now_ns, real_s);
	}
}
