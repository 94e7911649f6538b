"""Five users of both protocols do at random what users do; a small model says what each must see.

After every run the history, the unread counts and the mentions of everybody are what the model
has, and nobody reads what they are no member of. On one node, and with the clients on two.
"""

import asyncio
import itertools
import os
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from slixmpp.xmlstream import ET

from stanzas import ns
from tests.support.json_client import JsonClient
from tests.support.node import Node, TwoNodes
from tests.support.xmpp_client import XmppClient

USERS = 5
ON_XMPP = (0, 1)
"""These say in 1:1 conversations what they say over XMPP."""
DEVICES = 3
"""JSON connections of each user."""
PEOPLE = st.integers(0, USERS - 1)
DEVICE = st.integers(0, DEVICES - 1)
REACTIONS = st.sampled_from(["\U0001f44d", "\U0001f389", ""])


@dataclass
class Entry:
    """One message of the model, or an act on one (``of``)."""

    author: int
    cmd: int
    content: str = ""
    id: int = 0
    name: str = ""  # as XMPP clients know it
    recalled: bool = False
    edited: bool = False
    mentions: tuple[int, ...] = ()
    reactions: dict[int, str] = field(default_factory=dict)


@dataclass
class Conversation:
    """A log, and where everybody is in it. ``places``: user → floor; ``read``: user → seq."""

    chat: int
    gid: int = 0
    log: list[Entry] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)
    owner: int = 0

    def messages(self) -> list[tuple[int, Entry]]:
        """Those that can be acted on, with their seqs."""
        return [
            (seq, entry)
            for seq, entry in enumerate(self.log, 1)
            if entry.cmd in (10, 11) and not entry.recalled
        ]

    def unread(self, user: int) -> int:
        read = self.read.get(user, 0)
        return sum(1 for seq, entry in self.messages() if seq > read and entry.author != user)

    def mentioned(self, user: int) -> bool:
        read = self.read.get(user, 0)
        return any(
            seq > read and entry.author != user and user in entry.mentions
            for seq, entry in self.messages()
        )


