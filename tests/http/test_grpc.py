"""`grpc_pass`: real gRPC (Debian's python3-grpcio) on both sides, nghttpd and curl, and servers of HTTP/2 that say anything."""

import threading
import time

import pytest
from weirtest import Certificates, Topology, rpc, wait_for
from weirtest.h2 import (CANCEL, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, INTERNAL_ERROR, PING,
                         PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, block, frame, headers, request,
                         settings, window_update)

CONFIG = """
events {{ }}
http {{
    log_format rpc "$request_uri $status $upstream_addr $upstream_status $body_bytes_sent";
    access_log access.log rpc;
    client_max_body_size 0;
    proxy_read_timeout 1ms;
    upstream service {{ server 10.0.2.11:50051; keepalive 8; }}
    upstream pair {{ server 10.0.2.12:50051; server 10.0.2.11:50051; keepalive 8; }}
    upstream odd {{ server 10.0.2.11:9000 max_fails=0; }}
    upstream odd_first {{ server 10.0.2.11:9000 max_fails=0; server 10.0.2.11:9001 backup; }}
    upstream fresh {{ server 10.0.2.11:9000; keepalive 1; }}
    upstream secret {{ server 10.0.2.11:50052; }}
    server {{
        listen 10.0.1.1:80 http2;
        listen 10.0.1.1:443 ssl http2;
        {a}
        location / {{ grpc_pass service; }}
    }}
    server {{ listen 10.0.1.1:81 http2; location / {{ grpc_pass grpc://pair; }} }}
    server {{
        listen 10.0.1.1:82 http2;
        location / {{
            grpc_pass grpcs://secret; grpc_ssl_verify on; grpc_ssl_trusted_certificate {ca}; grpc_ssl_name a.test;
            grpc_ssl_server_name on;
        }}
    }}
    server {{
        listen 10.0.1.1:83 http2;
        location / {{ grpc_pass grpc://odd; grpc_buffer_size 1k; }}
        location /silent {{ grpc_pass odd; grpc_read_timeout 300ms; }}
        location /next {{ grpc_pass odd_first; }}
        location /off {{ grpc_pass odd_first; grpc_next_upstream off; }}
        location /counts_resets {{ grpc_pass fresh; }}
        location /set {{
            grpc_pass odd; grpc_set_header Host set.test; grpc_set_header X-Set $request_method; grpc_set_header X-Gone "";
            grpc_hide_header X-Hidden; grpc_pass_header Server;
        }}
    }}
    server {{ listen 10.0.1.1:84 http2; location / {{ grpc_pass 10.0.2.11:8080; }} location /none {{ grpc_pass 10.0.2.11:1; }} }}
}}
"""


@pytest.fixture(scope="module")
def certificates():
    made = Certificates()
    made.sign("a", "a.test")
    yield made
    made.close()


@pytest.fixture(scope="module")
def web(certificates):
    with Topology(servers=2) as net:
        key, chain = certificates.path("a.key"), certificates.path("a.crt")
        net.rpc = [rpc.Server(net.servers[0]), rpc.Server(net.servers[1]), rpc.Server(net.servers[0], 50052, key, chain)]
        net.origin(odd_server, port=9000)
        net.origin(plain_server, port=9001)
        config = CONFIG.format(a=certificates.directives("a"), ca=certificates.path("ca.crt"))
        try:
            with net.balancer(config) as weir:
                net.weir, net.config = weir, config
                yield net
        finally:
            for server in net.rpc:
                server.close()


def in_client(web, function, *arguments, **options):
    return rpc.run(web.client, function, *arguments, **options)


def ask(channel, name, message=b"", **options):
    return rpc.client_method(channel, name)(message, timeout=options.pop("timeout", 10), **options)


def failure(call):
    import grpc
    try:
        return "OK", call(), []
    except grpc.RpcError as error:
        return error.code().name, error.details(), [tuple(pair) for pair in error.trailing_metadata() or ()]


