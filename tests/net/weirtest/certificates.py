"""Keys and certificates for the tests, made by openssl when they are asked for."""

import os
import shutil
import tempfile

from .namespace import PREFIX, run

KINDS = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"]}


class Certificates:
    """A directory with an authority (`ca.crt`) and what it has signed: NAME.crt and NAME.key.

    `path(name)` is the file. Signing a name again replaces both files, as a renewal does."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix=f"{PREFIX}-")
        self.serial = 0
        self._request("ca", "Weir test authority", "ecdsa", "-x509", "-days", "30")

    def path(self, name):
        return f"{self.directory}/{name}"

    def _request(self, file, subject, kind, *more):
        run("openssl", "req", "-nodes", *KINDS[kind], *more, "-keyout", self.path(f"{file}.key"),
            "-out", self.path(f"{file}.crt"), "-subj", f"/CN={subject}")

    def sign(self, file, *names, kind="ecdsa", days=30, more=""):
        """A certificate for these names, with more extensions; returns the pair of directives that names it."""
        self.serial += 1
        self._request(file, names[0], kind)
        os.rename(self.path(f"{file}.crt"), self.path("request"))
        with open(self.path("extensions"), "w") as out:
            out.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + f"\n{more}\n")
        run("openssl", "x509", "-req", "-in", self.path("request"), "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
            "-set_serial", self.serial, "-days", days, "-extfile", self.path("extensions"), "-out", self.path(f"{file}.crt"))
        return self.directives(file)

    def index(self, good=(), revoked=()):
        """The authority's list of what it has signed, as `openssl ca` and `openssl ocsp` read it."""
        with open(self.path("index.txt"), "w") as out:
            for file in (*good, *revoked):
                serial = run("openssl", "x509", "-in", self.path(f"{file}.crt"), "-noout", "-serial").stdout.strip().split("=")[1]
                state = "V\t491231235959Z\t" if file in good else "R\t491231235959Z\t200101000000Z"
                out.write(f"{state}\t{serial}\tunknown\t/CN={file}\n")
        return self.path("index.txt")

    def revoke(self, crl, *files):
        """A list of revoked certificates, in the file `crl`."""
        self.index(revoked=files)
        with open(self.path("ca.conf"), "w") as out:
            out.write(f"[ca]\ndefault_ca=it\n[it]\ndatabase={self.path('index.txt')}\ndefault_md=sha256\n")
        run("openssl", "ca", "-config", self.path("ca.conf"), "-gencrl", "-crldays", "30", "-cert", self.path("ca.crt"),
            "-keyfile", self.path("ca.key"), "-out", crl)

    def directives(self, file):
        return f"ssl_certificate {self.path(file)}.crt; ssl_certificate_key {self.path(file)}.key;"

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)
