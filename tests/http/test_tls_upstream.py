"""`proxy_pass https://` to real nginx servers, to Python's ssl, and to servers whose handshake goes wrong."""

import re
import ssl
import threading

import pytest
from weirtest import IS_NGINX, Balancer, Certificates, Stream, Topology, chunked, ok, pattern, run

SERVER = """
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 10.0.2.11:443 ssl; listen 10.0.2.11:8443 ssl;
        {a}
        ssl_client_certificate {ca}; ssl_verify_client optional; ssl_session_cache shared:S:1m;
        return 200 "name=$ssl_server_name reused=$ssl_session_reused $ssl_protocol host=$http_host client=$ssl_client_s_dn
 connection=$connection path=$request_uri\\n";
    }}
    server {{ listen 10.0.2.11:444 ssl; {expired} return 200 "expired\\n"; }}
    server {{ listen 10.0.2.11:445 ssl; {a} ssl_protocols TLSv1.3; return 301 https://10.0.2.11:445/there/x; }}
"""

CONFIG = """
events {{ }}
http {{
    access_log access.log;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_connect_timeout 2s;
    proxy_ssl_trusted_certificate {ca};
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    upstream verified {{ server 10.0.2.11:443; }}
    upstream stranger {{ server 10.0.2.11:443; }}
    upstream revoked {{ server 10.0.2.11:443; }}
    upstream kept {{ server 10.0.2.11:443; keepalive 8; }}
    upstream named {{ server 10.0.2.11:443; }}
    upstream fallback {{ server 10.0.2.11:9443; server 10.0.2.11:443 backup; }}
    server {{
        listen 10.0.1.1:80;
        location /plain/ {{ proxy_pass https://10.0.2.11/; }}
        location /named/ {{ proxy_pass https://named/; proxy_ssl_server_name on; }}
        location /fresh/ {{ proxy_pass https://10.0.2.11:8443/; proxy_ssl_session_reuse off; }}
        location /old/ {{ proxy_pass https://10.0.2.11:443/; proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE+AESGCM; }}
        location /commanded/ {{ proxy_pass https://10.0.2.11:443/; proxy_ssl_conf_command MaxProtocol TLSv1.2; }}
        location /verified/ {{ proxy_pass https://verified/; proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_name $arg_name; }}
        location /same/ {{ proxy_pass https://10.0.2.11/; proxy_ssl_verify on; proxy_ssl_name a.test; }}
        location /stranger/ {{ proxy_pass https://stranger/; proxy_ssl_verify on; proxy_ssl_name a.test; proxy_ssl_trusted_certificate {other}; }}
        location /revoked/ {{ proxy_pass https://revoked/; proxy_ssl_verify on; proxy_ssl_name a.test; proxy_ssl_crl {crl}; }}
        location /expired/ {{ proxy_pass https://10.0.2.11:444/; proxy_ssl_verify on; proxy_ssl_name a.test; }}
        location /client/ {{ proxy_pass https://10.0.2.11:443/; proxy_ssl_certificate {client}.crt; proxy_ssl_certificate_key {client}.key; }}
        location /protocol/ {{ proxy_pass https://10.0.2.11:445/; proxy_ssl_protocols TLSv1.2; }}
        location /moved/ {{ proxy_pass https://10.0.2.11:445/there/; }}
        location /cleartext/ {{ proxy_pass https://10.0.2.11:80/; }}
        location /kept/a/ {{ proxy_pass https://kept/; proxy_set_header Connection ""; proxy_ssl_verify on; proxy_ssl_name a.test; }}
        location /kept/any/ {{ proxy_pass https://kept/; proxy_set_header Connection ""; }}
        location /kept/plain/ {{ proxy_pass http://kept/; proxy_set_header Connection ""; }}
        location /fallback/ {{ proxy_pass https://fallback/; proxy_ssl_verify on; proxy_ssl_name a.test; }}
        location /cut/ {{ proxy_pass https://10.0.2.11:9443/; }}
        location /python/ {{
            proxy_pass https://10.0.2.11:9444/; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
        }}
    }}
    server {{
        listen 10.0.1.1:443 ssl; {a}
        location / {{ proxy_pass https://10.0.2.11:9444/; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def certificates():
    made, other = Certificates(), Certificates()
    made.sign("a", "a.test")
    made.sign("expired", "a.test", days=-1)
    made.sign("client", "balancer")
    made.other = other.path("ca.crt")
    yield made
    made.close()
    other.close()


def python_server(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("a.crt"), certificates.path("a.key"))

    def handler(stream):
        """/N gives N bytes in chunks, /to-end/N until the connection ends; what is posted comes back; an upgrade is an echo."""
        secure = Stream(context.wrap_socket(stream.socket, server_side=True, suppress_ragged_eofs=False), 30)
        try:
            while (request := secure.read_request()) is not None:
                if request.get("Upgrade"):
                    secure.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
                    while data := secure.buffer or secure.socket.recv(65536):
                        secure.buffer = b""
                        secure.send(data)
                elif request.method == "POST":
                    secure.send(ok(request.body))
                elif request.target.startswith("/to-end/"):
                    secure.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + pattern(int(request.target[8:])))
                    secure.socket.unwrap()
                    return
                else:
                    secure.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(pattern(int(request.target[1:])), 7777))
        finally:
            secure.close()

    return handler


class Cutter:
    """A server that passes on what nginx says in the handshake until so many bytes, and then behaves badly."""

    def __init__(self):
        self.server = None
        self.after, self.how = 0, None

    def __call__(self, stream):
        if self.how == "at-once":
            return
        if self.how == "silent":
            stream.read_to_end()
            return
        real = self.server.connect("10.0.2.11", 443, 10)
        real.sendall(stream.socket.recv(65536))
        said = b""
        while len(said) < self.after:
            said += real.recv(self.after - len(said))
        if self.how == "garbage":
            said = said[:-1] + bytes([said[-1] ^ 0xff]) + b"nonsense" * 8
        stream.send(said)
        if self.how == "reset":
            stream.reset()
        elif self.how == "garbage":
            stream.read_to_end()
        real.close()


@pytest.fixture(scope="module")
def web(certificates):
    crl, ca = certificates.path("crl.pem"), certificates.path("ca.crt")
    certificates.revoke(crl, "a")
    server = SERVER.format(ca=ca, a=certificates.directives("a"), expired=certificates.directives("expired"))
    config = CONFIG.format(ca=ca, crl=crl, other=certificates.other, client=certificates.path("client"), a=certificates.directives("a"))
    with Topology(servers=1) as net:
        net.cut = Cutter()
        net.cut.server = net.servers[0]
        net.nginx(more=server)
        net.origin(net.cut, port=9443)
        net.python = net.origin(python_server(certificates), port=9444)
        with net.balancer(config) as weir:
            net.weir, net.certificates = weir, certificates
            yield net


def facts(response):
    assert response.status == 200, response.text
    return dict(word.split("=", 1) for word in response.text.split() if "=" in word)


# ---- what the server sees ----


def test_a_request_and_what_the_server_sees(web):
    said = facts(web.get("/plain/x?y"))
    assert said["path"] == "/x?y" and said["host"] == "10.0.2.11"
    assert said["name"] == ""  # an address is no name, and nobody asked for one
    assert said["client"] == ""
    assert facts(web.get("/named/"))["name"] == "named"


def test_what_the_directives_say(web):
    assert " TLSv1.3 " in web.get("/plain/").text
    assert " TLSv1.2 " in web.get("/old/").text
    assert " TLSv1.2 " in web.get("/commanded/").text
    assert facts(web.get("/client/"))["client"] == "CN=balancer"


def test_redirects_of_the_server_lead_to_the_location(web):
    assert web.get("/moved/").get("Location") == "http://weir.test/moved/x"


@pytest.mark.parametrize("path, expected", [("/plain/", "r"), ("/old/", "r"), ("/fresh/", ".")])
def test_sessions_are_resumed(web, path, expected):
    for _ in range(2):
        said = facts(web.get(path))
    assert said["reused"] == expected


@pytest.mark.weir_only
def test_sessions_are_for_those_who_asked_for_the_same(web):
    """nginx resumes what another location agreed on, and fails then, as that one verified nothing."""
    web.get("/plain/")
    for expected in (".", "r"):
        assert facts(web.get("/same/"))["reused"] == expected


# ---- whom it trusts ----


def test_a_server_that_is_who_it_should_be(web):
    assert facts(web.get("/verified/?name=a.test"))["name"] == "a.test"
    assert facts(web.get("/verified/?name=a.test:443"))["name"] == "a.test"


@pytest.mark.parametrize("path, why", [
    ("/verified/?name=b.test", 'upstream SSL certificate does not match "b.test"'),
    ("/verified/?name=", 'upstream SSL certificate does not match ""'),
    ("/verified/?name=10.0.2.11", 'upstream SSL certificate does not match "10.0.2.11"'),
    ("/stranger/", "upstream SSL certificate verify error: (" + ("21:unable to verify the first" if IS_NGINX else "20:unable to get local issuer")),
    ("/revoked/", "upstream SSL certificate verify error: (23:certificate revoked)"),
    ("/expired/", "upstream SSL certificate verify error: (10:certificate has expired)"),
    ("/protocol/", "SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol version"),
    ("/cleartext/", "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number"),
])
def test_servers_that_are_not(web, path, why):
    for _ in range(2):  # what was not trusted is not resumed either
        assert web.get(path).status == 502
    assert web.weir.logged(why)
    line = [line for line in web.weir.error_log.splitlines() if why in line][-1]
    assert "while SSL handshaking to upstream, client: 10.0.1.2, server: , request:" in line
    assert re.search(r'upstream: "https://10\.0\.2\.11:\d+/', line)


# ---- handshakes that end early ----


CUTS = [("at-once", 0, "peer closed connection in SSL handshake"), ("close", 1, "peer closed connection in SSL handshake"),
        ("close", 100, "peer closed connection in SSL handshake"), ("close", 600, "peer closed connection in SSL handshake"),
        ("reset", 600, "(104: Connection reset by peer) while"), ("garbage", 3, "SSL_do_handshake() failed (SSL: error:")]


@pytest.mark.parametrize("how, after, why", CUTS)
def test_a_handshake_that_ends_early_is_a_failed_attempt(web, how, after, why):
    web.cut.how, web.cut.after = how, after
    assert web.get(f"/cut/{how}-{after}").status == 502
    assert facts(web.get("/fallback/"))["path"] == "/"
    assert web.weir.logged(f"/cut/{how}-{after} HTTP/1.1")
    line, = [line for line in web.weir.error_log.splitlines() if f"/cut/{how}-{after} HTTP/1.1" in line]
    assert why in line and "while SSL handshaking to upstream" in line


def test_a_handshake_that_does_not_go_on_times_out(web):
    web.cut.how = "silent"
    assert web.get("/cut/").status == 504
    assert web.weir.logged("upstream timed out (110: Connection timed out) while SSL handshaking to upstream")


# ---- connections that are kept ----


def connection(web, path):
    return facts(web.get(path))["connection"]


def test_idle_connections_keep_their_tls(web):
    assert len({connection(web, "/kept/a/") for _ in range(5)}) == 1


@pytest.mark.weir_only
def test_idle_connections_are_for_those_who_asked_for_the_same(web):
    """nginx gives the next location any connection to that server; here one that was not verified is not given to who verifies."""
    assert connection(web, "/kept/any/") != connection(web, "/kept/a/")
    assert connection(web, "/kept/any/") == connection(web, "/kept/any/")
    assert web.get("/kept/plain/").status == 400  # plain HTTP to the port of TLS


# ---- bytes ----


@pytest.mark.parametrize("size", [0, 1, 16384, 100000, 3 << 20])
def test_bodies_in_both_directions(web, size):
    with web.connect(timeout=30) as stream:
        assert stream.get(f"/python/{size}").body == pattern(size)
        assert stream.request("POST", "/python/", body=pattern(size)).body == pattern(size)
    with web.connect(timeout=30) as stream:
        assert stream.get(f"/python/to-end/{size}").body == pattern(size)
    assert web.curl("-k", f"https://10.0.1.1/{size}", "-o", "/dev/null", "-w", "%{http_code} %{size_download}") == f"200 {size}"


def test_a_slow_reader_holds_up_nobody(web):
    with web.connect(timeout=30) as slow:
        slow.socket.setsockopt(1, 8, 4096)
        slow.send("GET /python/8000000 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        slow.read_until(b"\r\n\r\n")
        for _ in range(3):
            assert web.get("/python/100000").body == pattern(100000)
        assert slow._read_body(type("Chunked", (), {"get": lambda *_: "chunked", "body": b"", "trailers": []})(), False).body == \
            pattern(8000000)


def test_an_upgraded_connection(web):
    with web.connect() as stream:
        assert stream.get("/python/", ("Upgrade", "echo"), ("Connection", "upgrade")).status == 101
        for size in (1, 20000, 200000):
            threading.Thread(target=stream.send, args=(pattern(size),)).start()
            assert stream.read_exactly(size) == pattern(size)


def test_servers_are_told_the_end(web):
    """Python's ssl takes an end without close_notify for an error."""
    errors = len(web.python.errors)
    for _ in range(3):
        assert web.get("/python/10").status == 200
    assert web.python.errors[errors:] == []


