"""TLS on Weir and on a real nginx, towards clients and servers: the same configuration, peers and certificates, good ones and bad,
and the same answers, variables, messages and lines of the logs."""

import difflib
import os
import re
import socket
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import IS_NGINX, Balancer, Certificates, Stream, Topology, wait_for
from weirtest.balancer import BINARY

pytestmark = pytest.mark.skipif(IS_NGINX, reason="both are run")
NGINX = "/usr/sbin/nginx"

VARIABLES = ("scheme", "https", "ssl_protocol", "ssl_cipher", "ssl_curve", "ssl_server_name", "ssl_session_reused", "ssl_alpn_protocol",
             "ssl_early_data", "ssl_client_verify", "ssl_client_s_dn", "ssl_client_i_dn", "ssl_client_serial", "ssl_client_fingerprint",
             "ssl_client_cert", "ssl_client_raw_cert", "ssl_client_escaped_cert", "ssl_client_v_start", "ssl_client_v_end", "ssl_client_v_remain")

CONFIG = """
{module}
events {{ }}
http {{
    log_format tls "$server_port $status $request_method $request_uri [$ssl_server_name] $ssl_client_verify $ssl_client_s_dn $upstream_status";
    access_log http.log tls;
    server_tokens off;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_client_certificate {ca};
    {a} {a_rsa}
    server {{ listen 10.0.1.1:443 ssl; server_name default.test; ssl_session_tickets off; ssl_session_cache shared:S:1m;
              ssl_verify_client optional_no_ca; return 200 "{variables}"; }}
    server {{ listen 10.0.1.1:443 ssl; server_name b.test *.wild.test 10.0.1.1 mail.*; {b} return 200 "b [$ssl_server_name] $host"; }}
    server {{ listen 10.0.1.1:443 ssl; server_name x.wild.test; {x} return 200 "x [$ssl_server_name] $host"; }}
    server {{ listen 10.0.1.1:443 ssl; server_name strict.test; {b} ssl_verify_client on; return 200 "strict [$ssl_server_name]"; }}
    server {{ listen 10.0.1.1:444 ssl proxy_protocol; return 200 "$proxy_protocol_addr"; }}
    server {{ listen 10.0.1.1:448 proxy_protocol; set_real_ip_from 10.0.1.2; real_ip_header proxy_protocol;
              return 200 "$remote_addr:$remote_port [$proxy_protocol_addr:$proxy_protocol_port to $proxy_protocol_server_addr:$proxy_protocol_server_port] $realip_remote_addr"; }}
    server {{ listen 10.0.1.1:450 ssl; ssl_verify_client on; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:451 ssl; ssl_verify_client optional; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:452 ssl; ssl_verify_client optional_no_ca; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:453 ssl; ssl_verify_client on; ssl_crl {crl}; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:454 ssl; ssl_verify_client on; ssl_crl {other_crl}; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:455 ssl; ssl_verify_client on; ssl_verify_depth 0; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:456 ssl; ssl_verify_client on; ssl_verify_depth 2; return 200 "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:457 ssl; ssl_verify_client on; ssl_trusted_certificate {between}; return 200 "$ssl_client_verify"; }}
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_session_reuse off;
    proxy_ssl_trusted_certificate {ca};
    proxy_ssl_server_name on;
    proxy_ssl_name $arg_name;
    upstream nobody {{ server 10.0.2.11:9 down; }}
    upstream two {{ server 10.0.2.11:9; server 10.0.2.11:8; }}
    server {{
        listen 10.0.1.1:80; server_name one.test;
        {locations}
        location = /variables {{ return 200 "{variables}"; }}
        location /nobody/ {{ proxy_pass https://nobody/with/; }}
        location /two/ {{ proxy_pass http://two; }}
        location /refused/ {{ proxy_pass https://10.0.2.11:9/there; }}
        location /refused-value/ {{ proxy_pass http://10.0.2.11:9/x/$arg_y; }}
        location ~ ^/refused-regex/ {{ proxy_pass http://10.0.2.11:9; }}
        location /cleartext/ {{ proxy_pass https://10.0.2.11:80/; }}
        location /to-tls/ {{ proxy_pass http://10.0.2.11:1000/; }}
        location /cut/ {{ proxy_pass https://10.0.2.11:9444/; proxy_http_version 1.1; }}
        location /needs/ {{ proxy_pass https://10.0.2.11:1100/; }}
        location /gives/ {{ proxy_pass https://10.0.2.11:1100/; proxy_ssl_certificate {good}.crt; proxy_ssl_certificate_key {secret};
                            proxy_ssl_password_file {passwords}; }}
        location /gives-bad/ {{ proxy_pass https://10.0.2.11:1100/; proxy_ssl_certificate {self}.crt; proxy_ssl_certificate_key {self}.key; }}
        location /ciphers/ {{ proxy_pass https://10.0.2.11:1000/; proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers AES128-SHA; }}
    }}
}}
stream {{
    log_format tls "$server_port $status [$ssl_server_name] $ssl_client_verify $ssl_client_s_dn $ssl_client_i_dn $ssl_client_serial $ssl_client_fingerprint $ssl_client_v_start $ssl_client_v_end $ssl_client_v_remain";
    access_log stream.log tls;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_client_certificate {ca};
    {a} {a_rsa}
    server {{ listen 10.0.1.1:460 ssl; ssl_verify_client on; return "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:461 ssl; ssl_verify_client optional; return "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:462 ssl; ssl_verify_client optional_no_ca; return "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:463 ssl; ssl_verify_client on; ssl_crl {crl}; return "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:464 ssl; ssl_verify_client on; ssl_verify_depth 0; return "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:465 ssl; ssl_verify_client on; ssl_verify_depth 2; return "$ssl_client_verify"; }}
    server {{ listen 10.0.1.1:466 ssl; ssl_verify_client on; ssl_trusted_certificate {between}; return "$ssl_client_verify"; }}
}}
"""

