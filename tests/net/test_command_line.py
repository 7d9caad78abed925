"""nginx's command line: the same texts and exit codes, compared with nginx 1.22 itself on the same files."""

import os
import re
import subprocess

import pytest
from weirtest import BINARY, Namespace, run

GOOD = "events {{ }} pid {0}/weir.pid; error_log {0}/error.log; http {{ access_log off; server {{ listen 10.0.1.1:80; }} }}"
BAD = [
    "events { } nonsense on;",
    "events { } http { nonsense; }",
    "events { } http { server { listen 80; location / { nonsense x; } } }",
    "events { }\nhttp {\n  server {\n    listen 80;\n    return 200 text\n  }\n}\n",
    "events { } http { server { listen 80; ",
    "events { } http { server { listen 80; } } }",
    "events { } http { server { listen; } }",
    "events { } http { server { listen 80 nonsense; } }",
    "events { } http { server { listen 99999; } }",
    "events { } http { server { listen 80; server_name; } }",
    "events { } listen 80;",
    "events { } http { listen 80; }",
    "events { } upstream a { server 10.0.0.1; }",
    "events { worker_connections many; }",
    "events { worker_connections 1; worker_connections 2; }",
    "events { } events { }",
    "worker_processes 0x; events { }",
    "events { } http { upstream a { } server { listen 80; location / { proxy_pass http://a; } } }",
    "events { } http { upstream a { server 10.0.0.1 weight=x; } }",
    "events { } http { upstream a { server 10.0.0.1 nonsense; } }",
    "events { } http { upstream a { server 10.0.0.1; } upstream a { server 10.0.0.2; } }",
    "events { } http { upstream a { server no.such.host.invalid; } }",
    "events { } http { upstream a { least_conn x; server 10.0.0.1; } }",
    "events { } http { upstream a { server 10.0.0.1; keepalive x; } }",
    "events { } http { server { listen 80; location / { proxy_pass ftp://a; } } }",
    "events { } http { server { listen 80; location / { proxy_pass http://; } } }",
    "events { } http { server { listen 80; location / { proxy_read_timeout soon; } } }",
    "events { } http { server { listen 80; location / { return 99999; } } }",
    "events { } http { server { listen 80; location / { } location / { } } }",
    "events { } http { server { listen 80; location ~ ( { } } }",
    "events { } http { server { listen 80; location ~ a/ { proxy_pass http://10.0.0.1/uri; } } }",
    "events { } http { server { listen 80; location /a { location /b { } } } }",
    "events { } http { server { listen 80; server_name ~(; } }",
    "events { } http { server { listen 80; client_max_body_size big; } }",
    "events { } http { server { listen 80; keepalive_timeout 1y2; } }",
    "events { } http { access_log x unknown_format; }",
    "events { } http { log_format a 'x'; log_format a 'y'; }",
    "events { } http { server { listen 80; add_header X; } }",
    "events { } http { server { listen 80; proxy_http_version 3; } }",
    "events { } error_log x nonsense;",
    "events { } include /no/such/file;",
    "events { } http { server { listen 80; return 200 \"unfinished; } }",
    "events { } http { server { listen 80; return 200 \"a\"b; } }",
    "{ }",
    "events { } }",
    "events on;",
    "http;",
]


@pytest.fixture(scope="module")
def namespace():
    made = Namespace("command")
    made.ip("address", "add", "10.0.1.1/24", "dev", "lo")
    yield made
    made.delete()


