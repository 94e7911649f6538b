"""The workers of one machine tell each other their metrics, so that whoever is asked tells all.

Each listens on a Unix socket in ``<data.dir>/run`` and answers every connection with its own text.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

ANSWER_S = 1.0
"""Who is slower is left out: a scraper does not wait for ever either."""


class Siblings:
    """One worker's end. ``text``: its own metrics in Prometheus' text format."""

    def __init__(self, data_dir: Path, number: int, text: Callable[[], bytes]) -> None:
        self._number = number
        self._text = text
        directory = data_dir / "run"
        directory.mkdir(mode=0o700, exist_ok=True)
        # A socket's path is short at most, and that of the directory may be long.
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._own = f"metrics.{number}.{os.getpid()}"
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._answer, self._path(self._own))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path(self._own))
        os.close(self._directory)

    async def metrics(self) -> bytes:
        """Those of all workers, each sample with a label ``worker``."""
        others = [name for name in os.listdir(self._directory) if name != self._own]
        answers = await asyncio.gather(*(self._ask(name) for name in others))
        texts = [(name.split(".")[1], text) for name, text in zip(others, answers, strict=True)]
        known = [(number, text) for number, text in texts if text]
        return merge(sorted([*known, (str(self._number), self._text())]))

    def _path(self, name: str) -> str:
        return f"/proc/self/fd/{self._directory}/{name}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(self._text())
            await writer.drain()
        writer.close()

    async def _ask(self, name: str) -> bytes:
        """Empty: it is gone, or just going."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._path(name))
                text = await reader.read()
                writer.close()
                return text
        except ConnectionRefusedError:
            with suppress(OSError):
                os.unlink(self._path(name))  # left by one that was killed
        except (OSError, TimeoutError):
            pass
        return b""


def merge(texts: Iterable[tuple[str, bytes]]) -> bytes:
    """Several workers' texts as one: each family's HELP and TYPE once, then all its samples."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for worker, text in texts:
        samples: list[str] = []
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                heads, samples = families.setdefault(line.split(" ")[2], ([], []))
            if line.startswith("# "):
                if line not in heads:
                    heads.append(line)
            elif line:
                samples.append(_labelled(line, worker))
    lines = [line for heads, samples in families.values() for line in (*heads, *samples)]
    return ("\n".join(lines) + "\n").encode()


def _labelled(sample: str, worker: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
