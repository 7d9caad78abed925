"""Reference configurations for nginx, taken as they are: what this version supports answers as nginx does, on the same
addresses with the same servers behind; what it does not support is refused by name and line.

They lie beside the checkout, with a script `sandbox` that gives every host name, user and address they mention a meaning
in namespaces of its own. Where they are not there, this file is skipped. Inside the sandbox it runs itself once more
(`main` below): first nginx, then Weir, the same requests to each, and prints what it saw as JSON.
"""

import functools
import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../net")

import pytest  # noqa: E402  (found through the line above)
from weirtest import BINARY, ROOT, Namespace, Stream, adopt_orphans, ok  # noqa: E402

REFERENCE = f"{ROOT}/../shared/nginx"
RUN = ["01", "02", "03", "04", "06", "07", "08", "12", "18", "20", "21", *map(str, range(23, 33)), "34", "36", "37", "38", "39", "40"]
NGINX = "/usr/sbin/nginx"
# What stands in the way of each of the others: a directive, or a word of it. The first in the file counts.
REFUSED = {
    "04-001-photos-server.run": r'invalid URL prefix in .*:\d+',
    "05": r'"stub_status" .*:\d+',
    "09": r'"proxy_(buffering|buffers|busy_buffers_size)" .*:\d+', "10": r'"proxy_(buffering|cache)" .*:\d+',
    "11": r'"proxy_(buffering|buffers|busy_buffers_size)" .*:\d+', "13": r'"limit_req_zone" .*:\d+',
    "14": r'"limit_req_zone" .*:\d+', "15": r'"proxy_cache_path" .*:\d+', "16": r'"client_body_buffer_size" .*:\d+', "17": r'"geo" .*:\d+',
    "19": r'"split_clients" .*:\d+', "22": r'"gzip" .*:\d+',
    "33": r'"gzip" .*:\d+', "35": r'"gzip" .*:\d+',
    "40-004-single-proxy-pass.run": r'"\.\.\.".* in .*:\d+|unexpected .* in .*:\d+|directive "\.\.\." .*',
}
# What nginx refuses and Weir takes on purpose: a drained server, and a "$" that starts no name.
EXTENSIONS = {"29-002L1916-weights-drain-weight0.run", "32-002L2009-http-log-format-main.run"}
FIELDS = ["Content-Type", "Content-Length", "Connection", "Location", "Transfer-Encoding", "X-Backend", "X-Seen"]


def configurations():
    """(number, path, runs) of each file; where there is a .fixed one, that is the one to run and the other is refused."""
    for path in sorted(glob.glob(f"{REFERENCE}/configs/*.conf")):
        number = os.path.basename(path)[:2]
        has_fixed = bool(glob.glob(f"{REFERENCE}/configs/{number}-*.fixed.conf"))
        yield number, path, number in RUN and (path.endswith(".fixed.conf") or not has_fixed)


def name(path):
    return os.path.basename(path).removesuffix(".conf")


ALL = list(configurations())