# ---- configuration ----


def test_mistakes_are_found_by_t(web, certificates):
    a, none = certificates.path("a"), certificates.path("none")
    cases = {
        "proxy_ssl_verify on;": "no proxy_ssl_trusted_certificate for proxy_ssl_verify",
        f"proxy_ssl_certificate {a}.crt;": f'no "proxy_ssl_certificate_key" is defined for certificate "{a}.crt"',
        f"proxy_ssl_certificate {none}; proxy_ssl_certificate_key {a}.key;": f'cannot load certificate "{none}": BIO_new_file() failed',
        f"proxy_ssl_certificate {a}.crt; proxy_ssl_certificate_key {certificates.path('ca.key')};":
            "SSL_CTX_use_PrivateKey(",
        f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {none};": f'SSL_CTX_load_verify_locations("{none}") failed',
        "proxy_ssl_ciphers nonsense;": 'SSL_CTX_set_cipher_list("nonsense") failed',
        "proxy_ssl_protocols TLSv7;": 'invalid value "TLSv7"',
        "proxy_ssl_conf_command Nonsense on;": 'SSL_CONF_cmd("Nonsense", "on") failed',
    }
    for directives, expected in cases.items():
        weir = Balancer(web.balancer_namespace, "events { }\nhttp { server { listen 10.0.1.1:81; location / {\n"
                        f"{directives}\nproxy_pass https://10.0.2.11; }} }} }}\n")
        done = web.balancer_namespace.run(*weir.arguments(), "-t", check=False)
        weir.clean()
        assert done.returncode == 1 and expected in done.stdout, done.stdout
        assert IS_NGINX or re.search(r"weir\.conf:[23]\n", done.stdout), done.stdout
