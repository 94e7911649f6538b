"""WebSocket frames: any split of any byte stream means the same; every broken one has its code."""

import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.deflate import compress, is_offered
from handlers.frames import (
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    NO_STATUS,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameParser,
    ProtocolError,
    close_code,
    close_frame,
    deflated_frame,
    frame,
)

KEY = b"\x11\x22\x33\x44"
LIMIT = 300
Outcome = tuple[list[Frame], int]


def masked(payload: bytes, opcode: int = TEXT, *, final: bool = True, key: bytes = KEY) -> bytes:
    """A client's frame."""
    bare = bytearray(frame(payload, opcode))
    head = len(bare) - len(payload)
    bare[0] = bare[0] & 0x7F | (0x80 if final else 0)
    bare[1] |= 0x80
    mask = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return bytes(bare[:head]) + key + mask


def parse(
    chunks: list[bytes], limit: int = LIMIT, *, masked: bool = True, deflates: bool = False
) -> Outcome:
    """The messages, and the close code of the error that ended them (0: none)."""
    parser, found = FrameParser(limit, masked=masked, deflates=deflates), []
    for chunk in chunks:
        found += parser.receive(chunk)
        if parser.error is not None:
            return found, parser.error.code
    return found, 0


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


texts = st.text(max_size=120).map(str.encode)
frames = st.one_of(
    st.builds(masked, st.binary(max_size=200), st.sampled_from((TEXT, BINARY, CONTINUATION))),
    st.builds(masked, texts, st.just(TEXT), final=st.booleans()),
    st.builds(masked, texts, st.just(CONTINUATION), final=st.booleans()),
    st.builds(masked, st.binary(max_size=125), st.sampled_from((CLOSE, PING, PONG))),
    st.binary(max_size=12),
)
streams = st.one_of(st.lists(frames, max_size=8).map(b"".join), st.binary(max_size=60))


@given(streams, st.lists(st.integers(0, 4000), max_size=12))
@example(masked(b"a" * 126) + masked(b"b"), [1, 2, 3, 4, 5, 6, 7, 8])
def test_any_split_of_any_stream_gives_the_same(data: bytes, cuts: list[int]) -> None:
    whole = parse([data])
    assert parse(split(data, cuts)) == whole
    assert parse([data[at : at + 1] for at in range(len(data))]) == whole


@given(st.lists(texts, max_size=10), st.binary(min_size=4, max_size=4))
def test_messages_come_out_as_they_went_in(payloads: list[bytes], key: bytes) -> None:
    data = b"".join(masked(payload, key=key) for payload in payloads)
    assert parse([data], 1000) == ([(TEXT, payload) for payload in payloads], 0)


@given(st.lists(st.text(max_size=20), min_size=2, max_size=6), st.data())
def test_fragments_are_joined_even_within_a_character(
    parts: list[str], data: st.DataObject
) -> None:
    payload = "".join(parts).encode()
    cuts = data.draw(st.lists(st.integers(0, len(payload)), min_size=1, max_size=5))
    pieces = split(payload, cuts)
    stream = b"".join(
        masked(piece, TEXT if at == 0 else CONTINUATION, final=at == len(pieces) - 1)
        + masked(b"between", PING)
        for at, piece in enumerate(pieces)
    )
    found, code = parse([stream], 1000)
    assert code == 0
    assert [f for f in found if f[0] != PING] == [(TEXT, payload)]
    assert found.count((PING, b"between")) == len(pieces)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_every_length_form(size: int) -> None:
    payload = b"x" * size
    assert parse([masked(payload)], 70_000) == ([(TEXT, payload)], 0)
    assert len(frame(payload)) - size == (2 if size < 126 else 4 if size < 65536 else 10)


