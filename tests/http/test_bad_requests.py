"""Requests that are malformed, contradictory or too large: what each is answered, and that nothing slips through.

Where nginx 1.22 is more lenient than RFC 9112 allows, its answer stands beside ours.
"""

import pytest
from weirtest import IS_NGINX, Topology, ok, serving

CONFIG = """
events { }
http {
    access_log access.log;
    server {
        listen 10.0.1.1:80;
        server_name a;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / { proxy_pass http://10.0.2.11:8080; }
    }
}
"""


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        net.seen = []

        def answer(request):
            net.seen.append(request)
            return ok(f"{request.start} {request.body!r}")

        net.origin(serving(answer))
        with net.balancer(CONFIG) as net.weir:
            yield net


def head(*fields, start="POST / HTTP/1.1"):
    return "\r\n".join([start, "Host: a", *fields]) + "\r\n\r\n"


SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
# name, bytes, our status, nginx's where it differs
BAD = [
    ("length and chunked", head("Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\n" + SMUGGLED, 400, None),
    ("chunked and length", head("Transfer-Encoding: chunked", "Content-Length: 6") + "0\r\n\r\n" + SMUGGLED, 400, None),
    ("two lengths", head("Content-Length: 0", "Content-Length: 6") + SMUGGLED, 400, None),
    ("the same length twice", head("Content-Length: 0", "Content-Length: 0") + SMUGGLED, 400, None),
    ("a list of lengths", head("Content-Length: 0, 0") + SMUGGLED, 400, None),
    ("negative length", head("Content-Length: -1"), 400, None),
    ("signed length", head("Content-Length: +5") + "hello", 400, None),
    ("hexadecimal length", head("Content-Length: 0x5") + "hello", 400, None),
    ("length with a space inside", head("Content-Length: 1 0"), 400, None),
    ("length beyond 64 bits", head("Content-Length: 99999999999999999999999"), 400, None),
    ("empty length", head("Content-Length: "), 400, None),
    ("unknown coding", head("Transfer-Encoding: gzip"), 501, None),
    ("chunked not last", head("Transfer-Encoding: chunked, gzip"), 400, 501),
    ("chunked twice", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n", 400, None),
    ("chunked with a prefix", head("Transfer-Encoding: xchunked") + "0\r\n\r\n", 501, None),
    ("chunked in HTTP/1.0", head("Transfer-Encoding: chunked", start="POST / HTTP/1.0") + "0\r\n\r\n", 400, None),
    ("space before the colon of the length", head("Content-Length : 5") + "hello", 400, None),
    ("space before the colon of the coding", head("Transfer-Encoding : chunked") + "0\r\n\r\n", 400, None),
    ("folded field", head("X-Folded: a\r\n b", start="GET / HTTP/1.1"), 400, None),
    ("folded first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, None),
    ("NUL in a field", head("X-Nul: a\0b", start="GET / HTTP/1.1"), 400, None),
    ("NUL in a name", head("X-N\0l: a", start="GET / HTTP/1.1"), 400, None),
    ("NUL in the target", head(start="GET /\0 HTTP/1.1"), 400, None),
    ("escaped NUL in the target", head(start="GET /%00 HTTP/1.1"), 400, None),
    ("bare CR in a field", head("X-Cr: a\rb", start="GET / HTTP/1.1"), 400, None),
    ("field without a colon", head("Nonsense", start="GET / HTTP/1.1"), 400, 200),
    ("field with an empty name", head(": x", start="GET / HTTP/1.1"), 400, None),
    ("control byte in a name", head("X\x01Y: x", start="GET / HTTP/1.1"), 400, None),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400, None),
    ("two hosts", head("Host: b", start="GET / HTTP/1.1"), 400, None),
    ("a host that is none", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, None),
    ("not HTTP", "hello\r\n\r\n", 400, None),
    ("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 100, 400, None),
    ("lower-case method", head(start="get / HTTP/1.1"), 400, None),
    ("two spaces", head(start="GET /  x HTTP/1.1"), 400, None),
    ("version without a dot", head(start="GET / HTTP/11"), (400, 505), None),
    ("version 3", head(start="GET / HTTP/3.0"), 505, None),
    ("version 2.0", head(start="GET / HTTP/2.0"), 505, None),
    ("a target that is no path", head(start="GET x HTTP/1.1"), 400, None),
    ("CONNECT", head(start="CONNECT a:443 HTTP/1.1"), 405, 400),
    ("TRACE", head(start="TRACE / HTTP/1.1"), 405, None),
    ("bad chunk size", head("Transfer-Encoding: chunked") + "zz\r\n", 400, None),
    ("negative chunk size", head("Transfer-Encoding: chunked") + "-1\r\n", 400, None),
    ("empty chunk size", head("Transfer-Encoding: chunked") + "\r\n", 400, None),
    ("chunk size beyond 64 bits", head("Transfer-Encoding: chunked") + "fffffffffffffffff\r\n", (400, 413), None),
    ("chunk size with 0x", head("Transfer-Encoding: chunked") + "0x5\r\nhello\r\n0\r\n\r\n", 400, None),
    ("no CRLF after a chunk", head("Transfer-Encoding: chunked") + "5\r\nhelloXX0\r\n\r\n", 400, None),
    ("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505), None),
]


@pytest.mark.parametrize("request_bytes, ours, nginxs", [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_request(web, request_bytes, ours, nginxs):
    expected = nginxs if IS_NGINX and nginxs else ours
    before = len(web.seen)
    with web.connect() as stream:
        stream.send(request_bytes)
        response = stream.response()
        assert response.status in (expected if isinstance(expected, tuple) else (expected,)), response
        if response.status not in (200, 405):
            assert response.get("Connection") == "close"
            assert stream.closed()
    assert not any("smuggled" in request.target for request in web.seen[before:])


@pytest.mark.parametrize("request_text", [
    "GET /lf HTTP/1.1\nHost: a\n\n",
    "GET /lf HTTP/1.1\r\nHost: a\nX-More: 1\r\n\r\n",
    "POST /lf HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
], ids=["every line", "one line", "chunk lines"])
def test_bare_lf_is_refused_or_one_request(web, request_text):
    """RFC 9112 2.2 lets a recipient take a bare LF for the end of a line; in no case may it start a second request."""
    before = len(web.seen)
    with web.connect() as stream:
        stream.send(request_text)
        assert stream.response().status in (200, 400)
    targets = [request.target for request in web.seen[before:]]
    assert targets in ([], ["/lf"])
    assert all("\n" not in value for request in web.seen[before:] for _, value in request.fields)


@pytest.mark.parametrize("disguise", ["Content_Length: 50", "Transfer_Encoding: chunked", "Content-Length\x0b: 9",
                                      "Connection: Content-Length", "Connection: close, Content-Length"])
def test_a_disguised_length_does_not_reach_the_server(web, disguise):
    before = len(web.seen)
    with web.connect() as stream:
        stream.send(head("Content-Length: 3", disguise) + "abc" + SMUGGLED)
        assert stream.response().status in (200, 400)
    for request in web.seen[before:]:
        if request.method == "POST":
            assert (request.all("Content-Length"), request.body) == (["3"], b"abc")
            assert request.get("Transfer_Encoding") is None and request.get("Content_Length") is None


def test_only_what_was_framed_reaches_the_server(web):
    """The bytes after a body are the next request, with its own answer."""
    before = len(web.seen)
    with web.connect() as stream:
        stream.send(head("Content-Length: 5") + "hello" + "GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "POST / " in stream.response().text
        assert "GET /second" in stream.response().text
    assert [request.target for request in web.seen[before:]] == ["/", "/second"]


def test_too_long_a_target_is_414(web):
    with web.connect() as stream:
        stream.send(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        response = stream.response()
        assert response.start == "HTTP/1.1 414 Request-URI Too Large"
        assert "<center><h1>414 Request-URI Too Large</h1></center>" in response.text
        assert stream.closed()


def test_a_target_of_8000_bytes_is_served(web):
    assert web.get("/" + "a" * 8000).status == 200


def test_too_long_a_field_is_400_as_nginx_says_it(web):
    with web.connect() as stream:
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n")
        response = stream.response()
        assert response.start == "HTTP/1.1 400 Bad Request"
        assert "<head><title>400 Request Header Or Cookie Too Large</title></head>" in response.text
        assert "<center>Request Header Or Cookie Too Large</center>" in response.text


def test_too_many_fields_are_refused(web):
    """32 kB (large_client_header_buffers 4 8k) in all."""
    with web.connect() as stream:
        fields = b"".join(b"X-Field-%d: %s\r\n" % (number, b"v" * 100) for number in range(400))
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        assert stream.response().status in (400, 431)


def test_a_megabyte_of_fields_is_refused_while_it_comes(web):
    with web.connect() as stream:
        try:
            stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
            for number in range(10000):
                stream.send(b"X-Field-%d: %s\r\n" % (number, b"v" * 100))
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            assert stream.response().status in (400, 431)
        except ConnectionResetError:
            pass


def test_20_kb_of_fields_pass(web):
    response = web.get("/", *[(f"X-Field-{number}", "v" * 1000) for number in range(20)])
    assert response.status == 200


def test_log_says_400_with_the_bytes_escaped(web):
    with web.connect() as stream:
        stream.send('GET /"\x01 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
        assert stream.response().status == 400
    assert web.weir.logged("GET /\\x22", "access.log")


def test_it_still_serves(web):
    assert web.get("/").status == 200
