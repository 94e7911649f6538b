"""The search's index against a real mongod, with what goes wrong behind the writer."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from server import indexer as module
from server.errors import StorageAway
from server.grams import Wanted
from server.indexer import Indexer
from server.model import MAX_ID, SINGLE, Message, Tally, conversation, first_id_of
from server.ports import Scope, Stored
from server.settings import load
from server.store.mongo import MongoStore, open_store
from server.store.mongod import PrivateMongod

NOW = 1_710_000_000_000
_users = itertools.count(1000)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexer")


class Failing:
    """The real store of the index; ``plan`` names what fails next, with or without effect."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.plan: list[str] = []
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)

        async def call(*args: Any) -> Any:
            self.calls.append(name)
            fails = self.plan[0] if self.plan else ""
            if fails.partition("-")[2] != name:
                return await real(*args)
            self.plan.pop(0)
            if fails.startswith("late"):
                await real(*args)
            raise StorageAway("test")

        return call


class Talk:
    """A conversation of fresh users, written straight into the history."""

    def __init__(self, store: MongoStore, raw: Any) -> None:
        self.store = store
        self.raw = raw
        self.userid, self.dstid = next(_users), next(_users)
        self.conv = conversation(SINGLE, self.userid, self.dstid)
        self.failing = Failing(store.search)
        self.indexer = Indexer(self.failing, store.messages)  # type: ignore[arg-type]

    async def write(self, *texts: str, first: int = 1, ts: int = NOW) -> None:
        documents = []
        for seq, text in enumerate(texts, first):
            message = Message(
                id=first_id_of(ts) + seq,
                userid=self.userid,
                cmd=10,
                dstid=self.dstid,
                media=1,
                content=text,
                seq=seq,
                ts=ts,
            )
            entry = Stored(message, "", self.conv)
            documents.append(self.store.messages.encode(entry, (self.userid, self.dstid), Tally()))
        assert (await self.store.messages.insert(documents)).stored == len(documents)

    async def change(self, seq: int, update: dict[str, Any]) -> None:
        await self.raw.messages.update_one({"_id": f"{self.conv}:{seq:016d}"}, update)

    async def candidates(self, query: str) -> list[int]:
        """The seqs that the index has for a query, newest first."""
        grams = Wanted(query).grams
        scope = Scope({self.conv: (0, 1000)}, grams, None, None, None, None)
        return [found.seq for found in await self.store.search.find(scope, MAX_ID, (), 1000)]

    async def mark(self) -> int:
        return (await self.store.search.marks([self.conv])).get(self.conv, 0)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(15):
            while not await holds():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def talking(data_dir: Path):  # type: ignore[no-untyped-def]
    settings = load(None, {"TANDEM_DATA_DIR": str(data_dir)})
    async with (
        PrivateMongod(settings.mongodb, data_dir) as mongod,
        open_store(mongod.url, settings.mongodb) as store,
        AsyncMongoClient[dict[str, Any]](mongod.url) as client,
    ):
        yield Talk(store, client.tandem)


def numbered(count: int, first: int = 1) -> list[str]:
    return [f"lemon {n}" for n in range(first, first + count)]


@pytest.mark.gen_test(timeout=30)
async def test_wherever_the_database_goes_away_nothing_is_left_out(data_dir: Path) -> None:
    """With or without effect, at each step, in the task or in the middle of somebody's search."""
    async with talking(data_dir) as talk:
        texts = numbered(40)
        await talk.write(*texts)
        for step in ("marks", "read", "add", "mark"):
            for kind in ("away", "late"):
                talk.failing.plan = [f"{kind}-{step}"]
                talk.indexer._checked.clear()
                await talk.raw.indexed.delete_many({})
                with pytest.raises(StorageAway):
                    await talk.indexer.catch_up([talk.conv])
                talk.indexer._checked.clear()
                await talk.indexer.catch_up([talk.conv])
                assert await talk.mark() == 40
                assert await talk.candidates("lemon") == list(range(40, 0, -1))
                await talk.raw.terms.delete_many({})


