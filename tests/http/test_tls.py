"""HTTPS with real curl and openssl s_client: what nginx does, on Weir's own TCP."""

import contextlib
import hmac
import os
import re
import ssl
import subprocess
import threading

import pytest
from weirtest import IS_NGINX, Balancer, Certificates, Stream, Topology, chunked, h2, ok, pattern, run, wait_for

CONFIG = """
events {{ }}
http {{
    log_format tls "$scheme $https $ssl_protocol $ssl_cipher $ssl_server_name $ssl_session_reused $status";
    access_log access.log tls;
    client_max_body_size 0;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 10.0.1.1:443 ssl;
        listen 10.0.1.1:80;
        server_name a.test;
        {a}
        {a_rsa}
        ssl_session_cache shared:SSL:1m;
        location /say {{
            default_type text/plain;
            return 200 "a $scheme [$https] $ssl_protocol $ssl_cipher $ssl_curve $ssl_server_name $ssl_session_reused\\n";
        }}
        location /moved/ {{ return 301 /elsewhere; }}
        location / {{ proxy_pass http://10.0.2.11:8080; proxy_http_version 1.1; }}
    }}
    server {{
        listen 10.0.1.1:443 ssl;
        server_name b.test *.wild.test;
        {b}
        location / {{ return 200 "b $host $ssl_server_name\\n"; }}
    }}
    server {{
        listen 10.0.1.1:443 ssl;
        server_name guarded.test;
        {a}
        ssl_client_certificate {ca};
        ssl_verify_client on;
        location / {{ return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_client_fingerprint\\n$ssl_client_cert\\n"; }}
    }}
    server {{
        listen 10.0.1.1:443 ssl;
        server_name perhaps.test;
        {a}
        ssl_client_certificate {ca};
        ssl_verify_client optional_no_ca;
        location / {{ return 200 "$ssl_client_verify\\n"; }}
    }}
    server {{
        listen 10.0.1.1:445 ssl http2;
        keepalive_timeout 1s;
        {a}
        ssl_early_data on;
        location / {{ return 200 "early [$ssl_early_data] $server_protocol\n"; }}
        location /early {{ proxy_pass http://10.0.2.11:8080; proxy_set_header Early-Data $ssl_early_data; }}
    }}
    server {{
        listen 10.0.1.1:8443 ssl;
        ssl_reject_handshake on;
    }}
    server {{
        listen 10.0.1.1:8443 ssl;
        server_name a.test;
        {a}
        ssl_protocols TLSv1.3;
        return 200 "only a\\n";
    }}
}}
"""


asked, told = threading.Event(), threading.Event()


def origin(stream):
    """/size/N gives N bytes, /chunked/N in chunks, /late when it is told to; what is posted comes back."""
    while (request := stream.read_request()) is not None:
        verb, _, number = request.target.lstrip("/").partition("/")
        if request.method == "POST":
            stream.send(ok(request.body))
        elif verb == "early":
            early = request.get("Early-Data") == "1"
            stream.send(b"HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n" if early else ok(b"late enough"))
        elif verb == "late":
            asked.set()
            told.wait(10)
            stream.send(ok(b"late"))
        elif verb == "chunked":
            stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(pattern(int(number)), 7777))
        else:
            stream.send(ok(pattern(int(number or 0))))


@pytest.fixture(scope="module")
def certificates():
    made = Certificates()
    made.sign("a", "a.test", "guarded.test", "perhaps.test")
    made.sign("a_rsa", "a.test", kind="rsa")
    made.sign("b", "b.test", "*.wild.test")
    made.sign("client", "somebody")
    yield made
    made.close()


@pytest.fixture(scope="module")
def web(certificates):
    names = {name: certificates.directives(name) for name in ("a", "a_rsa", "b")}
    with Topology(servers=1) as net:
        net.origin(origin)
        with net.balancer(CONFIG.format(ca=certificates.path("ca.crt"), **names), ready=("10.0.1.1", 443)) as weir:
            net.weir, net.certificates = weir, certificates
            yield net


def curl(web, url, *words, **options):
    """With the authority that the certificates are from, and every name at the balancer's address."""
    return web.curl("--cacert", web.certificates.path("ca.crt"), "--connect-to", "::10.0.1.1:", url, *words, **options)


