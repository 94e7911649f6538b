"""Nothing acked is lost: the server killed, its database paused or killed, the server stopped."""

import asyncio
import os
import random
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.json_client import JsonClient, http
from tests.support.node import Node

ROUNDS = int(os.environ.get("TANDEM_LEDGER_ROUNDS", "1"))
SENDERS, EACH, BURST = 20, 100, 10
NOT_STORED = ("storage-away", "stopping")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    own = Node(tmp_path).start()
    yield own
    own.clean_up()


class Ledger:
    """What one sender sent, what was acked, what has to be sent again."""

    def __init__(self, client: JsonClient, dstid: int) -> None:
        self.client = client
        self.dstid = dstid
        self.acked: dict[str, dict[str, Any]] = {}
        self.sent = 0

    def missing(self) -> list[str]:
        return [f"{n}" for n in range(EACH) if f"{n}" not in self.acked]

    def send(self, numbers: Iterable[int]) -> None:
        for n in numbers:
            self.client.send(cmd=10, dstid=self.dstid, content=f"text {n}", cid=f"{n}")
            self.sent += 1

    def send_missing(self) -> None:
        self.send(int(cid) for cid in self.missing())

    def take_acks(self) -> None:
        for frame in list(self.client.frames):
            if frame["cmd"] == 1:
                before = self.acked.setdefault(frame["cid"], frame)
                assert (before["id"], before["seq"]) == (frame["id"], frame["seq"])
                self.client.frames.remove(frame)

    async def until_all_acked(self, timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s):
            while self.missing():
                cid = self.missing()[0]
                frame = await self.client.expect_that(
                    lambda f: f["cmd"] == 1 or (f["cmd"] == 2 and f["reason"] in NOT_STORED),
                    timeout_s,
                    cid,
                )
                if frame["cmd"] == 1:
                    before = self.acked.setdefault(frame["cid"], frame)
                    assert (before["id"], before["seq"]) == (frame["id"], frame["seq"])
                else:
                    self.client.send(
                        cmd=10,
                        dstid=self.dstid,
                        content=f"text {frame['cid']}",
                        cid=frame["cid"],
                    )

    async def check_history(self) -> None:
        """Every acked cid is there exactly once, at its seq, and the seqs are whole."""
        stored = await self.client.history(10, self.dstid)
        assert [m["seq"] for m in stored] == list(range(1, len(stored) + 1))
        assert sorted(m["cid"] for m in stored) == sorted(f"{n}" for n in range(EACH))
        for message in stored:
            ack = self.acked[message["cid"]]
            assert (ack["id"], ack["seq"], ack["ts"]) == (
                message["id"],
                message["seq"],
                message["ts"],
            )
            assert message["content"] == f"text {message['cid']}"


