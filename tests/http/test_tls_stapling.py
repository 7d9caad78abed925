"""OCSP stapling with `openssl ocsp` as the responder, and with responders that are no good."""

import re

import pytest
from weirtest import IS_NGINX, Balancer, Certificates, Topology, ok, wait_for

CONFIG = """
events {{ }}
http {{
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_stapling on;
    ssl_stapling_verify on;
    ssl_trusted_certificate {ca};
    server {{ listen 10.0.1.1:443 ssl; {a} return 200 "a"; }}
    server {{ listen 10.0.1.1:444 ssl; {named} ssl_stapling_responder http://10.0.2.11:8888/; return 200 "named"; }}
    server {{ listen 10.0.1.1:445 ssl; {revoked} return 200 "revoked"; }}
    server {{ listen 10.0.1.1:446 ssl; {silent} return 200 "silent"; }}
    server {{ listen 10.0.1.1:447 ssl; {named} ssl_stapling_file {file}; return 200 "file"; }}
    server {{ listen 10.0.1.1:448 ssl; {garbage} return 200 "garbage"; }}
    server {{ listen 10.0.1.1:449 ssl; {lost} return 200 "lost"; }}
    server {{ listen 10.0.1.1:450 ssl; {a} ssl_stapling off; return 200 "off"; }}
}}
{stream}
"""
# nginx 1.22 has none of it there.
STREAM = "" if IS_NGINX else """
stream {{
    ssl_stapling on;
    ssl_stapling_verify on;
    ssl_trusted_certificate {ca};
    server {{ listen 10.0.1.1:460 ssl; {named} ssl_stapling_responder http://10.0.2.11:8888/; return "named"; }}
    server {{ listen 10.0.1.1:461 ssl; {named} ssl_stapling_file {file}; return "file"; }}
    server {{ listen 10.0.1.1:462 ssl; {named} ssl_stapling_responder http://10.0.2.11:8892/; return "signed by a stranger"; }}
    server {{ listen 10.0.1.1:463 ssl; {named} ssl_stapling_responder http://10.0.2.11:8892/; ssl_stapling_verify off; return "likewise"; }}
}}
"""
NAMES = ("a", "named", "revoked", "silent", "garbage", "lost")


@pytest.fixture(scope="module")
def web():
    certificates = Certificates()
    responder = "authorityInfoAccess = OCSP;URI:http://10.0.2.11:{}"
    for name, port in (("a", 8888), ("revoked", 8888), ("silent", 8889), ("garbage", 8890), ("lost", 8891)):
        certificates.sign(name, f"{name}.test", more=responder.format(port))
    certificates.sign("named", "named.test")
    certificates.self_sign("stranger", "stranger")
    index = certificates.index(good=("a", "named", "silent"), revoked=("revoked",))
    files = {name: certificates.directives(name) for name in NAMES}
    path = certificates.path
    try:
        with Topology(servers=1) as net:
            server = net.servers[0]
            signer, stranger = (["-index", index, "-CA", path("ca.crt"), "-rsigner", path(f"{name}.crt"), "-rkey", path(f"{name}.key"),
                                 "-ndays", "1"] for name in ("ca", "stranger"))
            server.run("openssl", "ocsp", *signer, "-issuer", path("ca.crt"), "-cert", path("named.crt"), "-reqout", path("request"))
            server.run("openssl", "ocsp", *signer, "-reqin", path("request"), "-respout", path("response"))
            responders = [server.popen("openssl", "ocsp", *who, "-port", port) for who, port in ((signer, 8888), (stranger, 8892))]
            net.origin(lambda stream: stream.read_until(b"\r\n\r\n"), port=8889)
            net.origin(lambda stream: (stream.read_until(b"\r\n\r\n"), stream.send(ok(b"no DER", "Content-Type: application/ocsp-response"))),
                       port=8890)
            net.origin(lambda stream: (stream.read_until(b"\r\n\r\n"), stream.send(ok(b"", status="404 Not Found"))), port=8891)
            try:
                # Not by a connection: one without a request is all that it then waits for.
                wait_for(lambda: {"8888", "8892"} <= set(re.findall(r":(\d+) ", server.run("ss", "-Hltn").stdout)), what="openssl ocsp")
                words = {"ca": path("ca.crt"), "file": path("response"), **files}
                with net.balancer(CONFIG.format(stream=STREAM.format(**words), **words), ready=("10.0.1.1", 443)) as weir:
                    net.weir, net.certificates, net.responder = weir, certificates, responders[0]
                    yield net
            finally:
                for responder in responders:
                    responder.kill()
                    responder.wait()
    finally:
        certificates.close()


