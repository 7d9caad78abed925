"""Every case of h2spec (github.com/summerwind/h2spec) by its number there, and the section of the RFC that it asks about.

A case is what a client sends, step by step, and what must come of it. h2spec takes a connection that just ends for any error; here
an error has to be said: one of the connection with GOAWAY and then the end, one of a stream with RST_STREAM, and the connection
goes on (or as one of the connection, as section 5.4.2 allows).

Each runs in clear text and over TLS, against three servers. The first two have answered in whole before the client goes on, so what
it does wrong then must be seen although nobody needs it any more; the last has said nothing until the client has done all.
"""

import contextlib
import itertools
import ssl
import threading

import hpack.hpack
import hpack.huffman_constants
import pytest
from hpack.huffman import HuffmanEncoder
from weirtest import Certificates, Topology, ok
from weirtest.h2 import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM,
                         FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, H2, HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE,
                         MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PADDED, PING, PREFACE, PRIORITY,
                         PRIORITY_FLAG, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, block,
                         frame, settings, window_update)

CONFIG = """
events {{ }}
http {{
    http2_max_concurrent_streams 8;
    {a}
    server {{ listen 10.0.1.1:80 http2; listen 10.0.1.1:443 ssl http2; return 200 "by itself"; }}
    server {{ listen 10.0.1.1:81 http2; listen 10.0.1.1:444 ssl http2; location / {{ proxy_pass http://10.0.2.11:8080; }} }}
    server {{ listen 10.0.1.1:82 http2; listen 10.0.1.1:445 ssl http2; location / {{ proxy_pass http://10.0.2.11:8081; }} }}
}}
"""
pytestmark = pytest.mark.weir_only  # nginx misses 31 of these by itself, and reads bodies before it asks a server
SERVERS = ["Weir itself", "early", "late"]
LATE = SERVERS.index("late")


# ---- what a client sends ----

GET = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "weir.test"))
POST = ((":method", "POST"), *GET[1:])
BLOCK, POST_BLOCK, LONG_BLOCK = block(*GET), block(*POST), block(("x-long", "x" * 4000))


def headers(payload, stream=1, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, payload)


def get(*more, stream=1, fields=GET):
    return headers(block(*fields, *more), stream)


def post(*more):
    """Content is to follow."""
    return headers(block(*POST, *more), 1, END_HEADERS)


def begun(payload=BLOCK, flags=END_STREAM):
    """A head that is not all there."""
    return headers(payload, 1, flags)


def continuation(payload=LONG_BLOCK, stream=1, flags=END_HEADERS):
    return frame(CONTINUATION, flags, stream, payload)


def data(text=b"test", stream=1, flags=END_STREAM):
    return frame(DATA, flags, stream, text)


def priority(stream=1, on=0, weight=255, exclusive=0):
    return frame(PRIORITY, 0, stream, dependence(on, weight, exclusive))


def dependence(on=0, weight=255, exclusive=0):
    return (on | exclusive << 31).to_bytes(4, "big") + bytes([weight])


def reset(stream=1, code=CANCEL):
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def setting(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs))


def window(*sizes):
    return setting(*((INITIAL_WINDOW_SIZE, size) for size in sizes))


def ping(word=bytes(8), flags=0, stream=0):
    return frame(PING, flags, stream, word)


def goaway(code=NO_ERROR, stream=0, text=b""):
    return frame(GOAWAY, 0, stream, bytes(4) + code.to_bytes(4, "big") + text)


def without(name):
    return [pair for pair in GET if pair[0] != name]


def changed(name, value):
    return [(field, value if field == name else old) for field, old in GET]


def integer(value, prefix, first=0):
    """RFC 7541 section 5.1, with what else the first byte says."""
    coded = hpack.hpack.encode_integer(value, prefix)
    return bytes([coded[0] | first]) + coded[1:]


def string(text, huffman):
    if not huffman:
        return integer(len(text), 7) + text
    coder = HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH)
    return huffman_string(coder.encode(text))


def huffman_string(coded):
    return integer(len(coded), 7, 0x80) + coded


