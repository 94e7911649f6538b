"""What a client is told that does what it may not: RFC 6120 sections 4.9 and 8.3, as tables."""

from typing import Any, NamedTuple

import pytest

from stanzas import ns
from tests.support.eventually import eventually
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node
from tests.support.raw_xmpp import BIND, RawXmpp

ERRORS = f"{{{ns.STANZA_ERRORS}}}"
AT_ONCE = 6
"""Who makes many mistakes is put out."""
UNKNOWN = "<unknown xmlns='urn:example:unknown'/>"


class Case(NamedTuple):
    """``{other}`` is the JID of a stranger. Without a condition there is no answer."""

    sent: str
    condition: str = ""
    kind: str = "cancel"


def iq(attributes: str, inside: str = UNKNOWN) -> str:
    return f"<iq id='x' {attributes}>{inside}</iq>"


STANZAS = {
    # Section 8.2.3, and RFC 6121 section 8.5.
    "unknown get to nobody named": Case(iq("type='get'"), "service-unavailable"),
    "unknown set to the server": Case(iq("type='set' to='localhost'"), "service-unavailable"),
    "unknown get to oneself": Case(iq("type='get' to='{me}'"), "service-unavailable"),
    "unknown get to another": Case(iq("type='get' to='{other}'"), "service-unavailable"),
    "unknown get to nobody": Case(iq("type='get' to='no.one@localhost'"), "service-unavailable"),
    "get to a lost device": Case(iq("type='get' to='{me}/lost'"), "service-unavailable"),
    "get to a stranger's device": Case(iq("type='get' to='{other}/a'"), "service-unavailable"),
    "get to a name of the server": Case(
        iq("type='get' to='localhost/x'", f"<ping xmlns='{ns.PING}'/>"), "service-unavailable"
    ),
    "ping of a subdomain": Case(
        iq("type='get' to='none.localhost'", f"<ping xmlns='{ns.PING}'/>"), "service-unavailable"
    ),
    "get to another domain": Case(
        iq("type='get' to='a@far.example'", f"<ping xmlns='{ns.PING}'/>"),
        "remote-server-not-found",
    ),
    "roster of another": Case(
        iq("type='get' to='{other}'", f"<query xmlns='{ns.ROSTER}'/>"), "service-unavailable"
    ),
    "result": Case(iq("type='result'")),
    "result to another": Case(iq("type='result' to='{other}/x'")),
    "error": Case(iq("type='error' to='localhost'")),
    "result without an id": Case("<iq type='result' to='localhost'/>"),
    "no type": Case(iq(""), "bad-request", "modify"),
    "unknown type": Case(iq("type='put'"), "bad-request", "modify"),
    "no id": Case(f"<iq type='get'>{UNKNOWN}</iq>", "bad-request", "modify"),
    "empty id": Case(f"<iq type='get' id=''>{UNKNOWN}</iq>", "bad-request", "modify"),
    "no child": Case(iq("type='get'", ""), "bad-request", "modify"),
    "two children": Case(iq("type='set'", UNKNOWN * 2), "bad-request", "modify"),
    "bound already": Case(iq("type='set'", f"<bind xmlns='{BIND}'/>"), "not-allowed"),
    # Section 8.3.3.8.
    **{
        f"{name} to {to!r}": Case(sent.replace("?", to), "jid-malformed", "modify")
        for to in ("a@b@localhost", "@localhost", "a b@localhost", "a@localhost/", "a@")
        for name, sent in {
            "iq": iq("type='get' to='?'"),
            "message": "<message id='x' type='chat' to='?'><body>x</body></message>",
            "headline": "<message id='x' type='headline' to='?'><body>x</body></message>",
            "presence": "<presence id='x' to='?'/>",
            "subscription": "<presence id='x' type='subscribe' to='?'/>",
        }.items()
    },
    "message to nobody": Case(
        "<message id='x' type='chat' to='no.one@localhost'><body>x</body></message>",
        "item-not-found",
    ),
    "message to another domain": Case(
        "<message id='x' type='chat' to='a@far.example'><body>x</body></message>",
        "remote-server-not-found",
    ),
    "groupchat to an account": Case(
        "<message id='x' type='groupchat' to='{other}'><body>x</body></message>",
        "service-unavailable",
    ),
    "normal to a lost device": Case(
        "<message id='x' to='{other}/lost'><body>x</body></message>", "service-unavailable"
    ),
    "headline to an account that is away": Case(
        "<message id='x' type='headline' to='{other}'><body>x</body></message>"
    ),
    "error to nobody": Case("<message id='x' type='error' to='no.one@localhost'/>"),
    "presence of an unknown type": Case("<presence id='x' type='dead'/>", "bad-request", "modify"),
    "presence error to nobody": Case("<presence id='x' type='error'/>"),
    "presence to nobody": Case("<presence id='x' to='no.one@localhost'/>"),
}


