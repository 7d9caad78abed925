"""HTTP/1 byte by byte over a socket, for tests that must say exactly what is sent and see exactly what came back."""

import socket
import time


class Message:
    """A request or a response: start line, header fields in the order they came, body, trailer fields."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.head = head
        self.start = lines[0]
        self.words = self.start.split(" ", 2)
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        self.body = b""
        self.trailers = []

    @property
    def status(self):
        return int(self.words[1])

    @property
    def method(self):
        return self.words[0]

    @property
    def target(self):
        return self.words[1]

    @property
    def text(self):
        return self.body.decode("latin-1")

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def __repr__(self):
        return f"<{self.start} {self.fields} {self.body[:200]!r}>"


class Stream:
    def __init__(self, connection, timeout=10):
        self.socket = connection
        self.socket.settimeout(timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with RST in place of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError(f"closed after {self.buffer[:200]!r}")
        self.buffer += data

    def read_until(self, mark):
        while mark not in self.buffer:
            self._more()
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    def read_exactly(self, size):
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            data = self.socket.recv(min(1 << 18, size - have))
            if not data:
                raise EOFError(f"closed after {have} of {size} bytes")
            parts.append(data)
            have += len(data)
        data = b"".join(parts)
        self.buffer = data[size:]
        return data[:size]

    def read_to_end(self):
        parts = [self.buffer]
        self.buffer = b""
        while data := self.socket.recv(1 << 18):
            parts.append(data)
        return b"".join(parts)

    def closed(self, seconds=5):
        """True when the peer closes (or resets) without a further byte."""
        self.socket.settimeout(seconds)
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def silent(self, seconds):
        """True when nothing arrives and nothing closes for so long."""
        self.socket.settimeout(seconds)
        try:
            self.buffer += self.socket.recv(1 << 16)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(10)

    def _read_body(self, message, to_end):
        if "chunked" in message.get("Transfer-Encoding", "").lower():
            while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
                message.body += self.read_exactly(size)
                assert self.read_exactly(2) == b"\r\n", "a chunk ends with CRLF"
            while line := self.read_until(b"\r\n"):
                message.trailers.append(tuple(part.strip() for part in line.decode("latin-1").split(":", 1)))
        elif message.get("Content-Length") is not None:
            message.body = self.read_exactly(int(message.get("Content-Length")))
        elif to_end:
            message.body = self.read_to_end()
        return message

    def response(self, method="GET"):
        """The next final response; interim ones (1xx but 101) are collected in .interim."""
        interim = []
        while True:
            message = Message(self.read_until(b"\r\n\r\n"))
            if message.status >= 200 or message.status == 101:
                break
            interim.append(message)
        message.interim = interim
        if method == "HEAD" or message.status in (101, 204, 304):
            return message
        return self._read_body(message, to_end=True)

    def request_head(self):
        return Message(self.read_until(b"\r\n\r\n"))

    def read_request(self):
        """What a server reads: None when the client closed before a first byte."""
        try:
            return self._read_body(self.request_head(), to_end=False)
        except EOFError:
            if self.buffer:
                raise
            return None

    def request(self, method, target, fields=(), body=b"", version="HTTP/1.1", host="weir.test"):
        lines = [f"{method} {target} {version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in fields]
        if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.response(method)

    def get(self, target="/", *fields, **options):
        return self.request("GET", target, fields, **options)


def chunked(body, size=1000, trailers=()):
    """`body` in chunks of `size`, as a sender would write it."""
    parts = []
    for start in range(0, len(body), size):
        piece = body[start:start + size]
        parts += [b"%x\r\n" % len(piece), piece, b"\r\n"]
    parts.append(b"0\r\n")
    parts += [f"{name}: {value}\r\n".encode() for name, value in trailers]
    return b"".join(parts) + b"\r\n"


def pattern(size, seed=1):
    """Bytes that repeat at no convenient distance, so that a lost or doubled piece shows."""
    block = bytes((i * 131 + (i >> 8) * 17 + seed) & 0xff for i in range(65521))
    return (block * (size // len(block) + 1))[:size]


def drip(stream, data, seconds_between):
    for byte in data:
        stream.send(bytes([byte]))
        time.sleep(seconds_between)
