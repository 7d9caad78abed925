"""Keys and certificates for the tests, made by openssl when they are asked for."""

import os
import shutil
import tempfile

from .namespace import PREFIX, run

KINDS = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"],
         "rsa1024": ["-newkey", "rsa:1024"]}


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

    def sign(self, file, *names, kind="ecdsa", days=30, more="", by="ca", since=None):
        """A certificate for these names, with more extensions, `by` an authority of this directory, good from now or `since` (a
        date as in ASN.1) on; returns the pair of directives that names it."""
        self.serial += 1
        self._request(file, names[0], kind)
        os.rename(self.path(f"{file}.crt"), self.path("request"))
        alternatives = ",".join(name if ":" in name else f"DNS:{name}" for name in names)
        with open(self.path("extensions"), "w") as out:
            out.write(f"subjectAltName={alternatives}\n{more}\n")
        files = ["-in", self.path("request"), "-extfile", self.path("extensions"), "-out", self.path(f"{file}.crt")]
        signer = [self.path(f"{by}.crt"), self.path(f"{by}.key")]
        if since is None:
            run("openssl", "x509", "-req", *files, "-CA", signer[0], "-CAkey", signer[1], "-set_serial", self.serial, "-days", days)
        else:
            self._ca(*files, "-cert", signer[0], "-keyfile", signer[1], "-startdate", since, "-days", days, "-batch", "-notext")
        return self.directives(file)

    def authority(self, file, by="ca"):
        """One that `by` has signed, which may sign in its turn."""
        self.sign(file, f"DNS:{file}", more="basicConstraints=critical,CA:TRUE", by=by)

    def self_sign(self, file, subject, kind="ecdsa"):
        self._request(file, subject, kind, "-x509", "-days", "30")

    def encrypt(self, file, key, password):
        run("openssl", "pkey", "-in", self.path(key), "-aes256", "-passout", f"pass:{password}", "-out", self.path(file))

    def dh_parameters(self, file, bits):
        run("openssl", "dhparam", "-dsaparam", "-out", self.path(file), bits)

    def write(self, file, text):
        with open(self.path(file), "w") as out:
            out.write(text)

    def mkdir(self, name):
        os.mkdir(self.path(name))

    def join(self, file, *parts):
        """The files `parts` behind one another."""
        with open(self.path(file), "w") as out:
            for part in parts:
                with open(self.path(part)) as text:
                    out.write(text.read())

    def _ca(self, *words):
        """`openssl ca`, which knows more of dates and of what was revoked than `openssl x509`."""
        with open(self.path("ca.conf"), "w") as out:
            out.write("[ca]\ndefault_ca=it\n[it]\ndefault_md=sha256\npolicy=any\nrand_serial=yes\n"
                      f"database={self.path('index.txt')}\nnew_certs_dir={self.directory}\n[any]\ncommonName=supplied\n")
        open(self.path("index.txt"), "a").close()
        run("openssl", "ca", "-config", self.path("ca.conf"), *words)

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
        self._ca("-gencrl", "-crldays", "30", "-cert", self.path("ca.crt"), "-keyfile", self.path("ca.key"), "-out", crl)

    def directives(self, file):
        return f"ssl_certificate {self.path(file)}.crt; ssl_certificate_key {self.path(file)}.key;"

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)
