"""The driver's errors, told apart."""

from typing import Any

import pytest
from pymongo.errors import BulkWriteError, OperationFailure

from server.errors import StorageAway
from server.store.failures import storage


def bulk_error(**failed: Any) -> BulkWriteError:
    """As the driver raises it; its own code is 65 whatever failed."""
    return BulkWriteError({"writeErrors": [], "writeConcernErrors": []} | failed)


@pytest.mark.parametrize(
    "error",
    [
        bulk_error(writeErrors=[{"index": 0, "code": 14031, "errmsg": "disk full"}]),
        bulk_error(writeConcernErrors=[{"code": 64, "errmsg": "waited too long"}]),
        OperationFailure("not primary", 10107),
    ],
)
def test_what_passes_means_that_the_database_is_away(error: Exception) -> None:
    """Also where it is one write of several that was refused."""
    with pytest.raises(StorageAway), storage():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        bulk_error(writeErrors=[{"index": 0, "code": 11000, "errmsg": "duplicate"}]),
        OperationFailure("what is that", 9),
    ],
)
def test_what_is_wrong_with_the_request_is_raised_as_it_is(error: Exception) -> None:
    """A later try would not find it gone."""
    with pytest.raises(type(error)), storage():
        raise error
