"""What becomes of usernames: ``server/profile.py``."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ChatError
from server.profile import FORMER, KEPT_MS, renamed

NAMES = st.none() | st.sampled_from(["ann", "bob", "cid", "dan", "eve", "fay"])


def apply(document: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The document as the database has it then: None is no field."""
    return {name: value for name, value in (document | fields).items() if value is not None}


@given(st.lists(NAMES, max_size=12))
def test_names_of_an_account_are_its_present_and_former_ones(wanted: list[str | None]) -> None:
    """Each once, whatever was given up and taken back; never more than may be kept."""
    document: dict[str, Any] = {"username": "ann", "names": ["ann"]}
    had = {"ann"}
    for username in wanted:
        try:
            document = apply(document, renamed(document, username))
        except ChatError as error:
            assert error.slug == "slow-down"
            assert 0 < (error.retry_after or 0) <= KEPT_MS / 1000
            assert len(document["former"]) == FORMER
            continue
        had |= {username} - {None}  # type: ignore[arg-type]
        former = [one["name"] for one in document.get("former", ())]
        assert document.get("username") == username
        assert sorted(document.get("names", ())) == sorted(
            {*former, *([username] * bool(username))}
        )
        assert username not in former
        assert set(document.get("names", ())) == had
        assert len(former) <= FORMER


@given(st.lists(NAMES, max_size=5))
def test_who_leaves_keeps_all_names_from_others(wanted: list[str | None]) -> None:
    """However many there are."""
    document: dict[str, Any] = {"username": "ann", "names": ["ann"]}
    for username in wanted:
        try:
            document = apply(document, renamed(document, username))
        except ChatError:
            continue
    left = apply(document, renamed(document, None, leaves=True))
    assert "username" not in left
    assert set(left.get("names", ())) == set(document.get("names", ()))


@pytest.mark.parametrize("username", [None, "ann"])
def test_no_name_before_and_none_to_keep(username: str | None) -> None:
    """The first username costs nothing."""
    assert renamed({}, username) == {
        "username": username,
        "former": None,
        "names": [username] if username else None,
    }
