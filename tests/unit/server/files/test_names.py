"""Names and types of files: what clients give, and what becomes of it."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import ChatError
from server.files.names import (
    UNKNOWN,
    clean_name,
    clean_type,
    disposition,
    is_key,
    key_in,
    new_key,
    served_type,
)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("holiday.png", "holiday.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("写真 1.png", "写真 1.png"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("cod\u202egnp.exe", "codgnp.exe"),
        ("a\x00b\r\nc\x7f.txt", "abc.txt"),
        ("..hidden", "hidden"),
        (" . . x ", "x"),
        ("👩\u200d👧.png", "👩\u200d👧.png"),
        ('quote".txt', 'quote".txt'),
    ],
)
def test_name_is_the_last_part_without_what_misleads(raw: str, name: str) -> None:
    """Paths, control characters and turned text go, everybody's letters stay."""
    assert clean_name(raw) == name


@pytest.mark.parametrize("raw", ["", ".", "..", "/", "a/", "\x00", "\u202e", "a/..", "\ud800"])
def test_name_of_which_nothing_is_left_is_refused(raw: str) -> None:
    """There has to be something to call the file."""
    with pytest.raises(ChatError) as caught:
        clean_name(raw)
    assert caught.value.slug == "invalid"


def test_long_name_keeps_its_ending() -> None:
    """255 bytes are what file systems take; what the file is stays readable."""
    name = clean_name("长" * 200 + ".png")
    assert name.endswith("长.png")
    assert len(name.encode()) <= 255
    assert len(clean_name("." + "x" * 300).encode()) == 255


@given(st.text(st.characters(codec=None), max_size=300))
@example("长" * 84 + ".a.b")
@example("x" * 254 + " .png")
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    """A clean name is safe everywhere, and is recognised as clean."""
    try:
        name = clean_name(raw)
    except ChatError:
        return
    assert clean_name(name) == name
    assert 0 < len(name.encode()) <= 255
    assert not set(name) & set("/\\\x00\r\n\u202e")
    assert not name.startswith(".")
    assert unicodedata.is_normalized("NFC", name)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("text/plain; charset=UTF-8", "text/plain"),
        ('text/plain;charset="utf-8"', "text/plain"),
        ("application/vnd.ms-excel.sheet+xml", "application/vnd.ms-excel.sheet+xml"),
    ],
)
def test_type_in_lower_case_without_its_charset(raw: str, kind: str) -> None:
    """RFC 6838's grammar; text is UTF-8."""
    assert clean_type(raw) == kind


@pytest.mark.parametrize(
    "raw",
    [
        *("", "png", "image/", "/png", "a/b/c", "image/png; x=y", "text/plain; charset=gbk"),
        *("image/png\r\nX: y", "a~b/c", ".a/b", "a/" + "b" * 130, "text /plain x", "ｉmage/png"),
    ],
)
def test_malformed_type_is_refused(raw: str) -> None:
    """Whatever could make another header of it, or another key."""
    with pytest.raises(ChatError) as caught:
        clean_type(raw)
    assert caught.value.fields and "type" in caught.value.fields


def test_key_tells_the_type_and_nothing_else_is_one() -> None:
    """Keys are found in the addresses that were given out, whatever comes before."""
    key = new_key("image/svg+xml")
    assert is_key(key)
    assert served_type(key) == "image/svg+xml"
    assert key_in(f"https://a.example/x/files/{key}/a%20b.svg") == key
    quoted = new_key("application/x^y#z").replace("^", "%5E").replace("#", "%23")
    assert served_type(key_in(f"http://h/files/{quoted}/n") or "") == "application/x^y#z"
    for other in ("", "x", "http://[", f"http://h/files/{key}", "http://h/files/../x"):
        assert key_in(other) is None
    for other in ("../" + key, key.upper(), key[1:], key + "/", "0" * 32 + ".a/b", key + "\n"):
        assert not is_key(other)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *((kind, "inline") for kind in ("image/png", "video/mp4", "audio/ogg", "text/plain")),
        *((kind, "attachment") for kind in ("text/html", "image/svg+xml", "application/pdf")),
        *((kind, "attachment") for kind in ("text/xml", "text/javascript", UNKNOWN)),
    ],
)
def test_only_what_cannot_act_is_shown_inline(kind: str, how: str) -> None:
    """RFC 6266, with the name in ASCII and as it is."""
    key = new_key(kind)
    assert disposition(key, "a.b") == f'{how}; filename="a.b"'
    assert disposition(key, '“é"%.x') == (
        f"{how}; filename=\"____.x\"; filename*=UTF-8''%E2%80%9C%C3%A9%22%25.x"
    )


@pytest.mark.parametrize(
    "kind", ["text/javascript", "application/x-ecmascript", "text/css", "application/wasm"]
)
def test_scripts_and_styles_are_served_as_bytes(kind: str) -> None:
    """With nosniff, no page can be made to run one."""
    assert served_type(new_key(kind)) == UNKNOWN


def test_text_is_served_as_utf_8() -> None:
    """What was not said is said."""
    assert served_type(new_key("text/plain")) == "text/plain; charset=utf-8"
