"""``/files/<key>/<name>``: takes the bytes of an upload, gives them to who has the address.

No database is asked: the authority to upload is sealed in the address (``server/files/seal.py``),
and the key tells the type. So another process, or a store of its own, can do this as well.

An upload goes to the disk as it comes. What it is refused for is told when its body has come,
for a browser that is still sending does not read an answer; only what has no leave at all, or is
too long to wait for, is cut off.
"""

import asyncio
import logging
import re
import time
from contextlib import suppress
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from handlers.api import ApiHandler
from server.errors import ChatError, StorageAway
from server.files import Reader, Slot, Writer
from server.files.names import clean_name, clean_type, disposition, is_inline, served_type
from server.services import Services

log = logging.getLogger(__name__)

TAKEN_S = 60.0
"""How long a reader may take for one chunk before it is cut off; a paused video asks again."""

HEADERS = {
    # What is behind an address never changes. Private: it may be recalled, and a cache that many
    # share would still give it to others then.
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    # Pages of allowed origins may show it, and those need not be of the same site.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "Accept-Ranges": "bytes",
}

POLICY = "sandbox; default-src 'none'"
"""Whatever it is, it is no page of ours: no script, no form, no origin."""
POLICY_SHOWN = (
    "sandbox allow-same-origin; default-src 'none'; "
    "img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
)
"""As much as Chromium needs to show a picture or play a film that is opened by itself: its player
asks for the film again, and without an origin it would be refused like any foreign page."""

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.ASCII | re.IGNORECASE)
_ABORTING: set[asyncio.Task[None]] = set()


def byte_range(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for (RFC 9110 section 14.2).

    None: it asks for several parts, or makes no sense, and is to be ignored. Empty: it asks for
    what is not there.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        return None
    return range(start, min(size, int(match[2] or size) + 1))


@stream_request_body
class FileHandler(ApiHandler):
    """Uploads and downloads of one file."""

    def initialize(self, services: Services) -> None:
        super().initialize(services)
        self._writer: Writer | None = None
        self._refusal: ChatError | HTTPError | StorageAway | None = None
        self._takes_body = False

    async def prepare(self) -> None:  # type: ignore[override]
        """Of a PUT: raises what cuts it off, and makes ready for the body."""
        super().prepare()
        if self.request.method != "PUT":
            return
        if self.services.draining:
            raise ChatError("stopping", "the server is stopping; come back in a moment")
        sealed = self.request.query_arguments.get("slot", [b""])[0].decode("ascii", "replace")
        slot = self.services.seal.unseal(sealed, **self.path_kwargs)
        length = self.request.headers.get("Content-Length", "")
        if not length:
            raise HTTPError(411, "Content-Length is needed")
        if not (length.isascii() and length.isdecimal()):
            raise HTTPError(400, "Content-Length is no number")
        limits = self.services.settings.files
        connection = cast(HTTP1Connection, self.request.connection)
        connection.set_max_body_size(limits.upload_bytes)
        connection.set_body_timeout(limits.upload_s)
        self._takes_body = True
        try:
            self._writer = await self._begin(slot, int(length))
        except (ChatError, HTTPError, StorageAway) as error:
            self._refusal = error

    async def _begin(self, slot: Slot, length: int) -> Writer:
        if slot.expires < time.time():
            raise ChatError("not-allowed", "this upload had to begin earlier; ask for a new one")
        if length > slot.size:
            raise ChatError("too-long", f"the file was announced with {slot.size} bytes")
        if length < slot.size:
            raise ChatError("bad-field", f"the file was announced with {slot.size} bytes")
        if slot.type and _sent_type(self.request.headers.get("Content-Type", "")) != slot.type:
            raise HTTPError(415, f"Content-Type must be {slot.type}")
        return await self.services.files.begin(slot.key, slot.size)

    async def data_received(self, chunk: bytes) -> None:
        """Keeps a part of the body, or drops it where the upload is refused already."""
        writer = self._writer
        if writer is not None:
            try:
                await writer.write(chunk)
            except (ChatError, StorageAway) as error:
                self._refusal, self._writer = error, None
                await _abort(writer)

    async def put(self, **_: str) -> None:
        """The body has come."""
        writer, self._writer = self._writer, None
        if writer is None:
            raise self._refusal or HTTPError(400)
        try:
            await writer.commit()
        except (ChatError, StorageAway):
            await _abort(writer)
            raise
        self.services.metrics.upload("stored")
        self.set_status(201)

    def on_connection_close(self) -> None:
        """A broken-off upload leaves nothing."""
        super().on_connection_close()
        writer, self._writer = self._writer, None
        if writer is not None:
            self.services.metrics.upload("broken")
            task = asyncio.create_task(_abort(writer))
            _ABORTING.add(task)
            task.add_done_callback(_ABORTING.discard)

    async def get(self, key: str, name: str) -> None:
        """The file, or a part of it."""
        with_body = self.request.method == "GET"
        if not _is_clean(name):
            raise ChatError("not-found", "there is no such file")
        reader = await self.services.files.open(key)
        try:
            part = self._answer(key, name, reader.size, with_body)
            if with_body:
                await self._give(reader, part)
        finally:
            reader.close()

    def _answer(self, key: str, name: str, size: int, may_be_part: bool) -> range:
        """Sets status and headers. Which bytes to send."""
        for header, value in HEADERS.items():
            self.set_header(header, value)
        etag = f'"{key.partition(".")[0]}"'
        self.set_header("Etag", etag)
        if self.check_etag_header():
            self.set_status(304)
            return range(0)
        self.set_header("Content-Type", served_type(key))
        self.set_header("Content-Disposition", disposition(key, name))
        policy = POLICY_SHOWN if is_inline(key) else POLICY
        self.set_header("Content-Security-Policy", policy)
        part = None
        if may_be_part and self.request.headers.get("If-Range", etag) == etag:
            part = byte_range(self.request.headers.get("Range", ""), size)
        if part:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}")
        elif part is not None:
            self.clear()
            self._set_cors_headers()
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return part
        else:
            part = range(size)
        self.set_header("Content-Length", str(len(part)))
        return part

    async def _give(self, reader: Reader, part: range) -> None:
        """Sends as fast as it is taken, one chunk in memory."""
        connection = cast(HTTP1Connection, self.request.connection)
        try:
            async for chunk in reader.chunks(part.start, len(part)):
                self.write(chunk)
                sent = self.flush()
                await asyncio.wait({sent}, timeout=TAKEN_S)
                if not sent.done():
                    connection.close()
                    return
                await sent
        except StreamClosedError:
            log.debug("download_broken_off")
        except StorageAway as error:
            # Too late for an answer.
            log.warning("download_failed reason=%s", error)
            connection.close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tells who is cut off not to send another request behind the unread body."""
        if self.request.method == "PUT" and not self._takes_body:
            self.set_header("Connection", "close")
        super().write_error(status_code, **kwargs)

    def _allowed_methods(self) -> list[str]:
        return ["GET", "HEAD", "PUT", "OPTIONS"]


def _is_clean(name: str) -> bool:
    try:
        return clean_name(name) == name
    except ChatError:
        return False


def _sent_type(header: str) -> str | None:
    try:
        return clean_type(header)
    except ChatError:
        return None


async def _abort(writer: Writer) -> None:
    with suppress(StorageAway):
        await writer.abort()