# ---- real gRPC ----


def all_kinds(channel):
    assert ask(channel, "Echo", b"hello") == b"hello" and ask(channel, "Echo") == b""
    assert list(ask(channel, "Count", b"1000")) == [str(n).encode() for n in range(1000)]
    assert ask(channel, "Sum", iter([bytes(1000)] * 100)) == b"100000"
    assert list(ask(channel, "Chat", iter([b"a", b"b"]))) == [b"A", b"B"]
    code, text, trailers = failure(lambda: ask(channel, "Fail", b"NOT_FOUND no such thing"))
    assert (code, text) == ("NOT_FOUND", "no such thing") and ("x-reason-bin", b"\x00\xffno such thing") in trailers
    assert failure(lambda: channel.unary_unary("/weir.Test/Nothing")(b"", timeout=10))[0] == "UNIMPLEMENTED"
    return True


def test_all_kinds_of_calls(web):
    assert in_client(web, all_kinds)
    assert web.weir.logged("/weir.Test/Echo 200 10.0.2.11:50051 200 10\n", "access.log")


def test_all_kinds_of_calls_over_tls(web, certificates):
    """From the client; and to the server."""
    assert in_client(web, all_kinds, target="10.0.1.1:443", certificate=certificates.path("ca.crt"))
    assert in_client(web, all_kinds, target="10.0.1.1:82")


def metadata(channel):
    import json
    given = [("x-text", "one"), ("x-data-bin", bytes(range(256)))]
    got, call = rpc.client_method(channel, "Metadata").with_call(b"", metadata=given, timeout=10)
    return json.loads(got), [tuple(pair) for pair in call.initial_metadata()], [tuple(pair) for pair in call.trailing_metadata()]


def test_metadata_in_both_directions(web):
    seen, initial, trailing = in_client(web, metadata)
    assert ["x-text", "one"] in seen and ["x-data-bin", bytes(range(256)).hex()] in seen
    assert ("x-initial", "1") in initial and ("x-initial-bin", b"\x00\x01\xff") in initial
    assert trailing == [("x-trailing", "2"), ("x-trailing-bin", b"\xfe\x00")]


def ping_pong(channel, times):
    """Each message is an answer to the one before."""
    turn, said = threading.Semaphore(), []

    def messages():
        for number in range(times):
            turn.acquire()
            yield f"m{number}".encode()

    answers = rpc.client_method(channel, "Chat")(messages(), timeout=10)
    assert ("x-chat", "begun") in [tuple(pair) for pair in answers.initial_metadata()]
    for answer in answers:
        said.append(answer)
        turn.release()
    return said


def test_both_directions_at_once(web):
    assert in_client(web, ping_pong, 50) == [f"M{number}".encode() for number in range(50)]


def test_an_answer_that_ends_before_the_request(web):
    def early(channel):
        return list(rpc.client_method(channel, "Early")(iter(lambda: time.sleep(0.001) or bytes(1000), None), timeout=10))

    assert in_client(web, early) == [b"enough"]


def give_up(channel):
    """By deadline, and of one's own accord."""
    before = int(ask(channel, "Cancelled"))
    assert failure(lambda: ask(channel, "Wait", timeout=0.2))[0] == "DEADLINE_EXCEEDED"
    call = rpc.client_method(channel, "Wait").future(b"", timeout=10)
    ask(channel, "Echo", b"behind it")
    call.cancel()
    wait_for(lambda: int(ask(channel, "Cancelled")) == before + 2)
    return True


def test_deadlines_and_cancellation_reach_the_server(web):
    assert in_client(web, give_up)


def slow_reader(channel):
    """What is not read holds up no other call, on the same connections."""
    answers = ask(channel, "Large", b"1000000 12", timeout=20)
    sizes = [len(next(answers))]
    assert all(ask(channel, "Echo", bytes(10000)) == bytes(10000) for _ in range(20))
    return sum(sizes + [len(answer) for answer in answers]), ask(channel, "Sum", iter([bytes(3000000)] * 2), timeout=20)