def in_sandbox(*words):
    done = subprocess.run([f"{REFERENCE}/sandbox", "/usr/bin/python3", "-B", os.path.abspath(__file__), *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.skipif(not ALL, reason="the reference configurations are not beside this checkout")
def test_there_are_reference_configurations():
    assert len([path for _, path, runs in ALL if runs]) == len(RUN)


@pytest.mark.parametrize("path", [path for _, path, runs in ALL if runs], ids=name)
def test_it_answers_as_nginx_does(path):
    seen = in_sandbox("compare", path, BINARY)
    weir, nginx = seen["weir"], seen["nginx"]
    assert weir["started"], weir["errors"]
    assert weir["requests"] == nginx["requests"]
    assert weir["spread"] == nginx["spread"]
    assert weir["logs"] == nginx["logs"]
    assert weir["exit"] == nginx["exit"] == 0, weir["errors"]


@pytest.fixture(scope="module")
def refusals():
    return in_sandbox("refuse", BINARY, *[path for _, path, runs in ALL if not runs])


@pytest.mark.parametrize("path", [path for _, path, _ in ALL if name(path) in EXTENSIONS], ids=name)
def test_an_extension_is_taken(path, refusals):
    code, text = refusals[path]
    assert code == 0, text


@pytest.mark.parametrize("path", [path for _, path, runs in ALL if not runs and name(path) not in EXTENSIONS], ids=name)
def test_it_is_refused_by_name_and_line(path, refusals):
    code, text = refusals[path]
    assert code == 1, text
    assert "[emerg]" in text and f"configuration file {path} test failed" in text
    expected = REFUSED.get(name(path), REFUSED.get(name(path)[:2]))
    assert re.search(expected, text) and f"{os.path.basename(path)}:" in text, text


# ---- inside the sandbox ----


class Backends:
    """One listener per server that the configuration names; each says who it is and what it was asked."""

    def __init__(self, text):
        self.listeners, self.asked = [], []
        upstream = re.sub(r"#.*", "", text)
        places = re.findall(r"\bserver\s+([\w.-]+):(\d+)", upstream) + re.findall(r"proxy_pass http://([\d.]+):(\d+)", upstream)
        for host, port in sorted(set(places)):
            address = socket.gethostbyname(host)
            listen = functools.partial(socket.create_server, (address, int(port)), backlog=256)
            listener = Elsewhere(address).run(listen) if port == "80" else listen()
            self.listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, f"{host}:{port}"), daemon=True).start()

    def _accept(self, listener, name):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(Stream(connection, 30), name), daemon=True).start()

    def _serve(self, stream, name):
        try:
            while (request := stream.read_request()) is not None:
                self.asked.append(name)
                seen = "|".join(f"{field}={value}" for field, value in sorted(request.fields))
                body = f"{name} {request.start} {len(request.body)}\n"
                if request.method == "HEAD":
                    body = ""
                stream.send(ok(body, "Content-Type: text/plain", f"X-Backend: {name}", f"X-Seen: {seen}"))
                if request.words[2] == "HTTP/1.0":
                    break
        except (OSError, EOFError):
            pass
        finally:
            stream.close()


class Elsewhere:
    """Moves an address from lo to a machine of its own: the balancer listens on *:80 and could not share the port."""

    def __init__(self, address):
        for command in (f"ip address del {address}/32 dev lo", "ip netns add elsewhere",
                        "ip link add near type veth peer name far netns elsewhere",
                        "ip address add 10.254.0.1/30 dev near", "ip link set near up",
                        "ip -n elsewhere address add 10.254.0.2/30 dev far", "ip -n elsewhere link set far up",
                        f"ip -n elsewhere address add {address}/32 dev far",
                        "ip -n elsewhere route add default via 10.254.0.1", f"ip route add {address}/32 via 10.254.0.2"):
            subprocess.run(command.split(), check=True)

    @staticmethod
    def run(make):
        namespace = object.__new__(Namespace)
        namespace.path = "/run/netns/elsewhere"
        with namespace.enter():
            return make()


def ask(port, request, method="GET"):
    with Stream(socket.create_connection(("127.0.0.1", port), 5)) as stream:
        stream.send(request)
        return stream.response(method)


def ask_securely(path):
    """By curl, with HTTP/2 where it is offered: version, status and type."""
    return subprocess.run(["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{content_type}",
                           f"https://127.0.0.1{path}"], stdout=subprocess.PIPE, text=True, timeout=10).stdout


def summary(response):
    """What must be the same for nginx and Weir: everything but their names and the date."""
    text = re.sub(r"(nginx|weir)(/[\d.]+)?", "PROGRAM", response.body.decode("latin-1"))
    fields = {field: response.get(field) for field in FIELDS}
    if "PROGRAM" in text or response.status >= 300:
        fields["Content-Length"] = None  # of a page with the program's name
    return [response.start, fields, text]


REQUESTS = [
    ("GET / HTTP/1.1\r\nHost: example.com\r\nX-Own: 1\r\nUser-Agent: reference\r\n\r\n", "GET"),
    ("GET /some/path?a=b&c HTTP/1.1\r\nHost: www.domain.com:80\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", "GET"),
    ("HEAD /head HTTP/1.1\r\nHost: nobody.test\r\n\r\n", "HEAD"),
    ("POST /post HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello", "POST"),
    ("GET /old HTTP/1.0\r\n\r\n", "GET"),
    ("GET / HTTP/1.1\r\n\r\n", "GET"),
    ("NONSENSE\r\n\r\n", "GET"),
]


