"""The data directory belongs to one server at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class DataDirLock:
    """Holds ``<data.dir>/lock`` while entered; the kernel frees it however the process ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._descriptor = -1

    def __enter__(self) -> "DataDirLock":
        """Raises :class:`DataDirError` when another server has it."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(f"cannot write to {self._path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirError(
                f"{self._path.parent} is in use by another Tandem, process {holder}: "
                "stop that one, or give this one its own data.dir"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise DataDirError(
                f"{self._path} cannot be locked ({error.strerror}): put data.dir on a local disk"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
