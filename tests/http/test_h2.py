"""HTTP/2 from clients: curl, nghttp and h2load, and a client that sends single frames, right and wrong ones."""

import collections
import contextlib
import itertools
import re
import signal
import ssl
import threading

import pytest
from weirtest import Certificates, Topology, chunked, ok, wait_for
from weirtest import pattern as make_pattern
from weirtest.h2 import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
                         FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, H2, HEADERS, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS,
                         NO_ERROR, PADDED, PING, PRIORITY, PRIORITY_FLAG, PRIORITY_UPDATE, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM,
                         RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, block, frame, headers, request, settings,
                         window_update)

CONFIG = """
events {{ }}
http {{
    log_format h2 "[$http2] $server_protocol $ssl_alpn_protocol $connection_requests \\"$request\\" $status $body_bytes_sent";
    access_log access.log h2;
    client_max_body_size 0;
    large_client_header_buffers 4 1k;
    server {{
        listen 10.0.1.1:443 ssl http2;
        listen 10.0.1.1:80 http2;
        keepalive_requests 10000;
        {a}
        location = /say {{ default_type text/plain; return 200 "$http2 $server_protocol $scheme $host $http_cookie\\n"; }}
        location = /moved {{ return 301 /elsewhere; }}
        location = /closed {{ return 444; }}
        location /limited {{ client_max_body_size 1000; proxy_pass http://10.0.2.11:8080; }}
        location /upgrade {{
            proxy_pass http://10.0.2.11:8080; proxy_http_version 1.1;
            proxy_set_header Upgrade websocket; proxy_set_header Connection upgrade;
        }}
        location / {{ proxy_pass http://10.0.2.11:8080; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
    server {{
        listen 10.0.1.1:8080 http2;
        http2_max_concurrent_streams 3;
        http2_body_preread_size 1000;
        keepalive_requests 4;
        location / {{ proxy_pass http://10.0.2.11:8080; http2_chunk_size 1000; }}
    }}
    server {{
        listen 10.0.1.1:8081 http2;
        keepalive_timeout 100ms;
        return 200 "quick\\n";
    }}
    server {{
        listen 10.0.1.1:8082 http2;
        keepalive_timeout 0;
        client_header_timeout 300ms;
        return 200 "once\\n";
    }}
}}
"""


PATTERN = make_pattern(5000000)


def pattern(size):
    return PATTERN[:size]


class Servers:
    """What the origin was asked, and the servers' connections that wait to be told to go on."""

    def __init__(self):
        self.heads, self.gates, self.received = [], {}, {}

    def gate(self, name):
        return self.gates.setdefault(name, threading.Event())


SEEN = Servers()


def head_of(request):
    return request.head + b"\r\n" + request.body[:1000]


def origin(stream):
    """/size/N gives N bytes, /chunked/N in chunks with trailers, /close/N up to the end of the connection, /echo and
    /head what came, /slow/NAME reads its body when told, /gate/NAME answers when told, /early answers before the body."""
    while True:
        try:
            head = stream.request_head()
        except EOFError:
            return
        verb, _, rest = head.target.partition("?")[0].lstrip("/").partition("/")
        if verb == "slow":
            SEEN.gate(rest).wait(20)
        if verb == "early":
            stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
            stream.read_to_end()
            return
        message = stream._read_body(head, to_end=False)
        SEEN.heads.append(head)
        if verb == "gate":
            SEEN.gate(rest).wait(20)
        if verb in ("echo", "slow", "limited", "gate"):
            stream.send(ok(message.body))
        elif verb == "head":
            trailers = "".join(f"\n{name}={value}" for name, value in message.trailers).encode()
            stream.send(ok(head_of(message) + trailers))
        elif verb == "chunked":
            stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
                        chunked(pattern(int(rest)), 7777, [("X-Sum", "42"), ("Content-Length", "7"), ("Connection", "x")]))
        elif verb == "close":
            stream.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(int(rest)))
            return
        elif verb == "broken":
            stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return
        elif verb == "upgrade":
            stream.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
            return
        elif verb == "status":
            stream.send(f"HTTP/1.1 {rest} X\r\nContent-Length: 0\r\n\r\n")
        else:
            body = pattern(int(rest or 0))
            stream.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n".encode() +
                        (b"" if head.method == "HEAD" else body))


@pytest.fixture(scope="module")
def web():
    certificates = Certificates()
    certificates.sign("a", "a.test")
    with Topology(servers=1) as net:
        net.origin(origin)
        config = CONFIG.format(a=certificates.directives("a"))
        with net.balancer(config, ready=("10.0.1.1", 443)) as weir:
            net.weir, net.certificates, net.config = weir, certificates, config
            yield net
    certificates.close()


@pytest.fixture
def h2(web):
    with connect(web) as connection:
        yield connection


def connect(web, port=80, **options):
    return H2(web.client.connect("10.0.1.1", port, 10), **options)


