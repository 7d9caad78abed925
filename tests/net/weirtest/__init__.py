"""What the tests in namespaces share: the wiring, the servers, the balancer, and HTTP byte by byte."""

from .balancer import BINARY, IS_NGINX, ROOT, Balancer, Haproxy, adopt_orphans, core_seconds, refused
from .certificates import Certificates
from .namespace import PREFIX, Namespace, run, sweep, wait_for
from .path import PATHS, BadPath
from .servers import Nginx, Origin, ok, serving
from .stream import Message, Stream, chunked, drip, pattern
from .topology import Topology, sweep_directories

__all__ = [
    "BINARY", "IS_NGINX", "PATHS", "PREFIX", "ROOT", "BadPath", "Balancer", "Certificates", "Haproxy", "Message", "Namespace",
    "Nginx", "Origin", "Stream", "Topology",
    "adopt_orphans", "chunked", "core_seconds", "drip", "ok", "pattern", "refused", "run", "serving", "sweep", "sweep_directories", "wait_for",
]
