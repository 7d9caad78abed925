"""What the balancer answers by itself: return, error pages, and the fields it adds."""

import re

import pytest
from weirtest import IS_NGINX, Topology, ok, serving

CONFIG = """
events { }
http {
    access_log access.log;
    server_tokens off;
    server {
        listen 10.0.1.1:80;
        server_name www.test;
        default_type text/x-test;
        add_header X-Outer 1;
        client_max_body_size 1000;
        location /text { return 200 "some $request_method text\\n"; }
        location /typed { default_type text/html; return 200 "<p>"; }
        location /moved { return 301 /elsewhere?a=b; }
        location /absolute { return 302 https://$host$request_uri; }
        location /short { return https://other.test/; }
        location /temporary { return 307 http://other.test/; }
        location /permanent { return 308 http://other.test/; }
        location /code { return 403; }
        location /teapot { return 418 "short and stout"; }
        location /empty { return 204; }
        location /drop { return 444; }
        location /gone { return 410; }
        location /limit { return 429; }
        location /internal { return 500; }
        location /not-now { return 503; }
        location /inner { add_header X-Inner 2; return 200 "x"; }
        location /inner-error { add_header X-Plain 1; add_header X-Always 2 always; return 404; }
        location /variables {
            add_header X-Variables "$scheme|$request_method|$uri|$args|$arg_b|$http_x_thing|$server_port|$server_name|$host";
            return 204;
        }
        location /up { add_header X-Up added; proxy_pass http://10.0.2.11:8080; }
        location /nobody { proxy_pass http://10.0.2.11:9999; }
    }
}
"""
PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n" \
       "<hr><center>{1}</center>\r\n</body>\r\n</html>\r\n"
PADDING = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n" * 6


def answer(request):
    if request.target == "/up/404":
        return ok("mine", "X-Origin: yes", "Server: own/1", "Date: Thu, 01 Jan 1970 00:00:00 GMT", status="404 Not Found")
    if request.target == "/up/moved":
        return ok("", "Location: http://10.0.2.11:8080/up/new", status="301 Moved Permanently")
    return ok("fine", "X-Origin: yes", "Server: own/1", "X-Accel-Redirect-Not: 1", "Set-Cookie: a=1", "Set-Cookie: b=2")


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        net.origin(serving(answer))
        with net.balancer(CONFIG) as net.weir:
            yield net


def name(web):
    return web.get("/text").get("Server")


def test_text(web):
    response = web.get("/text")
    assert response.start == "HTTP/1.1 200 OK"
    assert response.text == "some GET text\n"
    assert response.get("Content-Type") == "text/x-test"
    assert response.get("Content-Length") == "14"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.get("Date"))
    assert response.get("Server") == ("nginx" if IS_NGINX else "weir")
    assert web.get("/typed").get("Content-Type") == "text/html"


def test_order_of_fields(web):
    assert [field for field, _ in web.get("/text").fields] == \
        ["Server", "Date", "Content-Type", "Content-Length", "Connection", "X-Outer"]


@pytest.mark.parametrize("target, status, location", [
    ("/moved", "301 Moved Permanently", "http://www.test/elsewhere?a=b"),
    ("/absolute?x=1", "302 Moved Temporarily", "https://www.test/absolute?x=1"),
    ("/short", "302 Moved Temporarily", "https://other.test/"),
    ("/temporary", "307 Temporary Redirect", "http://other.test/"),
    ("/permanent", "308 Permanent Redirect", "http://other.test/"),
])
def test_redirect(web, target, status, location):
    response = web.get(target, host="www.test")
    assert (response.start, response.get("Location")) == (f"HTTP/1.1 {status}", location)
    assert response.text == PAGE.format(status.replace("302 Moved Temporarily", "302 Found"), name(web))
    assert response.get("Content-Type") == "text/html"


@pytest.mark.parametrize("target, status", [
    ("/code", "403 Forbidden"), ("/gone", "410 Gone"), ("/limit", "429 Too Many Requests"),
    ("/internal", "500 Internal Server Error"), ("/not-now", "503 Service Temporarily Unavailable"),
    ("/nobody", "502 Bad Gateway"), ("/missing", "404 Not Found"),
])
def test_error_page(web, target, status):
    response = web.get(target)
    assert (response.start, response.text) == (f"HTTP/1.1 {status}", PAGE.format(status, name(web)))
    assert response.get("Content-Type") == "text/html"
    assert response.get("Content-Length") == str(len(response.body))


@pytest.mark.parametrize("agent", ["Mozilla/4.0 (compatible; MSIE 6.0)", "Mozilla/5.0 Chrome/99"])
def test_error_page_is_padded_for_some_browsers(web, agent):
    response = web.get("/code", ("User-Agent", agent))
    assert response.text == PAGE.format("403 Forbidden", name(web)) + PADDING


def test_error_page_to_head_has_its_length_only(web):
    with web.connect() as stream:
        response = stream.request("HEAD", "/code")
        assert response.get("Content-Length") == str(len(PAGE.format("403 Forbidden", name(web))))
        assert stream.silent(0.2)


def test_other_code_with_text(web):
    response = web.get("/teapot")
    assert (response.start.rstrip(), response.text) == ("HTTP/1.1 418", "short and stout")


def test_204_has_no_body(web):
    with web.connect() as stream:
        assert stream.get("/empty").start == "HTTP/1.1 204 No Content"
        assert stream.get("/text").status == 200


def test_444_closes_without_a_byte(web):
    with web.connect() as stream:
        stream.send("GET /drop HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stream.closed()


def test_too_large_a_body_is_413(web):
    with web.connect() as stream:
        response = stream.request("POST", "/up", [("Content-Length", "1001")])
        assert response.start == "HTTP/1.1 413 Request Entity Too Large"
        assert response.text == PAGE.format("413 Request Entity Too Large", name(web))


def test_too_large_a_chunked_body_is_413(web):
    with web.connect() as stream:
        response = stream.request("POST", "/up", [("Transfer-Encoding", "chunked")], b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert response.status == 413


def test_a_body_of_just_the_limit_passes(web):
    with web.connect() as stream:
        assert stream.request("POST", "/up", body=b"x" * 1000).status == 200


def test_add_header_is_inherited_only_where_there_is_none(web):
    assert web.get("/text").get("X-Outer") == "1"
    inner = web.get("/inner")
    assert (inner.get("X-Outer"), inner.get("X-Inner")) == (None, "2")


def test_add_header_to_an_error_needs_always(web):
    response = web.get("/inner-error")
    assert (response.get("X-Plain"), response.get("X-Always")) == (None, "2")


def test_variables(web):
    response = web.get("/variables?a=1&b=2", ("X-Thing", "7"), host="asked.test")
    assert response.get("X-Variables") == "http|GET|/variables|a=1&b=2|2|7|80|www.test|asked.test"


def test_fields_of_the_upstream(web):
    response = web.get("/up")
    assert (response.get("X-Origin"), response.get("X-Up")) == ("yes", "added")
    assert response.all("Set-Cookie") == ["a=1", "b=2"]
    assert response.all("Server") == [name(web)], "the balancer's name, as nginx does"
    assert len(response.all("Date")) == 1


def test_error_of_the_upstream_is_passed_on(web):
    response = web.get("/up/404")
    assert (response.status, response.text, response.get("X-Up")) == (404, "mine", None)


def test_redirect_of_the_upstream_is_rewritten(web):
    """proxy_redirect default: the upstream's own address becomes the location's."""
    assert web.get("/up/moved", host="www.test").get("Location") in \
        ("http://www.test/up/new", "http://10.0.2.11:8080/up/new")