def curl(web, url, *words, text=True):
    done = web.client.run("curl", "-sS", "--cacert", web.certificates.path("ca.crt"), "--connect-to", "::10.0.1.1:", url, *words,
                          text=text)
    return done.stdout


# ---- real clients ----


def test_curl_over_tls_and_without(web):
    assert curl(web, "https://a.test/say", "--http2") == "h2 HTTP/2.0 https a.test \n"
    assert curl(web, "http://a.test/say", "--http2-prior-knowledge", "-b", "a=1; b=2") == "h2c HTTP/2.0 http a.test a=1; b=2\n"
    assert web.weir.logged('[h2] HTTP/2.0 h2 1 "GET /say HTTP/2.0" 200 26\n', "access.log")
    assert web.weir.logged('[h2c] HTTP/2.0 - 1 "GET /say HTTP/2.0" 200 34\n', "access.log")


def test_http1_on_the_same_addresses(web):
    assert curl(web, "https://a.test/say", "--http1.1") == " HTTP/1.1 https a.test \n"
    assert curl(web, "http://a.test/say", "--http1.1") == " HTTP/1.1 http a.test \n"
    assert curl(web, "http://a.test/say", "--http2") == " HTTP/1.1 http a.test \n"  # asks to be upgraded, which is not done


@pytest.mark.parametrize("kind", ["size", "chunked", "close"])
@pytest.mark.parametrize("how", [["--http2"], ["--http2-prior-knowledge"]], ids=["tls", "plain"])
def test_answers_of_every_framing(web, kind, how):
    url = f"{'https' if how == ['--http2'] else 'http'}://a.test/{kind}/300001"
    assert curl(web, url, *how, text=False) == pattern(300001)


@pytest.mark.parametrize("words", [[], ["-H", "Content-Length:"], ["-H", "Transfer-Encoding: chunked"]],
                         ids=["length", "no length", "chunked"])
def test_requests_with_bodies(web, tmp_path, words):
    (tmp_path / "body").write_bytes(pattern(300001))
    got = curl(web, "https://a.test/echo", "--http2", "--data-binary", f"@{tmp_path}/body", *words, text=False)
    assert got == pattern(300001)


def test_nghttp_loads_a_page_with_many_parts(web):
    """All on one connection, more than may be under way at once."""
    parts = [f"http://10.0.1.1/size/{1000 + 100 * i}" for i in range(150)]
    text = web.client.run("nghttp", "-ns", *parts).stdout
    assert len(re.findall(r" 200 +\S+ /size/", text)) == 150, text


def test_h2load_with_many_streams(web):
    text = web.client.run("h2load", "-n", "1500", "-c", "3", "-m", "100", "http://10.0.1.1/size/3000").stdout
    assert "1500 succeeded, 0 failed, 0 errored" in text and "1500 2xx" in text


# ---- messages ----


