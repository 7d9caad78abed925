"""HTTP/2 frame by frame over a socket, as a client or as a server: what is sent need not be right, and all that comes back can
be seen."""

import collections
import contextlib
import socket

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, \
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(*fields):
    """A header block without compression, of fields as they are given."""
    out = b""
    for name, value in fields:
        name, value = name.encode("latin-1"), value.encode("latin-1")
        out += b"\0" + _string(name) + _string(value)
    return out


def _string(text):
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, size = len(text) - 127, b"\x7f"
    while rest >= 128:
        size += bytes([rest % 128 | 128])
        rest //= 128
    return size + bytes([rest]) + text


def request(stream, path="/", method="GET", *more, end=True, authority="weir.test", scheme="http"):
    """A whole HEADERS frame."""
    pseudo = ((":method", method), (":scheme", scheme), (":path", path), (":authority", authority))
    return headers(stream, *(pair for pair in pseudo if pair[1] is not None), *more, end=end)


def headers(stream, *fields, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*fields))


def settings(**values):
    numbers = {"streams": MAX_CONCURRENT_STREAMS, "window": INITIAL_WINDOW_SIZE}
    return frame(SETTINGS, 0, 0, b"".join(numbers[name].to_bytes(2, "big") + value.to_bytes(4, "big")
                                          for name, value in values.items()))


def window_update(stream, more):
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


class Answer:
    """What came on one stream: `fields` are those of the head, `reset` is the code of RST_STREAM."""

    def __init__(self):
        self.interim, self.fields, self.trailers, self.body = [], None, None, b""
        self.ended, self.reset = False, None

    @property
    def status(self):
        return int(self.get(":status")) if self.fields else None

    @property
    def text(self):
        return self.body.decode("latin-1")

    def get(self, name):
        return next((value for field, value in self.fields or () if field == name), None)

    def take_head(self, fields):
        if self.fields is not None:
            self.trailers = fields
        elif dict(fields).get(":status", "").startswith("1"):  # requests have none
            self.interim.append(fields)
        else:
            self.fields = fields


class H2:
    """A client's connection. Settings are exchanged at once; windows are opened only where `grant` is left on."""

    def __init__(self, connection, first=settings(), preface=PREFACE, timeout=10, grant=True):
        self.socket, self.grant = connection, grant
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder, self.buffer = hpack.Decoder(), b""
        self.answers = collections.defaultdict(Answer)
        self.settings, self.goaway, self.pongs, self.windows, self.closed = {}, None, [], {}, False
        self.head = None
        self.send(preface + first)

    @classmethod
    def accept(cls, connection, first=settings()):
        """A server's side of it: .answers are requests then."""
        self = cls(connection, first, preface=b"")
        if not self._fill(len(PREFACE)) or not self.buffer.startswith(PREFACE):
            raise EOFError(self.buffer)
        self.buffer = self.buffer[len(PREFACE):]
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def _fill(self, size):
        while len(self.buffer) < size:
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                return False
            self.buffer += data
        return True

    def read(self):
        """One frame, into what this object knows; False when the connection has ended."""
        if not self._fill(9):
            return False
        size = int.from_bytes(self.buffer[:3], "big")
        if not self._fill(9 + size):
            return False
        kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
        self._take(kind, flags, stream, payload)
        return True

    def _take(self, kind, flags, stream, payload):
        answer = self.answers[stream] if stream else None
        if kind == HEADERS:
            assert flags & END_HEADERS, "Weir's heads fit a frame"
            answer.take_head(self.decoder.decode(payload))
            answer.ended |= bool(flags & END_STREAM)
        elif kind == DATA:
            answer.body += payload
            answer.ended |= bool(flags & END_STREAM)
            if self.grant and payload:
                self.send(window_update(0, len(payload)), window_update(stream, len(payload)))
        elif kind == RST_STREAM:
            answer.reset = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload, "big")
        elif kind == PING:
            self.pongs.append(payload) if flags & ACK else self.send(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                self.settings[int.from_bytes(payload[at:at + 2], "big")] = int.from_bytes(payload[at + 2:at + 6], "big")
            self.send(frame(SETTINGS, ACK))

    def read_while(self, condition):
        while condition():
            if not self.read():
                raise EOFError(f"closed; GOAWAY {self.goaway}")

    def answer(self, stream=1):
        """The whole of it, or what came before it was reset."""
        self.read_while(lambda: not self.answers[stream].ended and self.answers[stream].reset is None)
        return self.answers[stream]

    def get(self, path, stream=1, *more):
        self.send(request(stream, path, "GET", *more))
        return self.answer(stream)

    def ping(self, word=b"12345678"):
        """Until the other side has read all that was sent before."""
        self.send(frame(PING, 0, 0, word))
        self.read_while(lambda: word not in self.pongs)
        self.pongs.remove(word)

    def outcome(self, stream=1):
        """What became of it: ("goaway", code), ("reset", code) or ("status", number)."""
        with contextlib.suppress(EOFError, BrokenPipeError):
            self.read_while(lambda: self.goaway is None and not self.answers[stream].ended and self.answers[stream].reset is None)
        if self.goaway is not None:
            return "goaway", self.goaway
        answer = self.answers[stream]
        if answer.status:
            return "status", answer.status
        return ("reset", answer.reset) if answer.reset is not None else ("closed", None)

    def read_to_end(self):
        with contextlib.suppress(ConnectionResetError):
            while self.read():
                pass
        return self
