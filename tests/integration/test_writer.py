"""The group-commit writer against a real mongod, with its answers lost, late or contradicted."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from server.acts import Acts
from server.clients import ClientNode
from server.deliveries import Envelope
from server.errors import ChatError, StorageAway
from server.metrics import Metrics
from server.model import SINGLE, Message, Tally, User, conversation
from server.ports import Inserted, Stored
from server.settings import load
from server.store.mongo import MongoStore, open_store
from server.store.mongod import PrivateMongod
from server.writer import Writer

_users = itertools.count(1000)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("writer")


class Interposed:
    """The real message store, with one insert or read at a time going wrong on demand."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.inserts: list[str] = []
        self.batches: list[int] = []
        self.gate: asyncio.Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def insert(self, documents: Sequence[bytes]) -> Inserted:
        """Plans: ``lost`` stores and loses the answer, ``unsent`` and ``doubt`` store nothing."""
        if self.gate is not None:
            await self.gate.wait()
        plan = self.inserts.pop(0) if self.inserts else ""
        self.batches.append(len(documents))
        if plan == "unsent":
            raise StorageAway("test", maybe_done=False)
        if plan == "doubt":
            raise StorageAway("test")
        if plan.startswith("half"):
            await self._store.insert(documents[: len(documents) // 2])
            raise StorageAway("test")
        result: Inserted = await self._store.insert(documents)
        if plan == "lost":
            raise StorageAway("test")
        return result


class Sender:
    """Two fresh users, and what the writer said of the first one's messages."""

    def __init__(self, store: MongoStore, **limits: Any) -> None:
        nothing: Any = None
        self.store = store
        self.userid, self.dstid = next(_users), next(_users)
        self.conv = conversation(SINGLE, self.userid, self.dstid)
        self.node = ClientNode(User(self.userid), nothing, Mock())
        self.messages = Interposed(store.messages)
        self.told: list[tuple[str, str, int]] = []
        self._news = asyncio.Event()
        self.acts = Acts(store.messages, load(None, {}).limits, b"key")
        bounds = {"queue_documents": 10_000, "queue_bytes": 2**25, "hold_s": 10.0} | limits
        self.writer = Writer(
            self.messages,  # type: ignore[arg-type]
            store.places,
            self.acts,
            Metrics(),
            stored=self._stored,
            refused=self._refused,
            **bounds,
        )

    def _stored(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            kind = "dup" if envelope.dup else "stored"
            self.told.append((kind, envelope.message.cid, envelope.message.seq))
        self._news.set()

    def _refused(self, envelope: Envelope, error: ChatError) -> None:
        self.told.append((error.slug, envelope.message.cid, 0))
        envelope.answered = True
        self._news.set()

    def send(self, *cids: str, content: str = "", cid_given: bool = True) -> None:
        for cid in cids:
            message = Message(
                cmd=10,
                userid=self.userid,
                dstid=self.dstid,
                media=1,
                content=content or cid,
                cid=cid if cid_given else "",
            )
            owners = (self.userid, self.dstid)
            self.writer.submit(Envelope(message, self.conv, self.node, None, None, owners))

    async def heard(self, count: int) -> list[tuple[str, str, int]]:
        async with asyncio.timeout(20):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()
        return self.told

    async def log(self) -> list[tuple[int, str]]:
        page = await self.store.messages.page(self.conv, above=0, after=0, before=None, limit=1000)
        return [(message.seq, message.content) for message in page]


async def run(data_dir: Path, act: Any, **limits: Any) -> None:
    settings = load(None, {"TANDEM_DATA_DIR": str(data_dir)})
    async with (
        PrivateMongod(settings.mongodb, data_dir) as mongod,
        open_store(mongod.url, settings.mongodb) as store,
    ):
        sender = Sender(store, **limits)
        await act(sender)
        assert await sender.writer.close(10)


@pytest.mark.gen_test(timeout=30)
async def test_answer_lost_after_storing_acks_once_and_stores_once(data_dir: Path) -> None:
    """An insert that took effect before its answer was lost is found again, not repeated."""

    async def act(sender: Sender) -> None:
        sender.messages.inserts = ["lost"]
        sender.send("a", "b", "c")
        assert await sender.heard(3) == [("stored", "a", 1), ("stored", "b", 2), ("stored", "c", 3)]
        assert await sender.log() == [(1, "a"), (2, "b"), (3, "c")]

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_answer_lost_after_half_was_stored_completes_the_rest(data_dir: Path) -> None:
    """What the database has is acked, what it lacks is stored now, in the same places."""

    async def act(sender: Sender) -> None:
        sender.messages.inserts = ["half", "doubt", "half"]
        sender.send(*"abcdefgh", cid_given=False)
        told = await sender.heard(8)
        assert [(kind, seq) for kind, _, seq in told] == [("stored", n) for n in range(1, 9)]
        assert await sender.log() == list(enumerate("abcdefgh", 1))

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_insert_never_sent_is_refused_and_takes_no_seq(data_dir: Path) -> None:
    """503 for all of the flush and of the queue behind; the next message takes the next seq."""

    async def act(sender: Sender) -> None:
        sender.send("a")
        await sender.heard(1)
        sender.messages.inserts = ["unsent"]
        sender.messages.gate = asyncio.Event()
        sender.send("b", "c")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sender.send("d")
        sender.messages.gate.set()
        told = await sender.heard(4)
        assert [kind for kind, _, _ in told[1:]] == ["storage-away"] * 3
        sender.send("e")
        assert (await sender.heard(5))[-1] == ("stored", "e", 2)
        assert await sender.log() == [(1, "a"), (2, "e")]

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_long_doubt_tells_the_sender_503_and_acks_after_all(data_dir: Path) -> None:
    """After ``hold_s`` the sender hears 503; the message is stored when the database is back."""

    async def act(sender: Sender) -> None:
        sender.messages.inserts = ["doubt"] * 4
        sender.send("a")
        told = await sender.heard(2)
        assert told == [("storage-away", "a", 0), ("stored", "a", 1)]
        assert await sender.log() == [(1, "a")]

    await run(data_dir, act, hold_s=0.3)


@pytest.mark.gen_test(timeout=30)
async def test_seq_taken_by_another_node_is_replaced(data_dir: Path) -> None:
    """The loser of the race re-reads and takes the next places; its order stays."""

    async def act(sender: Sender) -> None:
        sender.send("a")
        await sender.heard(1)
        foreign = Message(id=2**50, cmd=10, userid=1, dstid=2, content="foreign", seq=2)
        document = sender.store.messages.encode(
            Stored(foreign, "", sender.conv), (), Tally(2, 0, 2)
        )
        await sender.store.messages.insert([document])
        sender.send("b", "c", "d")
        assert (await sender.heard(4))[1:] == [
            ("stored", "b", 3),
            ("stored", "c", 4),
            ("stored", "d", 5),
        ]
        assert await sender.log() == [(1, "a"), (2, "foreign"), (3, "b"), (4, "c"), (5, "d")]

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_repeated_cid_with_lost_answers_stays_one_message(data_dir: Path) -> None:
    """A repeat in the same flush and a later one find the first, whatever got lost between."""

    async def act(sender: Sender) -> None:
        sender.messages.inserts = ["lost", "lost", "lost"]
        sender.send("a", "b", "a", "c")
        told = await sender.heard(4)
        assert told == [("stored", "a", 1), ("stored", "b", 2), ("dup", "a", 1), ("stored", "c", 3)]
        sender.send("b", content="other")
        assert (await sender.heard(5))[-1] == ("cid-reused", "b", 0)
        assert await sender.log() == [(1, "a"), (2, "b"), (3, "c")]

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_document_that_cannot_be_stored_does_not_sink_its_batch(data_dir: Path) -> None:
    """A lone surrogate that slipped through is refused alone; the seqs stay whole."""

    async def act(sender: Sender) -> None:
        sender.send("a")
        sender.send("b", content="\ud800")
        sender.send("c")
        told = await sender.heard(3)
        assert sorted(told) == [("bad-field", "b", 0), ("stored", "a", 1), ("stored", "c", 2)]
        assert await sender.log() == [(1, "a"), (2, "c")]

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_full_queue_refuses_at_once_and_stores_the_rest(data_dir: Path) -> None:
    """Beyond the bound a send is refused with nothing stored; what was taken is stored."""

    async def act(sender: Sender) -> None:
        sender.messages.gate = asyncio.Event()
        sender.send("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sender.send(*(str(n) for n in range(5)))
        with pytest.raises(ChatError) as refused:
            sender.send("too many")
        assert refused.value.slug == "storage-away"
        sender.messages.gate.set()
        await sender.heard(6)
        assert [content for _, content in await sender.log()] == ["a", "0", "1", "2", "3", "4"]

    await run(data_dir, act, queue_documents=5)


@pytest.mark.gen_test(timeout=30)
async def test_messages_during_a_flush_are_merged_into_the_next(data_dir: Path) -> None:
    """No timer: one insert for the first message, one for all that came meanwhile."""

    async def act(sender: Sender) -> None:
        sender.messages.gate = asyncio.Event()
        sender.send("first")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sender.send(*(str(n) for n in range(200)))
        sender.messages.gate.set()
        await sender.heard(201)
        assert sender.messages.batches[0] == 1
        assert len(sender.messages.batches) <= 3

    await run(data_dir, act)


@pytest.mark.gen_test(timeout=30)
async def test_cancelled_reading_ends_whenever_it_is_cancelled(data_dir: Path) -> None:
    """Or a task that reads for ever would go on reading, and the server would not stop."""

    async def read_for_ever(sender: Sender) -> None:
        while True:
            with suppress(StorageAway):
                await sender.store.messages.newest([sender.userid], 0, 2**53)

    async def act(sender: Sender) -> None:
        for turns in range(40):
            # Connected before: the driver leaks a socket where connecting is cancelled.
            await sender.store.messages.newest([sender.userid], 0, 2**53)
            reading = asyncio.create_task(read_for_ever(sender))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            done, _ = await asyncio.wait({reading}, timeout=2)
            assert done and reading.cancelled()

    await run(data_dir, act)