async def logged_in(node: Node, transport: str, resource: str = "") -> RawXmpp:
    account = await JsonClient.register(node)
    client = RawXmpp(node.pick(), transport)
    await client.login(account.username, PASSWORD, resource)
    return client


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("transport", ["tcp", "websocket"])
async def test_stanzas_get_the_errors_of_the_rfc(one_node: Node, transport: str) -> None:
    """Each one error with its condition, type and id, or nothing where it asks for none; the
    stream goes on."""
    other = await JsonClient.register(one_node)
    wrong: list[str] = []
    cases = list(STANZAS.items())
    for at in range(0, len(cases), AT_ONCE):
        client = await logged_in(one_node, transport)
        names = {"{me}": client.me.partition("/")[0], "{other}": other.jid}
        for name, case in cases[at : at + AT_ONCE]:
            sent = case.sent
            for hole, jid in names.items():
                sent = sent.replace(hole, jid)
            client.come.clear()
            client.send(sent)
            await client.settle()
            if why := flaw(case, list(client.come), "x" if "id='x'" in sent else None):
                wrong.append(f"{name}: {why}")
        await client.logout()
    assert not wrong, "\n".join(wrong)


def flaw(case: Case, come: list[Any], number: str | None) -> str:
    """What is wrong with the answers to a case; empty: nothing."""
    answers = [e for e in come if e.get("type") == "error" or e.get("id") == "x"]
    if not case.condition:
        return "answered" if answers else ""
    if len(answers) != 1:
        return f"{len(answers)} answers"
    error = answers[0].find(f"{{{ns.CLIENT}}}error")
    found = (answers[0].get("id"), error.get("type"), error[0].tag)
    return "" if found == (number, case.kind, ERRORS + case.condition) else str(found)


TOO_DEEP = "<a>" * 70 + "</a>" * 70
STREAMS = {
    "mismatched tags": ("<message><body></message>", "not-well-formed"),
    "text between stanzas": ("<presence/>hello<presence/>", "bad-format"),
    "comment": ("<presence/><!-- x -->", "restricted-xml"),
    "processing instruction": ("<?x y?>", "restricted-xml"),
    "entity": ("<message><body>&x;</body></message>", "not-well-formed|restricted-xml"),
    "prefix that is nobody's": ("<message><x:y/></message>", "bad-namespace-prefix"),
    "too large": ("<message><body>" + "x" * 300_000, "policy-violation"),
    "too deep": (f"<message>{TOO_DEEP}</message>", "policy-violation"),
    "unknown element": ("<telegram/>", "unsupported-stanza-type"),
    "stanza of servers": ("<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
    "login again": (f"<auth xmlns='{ns.SASL}'/>", "unsupported-stanza-type"),
    "acks without an h": (f"<a xmlns='{ns.SM}'/>", ""),
}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", STREAMS)
async def test_streams_end_with_the_condition_of_the_rfc(one_node: Node, name: str) -> None:
    """After login; what was sent before is done."""
    sent, conditions = STREAMS[name]
    client = await logged_in(one_node, "tcp")
    ann = await JsonClient.online(one_node)
    client.send(f"<message type='chat' to='{ann.jid}'><body>before</body></message>")
    client.send_raw(sent)
    if not conditions:  # not enabled: no stream error, but a failure of its own
        await client.take(lambda e: e.tag == f"{{{ns.SM}}}failed")
        await client.logout()
    else:
        await client.ended()
        assert client.error in conditions.split("|")
        await client.cut()
    assert (await ann.expect(cmd=10))["content"] == "before"


@pytest.mark.dialogue
@pytest.mark.gen_test(timeout=30)
async def test_a_name_that_is_taken_is_given_with_an_addition(node: Node) -> None:
    """RFC 6120 section 7.7.2.2 leaves the choice: who is there is not put out."""
    account = await JsonClient.register(node)
    one, two = RawXmpp(node.pick(), "tcp"), RawXmpp(node.pick(), "websocket")
    await one.login(account.username, PASSWORD, "balcony")
    await two.login(account.username, PASSWORD, "balcony")
    assert one.me == f"{account.jid}/balcony"
    assert two.me.startswith(f"{account.jid}/balcony-")
    await one.settle()
    await one.logout()
    await two.logout()


@pytest.mark.gen_test(timeout=30)
async def test_the_oldest_stream_gives_way_with_conflict(own_node: Node) -> None:
    """RFC 6120 section 4.9.3.3, above the number of connections that a user may have."""
    own_node.env |= {"TANDEM_LIMITS_CONNECTIONS_PER_USER": "1", "TANDEM_LIMITS_RATE_SCALE": "1"}
    own_node.start()
    account = await JsonClient.register(own_node)
    one, two = RawXmpp(own_node, "tcp"), RawXmpp(own_node, "tcp")
    await one.login(account.username, PASSWORD, "balcony")
    await two.login(account.username, PASSWORD, "")

    async def is_told() -> bool:
        return one.error == "conflict"

    await eventually(is_told)
    await one.logout()
    await two.settle()
    await two.logout()


@pytest.mark.gen_test(timeout=30)
async def test_who_says_to_be_another_is_stamped(one_node: Node) -> None:
    """RFC 6120 section 8.1.2.1, the second choice: the server's ``from`` replaces the client's."""
    client = await logged_in(one_node, "tcp", "here")
    for sender in ("king@localhost", "king@far.example/x", client.me.replace("here", "there"), ""):
        client.send(
            f"<message type='chat' from='{sender}' to='{client.me}'><x xmlns='u'/></message>"
        )
        message = await client.take(lambda e: e.tag.endswith("}message"))
        assert message.get("from") == client.me
    await client.logout()
