#!/usr/bin/python3
"""Asks the real nginx which servers it chooses, and prints the answers as nginx_vectors.h.

    unshare --net --mount tests/unit/balance/nginx_vectors.py > tests/unit/balance/nginx_vectors.h

No server listens, max_fails is 0 and every failure goes on to the next server, so that $upstream_addr is the whole order
in which nginx tries the servers for one request. One worker and one request after the other make the state of round
robin, to which the hashes fall back, repeatable.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

EQUAL = [("127.0.0.1:%d" % (9001 + i), 1, False) for i in range(7)]
WEIGHTED = [("127.0.0.1:%d" % (9001 + i), w, False) for i, w in enumerate([5, 1, 3, 2, 1, 4, 7])]
DOWN = [(name, weight, i in (0, 3)) for i, (name, weight, _) in enumerate(WEIGHTED)]
# "two.test" has two addresses, which become two peers that share a name; "plain.test" is written without a port.
NAMED = [("one.test:9001", 2, False), ("two.test:9002", 1, False), ("two.test:9002", 1, False),
         ("plain.test", 3, False), ("127.0.0.1:9005", 1, False), ("[::1]:9006", 1, False)]
NAMED_PEERS = ["127.0.1.1:9001", "127.0.2.1:9002", "127.0.2.2:9002", "127.0.3.1:80", "127.0.0.1:9005", "[::1]:9006"]
HOSTS = "127.0.1.1 one.test\n127.0.2.1 two.test\n127.0.2.2 two.test\n127.0.3.1 plain.test\n"

KEYS = ["k%d" % (i * i * 7 + i) for i in range(40)] + ["", "a", "/index.html?x=1&y=2".replace("&", "_"), "x" * 100]
V4_CLIENTS = ["%d.%d.%d.%d" % ((i * 37) % 223 + 1, (i * 91) % 256, (i * i * 13) % 256, i + 1) for i in range(40)]
V6_CLIENTS = ["2001:db8:%x:%x::%x" % (i * 7919 % 65536, i * 31, i * i + 1) for i in range(20)]

CASES = [  # name, method, word after the key, servers
    ("round_robin_5_1_1", "round_robin", "", [("127.0.0.1:9001", 5, False), ("127.0.0.1:9002", 1, False),
                                              ("127.0.0.1:9003", 1, False)]),
    ("round_robin_weighted", "round_robin", "", WEIGHTED),
    ("least_conn_weighted", "least_conn", "", WEIGHTED),
    ("ip_hash_equal", "ip_hash", "", EQUAL),
    ("ip_hash_weighted", "ip_hash", "", WEIGHTED),
    ("ip_hash_down", "ip_hash", "", DOWN),
    ("hash_equal", "hash", "", EQUAL),
    ("hash_weighted", "hash", "", WEIGHTED),
    ("hash_down", "hash", "", DOWN),
    ("consistent_equal", "hash", "consistent", EQUAL),
    ("consistent_weighted", "hash", "consistent", WEIGHTED),
    ("consistent_down", "hash", "consistent", DOWN),
    ("consistent_named", "hash", "consistent", NAMED),
]


def configuration(directory):
    out = ["daemon off; worker_processes 1; pid %s/pid; error_log stderr crit;" % directory,
           "events { }", "http { access_log off;"]
    for path in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        out.append("%s_temp_path %s/%s;" % (path, directory, path))
    for name, method, word, servers in CASES:
        out.append("upstream %s {" % name)
        if method == "hash":
            out.append("hash $arg_k %s;" % word)
        elif method != "round_robin":
            out.append("%s;" % method)
        previous = None
        for server, weight, down in servers:
            if server != previous:  # the second peer of a name comes with the first
                out.append("server %s weight=%d max_fails=0%s;" % (server, weight, " down" if down else ""))
            previous = server
        out.append("}")
    out.append("server { listen 127.0.0.1:8999; listen [::1]:8999; error_page 502 = @answer;")
    for name, *_ in CASES:
        out.append("location /%s { proxy_pass http://%s; proxy_next_upstream error; }" % (name, name))
    out.append("location @answer { return 200 $upstream_addr; } } }")
    return "\n".join(out)


def ask(name, key=None, client=None):
    family = socket.AF_INET6 if client and ":" in client else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        if client:
            s.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
            s.bind((client, 0))
        s.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", 8999))
        s.sendall(b"GET /%s%s HTTP/1.0\r\n\r\n" % (name.encode(), b"" if key is None else b"?k=" + key.encode()))
        answer = b""
        while part := s.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], answer
    return body.decode()


def order(servers, text):
    peers = NAMED_PEERS if servers is NAMED else [name for name, _, _ in servers]
    return "".join(str(peers.index(address)) for address in text.split(", ") if address in peers)


def c_bytes(data):
    return '"' + "".join("\\x%02x" % byte for byte in data) + '"'


def print_case(name, method, word, servers):
    print("static const struct vector_request %s_requests[] = {" % name)
    if method == "ip_hash":
        for client in V4_CLIENTS + V6_CLIENTS:
            family = socket.AF_INET6 if ":" in client else socket.AF_INET
            packed = socket.inet_pton(family, client)
            packed = packed if family == socket.AF_INET6 else packed[:3]
            print('\t{ %s, %d, "%s" },' % (c_bytes(packed), len(packed), order(servers, ask(name, client=client))))
    elif method == "hash":
        for key in KEYS:
            print('\t{ "%s", %d, "%s" },' % (key, len(key), order(servers, ask(name, key=key))))
    else:
        for _ in range(25):
            print('\t{ "", 0, "%s" },' % order(servers, ask(name)))
    print("};")


def print_header():
    version = subprocess.run(["nginx", "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr.strip()
    print("/* Written by nginx_vectors.py from the answers of %s: the order in which it tries" % version)
    print(" * the servers, as their indices, one digit each. */")
    print("#ifndef NGINX_VECTORS_H\n#define NGINX_VECTORS_H\n")
    print("#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n")
    print("struct vector_server {\n\tconst char *name;\n\tuint32_t weight;\n\tbool down;\n};\n")
    print("struct vector_request {\n\tconst char *key;\n\tsize_t key_len;\n\tconst char *order;\n};\n")
    print("struct vector_case {\n\tconst char *name, *method, *option;\n\tconst struct vector_server *servers;\n"
          "\tsize_t server_count;\n\tconst struct vector_request *requests;\n\tsize_t request_count;\n};\n")


def print_tables():
    for name, _, _, servers in CASES:
        print("static const struct vector_server %s_servers[] = {" % name)
        for server, weight, down in servers:
            print('\t{ "%s", %d, %s },' % (server, weight, "true" if down else "false"))
        print("};")
    print("\n#define VECTORS(array) array, sizeof(array) / sizeof((array)[0])\n")
    print("static const struct vector_case vector_cases[] = {")
    for name, method, word, _ in CASES:
        print('\t{ "%s", "%s", "%s", VECTORS(%s_servers), VECTORS(%s_requests) },' % (name, method, word, name, name))
    print("};\n\n#endif")


def main():
    with tempfile.TemporaryDirectory() as directory:
        for command in ("ip link set lo up", "ip -6 route add local 2001:db8::/32 dev lo", "mount --make-rprivate /"):
            subprocess.run(command.split(), check=True)
        # Every address is local, so that a client can have any.
        subprocess.run("ip route add local 0.0.0.0/0 dev lo".split(), check=True)
        with open(directory + "/hosts", "w") as f:
            f.write(HOSTS)
        subprocess.run(["mount", "--bind", directory + "/hosts", "/etc/hosts"], check=True)
        with open(directory + "/nginx.conf", "w") as f:
            f.write(configuration(directory))
        nginx = subprocess.Popen(["nginx", "-c", directory + "/nginx.conf"], stdout=sys.stderr)
        try:
            for _ in range(100):
                time.sleep(0.05)
                if os.path.exists(directory + "/pid") and os.path.getsize(directory + "/pid"):
                    break
            time.sleep(0.2)
            print_header()
            for case in CASES:
                print_case(*case)
        finally:
            nginx.terminate()
            nginx.wait()
        print_tables()


main()
