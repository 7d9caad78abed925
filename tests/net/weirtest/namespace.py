"""Network namespaces: made with a prefix of this run's own, swept when the run that made them is gone."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

PREFIX = f"weirtest-{os.getpid()}"
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, **options):
    """Runs a command to its end; what it printed is in .stdout, and in the error when it fails."""
    options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "timeout": 60, **options}
    done = subprocess.run([str(word) for word in command], **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One network namespace. Not `ip netns exec`, which would hide bpffs from what runs in it."""

    def __init__(self, name):
        self.name = f"{PREFIX}-{name}"
        self.path = f"/run/netns/{self.name}"
        self.gathered = None
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words):
        if self.gathered is None:
            return run("ip", "-n", self.name, *words).stdout
        self.gathered.append(" ".join(map(str, words)))

    def gather(self):
        """From now on ip() only notes what is to be done: a program per line would take most of a test's time."""
        self.gathered = []

    def do_gathered(self):
        lines, self.gathered = self.gathered, None
        if lines:
            run("ip", "-n", self.name, "-batch", "-", input="\n".join(lines))

    def command(self, *words):
        return ["nsenter", f"--net={self.path}", "--", *map(str, words)]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

    def popen(self, *words, **options):
        return subprocess.Popen(self.command(*words), **options)

    def sysctl(self, name, value):
        self.run("sysctl", "-qw", f"{name}={value}")

    @contextlib.contextmanager
    def enter(self):
        """Sockets made inside belong to this namespace for good; the thread goes back to where it was."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inside = os.open(self.path, os.O_RDONLY)
        try:
            _setns(inside)
            try:
                yield self
            finally:
                _setns(before)
        finally:
            os.close(inside)
            os.close(before)

    def connect(self, address, port, timeout=10, source=None):
        with self.enter():
            return socket.create_connection((address, port), timeout=timeout, source_address=source)

    def listen(self, address, port, backlog=512):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.enter():
            listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(backlog)
        return listener

    def delete(self):
        delete(self.name)


def delete(*names):
    """Ends what still runs inside, then removes the namespaces with their interfaces."""
    inside = set()
    for name in names:
        with contextlib.suppress(OSError):
            inside.add(os.stat(f"/run/netns/{name}").st_ino)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(pid) != os.getpid() and os.stat(f"/proc/{pid}/ns/net").st_ino in inside:
                os.kill(int(pid), signal.SIGKILL)
    run("ip", "-force", "-batch", "-", input="".join(f"netns delete {name}\n" for name in names), check=False)


def sweep():
    """Removes what a run that was killed has left: namespaces whose maker no longer lives."""
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    made = {name: re.fullmatch(r"weirtest-(\d+)-.*", name) for name in names}
    left = [name for name, by in made.items() if by and not os.path.exists(f"/proc/{by[1]}")]
    if left:
        delete(*left)


def wait_for(condition, seconds=10, what="the condition"):
    """Polls until condition() is true and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.01)