def bits(text):
    text = text.replace(" ", "")
    return int(text, 2).to_bytes(len(text) // 8, "big")


UNKNOWN = frame(0x16, 0, 0, bytes(8))
WORD = b"a word.."
USER_AGENT = 58  # in the static table
TEST = "01001 00101 01000 01001"  # in the code of RFC 7541, appendix B
EOS = "1" * 30


# ---- steps that wait ----


class Wait:
    def __init__(self, *, until, where=range(len(SERVERS))):
        self.until, self.where = until, where


RAW = Wait(until=lambda h2: True)  # first: there are no settings but what the next steps say
ANSWERED = Wait(until=lambda h2: h2.answers[1].ended)
EARLY = Wait(until=lambda h2: h2.answers[1].ended, where=range(LATE))
CONTENT = Wait(until=lambda h2: h2.sizes)
ACKNOWLEDGED = Wait(until=lambda h2: h2.acknowledged == 2)


# ---- what must come of it ----


def connection_error(*codes):
    def check(h2):
        assert h2.read_to_end().goaway in codes
    return check


def stream_error(*codes):
    def check(h2):
        h2.read_while(lambda: h2.goaway is None and not h2.errors())
        if h2.goaway is None:
            assert h2.errors()[0] in codes
            h2.ping()
        else:
            connection_error(*codes)(h2)
    return check


def answered(h2):
    assert h2.answer().status == 200
    h2.ping()


def pong(word):
    def check(h2):
        h2.read_while(lambda: not h2.pongs)
        assert h2.pongs == [word]
    return check


def pong_or_end(word):
    """Who has said GOAWAY, and asked nothing, need not be heard any more."""
    def check(h2):
        with contextlib.suppress(EOFError):
            h2.read_while(lambda: not h2.pongs)
        assert h2.pongs == [word] or (h2.closed and h2.goaway in (None, NO_ERROR))
    return check


def contents(*sizes):
    """Frames of so many bytes and, before there is more room, no other."""
    def check(h2):
        h2.read_while(lambda: len(h2.sizes) < len(sizes))
        h2.ping()
        assert h2.sizes == list(sizes)
    return check


def acknowledged(h2):
    h2.read_while(lambda: h2.acknowledged < 2)


def closed(h2):
    """With GOAWAY where a frame can be expected, and no half of anything."""
    assert h2.read_to_end().closed and h2.goaway in (None, PROTOCOL_ERROR) and not h2.buffer


def settings_first(h2):
    h2.read()
    assert h2.kinds == [SETTINGS] and h2.settings


PROTOCOL = connection_error(PROTOCOL_ERROR)
FLOW_CONTROL = connection_error(FLOW_CONTROL_ERROR)
FRAME_SIZE = connection_error(FRAME_SIZE_ERROR)
COMPRESSION = connection_error(COMPRESSION_ERROR)
CLOSED = connection_error(STREAM_CLOSED)
MALFORMED = stream_error(PROTOCOL_ERROR)

# ---- the cases ----

SECTIONS = {
    # How a client that does all right is served.
    ("generic/1", "RFC 9113 3.4"): [
        (RAW, PREFACE + settings(), settings_first),
    ],
    ("generic/2", "RFC 9113 5.1"): [
        (priority(), ping(WORD), pong(WORD)),
        (window(0), get(), window_update(1, 1), contents(1)),
        (window(0), get(), priority(), window_update(1, 1), contents(1)),
        (get(), reset(), ping(WORD), pong(WORD)),
        (get(), ANSWERED, priority(), ping(WORD), pong(WORD)),
    ],
    ("generic/3.1", "RFC 9113 6.1"): [
        (post(), EARLY, data(), answered),
        (post(), EARLY, data(flags=0), data(), answered),
        (post(), EARLY, data(b"\x05test" + bytes(5), flags=PADDED | END_STREAM), answered),
    ],
    ("generic/3.2", "RFC 9113 6.2"): [
        (get(), answered),
        (headers(b"\x08" + BLOCK + bytes(8), flags=PADDED | END_HEADERS | END_STREAM), answered),
        (headers(dependence() + BLOCK, flags=PRIORITY_FLAG | END_HEADERS | END_STREAM), answered),
    ],
    ("generic/3.3", "RFC 9113 6.3"): [
        (priority(weight=0), get(), answered),
        (priority(weight=255), get(), answered),
        (priority(3, on=1, weight=0), get(), answered),
        (priority(exclusive=1), get(), answered),
        (priority(3), get(), answered),
    ],
    ("generic/3.4", "RFC 9113 6.4"): [
        (post(), EARLY, reset(), ping(WORD), pong(WORD)),
    ],
    ("generic/3.5", "RFC 9113 6.5"): [
        (setting((HEADER_TABLE_SIZE, 4096), (ENABLE_PUSH, 1), (MAX_CONCURRENT_STREAMS, 100), (INITIAL_WINDOW_SIZE, 65535),
                 (MAX_FRAME_SIZE, 16384), (MAX_HEADER_LIST_SIZE, 100)), acknowledged),
    ],
    ("generic/3.7", "RFC 9113 6.7"): [
        (ping(WORD), pong(WORD)),
    ],
    ("generic/3.8", "RFC 9113 6.8"): [
        (goaway(text=b"well"), ping(WORD), pong_or_end(WORD)),
    ],
    ("generic/3.9", "RFC 9113 6.9"): [
        (window_update(0, 1), ping(WORD), pong(WORD)),
        (get(), window_update(1, 1), answered),
    ],
    ("generic/3.10", "RFC 9113 6.10"): [
        (begun(BLOCK[:5]), continuation(BLOCK[5:]), answered),
        (begun(BLOCK[:5]), continuation(BLOCK[5:10], flags=0), continuation(BLOCK[10:]), answered),
    ],
    ("generic/4", "RFC 9113 8.1"): [
        (get(), answered),
        (get(fields=changed(":method", "HEAD")), answered),
        (post(), EARLY, data(), answered),
        (post(("trailer", "x-sum")), EARLY, data(flags=0), get(fields=[("x-sum", "1")]), answered),
    ],
    ("generic/5", "RFC 7541 6"): [
        (headers(BLOCK + integer(USER_AGENT, 7, 0x80)), answered),
        *((headers(BLOCK + name + string(b"h2", huffman)), answered)
          for first, prefix in ((0x40, 6), (0x00, 4), (0x10, 4))  # indexed, not indexed, never indexed
          for is_new, huffman in itertools.product((False, True), repeat=2)
          for name in [bytes([first]) + string(b"x-test", huffman) if is_new else integer(USER_AGENT, prefix, first)]),
        (headers(integer(128, 5, 0x20) + BLOCK), answered),
        (headers(integer(128, 5, 0x20) + integer(4096, 5, 0x20) + BLOCK), answered),
    ],
    # Header compression that cannot be undone.
    ("hpack/2.3.3", "RFC 7541 2.3.3"): [
        (headers(BLOCK + integer(70, 7, 0x80)), COMPRESSION),
        (headers(BLOCK + integer(70, 6, 0x40) + string(b"", False)), COMPRESSION),
    ],
    ("hpack/4.2", "RFC 7541 4.2"): [
        (headers(BLOCK + integer(1, 5, 0x20)), COMPRESSION),
    ],
    ("hpack/5.2", "RFC 7541 5.2"): [
        (headers(BLOCK + b"\0" + string(b"x-test", True) + huffman_string(bits(coded))), COMPRESSION)
        for coded in (TEST + "1111 11111111", TEST + "0000", TEST[:17] + EOS + TEST[18:] + "111111")
    ],
    ("hpack/6.1", "RFC 7541 6.1"): [
        (headers(BLOCK + integer(0, 7, 0x80)), COMPRESSION),
    ],
    ("hpack/6.3", "RFC 7541 6.3"): [
        (headers(integer(4097, 5, 0x20) + BLOCK), COMPRESSION),
    ],
    # What is wrong.
    ("http2/3.5", "RFC 9113 3.4"): [
        (RAW, PREFACE + settings(), settings_first),
        (RAW, b"NO PREFACE AT ALL\r\n\r\n", closed),
    ],
    ("http2/4.1", "RFC 9113 4.1"): [
        (UNKNOWN, ping(WORD), pong(WORD)),
        (ping(WORD, flags=0x16), pong(WORD)),
        (ping(WORD, flags=0x16, stream=1 << 31), pong(WORD)),
    ],
    ("http2/4.2", "RFC 9113 4.2"): [
        (post(), EARLY, data(bytes(16384)), answered),
        (post(), EARLY, data(bytes(16385)), stream_error(FRAME_SIZE_ERROR)),
        (get(*((f"x-long-{number}", "x" * 4000) for number in range(5))), FRAME_SIZE),
    ],
    ("http2/4.3", "RFC 9113 4.3"): [
        (headers(b"\x40"), COMPRESSION),
        (begun(flags=0), priority(), continuation(), PROTOCOL),
        (begun(flags=0), get(stream=3), continuation(), PROTOCOL),
    ],
    ("http2/5.1", "RFC 9113 5.1"): [
        (data(), PROTOCOL),
        (reset(), PROTOCOL),
        (window_update(1, 100), PROTOCOL),
        (continuation(BLOCK), PROTOCOL),
        (get(), EARLY, data(), stream_error(STREAM_CLOSED)),
        (get(), EARLY, get(), stream_error(STREAM_CLOSED)),
        (get(), EARLY, continuation(BLOCK), stream_error(STREAM_CLOSED, PROTOCOL_ERROR)),
        (post(), EARLY, reset(), data(), stream_error(STREAM_CLOSED)),
        (post(), EARLY, reset(), get(), stream_error(STREAM_CLOSED)),
        (post(), EARLY, reset(), continuation(), stream_error(STREAM_CLOSED, PROTOCOL_ERROR)),
        (get(), ANSWERED, data(), CLOSED),
        (get(), ANSWERED, get(), CLOSED),
        (get(), ANSWERED, continuation(), connection_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ],
    ("http2/5.1.1", "RFC 9113 5.1.1"): [
        (get(stream=2), PROTOCOL),
        (get(stream=5), get(stream=3), PROTOCOL),
    ],
    ("http2/5.1.2", "RFC 9113 5.1.2"): [
        (window(0), *(get(stream=stream) for stream in range(1, 19, 2)), stream_error(PROTOCOL_ERROR, REFUSED_STREAM)),
    ],
    ("http2/5.3.1", "RFC 7540 5.3.1"): [
        (headers(dependence(on=1) + BLOCK, flags=PRIORITY_FLAG | END_HEADERS | END_STREAM), MALFORMED),
        (priority(1, on=1), MALFORMED),
    ],
    ("http2/5.4.1", "RFC 9113 5.4.1"): [
        (ping(stream=3), closed),
        (ping(stream=3), PROTOCOL),
    ],
    ("http2/5.5", "RFC 9113 5.5"): [
        (UNKNOWN, ping(WORD), pong(WORD)),
        (begun(), UNKNOWN, PROTOCOL),
    ],
    ("http2/6.1", "RFC 9113 6.1"): [
        (data(stream=0), PROTOCOL),
        (headers(POST_BLOCK), EARLY, data(), stream_error(STREAM_CLOSED)),
        (post(("content-length", "4")), EARLY, data(b"\x06Test", flags=PADDED | END_STREAM), PROTOCOL),
    ],
    ("http2/6.2", "RFC 9113 6.2"): [
        (begun(flags=0), priority(), continuation(), PROTOCOL),
        (begun(flags=0), get(stream=3), continuation(), PROTOCOL),
        (get(stream=0), PROTOCOL),
        (headers(bytes([len(BLOCK) + 2]) + BLOCK, flags=PADDED | END_HEADERS | END_STREAM), MALFORMED),
    ],
    ("http2/6.3", "RFC 9113 6.3"): [
        (priority(0), PROTOCOL),
        (get(), EARLY, frame(PRIORITY, 0, 1, b"\x80\0\0\1"), stream_error(FRAME_SIZE_ERROR)),
    ],
    ("http2/6.4", "RFC 9113 6.4"): [
        (reset(0), PROTOCOL),
        (reset(1), PROTOCOL),
        (get(), EARLY, frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE),
    ],
    ("http2/6.5", "RFC 9113 6.5"): [
        (frame(SETTINGS, ACK, 0, bytes(1)), FRAME_SIZE),
        (frame(SETTINGS, 0, 1, b"\0\3\0\0\0\x64"), PROTOCOL),
        (frame(SETTINGS, 0, 0, b"\0\3\0"), FRAME_SIZE),
    ],
    ("http2/6.5.2", "RFC 9113 6.5.2"): [
        (setting((ENABLE_PUSH, 2)), PROTOCOL),
        (window(1 << 31), FLOW_CONTROL),
        (setting((MAX_FRAME_SIZE, (1 << 14) - 1)), PROTOCOL),
        (setting((MAX_FRAME_SIZE, 1 << 24)), PROTOCOL),
        (setting((0xff, 1)), ping(WORD), pong(WORD)),
    ],
    ("http2/6.5.3", "RFC 9113 6.5.3"): [
        (window(100, 1), ACKNOWLEDGED, get(), contents(1)),
        (setting((ENABLE_PUSH, 0)), acknowledged),
    ],
    ("http2/6.7", "RFC 9113 6.7"): [
        (ping(WORD), pong(WORD)),
        (ping(b"nobody's", flags=ACK), ping(WORD), pong(WORD)),
        (ping(stream=1), PROTOCOL),
        (ping(bytes(6)), FRAME_SIZE),
    ],
    ("http2/6.8", "RFC 9113 6.8"): [
        (goaway(stream=1), PROTOCOL),
    ],
    ("http2/6.9", "RFC 9113 6.9"): [
        (window_update(0, 0), PROTOCOL),
        (post(), EARLY, window_update(1, 0), MALFORMED),
        (frame(8, 0, 0, b"\0\0\1"), FRAME_SIZE),
    ],
    ("http2/6.9.1", "RFC 9113 6.9.1"): [
        (window(1), ACKNOWLEDGED, get(), contents(1)),
        (window_update(0, (1 << 31) - 1), window_update(0, (1 << 31) - 1), FLOW_CONTROL),
        (post(), EARLY, window_update(1, (1 << 31) - 1), window_update(1, (1 << 31) - 1), stream_error(FLOW_CONTROL_ERROR)),
    ],
    ("http2/6.9.2", "RFC 9113 6.9.2"): [
        (window(0), ACKNOWLEDGED, get(), window(1), contents(1)),
        (window(3), ACKNOWLEDGED, get(), CONTENT, window(2), window_update(1, 2), contents(3, 1)),
        (window(1 << 31), FLOW_CONTROL),
    ],
    ("http2/6.10", "RFC 9113 6.10"): [
        (begun(), continuation(flags=0), continuation(), answered),
        (begun(POST_BLOCK, flags=0), continuation(flags=0), data(), PROTOCOL),
        (begun(), continuation(stream=0), PROTOCOL),
        (get(), EARLY, continuation(), PROTOCOL),
        (begun(), continuation(), EARLY, continuation(), PROTOCOL),
        (begun(POST_BLOCK, flags=0), data(), continuation(flags=0), continuation(stream=0), PROTOCOL),
    ],
    ("http2/7", "RFC 9113 7"): [
        (goaway(code=0xff), ping(WORD), pong_or_end(WORD)),
        (post(), EARLY, reset(code=0xff), ping(WORD), pong(WORD)),
    ],
    ("http2/8.1", "RFC 9113 8.1"): [
        (post(), EARLY, data(flags=0), headers(block(("x-sum", "1")), flags=END_HEADERS), MALFORMED),
    ],
    ("http2/8.1.2", "RFC 9113 8.2"): [
        (get(("X-TEST", "ok")), MALFORMED),
    ],
    ("http2/8.1.2.1", "RFC 9113 8.3"): [
        (get((":test", "ok")), MALFORMED),
        (get((":status", "200")), MALFORMED),
        (post(), EARLY, data(flags=0), headers(block((":method", "POST")), flags=END_HEADERS), MALFORMED),
        (get(fields=[("x-test", "ok"), *GET]), MALFORMED),
    ],
    ("http2/8.1.2.2", "RFC 9113 8.2.2"): [
        (get(("connection", "keep-alive")), MALFORMED),
        (get(("trailers", "test"), ("te", "trailers, deflate")), MALFORMED),
    ],
    ("http2/8.1.2.3", "RFC 9113 8.3.1"): [
        (get(fields=changed(":path", "")), MALFORMED),
        *((get(fields=without(name)), MALFORMED) for name in (":method", ":scheme", ":path")),
        *((get((name, dict(GET)[name])), MALFORMED) for name in (":method", ":scheme", ":path")),
    ],
    ("http2/8.1.2.6", "RFC 9113 8.1.1"): [
        (post(("content-length", "1")), EARLY, data(), MALFORMED),
        (post(("content-length", "1")), EARLY, data(flags=0), data(), MALFORMED),
    ],
    ("http2/8.2", "RFC 9113 8.4"): [
        (frame(PUSH_PROMISE, END_HEADERS, 1, (3).to_bytes(4, "big") + BLOCK), PROTOCOL),
    ],
}

CASES = {f"{section}/{number} {rfc}": case
         for (section, rfc), cases in SECTIONS.items() for number, case in enumerate(cases, 1)}
assert len(CASES) == 147, "h2spec's 146, and one that it asks only when it is strict"

# ---- how they are run ----


class Client(H2):
    """Knows besides the kinds of frames, and the sizes of content, that have come."""

    def __init__(self, socket, handshake):
        self.kinds, self.sizes, self.acknowledged = [], [], 0
        super().__init__(socket, settings() if handshake else b"", PREFACE if handshake else b"", grant=False)
        if handshake:
            self.read_while(lambda: not self.settings or not self.acknowledged)

    def _take(self, kind, flags, stream, payload):
        self.kinds.append(kind)
        self.acknowledged += kind == SETTINGS and flags & ACK
        if kind == DATA and payload:
            self.sizes.append(len(payload))
        super()._take(kind, flags, stream, payload)

    def errors(self):
        return [answer.reset for answer in self.answers.values() if answer.reset not in (None, NO_ERROR)]


class Gate:
    """Of the server that is late: what it is asked now it answers when that is opened."""

    def __init__(self):
        self.event = threading.Event()

    def renew(self):
        self.event.set()
        self.event = threading.Event()

    def open(self):
        self.event.set()


GATE = Gate()


def early(stream):
    with_body = stream.request_head().method == "POST"
    stream.send(ok(b"an early answer"))
    if with_body:
        stream.read_to_end()


def late(stream):
    head = stream.request_head()
    gate = GATE.event
    stream._read_body(head, to_end=False)
    gate.wait(20)
    stream.send(ok(b"a late answer"))


@pytest.fixture(scope="module")
def web():
    certificates = Certificates()
    certificates.sign("a", "a.test")
    with Topology(servers=1) as net:
        net.origin(early, port=8080)
        net.origin(late, port=8081)
        with net.balancer(CONFIG.format(a=certificates.directives("a")), ready=("10.0.1.1", 443)) as weir:
            net.weir, net.context = weir, ssl.create_default_context(cafile=certificates.path("ca.crt"))
            net.context.set_alpn_protocols(["h2"])
            yield net
    certificates.close()


def connect(web, server, tls):
    socket = web.client.connect("10.0.1.1", (443 if tls else 80) + server, 10)
    return web.context.wrap_socket(socket, server_hostname="a.test") if tls else socket


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("server", range(len(SERVERS)), ids=SERVERS)
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_h2spec(web, case, server, tls):
    *steps, check = CASES[case]
    GATE.renew()
    with Client(connect(web, server, tls), handshake=RAW not in steps) as h2:
        for step in steps:
            if isinstance(step, bytes):
                h2.send(step)
            elif server in step.where:
                GATE.open()
                h2.read_while(lambda: not step.until(h2))
        GATE.open()
        check(h2)
    assert web.weir.alive()