CHAINS = ("good", "expired", "early", "revoked", "self", "elsewhere", "chained", "chained_alone", "deeper")
CLIENTS = (None, "server_alone", *CHAINS)
SERVERS = ("rsa", "client_alone", "wild", "address", "address_name", *CHAINS)


@pytest.fixture(scope="module")
def certificates():
    made, other = Certificates(), Certificates()
    made.sign("a", "a.test", "default.test")
    made.sign("a_rsa", "a.test", kind="rsa")
    made.sign("b", "b.test")
    made.sign("x", "x.wild.test")
    made.sign("good", "a.test")
    made.sign("rsa", "a.test", kind="rsa")
    made.sign("expired", "a.test", days=-1)
    made.sign("early", "a.test", since="20400101000000Z")
    made.sign("revoked", "a.test")
    made.self_sign("self", "a.test")
    made.sign("server_alone", "a.test", more="extendedKeyUsage=serverAuth")
    made.sign("client_alone", "a.test", more="extendedKeyUsage=clientAuth")
    made.sign("wild", "*.w.test")
    made.sign("address", "IP:10.0.2.11")
    made.sign("address_name", "10.0.2.11")
    made.authority("between")
    made.authority("below", by="between")
    made.sign("chained_alone", "a.test", by="between")
    made.join("chained.crt", "chained_alone.crt", "between.crt")
    made.join("chained.key", "chained_alone.key")
    made.sign("deepest", "a.test", by="below")
    made.join("deeper.crt", "deepest.crt", "below.crt", "between.crt")
    made.join("deeper.key", "deepest.key")
    made.revoke(made.path("crl"), "revoked")
    for name in ("elsewhere", "nobody"):
        other.sign(name, "a.test")
    other.revoke(other.path("crl"), "nobody")
    made.encrypt("secret.key", "good.key", "open sesame")
    made.write("passwords", "wrong\nopen sesame\n")
    made.other = other
    yield made
    made.close()
    other.close()