async def open_ledgers(node: Node) -> list[Ledger]:
    clients = [await JsonClient.online(node) for _ in range(SENDERS)]
    return [Ledger(client, clients[(n + 1) % SENDERS].id) for n, client in enumerate(clients)]


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_server_killed_while_sending_loses_nothing_acked(node: Node, round_: int) -> None:
    """kill -9 amid 2,000 sends; after a restart and a resend all is there once, in whole seqs."""
    ledgers = await open_ledgers(node)
    wait_for = random.Random(round_ or None).randrange(1, SENDERS * EACH // 2)
    for start in range(0, EACH, BURST):
        for ledger in ledgers:
            ledger.send(range(start, start + BURST))
        if sum(len(ledger.client.frames) for ledger in ledgers) >= wait_for:
            break
        await asyncio.sleep(0.001)
    # The last burst is on its way when the server dies.
    node.kill()
    for ledger in ledgers:
        await ledger.client.closed()
        ledger.take_acks()
    acked_before = {(n, cid) for n, ledger in enumerate(ledgers) for cid in ledger.acked}
    assert len(acked_before) < sum(ledger.sent for ledger in ledgers), "killed too late"
    node.start()
    for ledger in ledgers:
        await ledger.client.connect()
    # What was acked must be there already, and what else survived must be a prefix of the sends.
    for ledger in ledgers:
        stored = {m["cid"] for m in await ledger.client.history(10, ledger.dstid)}
        assert set(ledger.acked) <= stored
        assert stored == {f"{n}" for n in range(len(stored))}
    for ledger in ledgers:
        ledger.send_missing()
    await asyncio.gather(*(ledger.until_all_acked() for ledger in ledgers))
    for ledger in ledgers:
        await ledger.check_history()
    assert node.stop() == 0


@pytest.mark.gen_test(timeout=120)
async def test_database_paused_for_8_s_loses_nothing_acked(node: Node) -> None:
    """Acks stop and resume, or 503 comes; the resend ends with everything stored once."""
    ledgers = await open_ledgers(node)
    await asyncio.gather(*(ledger.client.say(ledger.dstid, "text 0", "0") for ledger in ledgers))
    mongod = node.mongod_pid()
    os.kill(mongod, signal.SIGSTOP)
    try:
        for ledger in ledgers:
            ledger.send_missing()
        await asyncio.sleep(8)
    finally:
        os.kill(mongod, signal.SIGCONT)
    await asyncio.gather(*(ledger.until_all_acked(60) for ledger in ledgers))
    for ledger in ledgers:
        await ledger.check_history()


@pytest.mark.gen_test(timeout=120)
async def test_database_killed_comes_back_by_itself_and_loses_nothing_acked(node: Node) -> None:
    """The private mongod is started again within 10 s; connections stay; sends succeed again."""
    ledgers = await open_ledgers(node)
    for ledger in ledgers:
        ledger.send_missing()
    await ledgers[0].client.expect(cmd=1, cid="0")
    ledgers[0].client.send(cmd=10, dstid=ledgers[0].dstid, content="text 0", cid="0")
    os.kill(node.mongod_pid(), signal.SIGKILL)
    await asyncio.gather(*(ledger.until_all_acked(60) for ledger in ledgers))
    for ledger in ledgers:
        assert ledger.client.close_code is None
        await ledger.check_history()


@pytest.mark.gen_test(timeout=60)
async def test_database_away_answers_503_within_3_s(node: Node) -> None:
    """No mongod: sends and logins get 503, /readyz fails, /livez does not."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await alice.say(bob.id, "before", "0")
    mongod = node.mongod_pid()
    os.kill(mongod, signal.SIGSTOP)
    os.kill(node.process.pid, 0)  # type: ignore[union-attr]
    try:
        alice.send(cmd=10, dstid=bob.id, content="first, in doubt", cid="1")
        await alice.settled()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.05)
        began = loop.time()
        alice.send(cmd=10, dstid=bob.id, content="queued", cid="2")
        answer = await alice.expect(cmd=2, cid="2")
        assert (answer["code"], answer["reason"]) == (503, "storage-away")
        assert loop.time() - began < 3.5
        assert (await http(node, "GET", "/livez"))[0] == 200
        assert (await http(node, "GET", "/readyz"))[0] == 503
    finally:
        os.kill(mongod, signal.SIGCONT)
    await alice.expect(cmd=1, cid="1", timeout_s=20)
    await alice.say(bob.id, "queued", "2")
    assert [m["content"] for m in await bob.history(10, alice.id)] == [
        "before",
        "first, in doubt",
        "queued",
    ]


@pytest.mark.gen_test(timeout=120)
async def test_sigterm_acks_what_is_in_flight_and_exits_0(node: Node) -> None:
    """Draining stores and acks what came in, refuses the rest with 503, closes with 1012."""
    ledgers = await open_ledgers(node)
    for ledger in ledgers:
        ledger.send_missing()
    await ledgers[0].client.expect(cmd=1)
    node.signal(signal.SIGTERM)
    assert await node.stopped() == 0
    for ledger in ledgers:
        assert await ledger.client.closed() == 1012
    answered = [{f["cid"] for f in ledger.client.frames if f["cmd"] == 1} for ledger in ledgers]
    node.start()
    for ledger, acked in zip(ledgers, answered, strict=True):
        await ledger.client.connect()
        stored = {m["cid"] for m in await ledger.client.history(10, ledger.dstid)}
        assert acked <= stored
    assert node.stop() == 0
    assert node.stray_log_lines() == []


@pytest.mark.gen_test(timeout=60)
async def test_killed_server_leaves_its_database_to_the_next_start(node: Node) -> None:
    """The next start takes the orphaned mongod over; accounts, tokens and history are as before."""
    alice, bob = await JsonClient.online(node), await JsonClient.online(node)
    await alice.say(bob.id, "kept", "c1")
    node.kill()
    await alice.closed()
    node.start()
    await alice.connect()
    assert [m["content"] for m in await alice.history(10, bob.id)] == ["kept"]
    await alice.say(bob.id, "more", "c2")
