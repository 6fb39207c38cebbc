"""Small wheels, and a server that gives them away well or badly."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: false\nTag: {tag}\n"
BUILD_INFO = (
    "import collections\nbuild_info = collections.OrderedDict([('cuda_version', '12.5.1'), "
    "('cuda_compute_capabilities', ['sm_80', 'compute_90']), ('is_cuda_build', True)])\n"
)


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    members: Mapping[str, bytes],
    *,
    tag: str = "cp312-cp312-manylinux_2_17_x86_64",
    more: str = "",
    record: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel; ``record`` says what RECORD believes of members instead of the truth."""
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    everything = dict(members)
    everything[f"{info}/METADATA"] = METADATA.format(name=name, version=version, more=more).encode()
    everything[f"{info}/WHEEL"] = WHEEL.format(tag=tag).encode()
    lines = []
    for path, true in everything.items():
        data = (record or {}).get(path, true)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}\n")
    everything[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}-{version}-{tag}.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in everything.items():
            archive.writestr(path, data)
    return file


@dataclass
class Shop:
    """An index with its wheels, on this machine.

    Attributes:
        folder: wheels by file name.
        address: of the index, as pip and uv take it.
        ranges: whether parts are given; ``suffix``: whether counted from the end as well.
        failures: how many requests for wheels are still to fail with 503.
        breaks: how many answers are still to break off half way.
        lies: what Content-Range says the wheel is longer than it is, in bytes.
        asked: method and range of each request for a wheel, in order.
        given: bytes of wheels that were sent.
        pages: names that the index was asked for, in order.
    """

    folder: Path
    address: str = ""
    ranges: bool = True
    suffix: bool = True
    failures: int = 0
    breaks: int = 0
    lies: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    given: int = 0
    pages: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, file: Path) -> str:
        return f"{self.address.removesuffix('/simple/')}/files/{file.name}"

    def take(self, what: str) -> bool:
        with self.lock:
            left = getattr(self, what)
            setattr(self, what, max(0, left - 1))
            return bool(left)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, shop: Shop, *args: Any) -> None:
        self.shop = shop
        super().__init__(*args)

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        file = self.shop.folder / self.path.rsplit("/", 1)[-1]
        self.shop.asked.append(("HEAD", ""))
        self._answer(200, b"", length=file.stat().st_size)

    def do_GET(self) -> None:
        match = re.fullmatch(r"/simple/([^/]+)/", self.path)
        if match:
            self._page(match[1])
        else:
            self._file(self.shop.folder / self.path.rsplit("/", 1)[-1])

    def _page(self, name: str) -> None:
        self.shop.pages.append(name)
        files = sorted(self.shop.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        if not files:
            self._answer(404, b"no such project")
            return
        links = "".join(
            f'<a href="/files/{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">{file.name}</a>\n'
            for file in files
        )
        self._answer(200, f"<html><body>{links}</body></html>".encode(), kind="text/html")

    def _file(self, file: Path) -> None:
        wanted = self.headers.get("Range", "")
        self.shop.asked.append(("GET", wanted))
        if self.shop.take("failures"):
            self._answer(503, b"later")
            return
        data = file.read_bytes()
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        if match is None or not self.shop.ranges:
            self._answer(200, data)
            return
        if not match[1] and not self.shop.suffix:
            self._answer(501, b"not from the end")
            return
        low = int(match[1]) if match[1] else max(0, len(data) - int(match[2]))
        high = min(int(match[2]), len(data) - 1) if match[1] and match[2] else len(data) - 1
        self._answer(206, data[low : high + 1], ranged=f"bytes {low}-{high}/{len(data) + self.shop.lies}")

    def _answer(
        self, code: int, body: bytes, *, kind: str = "application/octet-stream", ranged: str = "", length: int = -1
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length < 0 else length))
        if ranged:
            self.send_header("Content-Range", ranged)
        self.end_headers()
        if ranged and len(body) > 1000 and self.shop.take("breaks"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        if code in {200, 206} and kind != "text/html":
            with self.shop.lock:
                self.shop.given += len(body)
        self.wfile.write(body)


def start(shop: Shop) -> ThreadingHTTPServer:
    """Open the shop; the caller shuts it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, shop))
    server.daemon_threads = True
    shop.address = f"http://127.0.0.1:{server.server_address[1]}/simple/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
