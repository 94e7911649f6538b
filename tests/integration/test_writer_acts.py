"""The writer with recalls, edits and reactions, whose answers are lost or which cannot be done."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from server.clients import now_ms
from server.deliveries import Envelope
from server.errors import ChatError, StorageAway
from server.model import EDIT, REACTION, RECALL, SINGLE, Message, Tally
from server.ports import Stored
from server.store.messages import entry_key
from tests.integration.test_writer import Sender, data_dir, run

__all__ = ["data_dir"]


async def act(sender: Sender, cmd: int, ref: int, content: str, cid: str) -> None:
    """As the router submits it."""
    message = Message(
        cmd=cmd,
        userid=sender.userid,
        chat=SINGLE,
        dstid=sender.dstid,
        content=content,
        ref=ref,
        cid=cid,
    )
    target = await sender.store.messages.by_id(sender.conv, ref)
    owners = (sender.userid, sender.dstid)
    envelope = Envelope(message, sender.conv, sender.node, None, None, owners, target=target)
    sender.writer.submit(envelope)


async def entries(sender: Sender) -> list[Message]:
    return await sender.store.messages.page(sender.conv, above=0, after=0, before=None, limit=1000)


async def first(sender: Sender, text: str = "one") -> Message:
    """A message to act on, in its present state."""
    sender.send(text)
    await sender.heard(1)
    return (await entries(sender))[0]


class Failing:
    """``Acts._apply`` that fails first: with each of ``plan``, or for ever for one content."""

    def __init__(self, sender: Sender, plan: Sequence[str] = (), poison: str = "") -> None:
        self._apply = sender.acts._apply
        self._plan, self._poison = list(plan), poison
        self.calls = 0
        sender.acts._apply = self  # type: ignore[method-assign, assignment]

    async def __call__(self, acts: Any) -> Any:
        self.calls += 1
        plan = self._plan.pop(0) if self._plan else ""
        if plan == "before":
            raise StorageAway("test", maybe_done=False)
        if any(act.entry.content == self._poison for act in acts) and self._poison:
            raise ValueError("poison")
        gone = await self._apply(acts)
        if plan == "after":
            raise StorageAway("test")
        return gone


@pytest.mark.gen_test(timeout=30)
async def test_acts_with_lost_answers_are_stored_and_done_once(data_dir: Path) -> None:
    """Whether inserting or applying lost its answer: one entry each, acked once, in force."""

    async def go(sender: Sender) -> None:
        message = await first(sender)
        Failing(sender, ["before", "after", "", "after"])
        sender.messages.inserts = ["lost", "doubt", "half"]
        await act(sender, EDIT, message.id, "two", "e1")
        sender.send("other")
        await act(sender, REACTION, message.id, "x", "r1")
        await act(sender, EDIT, message.id, "two", "e1")
        told = await sender.heard(5)
        assert told[1:] == [
            ("stored", "e1", 2),
            ("stored", "other", 3),
            ("stored", "r1", 4),
            ("dup", "e1", 2),
        ]
        log = await entries(sender)
        assert [entry.cmd for entry in log] == [10, EDIT, 10, REACTION]
        assert (log[0].content, log[0].reactions) == ("two", {"x": [sender.userid]})
        assert await sender.store.messages.unapplied(0, 2**53, 10) == []

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=30)
async def test_act_that_cannot_be_done_holds_up_nobody(data_dir: Path) -> None:
    """What is stored with it and behind it is told and done; it is tried again later."""

    async def go(sender: Sender) -> None:
        message = await first(sender)
        Failing(sender, poison="poison")
        sender.messages.gate = asyncio.Event()
        sender.send("before")
        await act(sender, EDIT, message.id, "poison", "e1")
        await act(sender, REACTION, message.id, "x", "r1")
        sender.send("behind")
        sender.messages.gate.set()
        told = await sender.heard(5)
        assert [kind for kind, _, _ in told] == ["stored"] * 5
        sender.send("later")
        assert (await sender.heard(6))[-1] == ("stored", "later", 6)
        [present, *_] = await entries(sender)
        assert (present.content, present.reactions) == ("one", {"x": [sender.userid]})
        [undone] = await sender.store.messages.unapplied(0, 2**53, 10)
        assert undone.message.cid == "e1"

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=30)
async def test_recovery_gets_past_an_act_that_cannot_be_done(data_dir: Path) -> None:
    """Nor does it go round in circles for one whose message is not there."""

    async def go(sender: Sender) -> None:
        message = await first(sender)
        long_ago = message.id - (60_000 << 12)
        for n, (content, ref) in enumerate(
            (("poison", message.id), ("lost", 5), ("good", message.id))
        ):
            entry = Message(
                id=long_ago + n, cmd=EDIT, chat=SINGLE, userid=sender.userid, dstid=sender.dstid
            )
            entry.seq, entry.ts, entry.content, entry.ref = 2 + n, now_ms(), content, ref
            document = sender.store.messages.encode(
                Stored(entry, "", sender.conv), (sender.userid, sender.dstid), Tally(1, 1, 1)
            )
            await sender.store.messages.insert([document])
        Failing(sender, poison="poison")
        async with asyncio.timeout(5):
            await sender.acts._recover_all()
        assert (await entries(sender))[0].content == "good"

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=30)
async def test_doubt_about_an_act_whose_place_became_a_void(data_dir: Path) -> None:
    """It takes the next place."""

    async def go(sender: Sender) -> None:
        message = await first(sender)
        insert = sender.messages.insert

        async def lose_the_place(documents: Sequence[bytes]) -> Any:
            sender.messages.insert = insert  # type: ignore[method-assign]
            await sender.store.messages.void(sender.conv, 2, now_ms())
            raise StorageAway("test")

        sender.messages.insert = lose_the_place  # type: ignore[method-assign, assignment]
        await act(sender, EDIT, message.id, "two", "e1")
        assert (await sender.heard(2))[1:] == [("stored", "e1", 3)]
        assert [(entry.seq, entry.cmd) for entry in await entries(sender)] == [
            (1, 10),
            (2, 9),
            (3, EDIT),
        ]

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("done", ["reaction", "recall"])
async def test_message_that_was_acted_on_while_in_doubt_is_stored_once(
    data_dir: Path, done: str
) -> None:
    """Others see what is stored before its writer knows that it is; it has no cid to go by."""

    async def go(sender: Sender) -> None:
        insert = sender.messages.insert

        async def act_and_lose_the_answer(documents: Sequence[bytes]) -> Any:
            sender.messages.insert = insert  # type: ignore[method-assign]
            await insert(documents)
            key = {"_id": entry_key(sender.conv, 1)}
            change = (
                {"reactions": {str(sender.dstid): {"text": "x", "seq": 9}}}
                if done == "reaction"
                else {"first": b"digest", "recalled": True}
            )
            await sender.store.messages._collection.update_one(key, {"$set": change})
            raise StorageAway("test")

        sender.messages.insert = act_and_lose_the_answer  # type: ignore[method-assign, assignment]
        sender.send("a", cid_given=False)
        assert await sender.heard(1) == [("stored", "", 1)]
        assert len(await entries(sender)) == 1

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=30)
async def test_overtaken_entry_of_another_node_while_ends_are_read(data_dir: Path) -> None:
    """What it makes useless of what was just read is read again."""

    async def go(sender: Sender) -> None:
        sender.send("a")
        await sender.heard(1)
        last = sender.messages._store.last

        async def read_while_the_bus_brings(conv: str) -> Any:
            end = await last(conv)
            sender.writer.saw(sender.conv, Message(id=2**50, cmd=10, seq=9))
            return end

        sender.messages.last = read_while_the_bus_brings  # type: ignore[attr-defined]
        partner, conv = sender.dstid, sender.conv
        sender.dstid, sender.conv = sender.userid, f"{sender.userid}-{sender.userid}"
        sender.send("note")
        sender.dstid, sender.conv = partner, conv
        sender.send("b")
        assert (await sender.heard(3))[1:] == [("stored", "note", 1), ("stored", "b", 2)]

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=60)
async def test_recall_of_a_message_with_many_edits_takes_all_their_texts(data_dir: Path) -> None:
    """However long they are; a repeated act does not read them again."""

    async def go(sender: Sender) -> None:
        message = await first(sender)
        text = "\U0001f600" * 20_000
        for start in range(0, 240, 80):
            for n in range(start, start + 80):
                await act(sender, EDIT, message.id, text, f"e{n}")
            await sender.heard(2 + start)
        await act(sender, RECALL, message.id, "", "r")
        await sender.heard(242)
        left = await sender.store.messages._collection.count_documents(
            {"conv": sender.conv, "content": {"$exists": True}}
        )
        assert left == 0

    await run(data_dir, go)


@pytest.mark.gen_test(timeout=30)
async def test_what_acts_keep_of_their_messages_counts_against_the_queue(data_dir: Path) -> None:
    """Short acts on long messages do not fill the memory while the database is away."""

    async def go(sender: Sender) -> None:
        message = await first(sender, "x" * 20_000)
        sender.messages.gate = asyncio.Event()
        with pytest.raises(ChatError) as refused:
            for n in range(50):
                await act(sender, REACTION, message.id, "x", f"r{n}")
        assert refused.value.slug == "storage-away"
        sender.messages.gate.set()

    await run(data_dir, go, queue_bytes=2_000_000)
