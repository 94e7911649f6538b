"""Receipts that wait while the database is away."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from server.clients import ClientNode
from server.errors import StorageAway
from server.limits import SendRate
from server.model import RECEIPT, SINGLE, Message, User
from server.ports import Pointer
from server.receipts import Receipts
from server.settings import load
from tests.integration.test_writer import Sender, data_dir, run

__all__ = ["data_dir"]


class AwayOnce:
    """The real places; the first write fails, after what ``meanwhile`` says has come."""

    def __init__(self, places: Any, meanwhile: Any) -> None:
        self._places = places
        self._meanwhile = meanwhile
        self._fails = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._places, name)

    async def move(self, pointers: Sequence[Pointer]) -> None:
        if self._fails:
            self._fails = False
            self._meanwhile()
            raise StorageAway("test")
        await self._places.move(pointers)


@pytest.mark.gen_test(timeout=30)
async def test_pointer_that_waits_is_not_replaced_by_a_lower_one(data_dir: Path) -> None:
    """Of what comes while a write fails, the furthest of each kind is written by the next."""

    async def act(sender: Sender) -> None:
        sender.send(*"abcde")
        await sender.heard(5)
        nothing: Any = None
        node = ClientNode(User(sender.dstid), nothing, Mock())

        def say(seq: int, state: str) -> None:
            hint = Message(cmd=RECEIPT, chat=SINGLE, dstid=sender.userid, seq=seq, state=state)
            receipts.submit(hint, node, errors.append)

        def meanwhile() -> None:
            say(2, "read")
            say(5, "delivered")

        errors: list[Any] = []
        told: list[Any] = []
        blocks: Any = SimpleNamespace(apart=_no)
        accounts: Any = SimpleNamespace(user=_nobody)
        receipts = Receipts(
            AwayOnce(sender.store.places, meanwhile),  # type: ignore[arg-type]
            sender.store.messages,
            nothing,
            accounts,
            blocks,
            SendRate(load(None, {}).limits),
            publish=told.append,
            group_members=200,
        )
        say(4, "read")
        async with asyncio.timeout(10):
            while len(told) < 3:
                await asyncio.sleep(0.01)
        await receipts.close()
        [place] = (await sender.store.places.of([(sender.conv, sender.dstid)])).values()
        assert (place["read"], place["delivered"]) == (4, 5)
        assert errors == []

    await run(data_dir, act)


async def _no(one: int, other: int) -> bool:
    return False


async def _nobody(userid: int) -> None:
    return None
