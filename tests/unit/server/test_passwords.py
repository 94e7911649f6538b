"""SCRAM for an account with several passwords: ``server/passwords.py``."""

from collections.abc import Iterator
from typing import Any

import pytest

from server.model import User
from server.passwords import Passwords, app_number, app_sid
from server.settings import load
from tests.support.node import QUICK

ME = User(10_001, "ann", "ann@localhost")


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(load(None, QUICK).auth, b"k" * 32)
    yield made
    made.close()


async def account(passwords: Passwords, *apps: str) -> dict[str, Any]:
    document: dict[str, Any] = {"_id": ME.id, **await passwords.hash("main password")}
    for number, password in enumerate(apps, 1):
        stored, beside = await passwords.hash_app_password(document, password)
        assert beside == {}
        document.setdefault("app_passwords", {})[str(number)] = stored
    return document


def sids(passwords: Passwords, document: dict[str, Any]) -> list[str]:
    return [one.sid for one in passwords.verifier(document, ME, "ann", "sha256").keys]


@pytest.mark.gen_test(timeout=20)
async def test_verifier_has_the_keys_of_all_passwords_under_one_salt(passwords: Passwords) -> None:
    """Each with what a login by it is named."""
    document = await account(passwords, "one", "two")
    assert sids(passwords, document) == ["", app_sid(1), app_sid(2)]
    assert (
        passwords.verifier(document, ME, "ann", "sha256").salt
        == document["scram"]["sha256"]["salt"]
    )


@pytest.mark.gen_test(timeout=20)
async def test_verifier_leaves_out_what_is_salted_otherwise(passwords: Passwords) -> None:
    """It could not fit, whatever the client derives."""
    document = await account(passwords, "one")
    document |= await passwords.hash("main password")
    assert sids(passwords, document) == [""]


@pytest.mark.gen_test(timeout=20)
async def test_upgrade_keeps_the_salt_only_for_app_passwords(passwords: Passwords) -> None:
    """New rounds come with a new password, or when the last app password is gone."""
    document = await account(passwords, "one")
    document |= await passwords.upgrade(document, "main password")
    assert sids(passwords, document) == ["", app_sid(1)]
    del document["app_passwords"]
    salt = document["scram"]["sha256"]["salt"]
    document |= await passwords.upgrade(document, "main password")
    assert document["scram"]["sha256"]["salt"] != salt


@pytest.mark.gen_test(timeout=20)
async def test_upgrade_is_needed_once(passwords: Passwords) -> None:
    """Other rounds are wanted: at the next login, or later where app passwords hold on to them."""
    document = await account(passwords, "one")
    other = Passwords(load(None, {**QUICK, "TANDEM_AUTH_SCRAM_SHA1_ITERATIONS": "5000"}).auth, b"k")
    try:
        assert not other.needs_upgrade(document)
        del document["app_passwords"]
        assert other.needs_upgrade(document)
        document |= await other.upgrade(document, "main password")
        assert not other.needs_upgrade(document)
    finally:
        other.close()


def test_login_by_app_password_is_told_from_a_session() -> None:
    """Sessions' names are random and have no colon."""
    assert app_number(app_sid(7)) == 7
    assert [app_number(sid) for sid in ("", "x7_-", "7")] == [None, None, None]