@pytest.mark.gen_test(timeout=30)
async def test_task_goes_on_after_the_database_was_away(data_dir: Path) -> None:
    """What it was told of is indexed without anybody searching for it."""
    async with talking(data_dir) as talk:
        talk.failing.plan = ["away-add", "late-mark"]
        talk.indexer.start()
        await talk.write(*numbered(5))
        talk.indexer.wrote(talk.conv, 5)

        async def done() -> bool:
            return await talk.mark() == 5

        await talk.until(done)
        assert len(await talk.candidates("lemon")) == 5
        await talk.indexer.close()


@pytest.mark.gen_test(timeout=30)
async def test_conversation_dropped_from_a_full_queue_is_found_by_its_next_search(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was looked at just before."""
    monkeypatch.setattr(module, "BEHIND", 3)
    async with talking(data_dir) as talk:
        await talk.write(*numbered(4))
        await talk.indexer.catch_up([talk.conv])
        await talk.write(*numbered(4, 5), first=5)
        talk.indexer.wrote(talk.conv, 8)
        for n in range(3):
            talk.indexer.wrote(f"{n}-{n}", 1)
        assert talk.indexer.behind == 3
        await talk.indexer.catch_up([talk.conv])
        assert await talk.candidates("lemon") == [8, 7, 6, 5, 4, 3, 2, 1]


@pytest.mark.gen_test(timeout=30)
async def test_long_history_is_caught_up_in_turns_beside_others(data_dir: Path) -> None:
    """A search waits for a second at most; the task does the rest, and others' in between."""
    async with talking(data_dir) as talk:
        await talk.write(*numbered(900))
        other = Talk(talk.store, talk.raw)
        await other.write("lemon")
        talk.indexer.wrote(talk.conv, 900)
        talk.indexer.wrote(other.conv, 1)
        passed = await talk.indexer._turn([talk.conv, other.conv])
        assert passed <= module.TURN_MESSAGES
        assert await other.candidates("lemon") == [1]
        assert 0 < await talk.mark() < 900
        talk.indexer.start()

        async def done() -> bool:
            return talk.indexer.behind == 0

        await talk.until(done)
        assert len(await talk.candidates("lemon")) == 900
        await talk.indexer.close()


@pytest.mark.gen_test(timeout=30)
async def test_recalled_message_leaves_the_index_at_once(data_dir: Path) -> None:
    """Whether it was indexed already or not, and for whoever read it before the recall."""
    async with talking(data_dir) as talk:
        await talk.write(*numbered(3))
        await talk.indexer.catch_up([talk.conv])
        recall = {"$set": {"recalled": True}, "$unset": {"content": ""}}
        await talk.change(2, recall)
        await talk.indexer.changed([(talk.conv, 2)])
        assert await talk.candidates("lemon") == [3, 1]
        await talk.write(*numbered(2, 4), first=4)
        late = await talk.store.search.read([(talk.conv, 4), (talk.conv, 5)])
        await talk.change(4, recall)
        await talk.indexer.changed([(talk.conv, 4)])
        await talk.store.search.add([module._terms(entry) for entry in late])
        assert await talk.candidates("lemon") == [5, 3, 1]
        talk.indexer.wrote(talk.conv, 5)
        await talk.indexer.catch_up([talk.conv])
        assert await talk.candidates("lemon") == [5, 3, 1]
        assert await talk.mark() == 5


@pytest.mark.gen_test(timeout=30)
async def test_recalled_message_with_text_left_is_not_indexed(data_dir: Path) -> None:
    """What is marked as recalled has no text for the search, whatever the document keeps."""
    async with talking(data_dir) as talk:
        await talk.write("lemon", "lemon")
        await talk.change(1, {"$set": {"recalled": True, "memo": "lemon"}})
        await talk.indexer.catch_up([talk.conv])
        assert await talk.candidates("lemon") == [2]


@pytest.mark.gen_test(timeout=30)
async def test_edited_message_is_found_by_its_new_text_only(data_dir: Path) -> None:
    """Whether it was indexed already or not; what nobody has is no mistake."""
    async with talking(data_dir) as talk:
        await talk.write("lemon", "lemon")
        talk.indexer.wrote(talk.conv, 1)
        await talk.indexer._turn([talk.conv])
        for seq in (1, 2):
            await talk.change(seq, {"$set": {"content": "melon"}})
        await talk.indexer.changed([(talk.conv, 1), (talk.conv, 2), (talk.conv, 3)])
        await talk.indexer.catch_up([talk.conv])
        assert await talk.candidates("melon") == [2, 1]
        assert await talk.candidates("lemon") == []


@pytest.mark.gen_test(timeout=30)
async def test_hole_is_waited_for_and_then_passed(data_dir: Path) -> None:
    """While it may still be filled nothing behind it counts as indexed; an old one becomes void."""
    async with talking(data_dir) as talk:
        await talk.write("lemon")
        await talk.write(*["lemon"] * 3, first=4, ts=module.now_ms())
        await talk.indexer.catch_up([talk.conv])
        assert (await talk.mark(), await talk.candidates("lemon")) == (1, [1])
        await talk.write("lemon", first=2)
        await talk.indexer.catch_up([talk.conv])
        assert (await talk.mark(), await talk.candidates("lemon")) == (2, [2, 1])
        await talk.change(4, {"$set": {"ts": module.now_ms() - module.HOLE_MS}})
        await talk.indexer.catch_up([talk.conv])
        assert (await talk.mark(), await talk.candidates("lemon")) == (6, [6, 5, 4, 2, 1])
        assert [entry.message.cmd for entry in await talk.store.search.read([(talk.conv, 3)])] == [
            9
        ]


@pytest.mark.gen_test(timeout=30)
async def test_several_nodes_index_the_same_conversation(data_dir: Path) -> None:
    """Each what it knows of, at the same time: every message has its terms once."""
    async with talking(data_dir) as talk:
        nodes = [Indexer(talk.store.search, talk.store.messages) for _ in range(3)]
        for node in nodes:
            node.start()
        for at in range(0, 120, 10):
            await talk.write(*numbered(10, at + 1), first=at + 1)
            nodes[at // 10 % 3].wrote(talk.conv, at + 10)
            await asyncio.gather(*(node.catch_up([talk.conv]) for node in nodes[:2]))

        async def done() -> bool:
            return not any(node.behind for node in nodes)

        await talk.until(done)
        assert await talk.mark() == 120
        assert await talk.candidates("lemon") == list(range(120, 0, -1))
        assert await talk.raw.terms.count_documents({"_id": {"$regex": f"^{talk.conv}:"}}) == 120
        for node in nodes:
            await node.close()


@pytest.mark.gen_test(timeout=30)
async def test_what_another_node_did_not_index_is_found(data_dir: Path) -> None:
    """By a search of a minute later, and at once where this node saw the message pass."""
    async with talking(data_dir) as talk:
        await talk.write("lemon")
        await talk.indexer.catch_up([talk.conv])
        await talk.write("lemon", first=2)
        talk.indexer.saw(talk.conv)
        await talk.indexer.catch_up([talk.conv])
        assert await talk.candidates("lemon") == [2, 1]
        await talk.write("lemon", first=3)
        talk.indexer._checked[talk.conv] -= module.CHECKED_S
        await talk.indexer.catch_up([talk.conv])
        assert await talk.candidates("lemon") == [3, 2, 1]


@pytest.mark.gen_test(timeout=30)
async def test_equal_ids_of_two_conversations_are_found_both(data_dir: Path) -> None:
    """Two nodes may give the same id; asking on from there leaves out only what was named."""
    async with talking(data_dir) as talk:
        other = Talk(talk.store, talk.raw)
        for one in (talk, other):
            await one.write(*numbered(2))
        await talk.indexer.catch_up([talk.conv, other.conv])
        spans = {talk.conv: (0, 2), other.conv: (0, 2)}
        scope = Scope(spans, Wanted("lemon").grams, None, None, None, None)
        find = talk.store.search.find
        first = await find(scope, MAX_ID, (), 1)
        rest = await find(scope, first[0].id, first, 10)
        assert len({*first, *rest}) == 4
        assert [found.id for found in (*first, *rest)] == sorted(
            (found.id for found in (*first, *rest)), reverse=True
        )
