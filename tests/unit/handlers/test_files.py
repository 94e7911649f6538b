"""Which bytes a Range header asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.files import byte_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-", range(10)),
        ("bytes=3-5", range(3, 6)),
        ("bytes=3-99", range(3, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("Bytes=9-9", range(9, 10)),
        ("bytes=10-", range(0)),
        ("bytes=10-12", range(0)),
        ("bytes=-0", range(0)),
        *((text, None) for text in ("", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "lines=0-")),
        *((text, None) for text in ("bytes=0-1,3-4", "bytes=+1-2", "bytes=１-２", "bytes=0-1x")),
    ],
)
def test_range_of_ten_bytes(header: str, expected: range | None) -> None:
    """RFC 9110: first and last included, or the last so many; what makes no sense is ignored."""
    assert byte_range(header, 10) == expected


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_range_is_what_slicing_gives(size: int, first: int, last: int) -> None:
    """For every size, first and last byte."""
    data = bytes(range(size))
    part = byte_range(f"bytes={first}-{last}", size)
    if first > last:
        assert part is None
    else:
        assert part is not None
        assert data[part.start : part.stop] == data[first : last + 1]
    tail = byte_range(f"bytes=-{last}", size)
    assert tail is not None
    assert data[tail.start : tail.stop] == (data[-last:] if last else b"")
