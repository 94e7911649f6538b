"""Well-formed stanzas of nobody's client: any child of any namespace that is known here, to any
address, with attributes and texts that do not belong there.

The stanzas are the same each time; ``TANDEM_FUZZ=1000`` tries so many streams, others each time.
"""

import asyncio
import os
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stanzas import ns
from stanzas.xml import attribute, text
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node
from tests.support.raw_xmpp import RawXmpp

STREAMS = int(os.environ.get("TANDEM_FUZZ", "60"))
A_STREAM = 15
"""Stanzas of one stream: after more mistakes the server would rightly close it."""
SM = ns.SM
NAMES = {
    ns.CLIENT: "body subject thread priority show status error query item",
    ns.ROSTER: "query item group",
    ns.BLOCKING: "block unblock blocklist item",
    ns.DISCO_INFO: "query identity feature",
    ns.DISCO_ITEMS: "query item",
    ns.PING: "ping",
    ns.VERSION: "query",
    ns.TIME: "time",
    ns.DELAY: "delay",
    ns.IDS: "origin-id stanza-id",
    ns.FORWARD: "forwarded",
    ns.ARCHIVE: "query prefs metadata result flip-page fin always never",
    ns.RSM: "set max after before index",
    ns.FORMS: "x field value option",
    ns.CARBONS: "enable disable private sent received",
    ns.HINTS: "store no-store no-copy no-permanent-store",
    ns.OOB: "x url desc",
    ns.JSON: "json",
    ns.RECEIPTS: "request received",
    ns.MARKERS: "markable displayed",
    ns.CHAT_STATES: "active composing paused inactive gone",
    ns.RETRACT: "retract retracted",
    ns.CORRECT: "replace",
    ns.REACTIONS: "reactions reaction",
    ns.REPLY: "reply",
    ns.FALLBACK: "fallback body",
    ns.MUC: "x history password",
    ns.MUC_USER: "x invite decline item reason destroy status",
    ns.MUC_ADMIN: "query item reason",
    ns.MUC_OWNER: "query destroy reason",
    ns.CONFERENCE: "x",
    ns.OCCUPANT: "occupant-id",
    ns.MODERATE: "moderate reason",
    ns.CAPS: "c",
    ns.PRIVATE: "query",
    ns.PUBSUB: (
        "pubsub publish publish-options item items retract create configure subscribe options"
    ),
    ns.PUBSUB_OWNER: "pubsub configure default purge delete affiliations",
    ns.PUBSUB_EVENT: "event items",
    ns.BOOKMARKS: "conference nick password extensions",
    ns.OLD_BOOKMARKS: "storage conference nick",
    ns.SESSION: "session",
    ns.BIND: "bind resource",
    "vcard-temp": "vCard",
    "urn:of:nobody": "x",
}
ELEMENTS = [(space, name) for space, names in NAMES.items() for name in names.split()]
KEYS = (
    *("id", "jid", "to", "from", "type", "node", "ver", "hash", "name", "nick", "role", "var"),
    *("affiliation", "subscription", "ask", "max_items", "notify", "queryid", "seconds", "since"),
    *("maxstanzas", "maxchars", "default", "code", "autojoin", "by", "xml:lang", "category"),
)
WORDS = (
    *("", " ", "0", "1", "-1", "9" * 9, "9" * 16, "9" * 40, "true", "false", "max", "get", "set"),
    *(
        "submit",
        "cancel",
        "form",
        "result",
        "hidden",
        "owner",
        "admin",
        "member",
        "none",
        "outcast",
    ),
    *("moderator", "visitor", "participant", "remove", "both", "always", "current", "sha-1", "md5"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-02T03:04:05Z", "0000"),
    *("@", "/", "a@", "@localhost", "a@b/c", "localhost", "LOCALHOST/x", "conference.localhost"),
    *(
        "\u0000".replace("\0", "\ufffd"),
        "\u202e",
        "e\u0301",
        "\U0001f9d1\u200d\U0001f4bb",
        "\u212a",
    ),
    *("x" * 600, "y" * 3000, "$where", "a.b", "%s{}", "'\"<>&", "FORM_TYPE", "../..", "\t\n"),
    *(ns.BOOKMARKS, ns.OLD_BOOKMARKS, ns.ARCHIVE, "urn:xmpp:microblog:0", "x-roomuser-item"),
    *("muc#roomconfig_whois", "muc#roomconfig_historyfor", f"{ns.MUC}#roomconfig", "start", "with"),
    *("pubsub#access_model", "pubsub#max_items", f"{ns.PUBSUB}#node_config", "ids", "after-id"),
    *(f"{ns.PUBSUB}#publish-options", "end", "web", "open", "whitelist", "roster"),
)
PLACES = (
    *("", "localhost", "conference.localhost", "nowhere.localhost", "example.org", "{me}"),
    *("{me}/{resource}", "{me}/none", "{other}", "{other}/web", "nobody@localhost"),
    *("{room}", "{room}/{nick}", "{room}/x", "0@conference.localhost", "localhost/x"),
)
TYPES = {
    "iq": ("get", "set", "get", "set", "result", "error"),
    "message": ("", "chat", "normal", "groupchat", "headline", "error", "odd"),
    "presence": (
        *("", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed"),
        *("probe", "error", "odd"),
    ),
}
words = st.sampled_from(WORDS) | st.sampled_from(PLACES)


class Sent(NamedTuple):
    """One stanza, without its id."""

    name: str
    kind: str
    to: str
    inside: str


def _element(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def write(what: tuple[str, str], attributes: dict[str, str], inside: str) -> str:
        space, name = what
        said = "".join(f" {key}='{attribute(value)}'" for key, value in attributes.items())
        return f"<{name} xmlns='{space}'{said}>{inside}</{name}>"

    attributes = st.dictionaries(st.sampled_from(KEYS), words, max_size=3)
    return st.builds(write, st.sampled_from(ELEMENTS), attributes, inside)


def _likely(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Elements of one namespace in each other, as they are where somebody means something."""

    def write(space: str, picks: list[int], given: list[dict[str, str]], last: str) -> str:
        names = NAMES[space].split()
        whole = last
        for pick, attributes in zip(reversed(picks), given, strict=False):
            name = names[min(pick, len(names) - 1)]
            said = "".join(f" {key}='{attribute(value)}'" for key, value in attributes.items())
            whole = f"<{name} xmlns='{space}'{said}>{whole}</{name}>"
        return whole

    attributes = st.dictionaries(st.sampled_from(KEYS), words, max_size=4)
    return st.builds(
        write,
        st.sampled_from(sorted(NAMES)),
        st.lists(st.integers(0, 9), min_size=1, max_size=3).map(lambda picks: [0, *picks]),
        st.lists(attributes, min_size=4, max_size=4),
        inside,
    )


leaves = words.map(text)
children = st.recursive(
    leaves, lambda inner: _element(st.lists(inner, max_size=3).map("".join)), max_leaves=6
)
child = _element(children) | _likely(leaves) | _likely(_element(leaves))


@st.composite
def stanza(draw: st.DrawFn) -> Sent:
    name = draw(st.sampled_from(("iq", "iq", "message", "presence")))
    inside = (
        draw(child)
        if name == "iq" and draw(st.integers(0, 9))
        else "".join(draw(st.lists(child, max_size=3)))
    )
    to = draw(st.sampled_from(PLACES) | words)
    return Sent(name, draw(st.sampled_from(TYPES[name])), to, inside)


def test_each_stanza_is_answered_as_it_should_be_and_counted(one_node: Node) -> None:
    """Each iq get or set has one answer, nothing ends the stream, everything is counted as done
    (XEP-0198), and the log has no fault in it."""
    with asyncio.Runner() as runner:

        async def begin() -> list[JsonClient]:
            return [await JsonClient.register(one_node) for _ in range(2)]

        me, other = runner.run(begin())

        @settings(
            max_examples=STREAMS,
            deadline=None,
            derandomize="TANDEM_FUZZ" not in os.environ,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(stanza(), min_size=A_STREAM, max_size=A_STREAM))
        def each_stream(sent: list[Sent]) -> None:
            runner.run(_play(one_node, me, other, sent))

        each_stream()
    assert one_node.stray_log_lines() == []


async def _play(node: Node, me: JsonClient, other: JsonClient, sent: list[Sent]) -> None:
    client = RawXmpp(node, "tcp")
    await client.login(me.username, PASSWORD, "")
    bare, _, resource = client.me.partition("/")
    names = {
        "{me}": bare,
        "{resource}": resource,
        "{other}": f"{other.username}@localhost",
        "{room}": f"room-{me.username}@conference.localhost",
        "{nick}": me.username,
    }
    client.send(f"<enable xmlns='{SM}'/>")
    await client.take(lambda e: e.tag == f"{{{SM}}}enabled")
    client.send("<presence/>")
    client.send(f"<presence to='{names['{room}']}/x'><x xmlns='{ns.MUC}'/></presence>")
    for at, each in enumerate(sent):
        whole = (
            f"<{each.name} id='f{at}'"
            + (f" type='{each.kind}'" if each.kind else "")
            + (f" to='{attribute(each.to)}'" if each.to else "")
            + f">{each.inside}</{each.name}>"
        )
        for name, value in names.items():
            whole = whole.replace(name, value)
        client.send(whole)
    try:
        await client.settle()
        asked = {f"f{at}" for at, each in enumerate(sent) if each.kind in ("get", "set")}
        asked = {each for each in asked if sent[int(each[1:])].name == "iq"}
        # What is for this stream's own address comes to it, and it would be its to answer.
        answers = [
            e.get("id")
            for e in client.come
            if e.tag.endswith("}iq")
            and (e.get("type") in ("result", "error") or e.get("from") == client.me)
        ]
        own = [f"f{at}" for at, each in enumerate(sent) if each.name == "iq"]
        for each in asked:
            assert answers.count(each) == 1, (each, sent[int(each[1:])])
        assert set(answers) <= set(own)
        async with asyncio.timeout(10):
            handled = 0
            while handled < len(sent) + 3:  # two presences before, a ping behind
                client.send(f"<r xmlns='{SM}'/>")
                handled = int((await client.take(lambda e: e.tag == f"{{{SM}}}a")).get("h"))
        assert handled == len(sent) + 3
    except (TimeoutError, AssertionError) as error:
        raise AssertionError(f"{error} stream error: {client.error!r}") from error
    finally:
        await client.cut()
