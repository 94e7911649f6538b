"""Who may do what over XMPP: one row for each stanza, one column for each kind of caller.

The callers and ``other`` are those of ``tests/support/cast.py``. All of them have talked before:
``wrote`` is what the caller's message is known as, ``read`` the other's. A cell says what comes of
the stanza:

    yes   it reaches the other          ---   no answer, and the other does not hear of it
    res   it is answered                svc   service-unavailable
    low, blk, msg   an error whose text begins with not-allowed, blocked, no-such-message
"""

from typing import Any
from unittest.mock import Mock

import pytest
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from handlers.xmpp_pep import FOREIGN
from handlers.xmpp_queries import Queries
from tests.support.cast import Cast
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

CALLERS = ("stranger", "blocked", "blocker", "member")

MESSAGE = "<message to='{to}' type='chat' id='{id}'>%s</message>"
QUERY = "<iq to='{to}' type='%s' id='{id}'>%s</iq>"
OWN = "<iq type='%s' id='{id}'>%s</iq>"
ARCHIVE = "<query xmlns='urn:xmpp:mam:2'>%s</query>"
WITH = (
    "<x xmlns='jabber:x:data' type='submit'>"
    "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
    "<field var='with'><value>{to}</value></field></x>"
)
PAGE = "<set xmlns='http://jabber.org/protocol/rsm'><max>5</max><after>{after}</after></set>"
CORRECT = "<body>y</body><replace xmlns='urn:xmpp:message-correct:0' id='%s'/>"
REACT = "<reactions xmlns='urn:xmpp:reactions:0' id='%s'><reaction>y</reaction></reactions>"
RETRACT = "<retract xmlns='urn:xmpp:message-retract:1' id='%s'/>"
PUBSUB = "<pubsub xmlns='http://jabber.org/protocol/pubsub'>%s</pubsub>"
PUBLISH = "<publish node='n'><item><x xmlns='u'/></item></publish>"
PRIVATE = "<query xmlns='jabber:iq:private'><x xmlns='u'/></query>"

