"""A real Chromium, without a screen, loads a page of a hundred parts over HTTP/2 from Weir, in front of a real nginx."""

import os

import pytest
from weirtest import Certificates, Topology

CHROMIUM = "/usr/bin/chromium-headless-shell"
PARTS = 100
CONFIG = """
events {{ }}
http {{
    log_format parts "$server_protocol $connection $status $uri";
    access_log access.log parts;
    upstream servers {{ server 10.0.2.11; keepalive 8; }}
    server {{
        listen 10.0.1.1:443 ssl http2;
        {certificate}
        location / {{ proxy_pass http://servers/bytes/; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""
PAGE = "<!DOCTYPE html><title>parts</title><p id=n>0</p>{parts}"
SCRIPT = "{{ const n = document.getElementById('n'); n.textContent = Number(n.textContent) + 1; }} /*{padding}*/"


@pytest.fixture
def page():
    """In place of /bytes/N: the page and its scripts, of a few hundred bytes to 50 KB."""
    certificates = Certificates()
    with Topology(servers=1) as net:
        [server] = net.nginx()
        server.file("page.html", PAGE.format(parts="".join(f'<script src="/{i}.js"></script>' for i in range(PARTS))).encode())
        for i in range(PARTS):
            server.file(f"{i}.js", SCRIPT.format(padding="x" * 500 * i).encode())
        with net.balancer(CONFIG.format(certificate=certificates.sign("a", "a.test")), ready=("10.0.1.1", 443)) as weir:
            net.weir = weir
            yield net
    certificates.close()


@pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not there")
def test_a_page_of_a_hundred_parts(page, tmp_path):
    text = page.client.run(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
                           f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP a.test 10.0.1.1", "--timeout=60000", "--dump-dom",
                           "https://a.test/page.html", timeout=90).stdout
    assert f'<p id="n">{PARTS}</p>' in text, text[-3000:]
    lines = [line.split() for line in page.weir.lines()]
    parts = [line for line in lines if line[3].endswith(".js")]
    assert len(parts) == PARTS and {line[2] for line in parts} == {"200"}
    assert {line[0] for line in lines} == {"HTTP/2.0"}
    assert len({line[1] for line in parts}) == 1, "all on one connection"