class Users(RuleBasedStateMachine):
    """The machine; the service comes from the test."""

    service: Node | TwoNodes
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.singles: dict[frozenset[int], Conversation] = {}
        self.groups: list[Conversation] = []
        self.blocks: set[tuple[int, int]] = set()
        self.devices: list[list[JsonClient]] = []
        self.xmpp: dict[int, XmppClient] = {}
        self.cids = itertools.count(1)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    @property
    def clients(self) -> list[JsonClient]:
        """Everybody's first device."""
        return [devices[0] for devices in self.devices]

    @initialize()
    def begin(self) -> None:
        async def log_in() -> None:
            for _ in range(USERS):
                first = await JsonClient.online(self.service)
                others = [await first.another_device().connect() for _ in range(DEVICES - 1)]
                self.devices.append([first, *others])
            for user in ON_XMPP:
                client = XmppClient(self.service, self.clients[user].jid, hears_all=True)
                self.xmpp[user] = await client.login()

        self.run(log_in())

    def teardown(self) -> None:
        if not self.devices:
            return
        try:
            self.run(self.check())
        finally:
            self.run(XmppClient.close_all())
            self.run(JsonClient.close_all())

    # What users do.

    @rule(author=PEOPLE, other=PEOPLE, device=DEVICE)
    def write_to_a_user(self, author: int, other: int, device: int) -> None:
        self.run(self._write(author, other, device))

    async def _write(self, author: int, other: int, device: int) -> None:
        conversation = self.single(author, other)
        me, content = self.devices[author][device], f"m{next(self.cids)}"
        if author in self.xmpp and other != author:
            xmpp, blocked = self.xmpp[author], self.is_apart(author, other)
            xmpp.say(self.clients[other].jid, content, id=content)
            if blocked:
                await xmpp.expect(lambda message: message["type"] == "error")
                return
            # One's other devices hear what was stored.
            heard = await me.expect(cmd=10, content=content)
            conversation.log.append(Entry(author, 10, content, heard["id"], content))
            return
        me.send(cmd=10, dstid=self.clients[other].id, content=content, cid=content)
        if self.is_apart(author, other):
            reason = "blocked" if (author, other) in self.blocks else "not-allowed"
            assert (await me.expect(cmd=2, cid=content))["reason"] == reason
            return
        ack = await me.expect(cmd=1, cid=content)
        conversation.log.append(Entry(author, 10, content, ack["id"], content))
        assert ack["seq"] == len(conversation.log)

    @rule(author=PEOPLE, which=st.integers(0, 2), mention=st.none() | PEOPLE)
    def write_to_a_group(self, author: int, which: int, mention: int | None) -> None:
        if which < len(self.groups):
            self.run(self._write_to_group(author, self.groups[which], mention))

    async def _write_to_group(self, author: int, group: Conversation, mention: int | None) -> None:
        me, content = self.clients[author], f"g{next(self.cids)}"
        mentions = () if mention is None else (mention,)
        at = [self.clients[user].id for user in mentions]
        me.send(cmd=11, dstid=group.gid, content=content, cid=content, **({"at": at} if at else {}))
        if author not in group.places:
            assert (await me.expect(cmd=2, cid=content))["reason"] == "not-a-member"
            return
        ack = await me.expect(cmd=1, cid=content)
        group.log.append(Entry(author, 11, content, ack["id"], content, mentions=mentions))
        assert ack["seq"] == len(group.log)

    @rule(
        actor=PEOPLE, pick=st.integers(0, 1000), cmd=st.sampled_from([14, 15, 16]), text=REACTIONS
    )
    def act(self, actor: int, pick: int, cmd: int, text: str) -> None:
        every = [
            (conversation, seq, entry)
            for conversation in (*self.singles.values(), *self.groups)
            for seq, entry in conversation.messages()
        ]
        if every:
            self.run(self._act(actor, *every[pick % len(every)], cmd, text))

    async def _act(
        self, actor: int, conversation: Conversation, seq: int, entry: Entry, cmd: int, text: str
    ) -> None:
        me, cid = self.clients[actor], f"a{next(self.cids)}"
        content = text if cmd == 16 else f"edited {cid}" if cmd == 15 else ""
        if conversation.chat == 11:
            dstid, other, is_member = conversation.gid, -1, actor in conversation.places
        else:
            pair = next(pair for pair, one in self.singles.items() if one is conversation)
            is_member = actor in pair
            other = next(iter(pair - {actor}), actor) if is_member else min(pair)
            dstid = self.clients[other].id
        expected = self.refusal(actor, other, conversation, seq, entry, cmd, is_member)
        if actor in self.xmpp and conversation.chat == 10 and dstid != me.id and is_member:
            self._say_act(self.xmpp[actor], dstid, entry.name, cmd, content, cid)
            if expected:
                await self.xmpp[actor].expect(lambda message: message["type"] == "error")
                return
            answer = await me.expect(cmd=cmd, cid=cid)
        else:
            frame = {"cmd": cmd, "chat": conversation.chat, "dstid": dstid, "ref": entry.id}
            me.send(**frame, content=content, cid=cid)
            answer = await me.expect_that(lambda one: one.get("cid") == cid)
            if expected:
                assert answer.get("reason") == expected, (answer, frame)
                return
            assert answer["cmd"] == 1, answer
        conversation.log.append(Entry(actor, cmd, content, answer["id"]))
        if cmd == 14:
            entry.recalled, entry.content = True, ""
            entry.reactions, entry.mentions = {}, ()
        elif cmd == 15:
            entry.content, entry.edited = content, True
        else:
            entry.reactions.pop(actor, None)
            if text:
                entry.reactions[actor] = text

    def _say_act(
        self, xmpp: XmppClient, dstid: int, name: str, cmd: int, content: str, cid: str
    ) -> None:
        message = xmpp.make_message(mto=f"{dstid}@localhost", mtype="chat")
        message.append(ET.Element(f"{{{ns.IDS}}}origin-id", id=cid))
        if cmd == 15:
            message["body"] = content
        tag = {14: f"{{{ns.RETRACT}}}retract", 15: f"{{{ns.CORRECT}}}replace"}.get(
            cmd, f"{{{ns.REACTIONS}}}reactions"
        )
        element = ET.SubElement(message.xml, tag, id=name)
        if cmd == 16 and content:
            ET.SubElement(element, f"{{{ns.REACTIONS}}}reaction").text = content
        message.send()

    def refusal(
        self,
        actor: int,
        other: int,
        conversation: Conversation,
        seq: int,
        entry: Entry,
        cmd: int,
        is_member: bool,
    ) -> str:
        if conversation.chat == 11:
            if not is_member:
                return "not-a-member"
            if seq <= conversation.places[actor]:
                return "no-such-message"
        else:
            if cmd != 14 and self.is_apart(actor, other):
                return "blocked" if (actor, other) in self.blocks else "not-allowed"
            if not is_member:
                return "no-such-message"
        moderates = cmd == 14 and conversation.chat == 11 and actor == conversation.owner
        if cmd != 16 and entry.author != actor and not moderates:
            return "not-allowed"
        return ""

    @rule(user=PEOPLE, device=DEVICE, pick=st.integers(0, 1000), part=st.floats(0, 1))
    def read(self, user: int, device: int, pick: int, part: float) -> None:
        mine = [
            (self.clients[next(iter(pair - {user}), user)].id, conversation)
            for pair, conversation in self.singles.items()
            if user in pair and conversation.log
        ]
        mine += [(group.gid, group) for group in self.groups if user in group.places and group.log]
        if mine:
            self.run(self._read(user, device, *mine[pick % len(mine)], part))

    async def _read(
        self, user: int, device: int, dstid: int, conversation: Conversation, part: float
    ) -> None:
        seq = max(1, round(part * len(conversation.log)))
        me = self.devices[user][device]
        me.send(cmd=12, chat=conversation.chat, dstid=dstid, seq=seq, state="read")
        if seq > conversation.read.get(user, 0):
            conversation.read[user] = seq
            # There is no answer; the pointer itself says when it has moved.
            async with asyncio.timeout(10):
                while (await me.line(dstid, conversation.chat))["read"] < seq:
                    await asyncio.sleep(0.01)

    @rule(owner=PEOPLE, members=st.sets(PEOPLE, max_size=3))
    def make_a_group(self, owner: int, members: set[int]) -> None:
        if len(self.groups) < 3:
            self.run(self._make_group(owner, members - {owner}))

    async def _make_group(self, owner: int, members: set[int]) -> None:
        ids = [self.clients[member].id for member in members]
        body = {"name": "g", "members": ids}
        status, group = await self.clients[owner].call("POST", "/api/groups", body)
        if any((member, owner) in self.blocks for member in members):
            assert status == 403
            return
        assert status == 201
        everyone = {owner, *members}
        self.groups.append(
            Conversation(11, group["id"], places=dict.fromkeys(everyone, 0), owner=owner)
        )

    @rule(which=st.integers(0, 2), user=PEOPLE, comes=st.booleans())
    def come_or_go(self, which: int, user: int, comes: bool) -> None:
        if which < len(self.groups):
            self.run(self._come_or_go(self.groups[which], user, comes))

    async def _come_or_go(self, group: Conversation, user: int, comes: bool) -> None:
        if user == group.owner or (user in group.places) is comes:
            return
        owner, path = self.clients[group.owner], f"/api/groups/{group.gid}/members"
        if comes:
            status, _ = await owner.call("POST", path, {"id": self.clients[user].id})
            assert status == (403 if (user, group.owner) in self.blocks else 201)
            if status == 403:
                return
            group.places[user] = group.read[user] = len(group.log)
        else:
            status, _ = await owner.call("DELETE", f"{path}/{self.clients[user].id}")
            assert status == 204
            del group.places[user]
            group.read.pop(user, None)
        await self._known_everywhere(group, user)

    async def _known_everywhere(self, group: Conversation, user: int) -> None:
        """Another node may hear of it a moment later."""
        wanted = 200 if user in group.places else 403
        path = f"/api/messages?chat=11&dstid={group.gid}"
        async with asyncio.timeout(10):
            while (await self.clients[user].call("GET", path))[0] != wanted:
                await asyncio.sleep(0.01)

    @rule(user=PEOPLE, other=PEOPLE, blocks=st.booleans())
    def block_or_not(self, user: int, other: int, blocks: bool) -> None:
        if user != other and ((user, other) in self.blocks) is not blocks:
            self.run(self._block(user, other, blocks))

    async def _block(self, user: int, other: int, blocks: bool) -> None:
        path = f"/api/blocks/{self.clients[other].id}"
        status, _ = await self.clients[user].call("PUT" if blocks else "DELETE", path)
        assert status == 204
        (self.blocks.add if blocks else self.blocks.discard)((user, other))
        # The other's node may hear of it a moment later, which acts on an unknown message tell.
        other_client = self.clients[other]
        expected = {"no-such-message"}
        if self.is_apart(user, other):
            expected = {"blocked" if (other, user) in self.blocks else "not-allowed"}
        async with asyncio.timeout(10):
            while True:
                frame = {"cmd": 16, "chat": 10, "dstid": self.clients[user].id, "ref": 1}
                other_client.send(**frame, cid=f"probe {next(self.cids)}")
                if (await other_client.expect(cmd=2))["reason"] in expected:
                    break
                await asyncio.sleep(0.05)

    @rule(user=PEOPLE, device=DEVICE)
    def come_back(self, user: int, device: int) -> None:
        self.run(self._come_back(user, device))

    async def _come_back(self, user: int, device: int) -> None:
        client = self.devices[user][device]
        client.close()
        await client.closed()
        self.devices[user][device] = await JsonClient(self.service, client.account()).connect()

    # What must be so.

    async def check(self) -> None:
        await asyncio.gather(*(self._check_user(user) for user in range(USERS)))

    async def _check_user(self, user: int) -> None:
        me = self.clients[user]
        lines = {(line["chat"], line["dstid"]): line for line in await me.inbox()}
        expected: dict[tuple[int, int], Conversation] = {}
        for pair, conversation in self.singles.items():
            if user in pair and conversation.log:
                other = next(iter(pair - {user}), user)
                expected[10, self.clients[other].id] = conversation
        for group in self.groups:
            if user in group.places:
                expected[11, group.gid] = group
            else:
                path = f"/api/messages?chat=11&dstid={group.gid}"
                assert (await me.call("GET", path))[0] == 403
        assert lines.keys() == expected.keys()
        for (chat, dstid), conversation in expected.items():
            line, floor = lines[chat, dstid], conversation.places.get(user, 0)
            seen = conversation.log[floor:]
            assert line["unread"] == conversation.unread(user), (user, line, conversation)
            assert line["mentioned"] == conversation.mentioned(user)
            assert (line["seq"], line["read"]) == (
                len(conversation.log),
                conversation.read.get(user, 0),
            )
            history = await me.history(chat, dstid)
            assert [shown(one) for one in history] == [self.wanted(one) for one in seen]
        if user in self.xmpp:
            await self._check_archive(user)

    async def _check_archive(self, user: int) -> None:
        """XEP-0313 has the same 1:1 messages, in the order in which they were sent."""
        bodies: list[str] = []
        archive = self.xmpp[user].plugin["xep_0313"]
        async for result in archive.iterate():
            stanza = result["mam_result"]["forwarded"]["stanza"]
            acts = (f"{{{ns.CORRECT}}}replace", f"{{{ns.RETRACT}}}retract")
            if stanza["body"] and not any(stanza.xml.find(tag) is not None for tag in acts):
                bodies.append(stanza["body"])
        expected = [
            entry.content
            for pair, conversation in self.singles.items()
            if user in pair
            for _, entry in conversation.messages()
        ]
        assert sorted(bodies) == sorted(expected)

    def wanted(self, entry: Entry) -> tuple[Any, ...]:
        reactions = {
            text: sorted(
                self.clients[u].id for u, given in entry.reactions.items() if given == text
            )
            for text in set(entry.reactions.values())
        }
        # An edit of what was recalled has lost its text as well.
        content = None if entry.cmd == 15 else entry.content
        return entry.id, entry.cmd, content, entry.recalled, reactions

    def single(self, one: int, other: int) -> Conversation:
        return self.singles.setdefault(frozenset((one, other)), Conversation(10))

    def is_apart(self, one: int, other: int) -> bool:
        return (one, other) in self.blocks or (other, one) in self.blocks


def shown(message: dict[str, Any]) -> tuple[Any, ...]:
    reactions = {text: sorted(users) for text, users in message.get("reactions", {}).items()}
    content = None if message["cmd"] == 15 else message.get("content", "")
    return message["id"], message["cmd"], content, message.get("recalled", False), reactions


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Not set as the thread's: another one is, which would be left behind unclosed."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("service", ["one_node", "two_nodes"])
def test_everybody_sees_what_the_model_says(
    service: str, request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop
) -> None:
    """Random operations of five users, on one node and on two."""
    machine = type("Machine", (Users,), {"service": request.getfixturevalue(service), "loop": loop})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=int(os.environ.get("TANDEM_MODEL_RUNS", "8")),
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],  # a run takes seconds, and shrinking thousands of them
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