# Those that take back what others act on are the last.
TABLE: list[tuple[str, str, str]] = [
    ("text", "yes svc blk yes", MESSAGE % "<body>x</body>"),
    (
        "typing",
        "yes --- --- yes",
        MESSAGE % "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    ),
    ("receipt", "yes --- --- yes", MESSAGE % "<received xmlns='urn:xmpp:receipts' id='read'/>"),
    (
        "marker",
        "yes --- --- yes",
        MESSAGE % "<displayed xmlns='urn:xmpp:chat-markers:0' id='read'/>",
    ),
    ("reaction", "yes svc blk yes", MESSAGE % (REACT % "read")),
    ("correction", "yes svc blk yes", MESSAGE % (CORRECT % "wrote")),
    ("correction of theirs", "low svc blk low", MESSAGE % (CORRECT % "read")),
    ("correction of nothing", "msg msg msg msg", MESSAGE % (CORRECT % "nothing")),
    ("retraction of theirs", "low low low low", MESSAGE % (RETRACT % "read")),
    ("retraction of nothing", "msg msg msg msg", MESSAGE % (RETRACT % "nothing")),
    ("retraction", "yes yes yes yes", MESSAGE % (RETRACT % "wrote")),
    ("own archive", "res res res res", OWN % ("set", ARCHIVE % "")),
    ("own archive with them", "res res res res", OWN % ("set", ARCHIVE % WITH)),
    ("their archive", "svc svc svc svc", QUERY % ("set", ARCHIVE % "")),
    ("their tune", "svc svc blk svc", QUERY % ("get", PUBSUB % "<items node='{to}'/>")),
    ("publish to them", "svc svc blk svc", QUERY % ("set", PUBSUB % PUBLISH)),
    ("their private XML", "svc svc svc svc", QUERY % ("get", PRIVATE)),
    ("their archive with a page", "svc svc svc svc", QUERY % ("set", ARCHIVE % PAGE)),
]
NAMES = {
    "low": "not-allowed",
    "blk": "blocked",
    "msg": "no-such-message",
    "svc": "service-unavailable",
}


class Phone(XmppClient):
    """Keeps the answers to what it sends as it is, by id."""

    def __init__(self, node: Node, jid: str) -> None:
        super().__init__(node, jid, hears_all=True)
        self.answers: dict[str, Any] = {}
        for name in ("iq", "message"):
            match = MatchXPath(f"{{jabber:client}}{name}")
            self.register_handler(Callback(f"answers {name}", match, self._answered))

    def _answered(self, stanza: Any) -> None:
        if stanza["type"] in ("result", "error"):
            self.answers[stanza["id"]] = stanza

    async def answer_to(self, stanza: str, **fields: Any) -> Any:
        """What the server says to it, None for nothing."""
        self.answers.clear()
        self.send_raw(stanza.format(id="asked", **fields))
        await self.ping()
        return self.answers.get("asked")


def in_short(answer: Any) -> str:
    """As it is written in the table; nothing for no answer."""
    if answer is None or answer["type"] == "result":
        return "" if answer is None else "res"
    error = answer["error"]
    said = {error["condition"], error["text"].partition(":")[0]}
    return next((short for short, name in NAMES.items() if name in said), str(sorted(said)))


async def phones_of(node: Node, users: list[JsonClient]) -> list[Phone]:
    phones = [Phone(node, user.jid) for user in users]
    for phone in phones:
        await phone.login()
    return phones


@pytest.mark.gen_test(timeout=60)
async def test_stanza_is_for_whom_the_table_says(node: Node) -> None:
    """And reaches the other from those only."""
    cast = await Cast.of(node)
    users = [cast.callers[name] for name in CALLERS]
    phones = await phones_of(node, users)
    other = await JsonClient.online(node)
    for phone, user in zip(phones, users, strict=True):
        phone.say(other.jid, "x", id="wrote")
        await other.expect(cmd=10, userid=user.id)
        await other.say(user.id, "x", "read")
    for one, blocked in ((other, users[1]), (users[2], other)):
        assert (await one.call("PUT", f"/api/blocks/{blocked.id}"))[0] == 204
    got = {}
    for name, cells, stanza in TABLE:
        found = [in_short(await phone.answer_to(stanza, to=other.jid, after=1)) for phone in phones]
        heard = set()
        for _ in range(cells.count("yes")):
            frame = await other.expect_that(lambda frame: "userid" in frame)
            heard.add(frame["userid"])
        rest = [frame for frame in await other.settled() if "userid" in frame]
        assert rest == [], name
        got[name] = " ".join(
            cell or ("yes" if user.id in heard else "---")
            for cell, user in zip(found, users, strict=True)
        )
    assert got == {name: cells for name, cells, _ in TABLE}


def queries() -> list[tuple[str, str]]:
    """Type and child of every request that is served for the server or one's own account."""
    served: Any = Queries(Mock())
    return list(served._table)


@pytest.mark.gen_test(timeout=60)
async def test_requests_to_others_and_acts_on_what_is_theirs_tell_nothing(node: Node) -> None:
    """The same to the last byte as to nobody, and on nothing."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    theirs = await bob.say(carol.id, "secret", "theirs")
    await alice.say(carol.id, "x", "mine")
    [phone] = await phones_of(node, [alice])
    elsewhere = await carol.another_device().connect()
    await elsewhere.say(bob.id, "also secret", "more")
    rooms = "conference.localhost"
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        *(
            (
                QUERY % (kind, f"<{tag.partition('}')[2]} xmlns='{tag[1:].partition('}')[0]}'/>"),
                {"to": bob.jid},
                {"to": "nobody@localhost"},
            )
            for kind, tag in {*queries(), *FOREIGN}
        ),
        (OWN % ("set", ARCHIVE % PAGE), {"after": theirs["id"]}, {"after": 2**52}),
        (OWN % ("set", ARCHIVE % WITH), {"to": bob.jid}, {"to": "nobody@localhost"}),
        (QUERY % ("set", ARCHIVE % ""), {"to": f"10000@{rooms}"}, {"to": f"1@{rooms}"}),
        *(
            (MESSAGE % (act % "{name}"), {"to": to, "name": name}, {"to": to, "name": "nothing"})
            for act in (CORRECT, REACT, RETRACT)
            for to in (carol.jid, bob.jid)
            for name in ("theirs", "more", theirs["id"])
        ),
    ]
    for stanza, foreign, nothing in asked:
        told = []
        for fields in (foreign, nothing):
            answer = str(await phone.answer_to(stanza, **fields))
            for value in fields.values():
                answer = answer.replace(str(value), "?")
            told.append(answer)
        assert told[0] == told[1]
        assert "None" not in told
    assert {frame["cmd"] for frame in await bob.settled()} <= {1, 10}