def s_client(web, *words, send="", port=443, **options):
    done = web.client.run("openssl", "s_client", "-connect", f"10.0.1.1:{port}", "-CAfile", web.certificates.path("ca.crt"), *words,
                          input=send, check=False, **options)
    return done.stdout


def secure(web, name="a.test", port=443, timeout=10, **attributes):
    """A stream over TLS."""
    context = ssl.create_default_context(cafile=web.certificates.path("ca.crt"))
    for attribute, value in attributes.items():
        setattr(context, attribute, value)
    stream = Stream(context.wrap_socket(web.client.connect("10.0.1.1", port, timeout), server_hostname=name), timeout)
    return stream


@pytest.mark.parametrize("version, cipher", [("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("1.3", "TLS_AES_256_GCM_SHA384")])
def test_a_request_and_its_variables(web, version, cipher):
    text = curl(web, "https://a.test/say", "--tls-max", version, "--tlsv1.2")
    assert text == f"a https [on] TLSv{version} {cipher} X25519 a.test .\n"
    assert web.weir.logged(f"https on TLSv{version} {cipher} a.test . 200\n", "access.log")


@pytest.mark.parametrize("group, curve", [("X25519", "X25519"), ("P-256", "prime256v1")])
def test_a_key_exchange_in_the_group_that_a_client_has(web, group, curve):
    text = s_client(web, "-groups", group, "-ign_eof", send="GET /say HTTP/1.0\r\nHost: a.test\r\n\r\n")
    assert re.search(f"Server Temp Key: .*{curve}", text) and re.search(f"a https .* {curve} ", text)


def test_the_same_server_without_tls(web):
    assert curl(web, "http://a.test/say") == "a http []     \n"


def test_rsa_for_clients_that_know_nothing_else(web):
    text = curl(web, "https://a.test/say", "--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256")
    assert "ECDHE-RSA-AES128-GCM-SHA256" in text


def test_names_choose_certificate_and_server(web):
    assert curl(web, "https://b.test/") == "b b.test b.test\n"
    assert curl(web, "https://x.wild.test/") == "b x.wild.test x.wild.test\n"
    assert curl(web, "https://B.test./") == "b b.test b.test\n"
    # Without a name, and with one that nobody has, it is the default server's.
    for words in (["-noservername"], ["-servername", "nobody.test"]):
        assert "subject=CN = a.test" in s_client(web, *words)
    # Another server of the address answers for its Host, where no client certificate is at stake.
    assert curl(web, "https://b.test/say", "-H", "Host: a.test").startswith("a https")
    # Without a Host it is the default server, whatever the hello asked for.
    with secure(web, "b.test") as stream:
        assert stream.request("GET", "/say", version="HTTP/1.0", host=None).text.startswith("a https")


def test_redirects_stay_with_https(web):
    assert curl(web, "https://a.test/moved/", "-o", "/dev/null", "-w", "%{redirect_url}") == "https://a.test/elsewhere"


def test_plain_http_to_the_tls_port(web):
    with web.connect(port=443) as stream:
        response = stream.get("/say")
        assert response.status == 400 and response.get("Connection") == "close"
        assert "<center>The plain HTTP request was sent to HTTPS port</center>" in response.text
        assert stream.closed()
    assert web.weir.logged("client sent plain HTTP request to HTTPS port while reading client request headers")


@pytest.mark.parametrize("port", [443, 445])
def test_what_is_not_even_http_gets_a_page_there_too(web, port):
    """Also where HTTP/2 is spoken, which begins behind TLS alone."""
    with web.connect(port=port) as stream:
        stream.send(b"NONSENSE\r\n\r\n")
        assert stream.response().status == 400 and stream.closed()


def test_what_is_neither(web):
    with web.connect(port=443) as stream:
        stream.send(b"\x16\x03\x01\x00\x05nonsense")
        stream.read_to_end()
    assert web.weir.logged("SSL_do_handshake() failed (SSL: error:")
    assert web.weir.logged("while SSL handshaking, client: 10.0.1.2, server: 10.0.1.1:443")
    with web.connect(port=443) as stream:
        stream.send(b"\x16\x03\x01")
    assert web.weir.logged("peer closed connection in SSL handshake")


def flight(connection, outgoing):
    """What a client says next; None when it has nothing to say until it is answered."""
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def cut_off(web, version, flights, cut):
    """A client that says so many whole flights, and of the next the first `cut` bytes. Returns how long that one is."""
    context = ssl.create_default_context(cafile=web.certificates.path("ca.crt"))
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    with web.client.connect("10.0.1.1", 443) as socket:
        for _ in range(flights):
            socket.sendall(flight(connection, outgoing))
            while not (said := flight(connection, outgoing)):
                incoming.write(socket.recv(65536))
        if not flights:
            said = flight(connection, outgoing)
        socket.sendall(said[:cut])
    return len(said)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_handshake_may_end_at_every_byte(web, version):
    ended = "peer closed connection in SSL handshake"
    before, tried = web.weir.error_log.count(ended), 0
    for flights in (0, 1):
        cut, length = 1, 2
        while cut < length:
            length = cut_off(web, version, flights, cut)
            cut, tried = cut + 1, tried + 1
    assert tried > 200
    wait_for(lambda: web.weir.error_log.count(ended) >= before + tried, what=f"{tried} lines on handshakes that ended")
    assert web.weir.error_log.count(ended) == before + tried and curl(web, "https://a.test/say")


def test_handshakes_that_are_refused(web):
    assert "unrecognized name" in s_client(web, "-servername", "c.test", port=8443)
    assert web.weir.logged("handshake rejected while SSL handshaking")
    assert curl(web, "https://a.test:8443/") == "only a\n"
    assert "protocol version" in s_client(web, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "no application protocol" in s_client(web, "-alpn", "h2")
    assert "ALPN protocol: http/1.1" in s_client(web, "-alpn", "h2,http/1.1")


def test_renegotiation_is_refused(web):
    assert re.search("no renegotiation|closed|errno|:error:", s_client(web, "-tls1_2", send="R\n"))
    assert curl(web, "https://a.test/say")


# ---- resumption ----


def resumes(web, tmp_path, *words, reload=None):
    """Two connections, the second with what the first was given; true when the server went on from there."""
    session = tmp_path / "session"
    request = "GET /say HTTP/1.0\r\nHost: a.test\r\n\r\n"
    s_client(web, "-servername", "a.test", "-ign_eof", "-sess_out", session, *words, send=request)
    if reload:
        reload()
    text = s_client(web, "-servername", "a.test", "-ign_eof", "-sess_in", session, *words, send=request)
    mark = re.search(r"a\.test ([.r])\n", text)[1]
    assert ("Reused, " in text) == (mark == "r"), text
    return mark == "r"


@pytest.mark.parametrize("words", [["-tls1_3"], ["-tls1_2"], ["-tls1_2", "-no_ticket"]], ids=["1.3", "1.2", "number"])
def test_a_session_is_resumed(web, tmp_path, words):
    assert resumes(web, tmp_path, *words)


def early(web, tmp_path, data, answer, *words):
    """True when bytes that go with the hello of a resumed session have that answer. Where the client's Finished overtakes the
    look at them, they are early no more: so it is tried again."""
    session, file = tmp_path / "session", tmp_path / "early"
    file.write_bytes(data)
    words = ["-servername", "a.test", "-ign_eof", *words]
    for _ in range(10):
        s_client(web, *words, "-sess_out", session, send="GET / HTTP/1.0\r\n\r\n", port=445, errors="replace")
        text = s_client(web, *words, "-sess_in", session, "-early_data", file, port=445, errors="replace")
        assert "Early data was accepted" in text, text
        if answer in text:
            return True
    return False


def test_early_data_is_answered_and_told_apart(web, tmp_path):
    request = "GET {} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    assert early(web, tmp_path, request.format("/").encode(), "early [1] HTTP/1.1")
    # A server may wait for the end of the handshake, and a client knows what to do then (RFC 8470).
    assert early(web, tmp_path, request.format("/early").encode(), "HTTP/1.1 425 Too Early")
    assert curl(web, "https://a.test:445/early", "--http1.1") == "late enough"
    assert curl(web, "https://a.test:445/", "--http1.1") == "early [] HTTP/1.1\n"


def test_early_data_with_http_2(web, tmp_path):
    fields = h2.request(1, "/", scheme="https", authority="a.test")
    end = h2.frame(h2.GOAWAY, 0, 0, bytes(8))
    assert early(web, tmp_path, h2.PREFACE + h2.settings() + fields + end, "early [1] HTTP/2.0", "-alpn", "h2")


# ---- client certificates ----


def test_client_certificates(web, certificates):
    own = ["--cert", certificates.path("client.crt"), "--key", certificates.path("client.key")]
    fingerprint = run("openssl", "x509", "-in", certificates.path("client.crt"), "-noout", "-fingerprint", "-sha1").stdout
    text = curl(web, "https://guarded.test/", *own)
    assert text.startswith(f"SUCCESS CN=somebody {fingerprint.split('=')[1].strip().replace(':', '').lower()}\n")
    pem = open(certificates.path("client.crt")).read().strip().replace("\n", "\n\t")
    assert text.split("\n", 1)[1].strip() == pem
    # None, and one that nobody knows.
    text = curl(web, "https://guarded.test/", "-i")
    assert text.startswith("HTTP/1.1 400 Bad Request") and "<center>No required SSL certificate was sent</center>" in text
    run("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", certificates.path("stranger.key"),
        "-out", certificates.path("stranger.crt"), "-subj", "/CN=stranger")
    stranger = ["--cert", certificates.path("stranger.crt"), "--key", certificates.path("stranger.key")]
    assert "<center>The SSL certificate error</center>" in curl(web, "https://guarded.test/", *stranger)
    assert web.weir.logged("client SSL certificate verify error: (18:self-signed certificate)")
    assert curl(web, "https://perhaps.test/", *stranger) == "FAILED:self-signed certificate\n"
    assert curl(web, "https://perhaps.test/") == "NONE\n"


def test_a_name_that_the_handshake_was_not_for_is_misdirected(web):
    assert curl(web, "https://b.test/", "-H", "Host: guarded.test", "-o", "/dev/null", "-w", "%{http_code}") == "421"
    assert web.weir.logged("client attempted to request the server name different from the one that was negotiated")


# ---- bytes ----


@pytest.mark.parametrize("size", [0, 1, 1359, 1360, 16384, 65536, 5 << 20])
@pytest.mark.parametrize("framing", ["size", "chunked"])
def test_response_body(web, size, framing):
    with secure(web) as stream:
        assert stream.get(f"/{framing}/{size}").body == pattern(size)


@pytest.mark.parametrize("size", [1, 16384, 70000, 5 << 20])
def test_request_body(web, size):
    with secure(web, timeout=30) as stream:
        assert stream.request("POST", "/", body=pattern(size)).body == pattern(size)
        chunks = [("Transfer-Encoding", "chunked")]
        assert stream.request("POST", "/", chunks, chunked(pattern(size), 9999)).body == pattern(size)


def test_many_requests_on_a_connection_pipelined(web):
    with secure(web) as stream:
        stream.send(b"GET /size/100 HTTP/1.1\r\nHost: a.test\r\n\r\n" * 100)
        for _ in range(100):
            assert stream.response().body == pattern(100)


def test_a_head_of_many_records(web):
    with secure(web) as stream:
        head = "GET /size/5 HTTP/1.1\r\nHost: a.test\r\n" + "".join(f"X-{i}: {'y' * 3000}\r\n" for i in range(6)) + "\r\n"
        for at in range(0, len(head), 1000):
            stream.send(head[at:at + 1000])
        assert stream.response().body == pattern(5)


def test_a_slow_reader_holds_up_nobody(web):
    """Its 8 MB wait with the server: for the balancer they are no more than its buffers."""
    with secure(web, timeout=30) as slow:
        slow.socket.setsockopt(1, 8, 4096)
        slow.send("GET /size/8000000 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        slow.read_until(b"\r\n\r\n")
        for _ in range(5):
            with secure(web) as stream:
                assert stream.get("/size/100000").body == pattern(100000)
        assert slow.read_exactly(8000000) == pattern(8000000)


def test_close_notify_ends_what_ends_with_the_connection(web):
    """Python's ssl takes an end without it for an attack."""
    with secure(web) as stream:
        stream.send("GET /chunked/1000 HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert stream.read_to_end().endswith(pattern(1000))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("leaves", [False, True], ids=["waits", "leaves"])
def test_who_says_close_notify_may_wait_for_the_answer(web, version, leaves):
    """But who ends the connection, too, has lost interest."""
    context = ssl.create_default_context(cafile=web.certificates.path("ca.crt"))
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    asked.clear()
    told.clear()
    with web.client.connect("10.0.1.1", 443) as socket:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                connection.do_handshake()
                break
            socket.sendall(outgoing.read())
            incoming.write(socket.recv(65536))
        connection.write(b"GET /late HTTP/1.1\r\nHost: a.test\r\n\r\n")
        socket.sendall(outgoing.read())
        assert asked.wait(10)
        with pytest.raises(ssl.SSLWantReadError):
            connection.unwrap()
        socket.sendall(outgoing.read())
        if leaves:
            before = web.weir.read("access.log").count(" 499\n")
            socket.shutdown(1)
            wait_for(lambda: web.weir.read("access.log").count(" 499\n") > before)
            told.set()
            return
        assert curl(web, "https://a.test/say")  # so close_notify has been seen
        told.set()
        while more := socket.recv(65536):
            incoming.write(more)
        assert connection.read(65536).endswith(b"\r\n\r\nlate")


# ---- secrets ----


def key_log(path):
    with open(path) as file:
        return [line.split() for line in file if not line.startswith("#")]


def updated(secret):
    """The traffic secret that follows a KeyUpdate (RFC 8446 section 7.2), with SHA-384."""
    label = b"tls13 traffic upd"
    return hmac.digest(secret, bytes([0, 48, len(label)]) + label + b"\0\1", "sha384")


class Updater:
    """An s_client that can be told to update its keys and have the other side's updated."""

    def __init__(self, web, keys):
        self.process = web.client.popen("openssl", "s_client", "-connect", "10.0.1.1:443", "-tls1_3", "-quiet", "-no_ign_eof",
                                        "-keylogfile", keys, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def say(self, line, answer):
        self.process.stdin.write(line)
        self.process.stdin.flush()
        heard = b""
        while answer not in heard:
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, heard
            heard += more

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


@pytest.mark.weir_only
def test_no_secret_stays_in_memory_or_goes_to_a_log(certificates, tmp_path):
    """Neither a key as its file has it, nor its password, nor what a connection was protected with that has ended or has keys that are
    newer; while they are in use, what it has in memory is found."""
    certificates.encrypt("secret.key", "a.key", "correct horse battery staple")
    certificates.write("passwords", "wrong guess of mine\ncorrect horse battery staple\n")
    config = f"""
        events {{ }}
        error_log error.log debug;
        http {{ server {{ listen 10.0.1.1:443 ssl; {certificates.directives("a_rsa")}
            ssl_certificate {certificates.path("a.crt")}; ssl_certificate_key {certificates.path("secret.key")};
            ssl_password_file {certificates.path("passwords")}; return 200 "yes"; }} }}
    """
    with Topology(servers=0) as web, web.balancer(config, ready=("10.0.1.1", 443)) as weir:
        web.certificates = certificates
        for number, words in enumerate([["-tls1_3"], ["-tls1_2"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]]):
            text = s_client(web, "-keylogfile", tmp_path / f"{number}", "-ign_eof", *words, send="GET / HTTP/1.0\r\n\r\n")
            assert "yes" in text
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        with Updater(web, tmp_path / "open") as client:
            client.say(request, b"yes")
            before = weir.memory()
            client.say(b"K\n", b"KEYUPDATE")
            client.say(request, b"yes")
            memory = weir.memory()
        secrets = [bytes.fromhex(one[2]) for number in range(3) for one in key_log(tmp_path / f"{number}")]
        for file in ("a.key", "a_rsa.key"):
            with open(certificates.path(file)) as key:
                secrets.append(key.read().splitlines()[2].encode())
        secrets += [b"correct horse battery", b"wrong guess of mine"]
        mine = {one[0]: bytes.fromhex(one[2]) for one in key_log(tmp_path / "open")}
        old = [mine["CLIENT_TRAFFIC_SECRET_0"], mine["SERVER_TRAFFIC_SECRET_0"]]
        new = [updated(secret) for secret in old]
        assert len(secrets) > 8 and not [secret for secret in [*secrets, *old] if secret in memory]
        assert all(secret in before for secret in old) and all(secret in memory for secret in new)
        wait_for(lambda: not [secret for memory in [weir.memory()] for secret in new if secret in memory], what="the end of the connection")
        logs = weir.error_log + weir.read("output")
        assert not [secret for secret in [*secrets, *mine.values(), *new]
                    if secret.hex() in logs.lower() or secret.decode("latin-1") in logs]


# ---- configuration ----


def refusal(web, text):
    """What -t says."""
    weir = Balancer(web.balancer_namespace, f"events {{ }}\nhttp {{\n{text}\n}}\n")
    try:
        done = web.balancer_namespace.run(*weir.arguments(), "-t", check=False)
        return done.returncode, done.stdout
    finally:
        weir.clean()


def test_mistakes_are_found_by_t(web, certificates):
    a, b = certificates.path("a"), certificates.path("b")
    cases = {
        "": 'no "ssl_certificate" is defined for the "listen ... ssl" directive in ',
        f"ssl_certificate {a}.crt;": f'no "ssl_certificate_key" is defined for certificate "{a}.crt"',
        f"ssl_certificate {a}.crt; ssl_certificate_key {b}.key;":
            f'SSL_CTX_use_PrivateKey("{b}.key") failed (SSL: error:05800074:x509 certificate routines::key values mismatch',
        f"ssl_certificate {a}.none; ssl_certificate_key {a}.key;":
            f'cannot load certificate "{a}.none": BIO_new_file() failed (SSL: error:80000002:system library::No such file or '
            f"directory:calling fopen({a}.none, r) error:10000080:BIO routines::no such file)",
        f"ssl_certificate {a}.crt; ssl_certificate_key {a}.crt;":
            f'cannot load certificate key "{a}.crt": PEM_read_bio_PrivateKey() failed (SSL: error:',
    }
    for directives, expected in cases.items():
        code, text = refusal(web, f"server {{ listen 10.0.1.1:444 ssl; {directives} }}")
        assert code == 1 and expected in text, text


@pytest.mark.skipif(IS_NGINX, reason="nginx has no such options")
def test_the_command_line_alone(web, certificates):
    options = ["--listen", "https://10.0.1.1:444", "--backend", "10.0.2.11:8080", "--certificate", certificates.path("a.crt"),
               "--certificate-key", certificates.path("a.key")]
    weir = Balancer(web.balancer_namespace, options=options)
    assert "syntax is ok" in web.balancer_namespace.run(*weir.arguments(), "-t").stdout
    weir.clean()


# ---- reload ----


def test_a_reload_takes_a_renewed_certificate_and_keeps_sessions(tmp_path):
    """Under traffic: open connections go on, new ones see the new certificate; sessions go on where it is the same. And the renewed
    key is one that workers may not read."""
    certificates = Certificates()
    config = """
        user nobody nogroup;
        events {{ }}
        worker_processes 2;
        http {{ access_log off; server {{ listen 10.0.1.1:443 ssl; {a}
            location /say {{ return 200 "$ssl_server_name $ssl_session_reused\\n"; }} location / {{ return 200 "yes"; }} }} }}
    """.format(a=certificates.sign("a", "a.test"))
    try:
        with Topology(servers=0) as web, web.balancer(config, ready=("10.0.1.1", 443)) as weir:
            web.certificates = certificates

            def serial():
                return re.search(r"serial=(\w+)", run("openssl", "x509", "-noout", "-serial", input=s_client(web)).stdout)[1]

            def reload():
                before = weir.error_log.count("configuration is in force")
                weir.reload()
                wait_for(lambda: IS_NGINX or weir.error_log.count("configuration is in force") > before)

            stop, failures, done = threading.Event(), [], []

            def traffic():
                try:
                    while not stop.is_set():
                        with secure(web) as stream:
                            for _ in range(10):
                                assert stream.get("/").text == "yes"
                                done.append(1)
                except Exception as error:
                    failures.append(error)

            threads = [threading.Thread(target=traffic) for _ in range(3)]
            for thread in threads:
                thread.start()
            with secure(web) as kept:
                assert kept.get("/").text == "yes"
                if not IS_NGINX:
                    assert resumes(web, tmp_path, "-tls1_3", reload=reload)
                    assert resumes(web, tmp_path, "-tls1_2", reload=reload)
                assert serial() == "01"
                certificates.sign("a", "a.test")
                reload()
                wait_for(lambda: serial() == "02")
                assert IS_NGINX or kept.get("/").text == "yes"
            stop.set()
            for thread in threads:
                thread.join()
            assert not failures and len(done) > 30, failures
    finally:
        certificates.close()