def pair(certificates, name):
    where = certificates.other if name == "elsewhere" else certificates
    return where.path(f"{name}.crt"), where.path(f"{name}.key")


def checks(certificates):
    """Which servers are checked how: locations /NAME/HOW/, and what is asked of them."""
    crl, other_crl = certificates.path("crl"), certificates.other.path("crl")
    ways = {"on": "", "flat": "proxy_ssl_verify_depth 0;", "deep": "proxy_ssl_verify_depth 2;", "crl": f"proxy_ssl_crl {crl};",
            "other_crl": f"proxy_ssl_crl {other_crl};"}
    chosen = {name: ("on",) for name in SERVERS} | {"good": tuple(ways), "revoked": ("on", "crl"), "chained": ("on", "flat", "crl"),
                                                    "deeper": ("on", "deep")}
    locations = "".join(f"location /{name}/off/ {{ proxy_pass https://10.0.2.11:{1000 + i}/; }}\n" + "".join(
        f"location /{name}/{how}/ {{ proxy_pass https://10.0.2.11:{1000 + i}/; proxy_ssl_verify on; {ways[how]} }}\n"
        for how in chosen[name]) for i, name in enumerate(SERVERS))
    return locations, [f"/{name}/{how}/?name=a.test" for name in SERVERS for how in ("off", *chosen[name])]


def servers(certificates):
    said = "ssl_protocols TLSv1.2 TLSv1.3;"
    for i, name in enumerate(SERVERS):
        certificate, key = pair(certificates, name)
        said += f"server {{ listen 10.0.2.11:{1000 + i} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};\n" \
                f"return 200 '{name} [$ssl_server_name]'; }}\n"
    return said + f"server {{ listen 10.0.2.11:1100 ssl; {certificates.directives('good')} ssl_client_certificate {certificates.path('ca.crt')};\n" \
                  "ssl_verify_client on; return 200 '$ssl_client_s_dn'; }\n"


def breaks_off(certificates):
    """A server that ends in the middle of something, with close_notify where its path says so, and without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair(certificates, "good"))
    answers = {"length": b"Content-Length: 100\r\n\r\nshort", "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
               "end": b"Connection: close\r\n\r\nto the end", "head": b"Conten"}

    def handler(stream):
        with context.wrap_socket(stream.socket, server_side=True) as secure:
            what = Stream(secure, 30).read_request().target.strip("/")
            if what.split("-")[0] in answers:
                secure.sendall(b"HTTP/1.1 200 OK\r\n" + answers[what.split("-")[0]])
            if "-notify" in what:
                secure.unwrap()

    return handler


# ---- what is said ----


def normal(said):
    """Without what tells the two apart."""
    said = said.decode("latin-1")
    if "<hr>" in said:
        said = re.sub(r"Content-Length: .*\r\n", "", said)
    return re.sub(r"(?m)^(Server|Date): .*\r\n|<center>(nginx|weir)</center>\r\n", "", said)


def plain(web, port, data):
    with web.connect(port=port) as stream:
        stream.send(data)
        return normal(stream.read_to_end())


def context_of(web, client=None, version=None, protocols=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client:
        context.load_cert_chain(*pair(web.certificates, client))
    if version:
        context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def secure(web, port, name="a.test", target="/", host=None, context=None, before=b"", session=None):
    """An answer, the certificate that was shown and the session; or the reason why there is none."""
    raw = web.client.connect("10.0.1.1", port, 10)
    try:
        raw.sendall(before)
        with (context or context_of(web)).wrap_socket(raw, server_hostname=name, session=session) as stream:
            if port < 460:
                field = f"Host: {host or name}\r\n" if host != "" else ""
                stream.sendall(f"GET {target} HTTP/1.{1 if field else 0}\r\n{field}Connection: close\r\n\r\n".encode())
            said = b""
            while more := stream.recv(65536):
                said += more
            return normal(said), stream.getpeercert(True), stream.session
    except (ssl.SSLError, ConnectionError) as error:
        return getattr(error, "reason", None) or repr(error), None, None
    finally:
        raw.close()


def resumed(web, first, second, version):
    """What is said under the second name, with a session from under the first."""
    context = context_of(web, "good", version)
    session = secure(web, 443, first, context=context)[2]
    return secure(web, 443, second, context=context, session=session)[0]


def shown(web, *words):
    """What openssl says of the server's signature, or why there is none."""
    done = web.client.run("openssl", "s_client", "-connect", "10.0.1.1:443", "-servername", "default.test", *words, input="", check=False)
    return re.findall(r"Peer signature type: .*|Server Temp Key: .*|alert [a-z ]*", done.stdout)


