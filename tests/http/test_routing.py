"""Which server block, which location, and what the upstream is then asked for."""

import pytest
from weirtest import Topology, ok, serving

CONFIG = """
events { }
http {
    access_log off;
    upstream group { server 10.0.2.11:8080; }
    server { listen 10.0.1.1:80; server_name first.test; return 200 "first $host"; }
    server { listen 10.0.1.1:80; server_name exact.test other.test; return 200 "exact"; }
    server { listen 10.0.1.1:80; server_name *.wild.test; return 200 "before"; }
    server { listen 10.0.1.1:80; server_name *.deep.wild.test; return 200 "longest before"; }
    server { listen 10.0.1.1:80; server_name wild.*; return 200 "after"; }
    server { listen 10.0.1.1:80; server_name .dot.test; return 200 "dot"; }
    server { listen 10.0.1.1:80; server_name ~^(?<user>\\w+)\\.re\\.test$; return 200 "regex $user $1"; }
    server { listen 10.0.1.1:80; server_name ~^[a-z]+\\.re\\.test$; return 200 "second regex"; }
    server { listen 10.0.1.1:81; server_name one.test; return 200 "one"; }
    server { listen 10.0.1.1:81 default_server; server_name two.test; return 200 "two"; }
    server { listen 10.0.1.1:82; server_name ""; return 200 "no host"; }
    server { listen 10.0.1.1:82; server_name named.test; return 200 "named"; }

    server {
        listen 10.0.1.1:83;
        location / { return 200 "/"; }
        location = / { return 200 "= /"; }
        location = /exact { return 200 "= /exact"; }
        location /prefix { return 200 "/prefix"; }
        location /prefix/longer { return 200 "/prefix/longer"; }
        location ^~ /static/ { return 200 "^~ /static/"; }
        location ~ \\.png$ { return 200 "~ png"; }
        location ~* \\.JPG$ { return 200 "~* jpg"; }
        location ~ ^/item/(\\d+)/(?<name>[a-z]+)$ { return 200 "item $1 $name"; }
        location /outer {
            location /outer/inner { return 200 "inner"; }
            location ~ \\.txt$ { return 200 "nested regex"; }
            return 200 "outer";
        }
    }
    server {
        listen 10.0.1.1:84;
        location /plain { proxy_pass http://10.0.2.11:8080; }
        location /strip/ { proxy_pass http://10.0.2.11:8080/; }
        location /move/ { proxy_pass http://group/there/; }
        location /noslash { proxy_pass http://group/x; }
        location = /only { proxy_pass http://group/just/this; }
        location ~ ^/re/ { proxy_pass http://group; }
        location /headers {
            proxy_pass http://group;
            proxy_set_header Host $host:$server_port;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Gone "";
            proxy_set_header Accept-Encoding "";
        }
        location /default-headers { proxy_pass http://group; }
    }
}
"""


def answer(request):
    return ok("\n".join([request.start, *(f"{name}: {value}" for name, value in request.fields)]))


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        net.origin(serving(answer))
        with net.balancer(CONFIG):
            yield net


@pytest.mark.parametrize("host, text", [
    ("first.test", "first first.test"),
    ("exact.test", "exact"), ("EXACT.Test", "exact"), ("other.test", "exact"), ("exact.test:8080", "exact"),
    ("exact.test.", "exact"),
    ("a.wild.test", "before"), ("a.b.wild.test", "before"), ("x.deep.wild.test", "longest before"),
    ("wild.example", "after"), ("wild.co.example", "after"), ("wild.test", "after"),
    ("dot.test", "dot"), ("a.dot.test", "dot"),
    ("bob.re.test", "regex bob bob"),
    ("unknown.test", "first unknown.test"), ("10.0.1.1", "first 10.0.1.1"),
])
def test_server_name(web, host, text):
    assert web.get("/", host=host).text == text


@pytest.mark.parametrize("host, text", [("one.test", "one"), ("two.test", "two"), ("none.test", "two")])
def test_default_server(web, host, text):
    assert web.get("/", port=81, host=host).text == text