def test_large_messages_with_a_slow_reader(web):
    assert in_client(web, slow_reader, options=[("grpc.http2.bdp_probe", 0)]) == (12000000, b"6000000")


def many(channel, count):
    calls = [rpc.client_method(channel, "Echo").future(str(number).encode(), timeout=10) for number in range(count)]
    return [call.result() for call in calls], int(ask(channel, "Connections"))


def test_many_calls_at_once_share_connections(web):
    answers, connections = in_client(web, many, 300)
    assert answers == [str(number).encode() for number in range(300)]
    assert connections <= 12


def keep_calling(channel, seconds):
    """How calls ended, one after the other."""
    end, codes = time.monotonic() + seconds, []
    while time.monotonic() < end:
        codes.append(failure(lambda: ask(channel, "Echo", b"x"))[0])
    return codes


def test_a_server_that_restarts(web):
    """It says GOAWAY: what it has not begun goes to the other one, as does what comes while it is away."""
    server = web.rpc[1]

    def restart():
        time.sleep(0.5)
        server.stop()
        server.process.wait(15)
        server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    codes = in_client(web, keep_calling, 2.5, target="10.0.1.1:81")
    thread.join()
    # A call that it had taken, and then did not get round to, it cancels itself: that is its answer.
    assert codes.count("OK") >= len(codes) - 1 > 50 and set(codes) <= {"OK", "CANCELLED"}, codes


def test_a_server_that_dies(web):
    def broken(channel):
        answers, got = ask(channel, "Broken"), []
        return failure(lambda: [got.append(message) for message in answers])[0], got

    server = rpc.Server(web.servers[0], 8080)
    try:
        code, got = in_client(web, broken, target="10.0.1.1:84")
    finally:
        server.close()
    assert code in ("INTERNAL", "UNAVAILABLE") and got in ([b"first"], [])


def test_reload_leaves_calls_alone(web):
    messages, reloaded = [], []

    def chat(channel):
        first, go = threading.Event(), threading.Event()

        def say():
            yield b"before"
            go.wait(10)
            yield b"after"

        answers = rpc.client_method(channel, "Chat")(say(), timeout=15)
        out = [next(answers)]
        time.sleep(1.5)  # the configuration is changed meanwhile
        go.set()
        return out + list(answers) + [ask(channel, "Echo", b"new")]

    def reload():
        time.sleep(0.5)
        web.weir.reload()
        reloaded.append(True)

    thread = threading.Thread(target=reload)
    thread.start()
    messages = in_client(web, chat)
    thread.join()
    assert messages == [b"BEFORE", b"AFTER", b"new"] and reloaded


def test_what_fails_is_said_with_a_status_of_http(web):
    """As by nginx: gRPC makes UNAVAILABLE of 502."""
    def echo(channel):
        return failure(lambda: channel.unary_unary("/none")(b"", timeout=10))[:2]

    code, text = in_client(web, echo, target="10.0.1.1:84")
    assert code == "UNAVAILABLE" and "502" in text
    assert web.weir.logged('upstream: "grpc://10.0.2.11:1/none"')


# ---- other clients and servers ----


def test_a_client_of_http1(web):
    with web.connect() as stream:
        fields = [("Content-Type", "application/grpc"), ("TE", "trailers"), ("Connection", "TE")]
        got = stream.request("POST", "/weir.Test/Echo", fields, b"\0\0\0\0\3abc")
        assert got.status == 200 and got.body == b"\0\0\0\0\3abc" and ("grpc-status", "0") in got.trailers
        assert stream.request("POST", "/weir.Test/Nothing", fields, b"\0\0\0\0\0").get("grpc-status") == "12"