def introduced(web, header):
    """What is known of the client; its connection's own port is another every time."""
    with web.connect(port=448) as stream:
        stream.send(header + b"GET / HTTP/1.0\r\n\r\n")
        try:
            return re.sub(r"10\.0\.1\.2:\d+", "the client", normal(stream.read_to_end()))
        except ConnectionResetError:
            return ""


def v2(command, family, rest):
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(rest)) + rest


V4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.9") + struct.pack("!HH", 4000, 81)
V6 = 2 * socket.inet_pton(socket.AF_INET6, "2001:db8::9") + struct.pack("!HH", 4000, 81)
HEADERS = {
    "1": b"PROXY TCP4 203.0.113.9 192.0.2.9 4000 81\r\n", "1 of IPv6": b"PROXY TCP6 2001:db8::9 2001:db8::1 4000 81\r\n",
    "unknown": b"PROXY UNKNOWN\r\n", "unknown with addresses": b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    "1 with no address": b"PROXY TCP4 nobody 192.0.2.9 4000 81\r\n", "1 with a large port": b"PROXY TCP4 203.0.113.9 192.0.2.9 65536 81\r\n",
    "1 without ports": b"PROXY TCP4 203.0.113.9 192.0.2.9\r\n", "1 of another protocol": b"PROXY UDP4 203.0.113.9 192.0.2.9 4000 81\r\n",
    "1 without an end": b"PROXY TCP4 " + 100 * b"1", "1 in lower case": b"proxy TCP4 203.0.113.9 192.0.2.9 4000 81\r\n",
    "1 with one space more": b"PROXY TCP4  203.0.113.9 192.0.2.9 4000 81\r\n",
    "2": v2(0x21, 0x11, V4), "2 of IPv6": v2(0x21, 0x21, V6), "2 with more behind": v2(0x21, 0x11, V4 + bytes(20)), "local": v2(0x20, 0, b""),
    "local with addresses": v2(0x20, 0x11, V4), "2 of no family": v2(0x21, 0, b""), "2 of unix": v2(0x21, 0x31, bytes(40)),
    "2 of UDP": v2(0x21, 0x12, V4), "2 that is too short": v2(0x21, 0x11, V4[:11]), "version 3": v2(0x31, 0x11, V4),
    "2 with another command": v2(0x22, 0x11, V4),
}


V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
GET = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
NAMES = ("default.test", "nobody.test", "b.test", "B.TEST", "b.test.", "q.wild.test", "X.Wild.test", "a.b.wild.test", "wild.test",
         "mail.example", "mail.", None, "10.0.1.1")
OTHERS = (("default.test", "default.test"), ("default.test", "b.test"), ("b.test", "strict.test"), ("strict.test", "strict.test"),
          ("strict.test", "b.test"))