def stapled(web, port, *words):
    done = web.client.run("openssl", "s_client", "-connect", f"10.0.1.1:{port}", "-status", *words, input="", check=False).stdout
    assert "BEGIN CERTIFICATE" in done, done
    return "OCSP Response Status: successful" in done and "Cert Status: good" in done


@pytest.mark.parametrize("port", [
    pytest.param(443, id="by its URL"), pytest.param(444, id="by the directive"), pytest.param(447, id="from a file"),
    pytest.param(460, id="in stream", marks=pytest.mark.weir_only), pytest.param(461, id="in stream, from a file", marks=pytest.mark.weir_only),
    pytest.param(463, id="in stream, as it comes", marks=pytest.mark.weir_only),
])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_an_answer_is_shown_with_the_certificate(web, port, version):
    wait_for(lambda: stapled(web, port, version), what="a stapled answer")


def test_no_answer_where_nobody_wants_one(web):
    assert not stapled(web, 450)


@pytest.mark.parametrize("port, why", [
    (445, 'certificate status "revoked" in the OCSP response'),
    (446, "OCSP responder prematurely closed connection"),
    (448, "d2i_OCSP_RESPONSE() failed (SSL: error:"),
    (449, "OCSP responder did not say 200"),
    pytest.param(462, "OCSP_basic_verify() failed", marks=pytest.mark.weir_only),
])
def test_bad_answers_are_told_and_not_shown(web, port, why):
    assert not stapled(web, port)
    assert IS_NGINX or web.weir.logged(why)
    assert web.weir.logged("while requesting certificate status, responder: 10.0.2.11")
    assert not stapled(web, port)


@pytest.mark.weir_only
def test_an_answer_outlives_a_reload_and_its_responder(web):
    wait_for(lambda: stapled(web, 443), what="a stapled answer")
    web.responder.kill()
    web.responder.wait()
    web.weir.reload()
    assert web.weir.logged("configuration is in force")
    assert stapled(web, 443) and stapled(web, 444)


def test_what_cannot_be_stapled_is_warned_of(web):
    named, ca = web.certificates.directives("named"), web.certificates.path("ca.crt")
    a = web.certificates.path("a.crt")
    cases = {
        f"{named} ssl_trusted_certificate {ca};":
            f'"ssl_stapling" ignored, no OCSP responder URL in the certificate "{web.certificates.path("named.crt")}"',
        web.certificates.directives("a"): f'"ssl_stapling" ignored, issuer certificate not found for certificate "{a}"',
        f"{web.certificates.directives('a')} ssl_trusted_certificate {ca}; ssl_stapling_responder https://a/;":
            f'"ssl_stapling" ignored, invalid URL prefix in OCSP responder "https://a/" in the certificate "{a}"',
        f"{web.certificates.directives('a')} ssl_trusted_certificate {ca}; ssl_stapling_responder http://nowhere.invalid/;":
            f'"ssl_stapling" ignored, host not found in OCSP responder "',
    }
    for directives, expected in cases.items():
        weir = Balancer(web.balancer_namespace,
                        f"events {{ }}\nhttp {{ server {{ listen 10.0.1.1:444 ssl; ssl_stapling on; {directives} }} }}\n")
        done = web.balancer_namespace.run(*weir.arguments(), "-t", check=False)
        weir.clean()
        assert done.returncode == 0 and expected in done.stdout, done.stdout