def test_nghttpd_as_server(web, tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "small").write_bytes(b"small")
    server = web.servers[0].popen("nghttpd", "--no-tls", "-a", "10.0.2.11", "-d", str(tmp_path), "8080")
    try:
        wait_for(lambda: not web.servers[0].run("sh", "-c", "ss -ltn | grep -q :8080", check=False).returncode)
        assert web.client.run("curl", "-sS", "http://10.0.1.1:84/file", text=False).stdout == bytes(range(256)) * 1000
        assert web.client.run("curl", "-sS", "--http2-prior-knowledge", "-d", "x" * 100000, "http://10.0.1.1:84/small").stdout == "small"
        head = web.client.run("curl", "-sSI", "http://10.0.1.1:84/file").stdout
        assert head.startswith("HTTP/1.1 200") and "content-length: 256000" in head
        text = web.client.run("h2load", "-n", "600", "-c", "3", "-m", "100", "http://10.0.1.1:84/file").stdout
        assert "600 succeeded, 0 failed, 0 errored" in text and "600 2xx" in text
    finally:
        server.kill()
        server.wait()


# ---- servers that say anything ----

OK = [(":status", "200"), ("content-type", "application/grpc")]
ENDINGS = {}  # by path: what the server's side saw at the end of its connection
PATHS = {}


def odd(function):
    PATHS["/" + function.__name__] = function
    return function


def serve(stream, h2):
    """Each request of a connection is for the function of its name."""
    done = set()
    while True:
        h2.read_while(lambda: not any(a.fields and number not in done for number, a in h2.answers.items()))
        for number in [n for n, a in h2.answers.items() if a.fields and n not in done]:
            done.add(number)
            path = h2.answers[number].get(":path")
            PATHS["/" + path.split("/")[-1]](h2, number)


def odd_server(stream):
    h2 = H2.accept(stream.socket, first=settings(streams=100))
    try:
        serve(stream, h2)
    finally:
        for answer in h2.answers.values():
            if answer.fields:
                ENDINGS[answer.get(":path")] = h2.goaway


def plain_server(stream):
    h2 = H2.accept(stream.socket)
    number = 1
    while True:
        h2.answer(number)
        h2.send(headers(number, *OK, end=False), frame(DATA, END_STREAM, number, b"from the other: " + h2.answers[number].body))
        number += 2


@odd
def refuses(h2, number):
    h2.answer(number)
    h2.send(frame(RST_STREAM, 0, number, REFUSED_STREAM.to_bytes(4, "big")))


@odd
def leaves(h2, number):
    h2.send(frame(GOAWAY, 0, 0, bytes(8)))


@odd
def resets(h2, number):
    h2.send(frame(RST_STREAM, 0, number, INTERNAL_ERROR.to_bytes(4, "big")))


@odd
def hangs_up(h2, number):
    h2.socket.sendall(headers(number, *OK, end=False)[:20])
    h2.socket.close()


@odd
def lost_content(h2, number):
    h2.send(frame(DATA, 0, 0, b"x"))
    h2.read_to_end()


@odd
def early_content(h2, number):
    h2.send(frame(DATA, END_STREAM, number, b"x"))


@odd
def pushes(h2, number):
    h2.send(frame(PUSH_PROMISE, END_HEADERS, number, (2).to_bytes(4, "big") + block((":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a"))))
    h2.read_to_end()


@odd
def large_head(h2, number):
    h2.send(headers(number, *OK, ("x-large", "y" * 1100)))


@odd
def no_status(h2, number):
    h2.send(headers(number, ("content-type", "application/grpc")))


@odd
def bad_name(h2, number):
    h2.send(headers(number, *OK, ("X-Upper", "1")))


@odd
def bad_value(h2, number):
    h2.send(headers(number, *OK, ("x-lines", "1\r\nx: 2")))


@odd
def switches(h2, number):
    h2.send(headers(number, (":status", "101")))


@odd
def bad_length(h2, number):
    h2.send(headers(number, *OK, ("content-length", "3"), end=False), frame(DATA, END_STREAM, number, b"four"))


