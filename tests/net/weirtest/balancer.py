"""Weir as the tests run it: a directory, a configuration, a process that must end well.

WEIR_BIN names the binary. Where that is nginx, the same tests run against nginx, which shows that a test asks for
nginx's behaviour and not for what its author imagined; lines with directives that only Weir has are left out then.
"""

import ctypes
import glob
import os
import re
import shutil
import signal
import socket
import tempfile
import time

from .namespace import PREFIX, run, wait_for

ROOT = os.path.abspath(f"{os.path.dirname(__file__)}/../../..")
BINARY = os.path.abspath(os.environ.get("WEIR_BIN", f"{ROOT}/build/app/weir/weir"))
IS_NGINX = os.path.basename(BINARY) == "nginx"
WEIR_ONLY = re.compile(r"^\s*(interface|worker_poll|hash_seed|tcp_congestion|tcp_ecn|tcp_syn_cookies)\b.*$", re.MULTILINE)
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """From now on a balancer that puts itself into the background comes back to this process as a child: its exit code
    can be seen, and must be asked for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def sanitizer_environment(directory):
    return {
        **os.environ,
        "ASAN_OPTIONS": f"log_path={directory}/sanitizer:abort_on_error=0:detect_leaks=1",
        "UBSAN_OPTIONS": f"log_path={directory}/sanitizer:print_stacktrace=1:halt_on_error=1",
        "LSAN_OPTIONS": f"suppressions={ROOT}/tests/net/weirtest/leaks.supp:print_suppressions=0",
    }


class Balancer:
    """`with Balancer(...) as weir:` starts it, waits until it accepts, and at the end stops it with QUIT and asserts that
    it left with 0 and that no sanitizer had anything to say. `options` are arguments in place of a configuration."""

    writes_pid = True

    def __init__(self, namespace, config=None, client=None, ready=("10.0.1.1", 80), options=(), prefix=(), binary=BINARY):
        self.namespace, self.client, self.ready, self.options = namespace, client or namespace, ready, options
        self.prefix, self.binary = prefix, binary
        self.is_nginx = os.path.basename(binary) == "nginx"
        self.directory = tempfile.mkdtemp(prefix=f"{PREFIX}-")
        self.process = None
        self.daemon = None
        self.exit_code = None
        self.expect_exit = 0
        self.exit_code = None  # of a daemon, once it has ended
        if config is not None:
            self.write(config)

    @property
    def pid(self):
        """The balancer's own process: the one started, or the one that it has left in the background."""
        if self.daemon is None and self.read("weir.pid").strip():
            self.daemon = int(self.read("weir.pid"))
        return self.daemon or self.process.pid

    def write(self, config):
        """Puts a configuration in place; the running balancer sees it at the next reload."""
        with open(f"{self.directory}/weir.conf", "w") as file:
            file.write(WEIR_ONLY.sub("", config) if self.is_nginx else config)

    def arguments(self):
        if self.options:
            return [self.binary, "-p", self.directory, "-e", "error.log", "-g", "pid weir.pid;", *self.options]
        directives = "pid weir.pid;"
        if not re.search(r"^\s*error_log\b", self.read("weir.conf"), re.MULTILINE):
            directives += " error_log error.log info;"
        if self.is_nginx:
            directives += " daemon off; user root; worker_rlimit_nofile 16384;"
        return [self.binary, "-p", self.directory, "-e", "error.log", "-c", "weir.conf", "-g", directives]

    def start(self):
        adopt_orphans()
        os.chmod(self.directory, 0o755)
        self.output = open(f"{self.directory}/output", "ab")
        self.process = self.namespace.popen(*self.prefix, *self.arguments(), stdout=self.output, stderr=self.output,
                                            env=sanitizer_environment(self.directory))
        if self.ready:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=15):
        def accepts():
            code = self.process.poll()
            assert code in (None, 0), f"{self.binary} ended with {code}\n{self.story()}"
            try:
                self.client.connect(*self.ready, timeout=1).close()
                return True
            except OSError:
                return False

        try:
            wait_for(accepts, seconds, f"accepting on {self.ready}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None
        if self.writes_pid:
            wait_for(lambda: self.read("weir.pid").strip(), what="a process id in weir.pid")

    def read(self, name):
        try:
            with open(f"{self.directory}/{name}", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    @property
    def error_log(self):
        return self.read("error.log")

    def logged(self, text, name="error.log"):
        """True when `text` is in a log, at once or soon: logs are written off the packet path."""
        end = time.monotonic() + 10
        while text not in self.read(name):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def lines(self, name="access.log", count=None):
        """The lines of an access log; with `count`, once there are that many (they are written off the packet path)."""
        if count is not None:
            wait_for(lambda: len(self.read(name).splitlines()) >= count, 5, f"{count} lines in {name}: "
                     f"{self.read(name)!r}")
        return self.read(name).splitlines()

    def story(self):
        """What it said, for an assertion that failed."""
        return f"--- output\n{self.read('output')[-4000:]}\n--- error.log\n{self.error_log[-4000:]}{self.sanitizer()}"

    def sanitizer(self):
        return "".join(open(path, errors="replace").read()[:6000] for path in glob.glob(f"{self.directory}/sanitizer*"))

    def send_signal(self, number):
        os.kill(self.pid, number)

    def reload(self, config=None):
        """HUP, with a new configuration when one is given. Returns at once: what changes is for the test to see."""
        if config is not None:
            self.write(config)
        self.send_signal(signal.SIGHUP)

    def wait_exit(self, seconds=15):
        """The exit code once the process has gone; None when it stayed."""
        end = time.monotonic() + seconds
        while self.exit_code is None and time.monotonic() < end:
            if self.pid == self.process.pid:
                self.exit_code = self.process.poll()
            else:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                    self.exit_code = os.waitstatus_to_exitcode(status) if pid else None
                except ChildProcessError:  # it was not ours to wait for
                    self.exit_code = None if os.path.exists(f"/proc/{self.pid}") else 0
            time.sleep(0.01)
        return self.exit_code

    def stop(self, number=signal.SIGQUIT):
        self.send_signal(number)
        return self.wait_exit()

    def kill(self):
        """As if the machine had pulled the plug on it."""
        self.send_signal(signal.SIGKILL)
        self.wait_exit()

    def cpu_seconds(self):
        """User and system time of the process tree so far."""
        total = 0
        for pid in self.tree():
            try:
                with open(f"/proc/{pid}/stat") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
            except FileNotFoundError:
                pass
        return total / os.sysconf("SC_CLK_TCK")

    def tree(self):
        pids, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            children = run("pgrep", "-P", pid, check=False).stdout.split()
            todo += [int(child) for child in children if child.isdigit()]
        return pids

    def memory(self):
        """What it has written to heap and stacks; not the large pieces of memory that hold packets, connections and requests."""
        pieces = []
        with open(f"/proc/{self.pid}/maps") as maps, open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            for line in maps:
                begin, end, kind = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
                size = int(end, 16) - int(begin, 16)
                if kind == "rw-p" and size < 16 << 20:
                    memory.seek(int(begin, 16))
                    pieces.append(memory.read(size).strip(b"\0"))
        return b"\0".join(pieces)

    def memory_bytes(self):
        """Memory of the process tree: its share of resident pages, and huge pages."""
        total = 0
        for pid in self.tree():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    total += sum(int(line.split()[1]) for line in file
                                 if line.startswith(("Pss:", "Private_Hugetlb:", "Shared_Hugetlb:")))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total * 1024

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.clean()
            raise

    def __exit__(self, kind, *_):
        try:
            if self.alive():
                code = self.stop()
                if kind is None:
                    assert code == self.expect_exit, f"exit code {code}\n{self.story()}"
            elif kind is None and self.expect_exit is not None:
                code = self.wait_exit()
                assert code == self.expect_exit, f"it ended by itself with {code}\n{self.story()}"
            if kind is None:
                assert not self.sanitizer(), self.sanitizer()
            else:
                print(self.story())
        finally:
            self.clean()

    def alive(self):
        if self.pid == self.process.pid:
            return self.process.poll() is None
        return os.path.exists(f"/proc/{self.pid}")

    def clean(self):
        if self.process and self.alive():
            self.kill()
        if os.environ.get("WEIR_KEEP") is None:
            shutil.rmtree(self.directory, ignore_errors=True)


class Haproxy(Balancer):
    """Of the benchmarks: it can neither be asked to leave nor reloaded as the others."""

    writes_pid = False

    def arguments(self):
        return [self.binary, "-db", "-f", f"{self.directory}/weir.conf"]

    def __exit__(self, *_):
        self.kill()
        self.clean()


def core_seconds(core):
    """What a core did but idling, waiting and what the hypervisor took, from /proc/stat."""
    with open("/proc/stat") as file:
        for line in file:
            fields = line.split()
            if fields[0] == f"cpu{core}":
                user, nice, system, _, _, irq, softirq = map(int, fields[1:8])
                return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"no core {core}")


def refused(namespace, address, port):
    """True when a connection from `namespace` is refused or reset, not merely unanswered."""
    try:
        namespace.connect(address, port, timeout=3).close()
        return False
    except ConnectionRefusedError:
        return True
    except socket.timeout:
        return False