def log_shape(line):
    """A line of an access log with its times, ports and sizes of error pages made the same."""
    line = re.sub(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", "[TIME]", line)
    line = re.sub(r"\b\d+\.\d{3}\b", "SECONDS", line)
    return re.sub(r'" ([345]\d\d) \d+', r'" \1 SIZE', line)


def start(binary, path, directory):
    os.makedirs(directory, exist_ok=True)
    directives = ["-g", "daemon off; pid %s/pid;" % directory]
    text = open(path).read()
    if re.search(r"^\s*pid\s", text, re.MULTILINE):
        directives = ["-g", "daemon off;"]
    if os.path.basename(binary) != "nginx":
        directives = directives if "pid" in directives[1] else []
        directives = [word.replace("daemon off; ", "") for word in directives]
    output = open(f"{directory}/output", "wb")
    return subprocess.Popen([binary, "-p", directory, "-e", f"{directory}/error.log", "-c", path, *directives],
                            stdout=output, stderr=output, start_new_session=True)


def port_of(text):
    if not re.search(r"\bserver\s*\{", text):
        return None
    return 443 if re.findall(r"\blisten (\d+)", text) == ["443"] else 80


def observe(binary, path, directory):
    """Starts `binary` with the configuration, asks, stops it."""
    text = open(path).read()
    for log in glob.glob("/var/log/*/*"):
        os.unlink(log)
    backends = BACKENDS
    backends.asked.clear()
    process = start(binary, path, directory)
    port, seen = port_of(text), {"started": False, "requests": [], "spread": {}, "logs": []}
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() in (None, 0):
        try:
            if port is None:
                os.stat(pid_file(directory, text))
            else:
                socket.create_connection(("127.0.0.1", port), 1).close()
            seen["started"] = process.poll() in (None, 0)
            break
        except OSError:
            time.sleep(0.02)
    if seen["started"] and port:
        seen["requests"] = [summary(ask(port, request.encode(), method)) for request, method in REQUESTS]
        if re.search(r"\blisten 443 ssl", text):
            seen["requests"] += [ask_securely(path) for path in ("/", "/some/path?a=b")]
        backends.asked.clear()
        if "proxy_pass" in text:
            for _ in range(60):
                ask(port, b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        seen["spread"] = {who: backends.asked.count(who) for who in sorted(set(backends.asked))}
    time.sleep(0.3)
    seen["exit"] = finish(process, directory, text)
    for log in sorted(glob.glob("/var/log/*/*")):
        if not log.endswith("error.log"):
            lines = open(log, errors="replace").read().splitlines()
            if lines:
                seen["logs"].append([os.path.basename(log), sorted(log_shape(line) for line in lines)])  # workers write in any order
    seen["errors"] = "".join(open(file, errors="replace").read()[-3000:] for file in
                             (f"{directory}/output", f"{directory}/error.log", "/var/log/nginx/error.log")
                             if os.path.exists(file))
    return seen


def pid_file(directory, text):
    named = re.search(r"^\s*pid\s+([^;]+);", text, re.MULTILINE)
    return named[1] if named else f"{directory}/pid"


def finish(process, directory, text):
    """QUIT by way of the pid file, as nginx's own -s does it; the exit code."""
    path = pid_file(directory, text)
    pid = int(open(path).read()) if os.path.exists(path) else process.pid
    try:
        os.kill(pid, signal.SIGQUIT)
    except ProcessLookupError:
        pass
    try:
        code = process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return "does not end"
    if pid == process.pid:
        return code
    end = time.monotonic() + 10
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return "does not end"


def main():
    if sys.argv[1] == "refuse":
        refused = {}
        for path in sys.argv[3:]:
            done = subprocess.run([sys.argv[2], "-t", "-e", "/dev/null", "-c", path], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=30)
            refused[path] = (done.returncode, done.stdout)
        return refused
    # Both have their logs where they have them by default: not on this machine's disk.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/var/log"], check=True)
    for program in ("nginx", "weir"):
        os.mkdir(f"/var/log/{program}")
    adopt_orphans()
    global BACKENDS
    BACKENDS = Backends(open(sys.argv[2]).read())
    directory = os.environ["SBDIR"]
    return {"nginx": observe(NGINX, sys.argv[2], f"{directory}/of-nginx"),
            "weir": observe(sys.argv[3], sys.argv[2], f"{directory}/of-weir")}


if __name__ == "__main__":
    print(json.dumps(main()))
    sys.stdout.flush()
    os._exit(0)