def test_request_without_host_in_http_1_0_takes_the_empty_name(web):
    with web.connect(port=82) as stream:
        assert stream.get("/", version="HTTP/1.0", host=None).text == "no host"


def test_absolute_target_names_the_host(web):
    assert web.get("http://exact.test/x", host="first.test").text == "exact"


@pytest.mark.parametrize("target, text", [
    ("/", "= /"), ("/?a=1", "= /"), ("/index", "/"),
    ("/exact", "= /exact"), ("/exact/", "/"),
    ("/prefix", "/prefix"), ("/prefixed", "/prefix"), ("/prefix/long", "/prefix"), ("/prefix/longer/x", "/prefix/longer"),
    ("/static/a.png", "^~ /static/"), ("/prefix/a.png", "~ png"), ("/a.PNG", "/"),
    ("/a.jpg", "~* jpg"), ("/a.Jpg", "~* jpg"),
    ("/item/42/abc", "item 42 abc"), ("/item/42/ABC", "/"),
    ("/outer", "outer"), ("/outer/inner/x", "inner"), ("/outer/a.txt", "nested regex"), ("/a.txt", "/"),
    ("/%65xact", "= /exact"), ("//exact", "= /exact"), ("/a/../exact", "= /exact"), ("/./exact", "= /exact"),
    ("/a/b/../../exact", "= /exact"), ("/exact?x=/../y", "= /exact"), ("/%2e%2e/x", None), ("/../x", None),
])
def test_location(web, target, text):
    response = web.get(target, port=83)
    if text is None:
        assert response.status == 400
    else:
        assert response.text == text


@pytest.mark.parametrize("target, asked", [
    ("/plain/a%20b?c=d", "/plain/a%20b?c=d"), ("/plain//a/../b", "/plain//a/../b"),
    ("/strip/a/b?c", "/a/b?c"), ("/strip/a%20b", "/a%20b"), ("/strip/a/../b", "/b"), ("/strip//x", "/x"),
    ("/move/a?b=c", "/there/a?b=c"), ("/noslash/y", "/x/y"), ("/noslashy", "/xy"),
    ("/only?q=1", "/just/this?q=1"), ("/re/%41b", "/re/%41b"),
])
def test_what_proxy_pass_asks_for(web, target, asked):
    assert web.get(target, port=84).text.splitlines()[0].split(" ")[1] == asked


def test_default_request_fields(web):
    lines = web.get("/default-headers", ("X-Own", "1"), ("User-Agent", "t"), port=84, host="a.test").text.splitlines()
    assert lines[0] == "GET /default-headers HTTP/1.0"
    assert lines[1:3] == ["Host: group", "Connection: close"]
    assert sorted(lines[3:]) == ["User-Agent: t", "X-Own: 1"]


def test_proxy_set_header(web):
    fields = [("X-Forwarded-For", "1.2.3.4"), ("X-Gone", "x"), ("Accept-Encoding", "gzip"), ("X-Real-IP", "9.9.9.9")]
    text = web.get("/headers", *fields, port=84, host="A.Test").text
    for line in ("Host: a.test:84", "X-Real-IP: 10.0.1.2", "X-Forwarded-For: 1.2.3.4, 10.0.1.2",
                 "X-Forwarded-Proto: http"):
        assert line in text.splitlines()
    assert "X-Gone" not in text and "Accept-Encoding" not in text and "9.9.9.9" not in text


def test_fields_with_underscore_are_dropped_as_nginx_does(web):
    assert "X_Under" not in web.get("/default-headers", ("X_Under", "1"), port=84).text


def test_repeated_fields_are_all_passed_on(web):
    text = web.get("/default-headers", ("X-Twice", "1"), ("X-Twice", "2"), ("Cookie", "a=b"), port=84).text
    assert [line for line in text.splitlines() if line.startswith(("X-Twice", "Cookie"))] == \
        ["X-Twice: 1", "X-Twice: 2", "Cookie: a=b"]