EURO = "€".encode()
BROKEN: dict[str, tuple[bytes, int]] = {
    "reserved bit 1": (b"\xc1\x80" + KEY, 1002),
    "reserved bit 2": (b"\xa1\x80" + KEY, 1002),
    "reserved bit 3": (b"\x91\x80" + KEY, 1002),
    "unmasked": (b"\x81\x00", 1002),
    "unmasked ping": (b"\x89\x00", 1002),
    **{f"opcode {n}": (masked(b"", n), 1002) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "ping of 126": (b"\x89\xfe\x00\x7e" + KEY + b"x" * 126, 1002),
    "ping in fragments": (masked(b"", PING, final=False), 1002),
    "close in fragments": (masked(b"", CLOSE, final=False), 1002),
    "continuation of nothing": (masked(b"a", CONTINUATION), 1002),
    "unfinished continuation of nothing": (masked(b"a", CONTINUATION, final=False), 1002),
    "text within fragments": (masked(b"a", TEXT, final=False) + masked(b"b"), 1002),
    "binary within fragments": (masked(b"a", TEXT, final=False) + masked(b"b", BINARY), 1002),
    "length 125 in 2 bytes": (b"\x81\xfe\x00\x7d" + KEY, 1002),
    "length 65535 in 8 bytes": (b"\x81\xff" + (65535).to_bytes(8, "big") + KEY, 1002),
    "length with the top bit": (b"\x81\xff\x80" + bytes(7) + KEY, 1002),
    "too long": (masked(b"x" * (LIMIT + 1)), 1009),
    "too long, known from its head": (b"\x81\xfe\xff\xff", 1009),
    "fragments too long together": (
        masked(b"x" * 200, TEXT, final=False) + masked(b"x" * 101, CONTINUATION),
        1009,
    ),
    "not UTF-8": (masked(b"\xff"), 1007),
    "UTF-8 cut short": (masked(EURO[:2]), 1007),
    "overlong slash": (masked(b"\xc0\xaf"), 1007),
    "surrogate": (masked(b"\xed\xa0\x80"), 1007),
    "beyond U+10FFFF": (masked(b"\xf4\x90\x80\x80"), 1007),
    "not UTF-8, known at the first fragment": (masked(b"ok\xff", TEXT, final=False), 1007),
    "UTF-8 cut short at the last fragment": (
        masked(EURO[:1], TEXT, final=False) + masked(EURO[1:2], CONTINUATION),
        1007,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_streams_have_their_code(name: str) -> None:
    data, code = BROKEN[name]
    assert parse([masked(b"before") + data]) == ([(TEXT, b"before")], code)


def test_what_is_too_long_is_refused_before_it_is_read() -> None:
    parser = FrameParser(LIMIT)
    assert parser.receive(b"\x81\xff" + (2**40).to_bytes(8, "big")) == []
    assert parser.error is not None and parser.error.code == 1009


def test_the_limit_is_for_one_message_not_for_the_stream() -> None:
    in_two = masked(b"x" * 200, TEXT, final=False) + masked(b"x" * 100, CONTINUATION)
    assert parse([in_two * 3 + masked(b"y" * LIMIT)])[1] == 0


def test_binary_may_be_anything() -> None:
    in_two = masked(b"\xff", BINARY, final=False) + masked(b"\xfe", CONTINUATION)
    assert parse([masked(b"\xff", BINARY) + in_two]) == (
        [(BINARY, b"\xff"), (BINARY, b"\xff\xfe")],
        0,
    )


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", NO_STATUS),
        (b"\x03\xe8", 1000),
        (b"\x03\xe8" + EURO, 1000),
        (b"\x0b\xb8", 3000),
        (b"\x13\x87", 4999),
    ],
)
def test_close_codes(payload: bytes, code: int) -> None:
    assert close_code(payload) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000])
