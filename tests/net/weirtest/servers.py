"""Servers behind the balancer: real nginx, and an origin in Python where a server has to misbehave."""

import os
import shutil
import signal
import socket
import tempfile
import threading

from .namespace import PREFIX, wait_for
from .stream import Stream

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile 16384; user root; pid nginx.pid; error_log error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600; default_type text/plain;
    sendfile on; tcp_nopush on; client_max_body_size 0; server_tokens off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {{
        {listen}
        add_header X-Server {name} always;
        location / {{ return 200 "{name}\\n"; }}
        location /bytes/ {{ alias files/; add_header X-Path $uri; }}
        location /whoami {{ return 200 "{name} host=$http_host uri=$request_uri for=$http_x_forwarded_for\\n"; }}
        location /proxied {{ return 200 "$proxy_protocol_addr $proxy_protocol_server_port\n"; }}
        location /status/404 {{ return 404 "{name}: no such thing\\n"; }}
        location /status/500 {{ return 500 "{name}: broken\\n"; }}
        location /status/503 {{ return 503 "{name}: busy\\n"; }}
    }}
    {more}
}}
"""


class Nginx:
    """One real nginx in a namespace; `/` answers with its name, `/bytes/N` with N bytes; `more` is what else its `http` has."""

    def __init__(self, namespace, name, listen, more=""):
        self.namespace, self.name, self.listen_on = namespace, name, listen
        self.directory = tempfile.mkdtemp(prefix=f"{PREFIX}-")
        os.mkdir(f"{self.directory}/files")
        listen_lines = "\n".join(f"listen {address} backlog=4096;" for address in listen)
        with open(f"{self.directory}/nginx.conf", "w") as file:
            file.write(NGINX.format(name=name, listen=listen_lines, more=more))
        self.process = None
        self.start()

    def start(self):
        self.process = self.namespace.popen("nginx", "-p", self.directory, "-c", "nginx.conf", "-e", "error.log")
        address, _, port = self.listen_on[0].split()[0].rpartition(":")

        def answers():
            try:
                self.namespace.connect(address.strip("[]"), int(port), timeout=1).close()
                return True
            except OSError:
                return False

        wait_for(answers, what=f"{self.name} listening on {self.listen_on[0]}")

    def file(self, size, content=None):
        """Makes /bytes/SIZE exist; returns its bytes."""
        content = content if content is not None else os.urandom(size)
        with open(f"{self.directory}/files/{size}", "wb") as file:
            file.write(content)
        return content

    def stop(self):
        """The server dies at once: open connections are reset, new ones refused."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Origin:
    """A listener whose every connection is given to `handler(stream)` in a thread of its own.

    .connections counts what was accepted; .errors holds what handlers raised, for the test to look at."""

    def __init__(self, namespace, address, port, handler):
        self.listener = namespace.listen(address, port)
        self.handler = handler
        self.connections = 0
        self.errors = []
        self.streams = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = Stream(connection, timeout=60)
        self.streams.append(stream)
        try:
            self.handler(stream)
        except Exception as error:  # the peer may close at any time: the test decides what matters
            self.errors.append(error)
        finally:
            stream.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for stream in self.streams:
            try:
                stream.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serving(answer):
    """A handler that answers every request of a connection with answer(request) -> bytes."""

    def handler(stream):
        while (request := stream.read_request()) is not None:
            stream.send(answer(request))

    return handler


def ok(body=b"", *fields, status="200 OK"):
    """The bytes of a plain response with Content-Length."""
    body = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
