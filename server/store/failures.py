"""The driver's errors, told apart: the database is away, or it refused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pymongo
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from server.errors import StorageAway

REFUSED_FOR_NOW = frozenset(
    {
        *(6, 7, 89, 91, 112, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436),  # no primary
        14031,  # OutOfDiskSpace
        133,  # FailedToSatisfyReadPreference
        64,  # WriteConcernFailed
    }
)
"""Server error codes that a later try may find gone."""


QUICK_S = 2.8
"""For everything but writing messages: whoever asked is told within 3 s."""


@contextmanager
def storage(timeout_s: float = QUICK_S) -> Iterator[None]:
    """Raises :class:`StorageAway` for what means that the database cannot serve now.

    And what cancels the task: ``asyncio.wait_for`` of Python 3.11, which the driver writes with,
    loses a cancellation that comes as it ends, and the task would go on for ever.
    """
    try:
        with pymongo.timeout(timeout_s):
            yield
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
    except ServerSelectionTimeoutError as error:
        raise StorageAway("no primary found", maybe_done=False) from error
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise StorageAway(type(error).__name__) from error
    except OperationFailure as error:
        for code in _codes(error):
            if code in REFUSED_FOR_NOW:
                raise StorageAway(f"refused with code {code}") from error
        raise
    except PyMongoError as error:
        if error.timeout:
            raise StorageAway(type(error).__name__) from error
        raise


def _codes(error: OperationFailure) -> list[int | None]:
    """A bulk's own code says no more than that something of it failed."""
    if not isinstance(error, BulkWriteError):
        return [error.code]
    failed = (*error.details["writeErrors"], *error.details["writeConcernErrors"])
    return [each.get("code") for each in failed]
