"""The files of the chat page as they are served: read once, named by what is in them.

All of them lie in one directory that is named by a hash of the whole set, ``/assets/<hash>/``.
What is behind such an address never changes, so everybody may keep it for ever, and relative
imports between the modules work as they stand. Only the page, its worker and its manifest have
fixed addresses, and ``sdk/`` has one besides, for the pages of others.
"""

import asyncio
import gzip
import hashlib
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import brotli

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".d.ts": "text/plain; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""Suffixes of what is a page's; anything else in the package (Python) is not there."""

ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""How a text may be sent, the shortest first, and what its file is called when it is written."""

PAGE, WORKER, MANIFEST = "index.html", "sw.js", "manifest.webmanifest"

_SHORT = frozenset({".gif", ".ico", ".jpg", ".png", ".webp", ".woff2"})
"""Compressed by what they are."""
_FOR_PROGRAMMERS = (".d.ts", ".map", ".txt")
_FOR_SYSTEMS = "icons/"
"""What the systems show that the page is installed on, which keep it themselves."""
_NOT_A_PAGES = frozenset({"package.json"})
_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_REFERENCE = re.compile(r"""(\s(?:href|src)\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)
_ELSEWHERE = re.compile(r"#|https?:|data:|mailto:", re.IGNORECASE)
_PREFERENCE = re.compile(
    r"\s*([a-z0-9!#$%&'*+.^_`|~-]+)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?",
    re.ASCII | re.IGNORECASE,
)


class AssetsError(Exception):
    """Why the files of the page cannot be served, in words for who wrote them."""


class Asset:
    """One file. ``encodings``: how it may be sent besides as it is."""

    def __init__(self, name: str, body: bytes) -> None:
        suffix = _suffix(name)
        self.body = body
        self.type = TYPES[suffix]
        self.digest = hashlib.sha256(body).hexdigest()[:16]
        self.encodings = () if suffix in _SHORT else tuple(ENCODINGS)
        self._compressed: dict[str, asyncio.Future[bytes]] = {}

    async def encoded(self, encoding: str) -> bytes:
        """The body in one of ``encodings``, or as it is for "". Compressed once, in a thread."""
        if not encoding:
            return self.body
        if encoding not in self._compressed:
            self._compressed[encoding] = asyncio.ensure_future(
                asyncio.to_thread(compress, self.body, encoding)
            )
        return await asyncio.shield(self._compressed[encoding])


class Assets:
    """The set. ``url``: where else ``/assets/`` is served; empty: by us."""

    def __init__(self, directory: Path, url: str = "") -> None:
        """Raises :class:`AssetsError` for what is missing, and ``OSError``."""
        bodies = dict(sorted(_read(directory)))
        for name in (PAGE, WORKER, MANIFEST):
            if name not in bodies:
                raise AssetsError(f"there is no {directory / name}")
        self.hash = _hash(bodies)
        self.base = f"{url}/assets/{self.hash}/"
        page, worker, manifest = (bodies.pop(name) for name in (PAGE, WORKER, MANIFEST))
        self.files = {name: Asset(name, body) for name, body in bodies.items()}
        fixed = {
            PAGE: Asset(PAGE, self._with_addresses(page.decode()).encode()),
            WORKER: Asset(WORKER, self._shell().encode() + worker),
            MANIFEST: Asset(MANIFEST, manifest),
        }
        self._found = {f"/{name}": file for name, file in (self.files | fixed).items()}
        self._found["/"] = fixed[PAGE]
        self._found |= {f"/assets/{self.hash}/{name}": one for name, one in self.files.items()}

    def find(self, path: str) -> Asset | None:
        """What is behind the path of a request, as it was sent: none of our names is encoded."""
        return self._found.get(path)

    def write(self, directory: Path) -> Path:
        """Writes ``assets/<hash>/`` with compressed files beside the plain ones; where it is made.

        What is there under this name is left alone: it is the same, and may be being served.
        """
        made = directory / "assets" / self.hash
        if made.exists():
            return made
        half = made.with_name(f".{self.hash}")
        shutil.rmtree(half, ignore_errors=True)
        for name, file in self.files.items():
            path = half / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.body)
            for encoding in file.encodings:
                beside = path.with_name(path.name + ENCODINGS[encoding])
                beside.write_bytes(compress(file.body, encoding))
        return half.rename(made)

    def _with_addresses(self, page: str) -> str:
        """The page with its references led into the set."""

        def lead(match: re.Match[str]) -> str:
            told = match[2].strip("\"'")
            name, mark, fragment = told.removeprefix("/").partition("#")
            if told in ("/", f"/{MANIFEST}") or _ELSEWHERE.match(told):
                return match[0]
            if not told.startswith("/"):
                raise AssetsError(f"{PAGE} refers to {told}: must begin with /")
            if name not in self.files:
                raise AssetsError(f"{PAGE} refers to {told}, which is not there")
            return f'{match[1]}"{self.base}{name}{mark}{fragment}"'

        return _REFERENCE.sub(lead, page)

    def _shell(self) -> str:
        """The worker's first line: what it keeps."""
        kept = [
            name
            for name in self.files
            if _suffix(name) not in _FOR_PROGRAMMERS and not name.startswith(_FOR_SYSTEMS)
        ]
        shell = {"hash": self.hash, "files": [self.base + name for name in kept]}
        return f"const SHELL = {json.dumps(shell)};\n"


def web_directory() -> Path:
    """Where the files of the package ``web`` are, in a checkout and in an installed wheel."""
    return Path(str(files("web")))


def compress(body: bytes, encoding: str) -> bytes:
    """As short as it gets: it is done once and sent often."""
    if encoding == "br":
        return bytes(brotli.compress(body, mode=brotli.MODE_TEXT))
    return gzip.compress(body, mtime=0)


def choose_encoding(accepted: str, offered: tuple[str, ...]) -> str:
    """The best of ``offered`` for an ``Accept-Encoding`` (RFC 9110 section 12.5.3); "": none."""
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        if match := _PREFERENCE.fullmatch(part):
            weights[match[1].lower()] = float(match[2] or 1)
    rest = weights.get("*", 0.0)
    best, heaviest = "", weights.get("identity", 0.0)
    for encoding in reversed(offered):
        weight = weights.get(encoding, rest)
        if weight and weight >= heaviest:
            best, heaviest = encoding, weight
    return best


def _suffix(name: str) -> str:
    last = name.rpartition("/")[2]
    return ".d.ts" if last.endswith(".d.ts") else f".{last.rpartition('.')[2]}"


def _read(directory: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of each file that is a page's."""
    found = []
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        hidden = any(part.startswith((".", "_")) for part in name.split("/"))
        if hidden or _suffix(name) not in TYPES or name in _NOT_A_PAGES or not path.is_file():
            continue
        if not _NAME.fullmatch(name):
            raise AssetsError(f"{path}: its name may have letters, digits, _, . and - only")
        found.append((name, path.read_bytes()))
    return found


def _hash(bodies: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, body in bodies.items():
        digest.update(f"{name}\n{len(body)}\n".encode())
        digest.update(body)
    return digest.hexdigest()[:16]
