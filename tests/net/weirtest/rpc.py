"""A real gRPC server and client (Debian's python3-grpcio), without protoc: messages are bytes as they are.

The server is a process of its own in a server's namespace: `python3 rpc.py ADDRESS [KEY CERTIFICATE]`. What a client does
runs in a child in the client's namespace, as gRPC makes its sockets in threads of its own: `rpc.run(namespace, function,
...)` gives function(channel, ...) a channel there, and returns what it returned.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback

METHODS = {"Echo": (0, 0), "Fail": (0, 0), "Metadata": (0, 0), "Wait": (0, 0), "Cancelled": (0, 0), "Connections": (0, 0),
           "Count": (0, 1), "Large": (0, 1), "Broken": (0, 1), "Sum": (1, 0), "Chat": (1, 1), "Early": (1, 1)}


def client_method(channel, name):
    many_in, many_out = METHODS[name]
    kind = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}"
    return getattr(channel, kind)(f"/weir.Test/{name}")


def run(namespace, function, *arguments, target="10.0.1.1:80", certificate=None, options=(), seconds=30):
    """In a child, in the client's namespace."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        try:
            with namespace.enter():
                there.send((True, _call(function, arguments, target, certificate, options)))
        except BaseException:
            there.send((False, traceback.format_exc()))
        finally:
            os._exit(0)
    there.close()
    try:
        if not here.poll(seconds):
            raise AssertionError(f"{function.__name__}: no end after {seconds} s")
        fine, value = here.recv()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert fine, value
    return value


def _call(function, arguments, target, certificate, options):
    import grpc
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0), *options]
    if certificate:
        secure = grpc.ssl_channel_credentials(open(certificate, "rb").read())
        channel = grpc.secure_channel(target, secure, [*options, ("grpc.ssl_target_name_override", "a.test")])
    else:
        channel = grpc.insecure_channel(target, options)
    with channel:
        return function(channel, *arguments)


class Server:
    """One in a server's namespace."""

    def __init__(self, namespace, port=50051, key=None, certificate=None):
        self.namespace, self.words = namespace, [f"{namespace.v4}:{port}", *([key, certificate] if key else [])]
        self.start()

    def start(self):
        import subprocess
        self.process = self.namespace.popen("/usr/bin/python3", __file__, *self.words, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self, graceful=True):
        """With GOAWAY, and calls under way go on for a while; or all at once."""
        self.process.send_signal(signal.SIGTERM if graceful else signal.SIGKILL)

    def close(self):
        self.process.kill()
        self.process.wait()


# ---- the server ----


class Service:
    def __init__(self):
        self.cancelled, self.peers = 0, set()

    def Echo(self, message, context):
        self.peers.add(context.peer())
        return message

    def Fail(self, message, context):
        import grpc
        code, _, text = message.decode().partition(" ")
        context.set_trailing_metadata([("x-reason-bin", b"\x00\xff" + text.encode())])
        context.abort(getattr(grpc.StatusCode, code), text)

    def Metadata(self, message, context):
        got = [(key, value if isinstance(value, str) else value.hex()) for key, value in context.invocation_metadata()]
        context.send_initial_metadata([("x-initial", "1"), ("x-initial-bin", b"\x00\x01\xff")])
        context.set_trailing_metadata([("x-trailing", "2"), ("x-trailing-bin", b"\xfe\x00")])
        return json.dumps(got).encode()

    def Wait(self, message, context):
        done = threading.Event()
        context.add_callback(done.set)
        done.wait(20)
        self.cancelled += 1
        return b""

    def Cancelled(self, message, context):
        return str(self.cancelled).encode()

    def Connections(self, message, context):
        return str(len(self.peers)).encode()

    def Count(self, message, context):
        for number in range(int(message)):
            yield str(number).encode()

    def Large(self, message, context):
        size, times = map(int, message.split())
        for _ in range(times):
            yield bytes(size)

    def Broken(self, message, context):
        yield b"first"
        os._exit(1)

    def Sum(self, messages, context):
        return str(sum(len(message) for message in messages)).encode()

    def Chat(self, messages, context):
        context.send_initial_metadata([("x-chat", "begun")])
        for message in messages:
            yield message.upper()

    def Early(self, messages, context):
        yield b"enough"


def main(address, key=None, certificate=None):
    from concurrent import futures

    import grpc
    service = Service()
    rows = {}
    for name, (many_in, many_out) in METHODS.items():
        kind = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}_rpc_method_handler"
        rows[name] = getattr(grpc, kind)(getattr(service, name))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("weir.Test", rows)])
    if key:
        pair = open(key, "rb").read(), open(certificate, "rb").read()
        server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    else:
        server.add_insecure_port(address)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    server.start()
    print("ready", flush=True)
    while not stopped.wait(1):
        pass
    server.stop(5).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