def call(namespace, binary, *words, **options):
    done = namespace.run(binary, *words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    return done.returncode, done.stdout


def both(namespace, *words):
    """(exit code, output) of Weir and of nginx, the program's name made the same."""
    ours, nginxs = call(namespace, BINARY, *words), call(namespace, "/usr/sbin/nginx", *words)

    def plain(text):
        text = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+: .*\n", "", text, flags=re.MULTILINE)
        return text.replace("nginx: ", "PROGRAM: ").replace("weir: ", "PROGRAM: ")

    return (ours[0], plain(ours[1])), (nginxs[0], plain(nginxs[1]))


@pytest.fixture
def directory(tmp_path):
    tmp_path.chmod(0o755)
    return str(tmp_path)


def write(directory, text):
    path = f"{directory}/test.conf"
    with open(path, "w") as file:
        file.write(text)
    return path


@pytest.mark.weir_only
@pytest.mark.parametrize("text, message", [
    # nginx says that the syntax is ok before it says this.
    ("", 'no "events" section in configuration'),
    # nginx does not say where.
    ("events { }\nhttp {\nlog_format a '$nonsense'; }", 'unknown "nonsense" variable in {}:3'),
])
def test_errors_said_better_than_nginx(namespace, directory, text, message):
    path = write(directory, text)
    code, output = call(namespace, BINARY, "-p", directory, "-t", "-c", path)
    assert (code, output.splitlines()[0]) == (1, "weir: [emerg] " + message.format(path))


@pytest.mark.parametrize("flags", [["-t"], ["-t", "-q"], ["-tq"]])
def test_a_good_file(namespace, directory, flags):
    path = write(directory, GOOD.format(directory))
    ours, nginxs = both(namespace, "-p", directory, *flags, "-e", f"{directory}/error.log", "-c", path)
    assert ours == nginxs
    assert ours[0] == 0


def test_dump(namespace, directory):
    """-T prints the file with a heading, as nginx does, and what it includes."""
    write(directory, GOOD.format(directory) + f"\ninclude {directory}/*.inc;\n")
    with open(f"{directory}/more.inc", "w") as file:
        file.write("worker_processes 1;\n")
    ours, nginxs = both(namespace, "-p", directory, "-e", f"{directory}/error.log", "-T", "-c", f"{directory}/test.conf")
    assert ours == nginxs


@pytest.mark.parametrize("text", BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_bad_file(namespace, directory, text):
    """The message, the file and the line are nginx's."""
    path = write(directory, text)
    ours, nginxs = both(namespace, "-p", directory, "-e", f"{directory}/error.log", "-t", "-c", path)
    assert ours == nginxs


def test_a_missing_file(namespace, directory):
    ours, nginxs = both(namespace, "-p", directory, "-e", f"{directory}/error.log", "-t", "-c", f"{directory}/none.conf")
    assert ours == nginxs


@pytest.mark.parametrize("words", [["-s", "nonsense"], ["-x"], ["-c"], ["-p"], ["-s"], ["-e"], ["-g"], ["nonsense"]])
def test_bad_options(namespace, directory, words):
    ours, nginxs = both(namespace, *words)
    assert ours == nginxs


@pytest.mark.parametrize("name", ["stop", "quit", "reload", "reopen"])
def test_signal_without_a_process(namespace, directory, name):
    path = write(directory, GOOD.format(directory))
    ours, nginxs = both(namespace, "-p", directory, "-e", f"{directory}/error.log", "-c", path, "-s", name)
    assert ours == nginxs
    assert ours[0] == 1


def test_a_wrong_directive_of_g(namespace, directory):
    path = write(directory, GOOD.format(directory))
    words = ["-p", directory, "-e", f"{directory}/error.log", "-c", path, "-t", "-g", "nonsense 1;"]
    ours, nginxs = both(namespace, *words)
    assert ours == nginxs


@pytest.mark.weir_only
def test_version(namespace):
    assert re.fullmatch(r"weir version: weir/\d+\.\d+\.\d+\n", call(namespace, BINARY, "-v")[1])


@pytest.mark.weir_only
def test_long_version(namespace):
    code, text = call(namespace, BINARY, "-V")
    assert code == 0
    for word in ("weir version: weir/", "DPDK 22.11", "libbpf", "OpenSSL 3", "configure arguments:"):
        assert word in text, text


@pytest.mark.weir_only
@pytest.mark.parametrize("flag", ["-h", "-?"])
def test_help_lists_nginxs_options(namespace, flag):
    code, text = call(namespace, BINARY, flag)
    assert code == 0
    for line in ("  -?,-h         : this help", "  -v            : show version and exit",
                 "  -V            : show version and configure options then exit",
                 "  -t            : test configuration and exit", "  -T            : test configuration, dump it and exit",
                 "  -q            : suppress non-error messages during configuration testing",
                 "  -s signal     : send signal to a master process: stop, quit, reopen, reload",
                 "  -g directives : set global directives out of configuration file"):
        assert line in text
    for option in ("--listen", "--backend", "--balance", "--interface"):
        assert option in text


@pytest.mark.parametrize("name, code", [("quit", 0), ("stop", 0)])
def test_signals_reach_the_process(net, name, code):
    topology = net()
    config = "events { } http { access_log off; server { listen 10.0.1.1:80; return 200 up; } }"
    with topology.balancer(config) as weir:
        assert topology.get("/").text == "up"
        words = [*weir.arguments(), "-s"]
        for signal_name in ("reopen", "reload"):
            assert call(topology.balancer_namespace, *words, signal_name) == (0, "")
            topology.client.run("sleep", "0.3")
            assert topology.get("/").text == "up"
        assert call(topology.balancer_namespace, *words, name) == (0, "")
        assert weir.wait_exit() == code
        weir.expect_exit = code


LISTEN = ["--listen", "http://10.0.1.1:80"]
BACKENDS = ["--backend", "10.0.2.11:80,weight=2", "--backend", "10.0.2.12:80", "--backend", "10.0.2.13:80,backup"]


@pytest.fixture
def three(net):
    topology = net(servers=3)
    topology.nginx()
    return topology


@pytest.mark.weir_only
@pytest.mark.parametrize("balance", [[], ["--balance", "least_conn"]])
def test_without_a_file(three, balance):
    with three.balancer(options=[*LISTEN, *BACKENDS, *balance]):
        assert three.counts("http://10.0.1.1/", 30) == {"s1": 20, "s2": 10}


@pytest.mark.weir_only
@pytest.mark.parametrize("method", ["maglev", "ip_hash", "random", "random two", "hash $remote_addr",
                                    "hash $remote_addr consistent"])
def test_methods_by_name(three, method):
    backends = [word.replace(",backup", "") for word in BACKENDS]
    with three.balancer(options=[*LISTEN, *backends, "--balance", method]):
        assert sum(three.counts("http://10.0.1.1/", 10).values()) == 10


@pytest.mark.weir_only
def test_the_printed_configuration_does_the_same(three):
    code, text = call(three.balancer_namespace, BINARY, *LISTEN, *BACKENDS, "-T", "-q")
    assert code == 0, text
    config = "\n".join(line for line in text.splitlines() if not line.startswith("weir:"))
    with three.balancer(config):
        assert three.counts("http://10.0.1.1/", 30) == {"s1": 20, "s2": 10}


@pytest.mark.weir_only
@pytest.mark.parametrize("words, wanted", [
    (["--listen", "tcp://10.0.1.1:25"], ["listen 10.0.1.1:25;", "forward full_nat;"]),
    (["--listen", "udp://10.0.1.1:25", "--forward", "dsr", "--balance", "ip_hash"],
     ["listen 10.0.1.1:25 udp;", "forward dsr;", "ip_hash;"]),
    (["--listen", "tcp://10.0.1.1:25", "--listen", "http://10.0.1.1:80"], ["http {", "proxy_pass http://backend;"]),
])
def test_packet_level_listeners_stand_for_a_stream(namespace, words, wanted):
    code, text = call(namespace, BINARY, *words, "--backend", "10.0.2.11:25", "-T", "-q")
    assert code == 0, text
    assert all(line in text for line in [*wanted, "stream {", "proxy_pass backend;"]), text


@pytest.mark.weir_only
@pytest.mark.parametrize("words", [
    ["--listen", "nonsense", "--backend", "10.0.2.11:80"], ["--listen", "https://10.0.1.1:443", "--backend", "10.0.2.11:80"],
    ["--listen", "http://10.0.1.1:80"],
    ["--backend", "10.0.2.11:80"], ["--listen", "http://10.0.1.1:80", "--backend", "10.0.2.11:80,nonsense=1"],
    ["--listen", "http://10.0.1.1:99999", "--backend", "10.0.2.11:80"], ["--nonsense"],
    ["--listen", "http://10.0.1.1:80", "--backend", "10.0.2.11:80", "--balance", "nonsense"],
])
def test_wrong_use_says_what_is_wrong(namespace, words):
    code, text = call(namespace, BINARY, *words)
    assert code == 1
    assert "weir: " in text


def test_it_was_compared_with_nginx_1_22():
    assert "nginx/1.22" in run("/usr/sbin/nginx", "-v").stdout
    assert os.path.exists(BINARY)