def test_close_codes_nobody_may_send(code: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        close_code(code.to_bytes(2, "big"))
    assert refused.value.code == 1002


def test_broken_close_frames() -> None:
    for payload, code in ((b"\x03", 1002), (b"\x03\xe8\xff", 1007)):
        with pytest.raises(ProtocolError) as refused:
            close_code(payload)
        assert refused.value.code == code


def test_our_close_frame() -> None:
    assert close_frame(NO_STATUS) == b"\x88\x00"
    assert close_frame(1000, "bye") == b"\x88\x05\x03\xe8bye"
    assert len(close_frame(4413, "x" * 500)) == 2 + 125


def squeezed(payload: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """A client's frame whose payload is compressed already."""
    whole = masked(payload, opcode, final=final)
    return bytes((whole[0] | COMPRESSED,)) + whole[1:]


@given(streams, st.lists(st.integers(0, 4000), max_size=12))
def test_any_split_gives_the_same_where_messages_may_be_compressed(
    data: bytes, cuts: list[int]
) -> None:
    data = squeezed(compress(b"one")) + data + squeezed(compress(b"two"))
    assert parse(split(data, cuts), deflates=True) == parse([data], deflates=True)


@given(st.text(max_size=1000))
def test_what_is_compressed_comes_out_as_it_went_in(content: str) -> None:
    payload = content.encode()
    data = compress(payload)
    half = len(data) // 2
    in_two = squeezed(data[:half], final=False) + masked(b"", PING)
    in_two += masked(data[half:], CONTINUATION)
    found, code = parse([squeezed(data) + masked(payload) + in_two], 8000, deflates=True)
    assert code == 0
    assert found == [(TEXT, payload), (TEXT, payload), (PING, b""), (TEXT, payload)]
    assert parse([deflated_frame(payload)], 8000, masked=False, deflates=True) == (
        [(TEXT, payload)],
        0,
    )


def test_a_server_frame_is_compressed_where_that_is_shorter() -> None:
    assert deflated_frame(b"short") == frame(b"short")
    long = b"the same again. " * 100
    assert len(deflated_frame(long)) < 100
    assert deflated_frame(long)[0] == 0xC1


BROKEN_DEFLATE: dict[str, tuple[bytes, int]] = {
    "garbage": (squeezed(b"\xff\xff\xff"), 1007),
    "a bomb": (squeezed(compress(bytes(10_000_000))), 1009),
    "a bomb in fragments": (
        squeezed(compress(bytes(50_000))[:20], final=False)
        + masked(compress(bytes(50_000))[20:], CONTINUATION),
        1009,
    ),
    "not UTF-8": (squeezed(compress(b"\xff")), 1007),
    "not UTF-8 in fragments": (
        squeezed(compress(b"\xff"), final=False) + masked(b"", CONTINUATION),
        1007,
    ),
    "compressed ping": (squeezed(b"", PING), 1002),
    "a fragment compressed by itself": (
        squeezed(compress(b"a"), final=False) + squeezed(compress(b"b"), CONTINUATION),
        1002,
    ),
    "another reserved bit": (b"\xa1\x80" + KEY, 1002),
}


@pytest.mark.parametrize("name", BROKEN_DEFLATE)
def test_broken_compression_has_its_code(name: str) -> None:
    data, code = BROKEN_DEFLATE[name]
    assert parse([masked(b"before") + data], deflates=True) == ([(TEXT, b"before")], code)


def test_compressed_frames_are_refused_where_not_agreed_on() -> None:
    assert parse([squeezed(compress(b"a"))]) == ([], 1002)


def test_blocks_of_any_kind_are_inflated() -> None:
    for level in (0, 1, 9):
        maker = zlib.compressobj(level, wbits=-15)
        data = maker.compress(b"words " * 20) + maker.flush(zlib.Z_SYNC_FLUSH)
        assert parse([squeezed(data[:-4])], deflates=True) == ([(TEXT, b"words " * 20)], 0)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_max_window_bits=10; server_no_context_takeover", True),
        ('permessage-deflate; client_max_window_bits="15"', True),
        ("x-webkit-deflate-frame, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("", False),
        ("permessage-bzip2", False),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; client_max_window_bits=16", False),
        ("permessage-deflate; client_max_window_bits=1_0", False),
        ("permessage-deflate; server_no_context_takeover=1", False),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", False),
        ("permessage-deflate; unheard_of", False),
    ],
)
def test_offers(header: str, taken: bool) -> None:
    assert is_offered(header) is taken


def test_many_small_fragments_take_no_more_memory_than_they_have_bytes() -> None:
    parser = FrameParser(LIMIT)
    parser.receive(masked(b"", TEXT, final=False))
    empty = masked(b"", CONTINUATION, final=False) * 1000
    tracemalloc.start()
    for _ in range(100):
        parser.receive(empty)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 50_000
    assert parser.receive(masked(b"end", CONTINUATION)) == [(TEXT, b"end")]