def test_the_head_that_a_server_sees(h2):
    got = h2.get("/head?a=%20b", 1, ("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("x-one", "1"), ("cookie", "c=3"))
    lines = got.text.strip().split("\r\n")
    assert lines[0] == "GET /head?a=%20b HTTP/1.1"
    assert sorted(lines[1:]) == ["Host: 10.0.2.11:8080", "cookie: a=1; b=2; c=3", "x-one: 1"]


def test_host_in_place_of_authority(h2):
    h2.send(request(1, "/say", "GET", ("host", "other.test"), authority=None))
    assert h2.answer().text == "h2c HTTP/2.0 http other.test \n"


def test_trailers_of_requests_go_behind_the_last_chunk(h2):
    h2.send(request(1, "/head", "POST", end=False), frame(DATA, 0, 1, b"hello"),
            headers(1, ("x-sum", "42"), ("authorization", "no")))
    assert h2.answer().text.endswith("hello\nx-sum=42")
    h2.send(request(3, "/head", "POST", ("content-length", "5"), end=False), frame(DATA, 0, 3, b"hello"), headers(3, ("x-sum", "42")))
    assert h2.answer(3).text.endswith("hello")


def test_trailers_of_answers(h2):
    got = h2.get("/chunked/10000")
    assert got.body == pattern(10000) and got.trailers == [("x-sum", "42")]
    assert got.get("transfer-encoding") is None


def test_answers_without_a_body(h2):
    h2.send(request(1, "/size/500", "HEAD"), request(3, "/status/204"), request(5, "/status/304"), request(7, "/size/0"))
    got = [h2.answer(stream) for stream in (1, 3, 5, 7)]
    assert [(a.status, a.body, a.get("content-length")) for a in got] == [
        (200, b"", "500"), (204, b"", "0"), (304, b"", "0"), (200, b"", "0")]


def test_redirects_and_pages_of_our_own(h2):
    got = h2.get("/moved")
    assert (got.status, got.get("location")) == (301, "http://weir.test/elsewhere")
    assert got.get("connection") is None and b"301 Moved" in got.body
    h2.send(request(3, "/closed"))
    assert h2.answer(3).reset == CANCEL
    assert h2.get("/say", 5).status == 200


def test_100_continue(h2):
    h2.send(request(1, "/echo", "POST", ("expect", "100-continue"), end=False))
    h2.read_while(lambda: not h2.answers[1].interim)
    h2.send(frame(DATA, END_STREAM, 1, b"now"))
    assert h2.answers[1].interim == [[(":status", "100")]] and h2.answer().body == b"now"


def test_an_answer_before_the_body_has_come(h2):
    h2.send(request(1, "/early", "POST", end=False), frame(DATA, 0, 1, b"x"))
    assert h2.answer().body == b"early"
    h2.read_while(lambda: h2.answers[1].reset is None)
    assert h2.answers[1].reset == NO_ERROR
    h2.send(request(3, "/moved", "POST", end=False))
    assert h2.answer(3).status == 301


def test_what_was_under_way_behind_an_early_answer_ends_the_stream_as_it_should(h2):
    h2.send(request(1, "/say", "POST", end=False))
    assert h2.answer().status == 200
    h2.send(frame(DATA, END_STREAM, 1, b"x"))  # Weir's PING is not answered yet
    h2.ping()
    assert h2.answers[1].reset is None


def test_a_body_that_is_too_large(h2):
    h2.send(request(1, "/limited", "POST", ("content-length", "1001"), end=False), frame(DATA, 0, 1, b"x" * 1001))
    assert h2.answer().status == 413
    h2.send(request(3, "/limited", "POST", end=False), frame(DATA, END_STREAM, 3, b"x" * 1001))
    assert h2.answer(3).status == 413
    h2.send(request(5, "/limited", "POST", end=False), frame(DATA, END_STREAM, 5, b"x" * 1000))
    assert h2.answer(5).body == b"x" * 1000


def test_an_answer_that_breaks_off_is_no_answer(h2):
    h2.send(request(1, "/broken"))
    got = h2.answer()
    assert got.body == b"half" and not got.ended and got.reset == INTERNAL_ERROR
    assert h2.get("/say", 3).status == 200


def test_nobody_switches_protocols(h2):
    assert h2.get("/upgrade").status == 502  # 101 was not asked for
    h2.send(headers(3, (":method", "CONNECT"), (":authority", "a.test:443"), end=False))
    assert h2.answer(3).status == 405


def test_heads_that_are_too_large(h2):
    assert h2.get("/say", 1, ("x", "y" * 1000)).status == 200
    assert h2.get("/say", 3, ("x", "y" * 1020)).status == 400  # nginx's 494 on the wire
    assert h2.get("/say", 5, *[("x", "y" * 800)] * 6).status == 400
    assert h2.get("/say", 7).status == 200


# ---- flow control ----


def test_a_stream_that_is_not_read_holds_up_no_other(web):
    with connect(web, first=settings(window=0), grant=False) as h2:
        h2.send(request(1, "/size/5000000"), request(3, "/size/1000"), window_update(3, 1000))
        assert h2.answer(3).body == pattern(1000) and h2.answers[1].body == b""
        h2.send(window_update(1, 5000))
        h2.read_while(lambda: len(h2.answers[1].body) < 5000)
        h2.ping()
        assert h2.answers[1].body == pattern(5000)
        h2.send(frame(RST_STREAM, 0, 1, CANCEL.to_bytes(4, "big")))
        h2.send(request(5, "/size/1000"), window_update(5, 1000))
        assert h2.answer(5).status == 200
    assert web.weir.logged('"GET /size/5000000 HTTP/2.0" 200', "access.log")


def test_a_hundred_answers_wait_for_their_client(web):
    """More than there are large blocks of memory: none needs one."""
    with connect(web, first=settings(window=0)) as h2:
        streams = range(1, 201, 2)
        h2.send(*[request(stream, "/size/100000", "GET", ("user-agent", "x" * 500)) for stream in streams])
        h2.read_while(lambda: not all(h2.answers[stream].fields for stream in streams))
        assert {h2.answers[stream].status for stream in streams} == {200}
        h2.send(window_update(0, 10000000), settings(window=100000))
        assert all(h2.answer(stream).body == pattern(100000) for stream in streams)


def test_windows_are_what_settings_make_of_them(web):
    """Section 6.9.2: a smaller initial window may make one negative."""
    with connect(web, first=settings(window=1000), grant=False) as h2:
        h2.send(request(1, "/size/3000"))
        h2.read_while(lambda: len(h2.answers[1].body) < 1000)
        h2.send(settings(window=500), window_update(1, 500))
        h2.ping()
        assert len(h2.answers[1].body) == 1000
        h2.send(settings(window=100000))
        assert h2.answer().body == pattern(3000)


def test_content_that_a_server_does_not_take_holds_its_own_window_alone(web):
    SEEN.gate("one").clear()
    body = pattern(3000000)
    with connect(web) as h2:
        h2.ping()
        window = h2.settings[4]
        h2.send(request(1, "/slow/one", "POST", end=False))
        sent = 0
        while sent < len(body):
            room = window + h2.windows.get(1, 0) - sent
            if room <= 0:
                # The window is used up, and what left for the server has been given back: no more until it reads.
                h2.ping()
                if window + h2.windows.get(1, 0) == sent:
                    if SEEN.gate("one").is_set():
                        h2.read()
                        continue
                    assert sent < 2500000
                    h2.send(request(3, "/echo", "POST", end=False), frame(DATA, END_STREAM, 3, b"by the way"))
                    assert h2.answer(3).body == b"by the way"
                    SEEN.gate("one").set()
                continue
            piece = body[sent:sent + min(room, 16384)]
            h2.send(frame(DATA, 0, 1, piece))
            sent += len(piece)
        h2.send(frame(DATA, END_STREAM, 1))
        assert h2.answer().body == body
        assert SEEN.gate("one").is_set()


def test_content_beyond_the_window_is_refused(web):
    with connect(web, 8080) as h2:
        h2.ping()
        h2.send(request(1, "/echo", "POST", end=False), frame(DATA, 0, 1, b"x" * 1001))
        assert h2.outcome() in {("reset", FLOW_CONTROL_ERROR), ("goaway", FLOW_CONTROL_ERROR)}


def test_chunk_size_bounds_frames(web):
    with connect(web, 8080) as h2:
        sizes = []
        h2._take, take = lambda kind, flags, stream, payload: (sizes.append(len(payload)) if kind == DATA else None,
                                                              take(kind, flags, stream, payload)), h2._take
        assert h2.get("/size/50000").body == pattern(50000)
        assert max(sizes) == 1000


# ---- streams and connections ----


def test_streams_at_once_are_bounded(web):
    gate = SEEN.gate("three")
    with connect(web, 8080) as h2:
        # Before the client can know: it may try again.
        h2.send(*[request(stream, "/gate/three") for stream in (1, 3, 5, 7)])
        assert h2.answer(7).reset == REFUSED_STREAM and h2.settings[MAX_CONCURRENT_STREAMS] == 3
        h2.send(request(9, "/gate/three"))
        assert h2.outcome(9) == ("goaway", PROTOCOL_ERROR)  # it knows
    gate.set()


def test_a_connection_that_has_had_its_requests_goes_away(web):
    with connect(web, 8080) as h2:
        for stream in (1, 3, 5):
            assert h2.get("/size/1", stream).status == 200 and h2.goaway is None
        assert h2.get("/size/1", 7).status == 200
        assert h2.read_to_end().goaway == NO_ERROR


def test_an_idle_connection_goes_away(web):
    with connect(web, 8081) as h2:
        assert h2.get("/").text == "quick\n"
        assert h2.read_to_end().goaway == NO_ERROR


def test_a_connection_without_a_request_goes_away_whatever_else_it_says(web):
    with connect(web, 8082) as h2:
        h2.ping()
        assert h2.read_to_end().goaway == NO_ERROR
    with connect(web, 8082) as h2:
        assert h2.get("/").text == "once\n"  # keepalive_timeout 0: this one, and no other
        assert h2.read_to_end().goaway == NO_ERROR


def test_a_client_that_leaves_ends_its_requests(web):
    gate = SEEN.gate("left")
    with connect(web) as h2:
        h2.send(request(1, "/gate/left"), request(3, "/gate/left"))
        h2.send(frame(RST_STREAM, 0, 3, CANCEL.to_bytes(4, "big")))
        h2.ping()
    wait_for(lambda: "\n".join(web.weir.lines()).count('"GET /gate/left HTTP/2.0" 499 0') == 2, what="both as 499")
    gate.set()


def test_a_reload_ends_no_connection_but_where_nothing_listens_any_more(web):
    """What is under way ends as it began, the next stream follows the new configuration."""
    gate, streams = SEEN.gate("reload"), itertools.count(3, 2)
    with connect(web) as kept, connect(web, 8080) as left:
        kept.send(request(1, "/gate/reload"))
        kept.ping()
        assert left.get("/size/1").status == 200
        web.weir.reload(web.config.replace("$http2 $server", "reloaded $server").replace("10.0.1.1:8080", "10.0.1.1:8089"))
        wait_for(lambda: kept.get("/say", next(streams)).text.startswith("reloaded HTTP/2.0"), what="the new configuration")
        gate.set()
        assert kept.answer(1).status == 200 and kept.goaway is None
        left.send(request(3, "/size/1"))
        assert left.answer(3).reset == REFUSED_STREAM and left.read_to_end().goaway == NO_ERROR
    web.weir.reload(web.config)


# ---- floods: each ends with ENHANCE_YOUR_CALM and has a counter ----

def batches(frames, size):
    return [frames[at:at + size] for at in range(0, len(frames), size)]


def requests_with(fault):
    """On each of many streams one that is reset, or has to be."""
    return [request(stream, "/say", "POST", end=False) + fault(stream) for stream in range(1, 2403, 2)]


FLOODS = {
    "reset": ("reset", lambda: requests_with(lambda stream: frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))),
    "reset for windows": ("reset", lambda: requests_with(lambda stream: window_update(stream, (1 << 31) - 1))),
    "reset for trailers": ("reset", lambda: requests_with(lambda stream: headers(stream, ("x", "y"), end=False))),
    "ping": ("ping", lambda: [frame(PING, 0, 0, b"12345678")] * 1200),
    "settings": ("settings", lambda: [settings(window=65535)] * 200),
    "priority": ("priority", lambda: [frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")] * 1200),
    "priority update": ("priority", lambda: [frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1")] * 1200),
    "window_update": ("window_update", lambda: [window_update(0, 1)] * 1200),
    "dribble": ("window_update", lambda: [settings(window=1), request(1, "/size/5000")] + [window_update(1, 1)] * 1200),
    "empty_frame": ("empty_frame", lambda: [request(1, "/echo", "POST", end=False)] + [frame(DATA, 0, 1)] * 200),
    "padding": ("empty_frame", lambda: [request(1, "/echo", "POST", end=False)] + [frame(DATA, PADDED, 1, b"\1\0")] * 200),
    "unknown": ("other", lambda: [frame(0xf, 0, 0)] * 200),
    "goaway": ("other", lambda: [request(1, "/gate/never")] + [frame(GOAWAY, 0, 0, bytes(8))] * 200),
    "continuation": ("continuation", lambda: [frame(HEADERS, END_STREAM, 1, block((":method", "GET")))] + [frame(CONTINUATION, 0, 1)] * 20),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(web, name):
    counter, frames = FLOODS[name]
    with connect(web) as h2:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            for some in batches(frames(), 100):  # streams at once are bounded, too
                h2.send(*some)
                h2.ping()
        assert h2.outcome(99999) == ("goaway", ENHANCE_YOUR_CALM)
    assert web.weir.logged(f"client sent a flood of frames ({counter}) while processing HTTP/2 connection")


def test_what_a_busy_client_sends_is_no_flood(web):
    """Window updates for many frames, pings in between, some streams given up."""
    with connect(web) as h2:
        for round_number in range(40):
            first = 1 + 20 * round_number
            h2.send(*[request(first + 2 * i, "/size/40000") for i in range(10)])
            h2.send(frame(RST_STREAM, 0, first + 18, CANCEL.to_bytes(4, "big")))
            h2.ping()
            assert all(h2.answer(first + 2 * i).body == pattern(40000) for i in range(9))


# ---- RFC 9113, section by section ----

GET = request(1, "/say")
HEAD = ((":method", "GET"), (":scheme", "http"), (":path", "/say"), (":authority", "a"))
MALFORMED = ("reset", PROTOCOL_ERROR)


def fields(*more, without=(), end=True):
    return headers(1, *(pair for pair in HEAD if pair[0] not in without), *more, end=end)


CASES = {
    # 3.4: the preface; section 4.1, 4.2: frames
    "3.4 settings must come first": (None, frame(PING, 0, 0, b"12345678"), ("goaway", PROTOCOL_ERROR)),
    "4.1 unknown kinds are ignored": (frame(0xf, 0, 0, b"?") + frame(0xf, 0xff, 1, b"?") + GET, ("status", 200)),
    "4.2 data larger than allowed": (request(1, "/echo", "POST", end=False) + frame(DATA, 0, 1, b"x" * 16385), ("goaway", FRAME_SIZE_ERROR)),
    "4.2 headers larger than allowed": (frame(HEADERS, 5, 1, b"\x82" * 16385), ("goaway", FRAME_SIZE_ERROR)),
    "4.3 a block that cannot be decoded": (frame(HEADERS, 5, 1, b"\x00\xff\xff\xff\xff\xff\xff"), ("goaway", COMPRESSION_ERROR)),
    "4.3 another frame inside a block": (frame(HEADERS, 1, 1, block(*HEAD)) + frame(PING, 0, 0, b"12345678"), ("goaway", PROTOCOL_ERROR)),
    "4.3 another stream's frame inside a block": (frame(HEADERS, 1, 1, block(*HEAD)) + frame(CONTINUATION, 4, 3), ("goaway", PROTOCOL_ERROR)),
    # 5.1: states
    "5.1 idle: data": (frame(DATA, 1, 1, b"x"), ("goaway", PROTOCOL_ERROR)),
    "5.1 idle: reset": (frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), ("goaway", PROTOCOL_ERROR)),
    "5.1 idle: window update": (window_update(1, 100), ("goaway", PROTOCOL_ERROR)),
    "5.1 idle: continuation": (frame(CONTINUATION, 4, 1), ("goaway", PROTOCOL_ERROR)),
    "5.1 half-closed: data": (request(1, "/gate/never") + frame(DATA, 1, 1, b"x"), {("goaway", STREAM_CLOSED), ("reset", STREAM_CLOSED)}),
    "5.1 half-closed: headers": (request(1, "/gate/never") + GET, {("goaway", STREAM_CLOSED), ("reset", STREAM_CLOSED)}),
    "5.1.1 an even number": (request(2, "/say"), ("goaway", PROTOCOL_ERROR)),
    # 6: frames
    "6.1 data on stream 0": (frame(DATA, 0, 0, b"x"), ("goaway", PROTOCOL_ERROR)),
    "6.1 more padding than data": (request(1, "/echo", "POST", end=False) + frame(DATA, PADDED, 1, b"\x06hello"), ("goaway", PROTOCOL_ERROR)),
    "6.1 padded data": (request(1, "/echo", "POST", end=False) + frame(DATA, PADDED | END_STREAM, 1, b"\x03hello\0\0\0"), ("status", 200)),
    "6.2 headers on stream 0": (frame(HEADERS, 5, 0, block(*HEAD)), ("goaway", PROTOCOL_ERROR)),
    "6.2 more padding than headers": (frame(HEADERS, 5 | PADDED, 1, b"\xff" + block(*HEAD)), ("goaway", PROTOCOL_ERROR)),
    "6.2 padding and priority": (frame(HEADERS, 5 | PADDED | PRIORITY_FLAG, 1, b"\x02\0\0\0\3\x10" + block(*HEAD) + b"\0\0"), ("status", 200)),
    "6.3 priority of a wrong length": (frame(PRIORITY, 0, 1, b"\0\0\0\0"), {("goaway", FRAME_SIZE_ERROR), ("reset", FRAME_SIZE_ERROR)}),
    "6.3 priority on stream 0": (frame(PRIORITY, 0, 0, b"\0\0\0\3\x10"), ("goaway", PROTOCOL_ERROR)),
    "6.3 priority over itself": (frame(PRIORITY, 0, 1, b"\0\0\0\1\x10"), ("goaway", PROTOCOL_ERROR)),
    "6.4 reset on stream 0": (frame(RST_STREAM, 0, 0, b"\0\0\0\x08"), ("goaway", PROTOCOL_ERROR)),
    "6.4 reset of a wrong length": (request(1, "/gate/never") + frame(RST_STREAM, 0, 1, b"\0\0\x08"), ("goaway", FRAME_SIZE_ERROR)),
    "6.5 an acknowledgement with a payload": (frame(SETTINGS, ACK, 0, b"\0" * 6), ("goaway", FRAME_SIZE_ERROR)),
    "6.5 settings on a stream": (frame(SETTINGS, 0, 1), ("goaway", PROTOCOL_ERROR)),
    "6.5 settings of a wrong length": (frame(SETTINGS, 0, 0, b"\0" * 5), ("goaway", FRAME_SIZE_ERROR)),
    "6.5.2 push neither on nor off": (frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"), ("goaway", PROTOCOL_ERROR)),
    "6.5.2 a window of more than 2^31 - 1": (frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), ("goaway", FLOW_CONTROL_ERROR)),
    "6.5.2 frames of less than 2^14": (frame(SETTINGS, 0, 0, b"\0\5\0\0\x3f\xff"), ("goaway", PROTOCOL_ERROR)),
    "6.5.2 settings that are not known": (frame(SETTINGS, 0, 0, b"\x12\x34\0\0\0\1") + GET, ("status", 200)),
    "6.6 a client promises nothing": (frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + block(*HEAD)), ("goaway", PROTOCOL_ERROR)),
    "6.7 a ping on a stream": (frame(PING, 0, 1, b"12345678"), ("goaway", PROTOCOL_ERROR)),
    "6.7 a ping of a wrong length": (frame(PING, 0, 0, b"1234567"), ("goaway", FRAME_SIZE_ERROR)),
    "6.8 goaway on a stream": (frame(GOAWAY, 0, 1, b"\0" * 8), ("goaway", PROTOCOL_ERROR)),
    "6.8 goaway, and what was asked before": (GET + frame(GOAWAY, 0, 0, b"\0" * 8), ("status", 200)),
    "6.9 an update of the connection by 0": (window_update(0, 0), ("goaway", PROTOCOL_ERROR)),
    "6.9 an update of a stream by 0": (request(1, "/gate/never") + window_update(1, 0), {MALFORMED, ("goaway", PROTOCOL_ERROR)}),
    "6.9 an update of a wrong length": (frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), ("goaway", FRAME_SIZE_ERROR)),
    "6.9.1 a connection's window overflows": (window_update(0, 0x7fffffff), ("goaway", FLOW_CONTROL_ERROR)),
    "6.9.1 a stream's window overflows": (request(1, "/gate/never") + window_update(1, 0x7fffffff), ("reset", FLOW_CONTROL_ERROR)),
    "6.10 a head in pieces": (frame(HEADERS, 1, 1, block(*HEAD)[:9]) + frame(CONTINUATION, 0, 1, block(*HEAD)[9:20]) +
                              frame(CONTINUATION, END_HEADERS, 1, block(*HEAD)[20:]), ("status", 200)),
    "6.10 continuation behind the end": (GET + frame(CONTINUATION, 4, 1), ("goaway", PROTOCOL_ERROR)),
    # 8: messages
    "8.1 trailers without an end": (request(1, "/echo", "POST", end=False) + headers(1, ("x", "y"), end=False), MALFORMED),
    "8.1.1 less content than said": (request(1, "/echo", "POST", ("content-length", "2"), end=False) + frame(DATA, 1, 1, b"x"), MALFORMED),
    "8.1.1 more content than said": (request(1, "/echo", "POST", ("content-length", "2"), end=False) + frame(DATA, 1, 1, b"xxx"), MALFORMED),
    "8.1.1 content that was said not to come": (request(1, "/echo", "POST", ("content-length", "2")), MALFORMED),
    "8.1.1 two lengths": (fields(("content-length", "0"), ("content-length", "0")), {MALFORMED, ("status", 400)}),
    "8.1.1 a length that is no number": (fields(("content-length", "1x")), {MALFORMED, ("status", 400)}),
    "8.2.1 an upper-case name": (fields(("X-Y", "z")), MALFORMED),
    "8.2.1 a name with a space": (fields(("x y", "z")), MALFORMED),
    "8.2.1 a name with a line end": (fields(("x\r\ny", "z")), MALFORMED),
    "8.2.1 an empty name": (fields(("", "z")), MALFORMED),
    "8.2.1 a name with a colon": (fields(("x:y", "z")), MALFORMED),
    "8.2.1 a value with a line end": (fields(("x", "y\r\nhost: evil")), MALFORMED),
    "8.2.1 a value with a bare line feed": (fields(("x", "y\nz")), MALFORMED),
    "8.2.1 white space around a value": (fields(("x", " y")), MALFORMED),
    "8.2.1 a value with NUL": (fields(("x", "y\0z")), MALFORMED),
    "8.2.2 connection": (fields(("connection", "keep-alive")), MALFORMED),
    "8.2.2 keep-alive": (fields(("keep-alive", "1")), MALFORMED),
    "8.2.2 proxy-connection": (fields(("proxy-connection", "keep-alive")), MALFORMED),
    "8.2.2 transfer-encoding": (fields(("transfer-encoding", "chunked"), end=False), MALFORMED),
    "8.2.2 upgrade": (fields(("upgrade", "websocket")), MALFORMED),
    "8.2.2 te other than trailers": (fields(("te", "trailers, deflate")), MALFORMED),
    "8.3 a pseudo field that is not known": (fields((":test", "x")), MALFORMED),
    "8.3 a pseudo field of answers": (fields((":status", "200")), MALFORMED),
    "8.3 a pseudo field behind others": (headers(1, HEAD[0], ("x", "y"), *HEAD[1:]), MALFORMED),
    "8.3 a pseudo field in trailers": (request(1, "/echo", "POST", end=False) + headers(1, (":path", "/")), MALFORMED),
    "8.3.1 no method": (fields(without=[":method"]), MALFORMED),
    "8.3.1 no scheme": (fields(without=[":scheme"]), MALFORMED),
    "8.3.1 no path": (fields(without=[":path"]), MALFORMED),
    "8.3.1 an empty path": (headers(1, HEAD[0], HEAD[1], (":path", ""), HEAD[3]), MALFORMED),
    "8.3.1 two methods": (headers(1, HEAD[0], *HEAD), MALFORMED),
    "8.3.1 two paths": (headers(1, HEAD[2], *HEAD), MALFORMED),
    "8.3.1 neither authority nor host": (fields(without=[":authority"]), MALFORMED),
    "8.3.1 authority and another host": (fields(("host", "b")), ("status", 400)),
    "8.3.1 authority and the same host": (fields(("host", "a")), ("status", 200)),
    "8.3.1 an authority that is none": (headers(1, *HEAD[:3], (":authority", "a b")), {MALFORMED, ("status", 400)}),
    "8.3.1 an authority with a user": (headers(1, *HEAD[:3], (":authority", "u@a")), {MALFORMED, ("status", 400)}),
    "8.3.1 a path that is none": (headers(1, HEAD[0], HEAD[1], (":path", "say"), HEAD[3]), {MALFORMED, ("status", 400)}),
    "8.3.1 a path with a space": (headers(1, HEAD[0], HEAD[1], (":path", "/a b HTTP/1.1"), HEAD[3]), {MALFORMED, ("status", 400)}),
    "8.3.1 a path with a line end": (headers(1, HEAD[0], HEAD[1], (":path", "/a\r\nx: y"), HEAD[3]), MALFORMED),
    "8.3.1 a method with a space": (headers(1, (":method", "GET /x"), *HEAD[1:]), {MALFORMED, ("status", 400)}),
    "8.4 push cannot be asked for": (frame(SETTINGS, 0, 0, b"\0\2\0\0\0\1") + GET, ("status", 200)),
    "8.5 connect with a path": (headers(1, (":method", "CONNECT"), *HEAD[1:]), MALFORMED),
    "8.5 extended connect was not offered": (headers(1, (":method", "CONNECT"), (":protocol", "websocket"), *HEAD[1:], end=False), MALFORMED),
    "8.3.1 more fields than a request may have": (fields(*[("x", "y")] * 130), ("status", 400)),
}


@pytest.mark.parametrize("name", CASES)
def test_rfc_9113(web, name):
    *first, frames, wanted = CASES[name]
    options = {"first": b""} if first else {}
    with connect(web, **options) as h2:
        h2.send(frames)
        assert h2.outcome() in (wanted if isinstance(wanted, set) else {wanted})
    assert web.weir.alive()


BEHIND_THE_END = {
    "closed: data": (1, frame(DATA, END_STREAM, 1, b"x"), STREAM_CLOSED),
    "closed: headers": (1, GET, STREAM_CLOSED),
    "reset by the client: data": (1, request(3, "/gate/never", "POST", end=False) + frame(RST_STREAM, 0, 3, b"\0\0\0\x08") +
                                  frame(DATA, END_STREAM, 3, b"x"), STREAM_CLOSED),
    "reset by the client: headers": (1, request(3, "/gate/never") + frame(RST_STREAM, 0, 3, b"\0\0\0\x08") + request(3, "/say"), STREAM_CLOSED),
    "a number that was skipped": (5, request(3, "/say"), PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", BEHIND_THE_END)
def test_nothing_comes_behind_the_end_of_a_stream(web, name):
    """RFC 9113 section 5.1."""
    first, frames, code = BEHIND_THE_END[name]
    with connect(web) as h2:
        assert h2.get("/say", first).status == 200
        h2.send(frames)
        assert h2.outcome(99) == ("goaway", code)


def test_what_was_on_its_way_when_we_reset_a_stream_is_no_error(h2):
    h2.send(request(1, "/moved", "POST", end=False))
    assert h2.answer(1).status == 301
    h2.send(frame(DATA, END_STREAM, 1, b"x"))
    assert h2.get("/say", 3).status == 200 and h2.goaway is None


def test_a_preface_that_comes_in_pieces_and_one_that_is_none(web):
    with web.client.connect("10.0.1.1", 80, 10) as socket:
        socket.sendall(b"PRI * HTTP/2.0\r\n\r\n")
        socket.sendall(b"SM\r\n\r\n")
        with H2(socket, preface=b"") as h2:
            assert h2.get("/say").status == 200
    with web.client.connect("10.0.1.1", 80, 10) as socket:
        socket.sendall(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        assert socket.recv(100).startswith(b"HTTP/1.1 400")


def test_frames_over_tls_where_alpn_says_so(web):
    context = ssl.create_default_context(cafile=web.certificates.path("ca.crt"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with H2(context.wrap_socket(web.client.connect("10.0.1.1", 443, 10), server_hostname="a.test")) as h2:
        assert h2.get("/size/100000").body == pattern(100000)


def test_quit_says_goaway_and_finishes(web):
    """The last one: it ends the balancer of all."""
    gate = SEEN.gate("quit")
    with connect(web) as busy, connect(web) as idle, connect(web) as lingering:
        idle.ping()
        busy.send(request(1, "/gate/quit"))
        busy.ping()
        lingering.send(frame(DATA, 0, 0, b"of no stream"))
        assert lingering.read_to_end().goaway == PROTOCOL_ERROR
        web.weir.send_signal(signal.SIGQUIT)
        assert idle.read_to_end().goaway == NO_ERROR
        busy.read_while(lambda: busy.goaway is None)
        busy.send(request(3, "/say"))
        gate.set()
        assert busy.answer(1).status == 200
        assert busy.read_to_end().goaway == NO_ERROR and 3 not in busy.answers
    assert web.weir.wait_exit() == 0
    for name, count in collections.Counter(counter for counter, _ in FLOODS.values()).items():
        assert f"counter proxy.http2_{name}_floods {count}\n" in web.weir.error_log
