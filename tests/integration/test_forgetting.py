"""What is left of a deleted account, and what can be handed out of it: contacts and blocks."""

import json
from pathlib import Path
from typing import Any

import pytest

from handlers.json_codec import JsonCodec
from server.clients import ClientNode
from server.model import User
from server.services import Services
from tests.support.house import house


class Ear:
    """A pipe that keeps what it is sent."""

    is_slow = False

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def send(self, data: bytes) -> None:
        self.heard.append(json.loads(data))

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


async def users(services: Services, count: int) -> list[User]:
    password = "correct horse battery"
    return [await services.accounts.create(password=password) for _ in range(count)]


def listen(services: Services, user: User) -> Ear:
    ear: Any = Ear()
    services.clients.bind(ClientNode(user, JsonCodec(lambda data: data), ear))
    return ear  # type: ignore[no-any-return]


@pytest.mark.gen_test(timeout=60)
async def test_forgotten_user_is_on_nobodys_list(tmp_path: Path) -> None:
    """Contacts, requests both ways and blocks are gone, and those who could see it are told."""
    async with house(tmp_path / "var") as services:
        contacts, blocks = services.contacts, services.blocks
        ann, bob, cat, dan, eve = await users(services, 5)
        await contacts.request(ann.id, bob.id, "Bob")
        await contacts.accept(bob.id, ann.id)
        await contacts.request(ann.id, cat.id)
        await contacts.request(dan.id, ann.id)
        await contacts.request(bob.id, cat.id)
        await contacts.block(eve.id, ann.id)
        await contacts.request(ann.id, eve.id)
        await contacts.block(ann.id, dan.id)
        exported = await contacts.export(ann.id)
        assert [(each["id"], each["state"], each.get("name")) for each in exported["contacts"]] == [
            (bob.id, "both", "Bob"),
            (cat.id, "requested", ""),
            (eve.id, "requested", ""),
        ]
        assert exported["blocks"] == [dan.id]
        json.dumps(exported)
        ears = [listen(services, user) for user in (bob, cat, dan, eve)]
        await contacts.forget_user(ann.id)
        removed = [{"cmd": 21, "event": "removed", "userid": ann.id}]
        assert [ear.heard for ear in ears] == [removed, removed, removed, []]
        for user in (ann, dan, eve):
            assert await contacts.of_user(user.id) == ([], False)
        assert [each.id for each in (await contacts.of_user(bob.id))[0]] == [cat.id]
        assert await contacts.watchers(bob.id) == ()
        blocks.forget_all()
        assert await blocks.load(eve.id) == await blocks.load(ann.id) == frozenset()
        assert await contacts.export(ann.id) == {"contacts": [], "blocks": []}
        await contacts.forget_user(ann.id)
        assert [ear.heard for ear in ears] == [removed, removed, removed, []]