@odd
def bad_compression(h2, number):
    h2.send(frame(HEADERS, END_HEADERS | END_STREAM, number, b"\xff\xff\xff\xff\xff\xff"))
    h2.read_to_end()


@odd
def window_too_large(h2, number):
    h2.send(window_update(0, 0x7fffffff))
    h2.read_to_end()


@odd
def ping_flood(h2, number):
    h2.socket.sendall(frame(PING, 0, 0, b"12345678") * 3000)
    h2.read_to_end()


@odd
def settings_flood(h2, number):
    h2.socket.sendall(settings(window=1) * 300)
    h2.read_to_end()


@odd
def endless_head(h2, number):
    h2.socket.sendall(frame(HEADERS, 0, number, block(*OK)) + frame(9, 0, number, block(("x", "y"))) * 3000)
    h2.read_to_end()


@odd
def silent(h2, number):
    pass


@odd
def interim(h2, number):
    h2.send(headers(number, (":status", "103"), ("link", "x"), end=False), headers(number, *OK, end=False),
            frame(DATA, 0, number, b"body"), headers(number, ("grpc-status", "0"), ("x-sum", "1")))


@odd
def half(h2, number):
    h2.send(headers(number, *OK, end=False), frame(DATA, 0, number, b"half"), frame(RST_STREAM, 0, number, CANCEL.to_bytes(4, "big")))


@odd
def dribbles(h2, number):
    """Takes content a byte at a time."""
    h2.grant = False
    h2.send(settings(window=1))
    while not h2.answers[number].ended:
        h2.send(window_update(number, 1))
        h2.read()
    h2.send(headers(number, *OK, end=False), frame(DATA, END_STREAM, number, h2.answers[number].body))


@odd
def told(h2, number):
    h2.answer(number)
    fields = "\n".join(f"{name}: {value}" for name, value in h2.answers[number].fields)
    h2.send(headers(number, *OK, ("server", "odd"), ("x-hidden", "1"), ("x-seen", "1"), end=False),
            frame(DATA, END_STREAM, number, fields.encode()))


@pytest.fixture
def client(web):
    with H2(web.client.connect("10.0.1.1", 83, 10)) as connection:
        yield connection


def post(client, path, body=b"\0\0\0\0\1x", stream=1, *more):
    client.send(request(stream, path, "POST", ("te", "trailers"), *more, end=False), frame(DATA, END_STREAM, stream, body))
    return client.answer(stream)


@pytest.mark.parametrize("path", ["refuses", "leaves"])
def test_what_a_server_has_not_begun_goes_to_the_next(web, client, path):
    got = post(client, f"/next/{path}", b"x" * 3000)
    assert (got.status, got.body) == (200, b"from the other: " + b"x" * 3000)
    assert post(client, f"/off/{path}", b"x", 3).status == 502


def test_but_not_what_it_may_have_done(web, client):
    assert post(client, "/next/resets").status == 502
    assert web.weir.logged("upstream rejected request with error 2 while reading response header from upstream")
    assert post(client, "/next/refuses", b"x" * 10000, 3).status == 502  # more than is kept


def test_a_connection_that_has_come_to_its_end_is_replaced(web, client):
    """However often that is, the server has not failed; but there is an end to it for a request."""
    assert post(client, "/told").status == 200
    assert post(client, "/leaves", b"x", 3).status == 502
    assert post(client, "/told", b"x", 5).status == 200


@pytest.mark.parametrize("path", ["ping_flood", "settings_flood", "endless_head"])
def test_floods_end_the_connection(web, client, path):
    assert post(client, f"/{path}").status == 502
    assert web.weir.logged(f'upstream sent a flood of frames while reading response header from upstream, client: 10.0.1.2, '
                           f'server: , request: "POST /{path} HTTP/2.0"')
    assert post(client, "/told", b"x", 3).status == 200


