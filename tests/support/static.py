"""A plain server for static files on loopback, as strict about scripts as Tandem's own."""

import mimetypes
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.support.ports import free_port

POLICY = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:"


@contextmanager
def serving(files: Mapping[str, Path]) -> Iterator[str]:
    """Serves each file, or folder with all in it, at its path; the longest path goes first."""
    paths = sorted(files, key=len, reverse=True)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = next((one for one in paths if path == one or path.startswith(one + "/")), None)
            file = files[found] / path[len(found) + 1 :] if found is not None else Path("/nowhere")
            body = file.read_bytes() if file.is_file() else b""
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if part and body:
                first, last = int(part[1]), int(part[2] or len(body) - 1)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
                body = body[first : last + 1]
            else:
                self.send_response(200 if file.is_file() else 404)
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
