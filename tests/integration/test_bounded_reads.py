"""What each question to the history reads does not grow with the length of a conversation."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.model import EDIT, GROUP, REACTION, RECALL, SINGLE, Message, Tally, first_id_of
from server.ports import Act, Pointer, Stored
from server.store.messages import COUNTED
from tests.integration.test_writer import Sender, data_dir, run

__all__ = ["data_dir"]

LONG = 12_000
TIME = 1_760_000_000_000
ME, OTHER, QUIET, GID = 20_001, 20_002, 20_003, 20_004
PAIR, ASIDE, TEAM = f"{ME}-{OTHER}", f"{ME}-{QUIET}", f"g{GID}"


async def fill(
    store: Any, conv: str, cmd: int, seqs: range, users: tuple[int, int], later_ms: int = 0
) -> None:
    """Entries a second apart, of the two users in turn."""
    batch = []
    for seq in seqs:
        ts = TIME + 1000 * seq + later_ms
        author = users[seq % 2]
        message = Message(id=first_id_of(ts), userid=author, cmd=cmd, media=1, content="x")
        message.dstid = GID if cmd == GROUP else users[(seq + 1) % 2]
        message.seq, message.ts, message.cid = seq, ts, str(seq)
        owners = (GID,) if cmd == GROUP else users
        low = seq // 2 if cmd == SINGLE else 0
        batch.append(store.encode(Stored(message, "", conv), owners, Tally(seq, low, seq)))
        if len(batch) == 1000:
            await store.insert(batch)
            batch = []
    if batch:
        await store.insert(batch)


@pytest.mark.gen_test(timeout=90)
async def test_no_question_reads_the_whole_log(data_dir: Path) -> None:
    """Each uses an index, and of it no more than it answers with, or counts up to its bound."""

    async def act(sender: Sender) -> None:
        messages, places = sender.store.messages, sender.store.places
        database = sender.store._database
        await fill(messages, PAIR, SINGLE, range(1, LONG + 1), (ME, OTHER))
        await fill(messages, TEAM, GROUP, range(1, LONG + 1), (ME, OTHER))
        await fill(messages, ASIDE, SINGLE, range(1, 11), (ME, QUIET))
        for conv in (PAIR, ASIDE):
            await places.add(conv, [int(part) for part in conv.split("-")])
        middle = (await messages.page(PAIR, above=0, after=LONG // 2, before=None, limit=1))[0]
        known = await messages.by_id(PAIR, middle.id)
        assert known is not None
        now = TIME + 1000 * LONG
        edge = (await messages.page(ASIDE, above=0, after=4, before=None, limit=1))[0].id
        anything: dict[str, Any] = {"start_ms": None, "end_ms": None}
        page: dict[str, Any] = {"after_id": None, "before_id": None, "limit": 50} | anything
        page["backward"] = False

        def apply(cmd: int) -> Callable[[], Awaitable[Any]]:
            entry = Message(id=middle.id + 1, cmd=cmd, seq=LONG + 1, userid=ME, ref=middle.id)
            done = Act(PAIR, entry, known._replace(first=b"x"))
            return lambda: messages.apply([done], lambda _: b"")

        questions: list[tuple[int, Callable[[], Awaitable[Any]]]] = [
            (10, lambda: messages.by_cids(PAIR, ME, ["5", "7000"])),
            (10, lambda: messages.by_id(PAIR, middle.id)),
            (10, lambda: messages.at([(PAIR, 5)])),
            (10, lambda: messages.tallies([(PAIR, 5)])),
            (10, lambda: messages.last(PAIR)),
            (60, lambda: messages.page(PAIR, above=0, after=None, before=None, limit=50)),
            (60, lambda: messages.page(PAIR, above=0, after=900, before=None, limit=50)),
            (210, lambda: messages.entries(PAIR, 900, None, 200)),
            (110, lambda: messages.newest([ME, GID], first_id_of(now - 50_000), 2**53)),
            (10, lambda: messages.void(PAIR, LONG // 2, 1)),
            (210, lambda: messages.named(PAIR, (ME, OTHER), "nothing")),
            (210, lambda: messages.named(PAIR, (ME, OTHER), str(middle.id))),
            (10, lambda: messages.unapplied(0, 2**53, 200)),
            (60, lambda: messages.archive(ME, conv=None, **page)),
            (60, lambda: messages.archive(ME, conv=ASIDE, **page)),
            (60, lambda: messages.archive(ME, conv=ASIDE, **page | {"backward": True})),
            (60, lambda: messages.archive(ME, conv=ASIDE, **page | {"after_id": edge})),
            (60, lambda: messages.archive(ME, conv=None, **page | {"start_ms": now - 50_000})),
            (60, lambda: messages.archive(ME, conv=PAIR, **page | {"start_ms": now - 50_000})),
            (COUNTED + 10, lambda: messages.archive_count(ME, conv=None, **anything)),
            (COUNTED + 10, lambda: messages.archive_count(ME, conv=PAIR, **anything)),
            (20, lambda: messages.archive_count(ME, conv=ASIDE, **anything)),
            (10, lambda: messages.archive_has(ME, middle.id)),
            (60, lambda: messages.own_in_groups(ME, (TEAM, 900), 50)),
            (110, lambda: messages.missed(ME, 0, 50)),
            (10, apply(REACTION)),
            (10, apply(EDIT)),
            (10, apply(RECALL)),
            (10, lambda: places.of([(PAIR, ME)])),
            (10, lambda: places.of_conversation(PAIR)),
            (10, lambda: places.move([Pointer(PAIR, ME, 5, 5, Tally(5, 2, 5))])),
            (10, lambda: places.set(PAIR, ME, {"pinned": True}, 1)),
            (10, lambda: places.inbox(ME, None, 201)),
            (10, lambda: places.unread(ME, {PAIR: 0, ASIDE: 5, TEAM: 0})),
            (60, lambda: places.sent(ME, {TEAM: (LONG - 100, LONG)})),
        ]
        profiled = database["system.profile"]
        ours = {"ns": {"$regex": r"\.(messages|members)$"}, "appName": "tandem"}
        for number, (most, ask) in enumerate(questions):
            await database.command("profile", 2)
            await ask()
            await database.command("profile", 0)
            for each in await profiled.find(ours).to_list(None):
                assert each.get("planSummary") != "COLLSCAN", (number, each)
                assert each.get("keysExamined", 0) <= most, (number, each)
                assert each.get("docsExamined", 0) <= most, (number, each)
            await profiled.drop()

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=60)
async def test_archive_with_somebody_is_paged_from_any_entry(data_dir: Path) -> None:
    """Also from one of another conversation, as a client that had read everything may ask."""

    async def act(sender: Sender) -> None:
        messages = sender.store.messages
        me, other, quiet = 30_001, 30_002, 30_003
        pair, aside = f"{me}-{other}", f"{me}-{quiet}"
        await fill(messages, pair, SINGLE, range(1, 11), (me, other))
        await fill(messages, aside, SINGLE, range(1, 11), (me, quiet), 500)
        await messages.void(aside, 11, 1)
        everything: dict[str, Any] = {"start_ms": None, "end_ms": None, "limit": 50}
        for edge_of, first in ((aside, 6), (pair, 5)):
            [edge] = await messages.page(edge_of, above=0, after=4, before=None, limit=1)
            for backward in (False, True):
                behind = await messages.archive(
                    me,
                    conv=aside,
                    after_id=edge.id,
                    before_id=None,
                    backward=backward,
                    **everything,
                )
                assert [entry.message.seq for entry in behind] == list(range(first, 11))
                before = await messages.archive(
                    me,
                    conv=aside,
                    after_id=None,
                    before_id=edge.id,
                    backward=backward,
                    **everything,
                )
                assert [entry.message.seq for entry in before] == [1, 2, 3, 4]
            counted = await messages.archive_count(
                me, conv=aside, start_ms=None, end_ms=None, before_id=edge.id
            )
            assert counted == 4

    await run(data_dir, act)