@pytest.mark.parametrize("path,code", [("lost_content", PROTOCOL_ERROR), ("pushes", PROTOCOL_ERROR), ("bad_compression", 9),
                                       ("window_too_large", 3)])
def test_a_server_that_speaks_no_good_http2_is_left(web, client, path, code):
    ENDINGS.pop(f"/{path}", None)
    assert post(client, f"/{path}").status == 502
    assert wait_for(lambda: f"/{path}" in ENDINGS) and ENDINGS[f"/{path}"] == code
    assert post(client, "/told", b"x", 3).status == 200


@pytest.mark.parametrize("path", ["early_content", "large_head", "no_status", "bad_name", "bad_value", "switches", "hangs_up"])
def test_answers_that_are_none(web, client, path):
    assert post(client, f"/{path}").status == 502
    assert post(client, "/told", b"x", 3).status == 200


def test_answers_that_break_off(web, client):
    got = post(client, "/half")
    assert (got.status, got.body, got.ended, got.reset) == (200, b"half", False, INTERNAL_ERROR)
    got = post(client, "/bad_length", b"x", 3)
    assert got.status == 502 or got.reset == INTERNAL_ERROR


@odd
def counts_resets(h2, number):
    h2.answer(number)
    h2.send(headers(number, *OK, end=False), frame(DATA, END_STREAM, number, b"%d" % sum(a.reset is not None for a in h2.answers.values())))


def test_what_has_been_answered_is_not_reset(web, client):
    """Servers take many resets for an attack."""
    assert [post(client, "/counts_resets", b"x", stream).body for stream in (1, 3, 5, 7)] == [b"0"] * 4


def test_interim_heads_and_trailers(web, client):
    got = post(client, "/interim")
    assert (got.status, got.body, got.interim) == (200, b"body", [])
    assert got.trailers == [("grpc-status", "0"), ("x-sum", "1")]


def test_a_silent_server(web, client):
    assert post(client, "/silent").status == 504
    assert web.weir.logged('upstream timed out (110: Connection timed out) while reading response header from upstream')


def test_windows_of_the_server(web, client):
    body = bytes(range(200))
    assert post(client, "/dribbles", body).body == body


def test_the_head_that_a_server_sees(web, client):
    got = post(client, "/told", b"x", 1, ("x-gone", "1"), ("cookie", "a=1"), ("connection-x", "1"))
    lines = got.text.split("\n")
    assert lines[:4] == [":method: POST", ":scheme: http", ":authority: odd", ":path: /told"]
    assert sorted(lines[4:]) == ["connection-x: 1", "cookie: a=1", "te: trailers", "x-gone: 1"]
    assert got.get("server").startswith("weir") and got.get("x-hidden") == "1"
    got = post(client, "/set/told", b"x", 3, ("x-gone", "1"))
    lines = got.text.split("\n")
    assert ":authority: set.test" in lines and "x-set: POST" in lines and "x-gone: 1" not in lines
    assert got.get("server") == "odd" and got.get("x-hidden") is None and got.get("x-seen") == "1"


def test_as_many_streams_as_the_server_allows(web):
    """One at a time: a connection for each, and the first of a connection does not wait to be told."""
    gate, most = threading.Event(), []

    def single(stream):
        h2 = H2.accept(stream.socket, first=settings(streams=1))
        number = 1
        while True:
            h2.answer(number)
            most.append(sum(1 for a in h2.answers.values() if a.fields))
            gate.wait(10)
            h2.send(headers(number, *OK))
            number += 2

    origin = web.origin(single, port=8080)
    with H2(web.client.connect("10.0.1.1", 84, 10)) as h2:
        h2.send(*[request(stream, "/x", "GET") for stream in range(1, 11, 2)])
        wait_for(lambda: origin.connections >= 5)
        gate.set()
        assert [h2.answer(stream).status for stream in range(1, 11, 2)] == [200] * 5
    assert set(most) == {1}
    origin.close()