def client_talks():
    """Name -> what is done."""
    talks = {f"port {port}, {client} in {version.name}": lambda web, port=port, client=client, version=version:
             secure(web, port, f"n{port}.test", f"/{client}", context=context_of(web, client, version))[0]
             for port in (*range(450, 458), *range(460, 467)) for client in CLIENTS
             for version in ((V1_2, V1_3) if port in (450, 460) else (V1_3,))}
    talks |= {f"the name {name!r}": lambda web, name=name: secure(web, 443, name)[:2] for name in NAMES}
    talks |= {f"{second} after {first} in {version.name}": lambda web, first=first, second=second, version=version:
              resumed(web, first, second, version) for version in (V1_2, V1_3) for first, second in OTHERS}
    talks |= {f"header {name}": lambda web, header=header: introduced(web, header) for name, header in HEADERS.items()}
    return talks | {
        "another host": lambda web: secure(web, 443, "b.test", host="x.wild.test")[0],
        "no host": lambda web: secure(web, 443, "b.test", host="")[0],
        "a host that asks for certificates": lambda web: secure(web, 443, "b.test", host="strict.test")[0],
        "a host that does not": lambda web: secure(web, 443, "strict.test", host="b.test")[0],
        "variables": lambda web: secure(web, 443, "default.test", context=context_of(web, "good", V1_2, ["http/1.1"]))[0],
        "variables of a chain": lambda web: secure(web, 443, "default.test", context=context_of(web, "chained", V1_3))[0],
        "variables of an RSA certificate": lambda web: secure(web, 443, "default.test", context=context_of(web, "rsa", V1_3))[0],
        "variables of one by nobody": lambda web: secure(web, 443, "default.test", context=context_of(web, "self", V1_3))[0],
        "variables without": lambda web: secure(web, 443, "default.test", context=context_of(web, None, V1_3, ["h2", "http/1.0"]))[0],
        "variables without TLS": lambda web: plain(web, 80, b"GET /variables HTTP/1.0\r\n\r\n"),
        "plain HTTP": lambda web: plain(web, 443, GET),
        "plain HTTP with a name": lambda web: plain(web, 443, GET.replace(b"Host: a", b"Host: b.test")),
        "plain HTTP behind a header": lambda web: plain(web, 444, HEADERS["1"] + GET),
        "plain HTTP where certificates are asked for": lambda web: plain(web, 450, GET),
        "what is no HTTP either": lambda web: plain(web, 443, b"nonsense\r\n\r\n"),
        "TLS behind a header": lambda web: secure(web, 444, before=HEADERS["1"])[0],
        "TLS without its header": lambda web: secure(web, 444)[0],
        "the best signature": lambda web: shown(web, "-tls1_3"),
        "RSA, as all that is known": lambda web: shown(web, "-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"),
        "RSA in TLS 1.2": lambda web: shown(web, "-tls1_2", "-sigalgs", "RSA+SHA256"),
        "suites with RSA": lambda web: shown(web, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
        "no signature that fits": lambda web: shown(web, "-tls1_3", "-sigalgs", "ed25519"),
        "TLS 1.1": lambda web: shown(web, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        "TLS 1.0": lambda web: shown(web, "-tls1", "-cipher", "ALL:@SECLEVEL=0"),
    }


def server_talks(targets):
    targets = [
        *targets,
        *(f"/wild/on/?name={name}" for name in ("x.w.test", "x.y.w.test", "w.test", "X.W.TEST", "x.w.test:443", "x.w.test.")),
        *(f"/good/on/?name={name}" for name in ("b.test", "A.TEST", "a.test.", "")),
        "/address/on/?name=10.0.2.12", "/address_name/on/?name=10.0.2.11",
        "/nobody/x?q", "/two/a%20b?c=d", "/refused/x%41y?z=1", "/refused-value/a?y=p%20q", "/refused-regex/a%2fb", "/cleartext/x",
        "/to-tls/", "/needs/", "/gives/", "/gives-bad/", "/ciphers/",
        *(f"/cut/{what}{how}" for what in ("length", "chunked", "end", "head", "nothing") for how in ("", "-notify")),
    ]
    return {target: lambda web, target=target: plain(web, 80, f"GET {target} HTTP/1.0\r\nHost: one.test\r\n\r\n") for target in targets}


# ---- the comparison ----

# Of a server's chain nginx tells the last that is wrong with it, Weir the first. What OpenSSL left in its queue is nothing to tell.
OTHER_WORDS = re.compile(r"(?<=verify error): \(\d+:[^)]*\)(?= while SSL handshaking to upstream)|(?<=PROXY protocol version): 3")
# A broken header of the PROXY protocol is quoted by nginx as far as a buffer goes, over several lines.
NOT_COMPARED = re.compile(r"^[^\[]|broken header|while waiting for request|invalid method|invalid request|stale global")


def told(line):
    """A line of the error log without time, process and number; None: not about a connection."""
    line = re.sub(r"^\S+ \S+ (\[\w+\]) .*?\*\d+ ", r"\1 ", line)
    return None if "client: " not in line or NOT_COMPARED.search(line) else OTHER_WORDS.sub("", line)


class Outcome:
    def __init__(self, web, config, talks, binary):
        with Balancer(web.balancer_namespace, config, client=web.client, binary=binary) as balancer:
            self.said = {name: talk(web) for name, talk in talks.items()}
            plain(web, 80, b"GET /variables?last HTTP/1.0\r\n\r\n")
            secure(web, 462, "last.test")
            wait_for(lambda: "?last" in balancer.read("http.log") and "[last.test]" in balancer.read("stream.log"))
            self.errors = sorted(filter(None, map(told, balancer.error_log.splitlines())))
            self.http, self.stream = sorted(balancer.lines("http.log")), sorted(balancer.lines("stream.log"))


@pytest.fixture(scope="module")
def web(certificates):
    with Topology(servers=1) as net:
        net.certificates = certificates
        yield net


@pytest.fixture(scope="module")
def outcomes(web, certificates):
    locations, targets = checks(certificates)
    path = certificates.path
    words = {name: certificates.directives(name) for name in ("a", "a_rsa", "b", "x")}
    words |= {name: path(name) for name in ("crl", "good", "self", "passwords")}
    words |= {"ca": path("ca.crt"), "between": path("between.crt"), "secret": path("secret.key"), "locations": locations,
              "other_crl": certificates.other.path("crl"), "variables": "\n".join(f"{name}=${name}" for name in VARIABLES)}
    talks = client_talks() | server_talks(targets)
    web.nginx(more=servers(certificates))
    web.origin(breaks_off(certificates), port=9444)
    module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
    return Outcome(web, CONFIG.format(module="", **words), talks, BINARY), Outcome(web, CONFIG.format(module=module, **words), talks, NGINX)


def test_what_peers_see_is_the_same(outcomes):
    weir, nginx = outcomes
    assert len(weir.said) > 250 and [(name, weir.said[name], said) for name, said in nginx.said.items() if weir.said[name] != said] == []


@pytest.mark.parametrize("log", ["errors", "http", "stream"])
def test_what_logs_say_is_the_same(outcomes, log):
    weir, nginx = (getattr(outcome, log) for outcome in outcomes)
    assert len(nginx) > 40 and "\n".join(difflib.unified_diff(nginx, weir, "nginx", "weir", lineterm="", n=0)) == ""


# ---- files that are no good ----


def bad_files(made):
    """What is in them, one way after another."""
    with open(made.path("a.crt")) as file:
        good = file.read()
    made.write("empty", "")
    made.write("cut", good[:len(good) // 2])
    made.write("broken", "-----BEGIN CERTIFICATE-----\nnot base64!!\n-----END CERTIFICATE-----\n")
    made.write("nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    made.write("bad_chain", good + "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    made.write("ticket81", "t" * 81)
    made.write("wrong", "wrong\n")
    made.self_sign("weak", "weak", kind="rsa1024")
    made.dh_parameters("dh512", 512)
    made.mkdir("directory")


def mistakes(made):
    path = made.path

    def own(certificate, key, more=""):
        return f"ssl_certificate {path(certificate)}; ssl_certificate_key {path(key)}; {more}"

    a = own("a.crt", "a.key")
    return [
        *(own(certificate, "a.key") for certificate in ("broken", "nonsense", "cut", "bad_chain", "empty", "directory", "none")),
        *(own("a.crt", key) for key in ("b.key", "a_rsa.key", "empty", "directory", "none")),
        own("weak.crt", "weak.key"), own("expired.crt", "expired.key"), own("early.crt", "early.key"), a + own("a_rsa.crt", "b.key"),
        *(own("good.crt", "secret.key", f"ssl_password_file {path(file)};") for file in ("passwords", "wrong", "none", "directory")),
        a + f"ssl_certificate {path('a_rsa.crt')};", "", "ssl_reject_handshake on;",
        *(a + f"ssl_session_ticket_key {path(file)};" for file in ("ticket81", "empty")),
        *(a + f"ssl_verify_client on; ssl_client_certificate {path(file)};" for file in ("ca.crt", "none", "empty", "directory")),
        *(a + f"ssl_verify_client on; ssl_client_certificate {path('ca.crt')}; ssl_crl {path(file)};" for file in ("crl", "empty", "a.crt")),
        a + "ssl_verify_client optional;", a + "ssl_verify_client optional_no_ca;",
        a + f"ssl_trusted_certificate {path('empty')};",
        a + f"ssl_dhparam {path('none')};", a + "ssl_ciphers '';", a + "ssl_ecdh_curve prime256v1:nonsense;",
        a + "ssl_conf_command Ciphersuites nonsense;", a + f"ssl_conf_command Certificate {path('none')};",
        a + f"ssl_stapling on; ssl_stapling_file {path('empty')};",
    ]


def objection(web, binary, directives):
    """What -t says, but for the place, which nginx has not always."""
    weir = Balancer(web.balancer_namespace, f"events {{ }}\nhttp {{ server {{ listen 10.0.1.1:444 ssl;\n{directives} }} }}\n", binary=binary)
    try:
        done = web.balancer_namespace.run(*weir.arguments(), "-t", check=False, input="")
    finally:
        weir.clean()
    said = [re.sub(r"^\w+: (?=\[)|^\S+ \S+ |\d+#\d+: ", "", line) for line in done.stdout.splitlines() if "[emerg]" in line]
    assert binary == NGINX or all(re.search(rf" in {weir.directory}/weir.conf:[23]$", line) for line in said), said
    return done.returncode, [re.sub(r" in \S+weir.conf:\d+$", "", line) for line in said]


@pytest.mark.skipif("WEIR_SANITIZED" in os.environ, reason="many starts; unit tests have such mistakes with sanitizers")
def test_t_has_nginxs_objections(web, certificates):
    bad_files(certificates)
    cases = mistakes(certificates)
    with ThreadPoolExecutor(2) as threads:
        weir = threads.map(lambda directives: objection(web, BINARY, directives), cases)
        nginx = threads.map(lambda directives: objection(web, NGINX, directives), cases)
        found = list(zip(cases, weir, nginx))
    assert [case for case in found if case[1] != case[2]] == []
    assert sum(code for _, (code, _), _ in found) > 25


def test_t_warns_of_what_clients_will_not_take(web, certificates):
    certificates.join("disorder.crt", "deepest.crt", "between.crt", "below.crt")
    for file, key, warning in [("expired.crt", "expired.key", "certificate 1 of \"{}\" has expired"),
                               ("early.crt", "early.key", "certificate 1 of \"{}\" is not yet valid"),
                               ("disorder.crt", "deepest.key", "certificate 1 of \"{}\" is not signed by the one behind it")]:
        path = certificates.path(file)
        weir = Balancer(web.balancer_namespace, "events { }\nhttp { server { listen 10.0.1.1:444 ssl;\n"
                        f"ssl_certificate {path};\nssl_certificate_key {certificates.path(key)}; }} }}\n")
        done = web.balancer_namespace.run(*weir.arguments(), "-t", check=False)
        weir.clean()
        assert done.returncode == 0 and f"[warn] {warning.format(path)} in {weir.directory}/weir.conf:3" in done.stdout, done.stdout
    # Where no certificate is wanted, as TLS 1.3 has it, DH parameters are too short all the same.
    code, said = objection(web, BINARY, certificates.directives("a") + f"ssl_dhparam {certificates.path('dh512')};")
    assert code == 1 and "dh key too small" in said[0]
