"""What we write, read by slixmpp: each of its interfaces gives back what went in."""

from typing import Any

import pytest
from slixmpp import JID
from slixmpp.plugins.xep_0198 import stanza as sm
from slixmpp.stanza import Iq, Message, Presence, StreamError, StreamFeatures

from server import model
from server.errors import CONDITIONS, ChatError
from stanzas import (
    archive,
    blocking,
    carbons,
    delay,
    disco,
    messages,
    ns,
    ping,
    presence,
    replies,
    room_admin,
    roster,
    rsm,
    stream,
    stream_management,
    time,
    version,
)
from stanzas.xml import Bounds
from tests.support.slix import (
    ASKED,
    CLIENT,
    GROUP,
    JULIET,
    MARK,
    NOON,
    NOON_MS,
    ROMEO,
    ROOM,
    check,
    dig,
    message,
    parsed,
    result,
)


def chat(of: model.Message, xml: str = "", **more: str) -> str:
    return messages.from_message(
        of, sender=ROMEO, recipient=JULIET, archive=JULIET, xml=xml, xmlns=CLIENT, **more
    )


def carbon(kind: carbons.Kind, account: str) -> str:
    return carbons.copy(
        kind,
        chat(message(content=MARK)),
        account=account,
        to=f"{account}/phone",
        xmlns=CLIENT,
        of="chat",
    )


def hint(of: model.Message) -> str:
    found = messages.from_hint(of, sender=ROMEO, name="m1", xmlns=CLIENT)
    assert found is not None
    return found


ENTRY = archive.entry(
    chat(message(content=MARK, cid="m1")),
    to=JULIET,
    queryid="q'1",
    message_id=41,
    ts=NOON_MS,
    domain="example.org",
    xmlns=CLIENT,
    sender=ROOM,
)
PRESENCE = f"<presence{CLIENT} to='{JULIET}'"

OURS: dict[str, tuple[type, str, dict[str, Any]]] = {
    "chat": (
        Message,
        chat(message(content=MARK, cid=MARK), delayed_by="example.org"),
        {
            "from": JID(ROMEO),
            "to": JID(JULIET),
            "type": "chat",
            "id": MARK,
            "body": MARK,
            "stanza_id/id": "41",
            "stanza_id/by": JULIET,
            "origin_id/id": MARK,
            "delay/from": JID("example.org"),
            "delay/stamp": NOON,
            "request_receipt": True,
        },
    ),
    "file": (
        Message,
        chat(message(media=10, url="https://example.org/?a=1&b=2", memo=MARK, amount=3)),
        {
            "body": "https://example.org/?a=1&b=2",
            "oob/url": "https://example.org/?a=1&b=2",
            "oob/desc": MARK,
            "json/value": {"media": 10, "amount": 3},
        },
    ),
    "reply": (
        Message,
        chat(message(content="yes", ref=40), model.Names("", "m0").xml()),
        {"body": "yes", "reply/id": "m0"},
    ),
    "correction": (
        Message,
        chat(message(cmd=15, content=MARK), model.Names("", MARK).xml()),
        {"body": MARK, "replace/id": MARK},
    ),
    "reactions": (
        Message,
        chat(message(cmd=16, content="🌹 👍"), model.Names("", "m0").xml()),
        {"reactions/id": "m0", "reactions/values": {"🌹", "👍"}},
    ),
    "retraction": (
        Message,
        chat(message(cmd=14), model.Names("", MARK).xml()),
        {"retract/id": MARK, "fallback/for": ns.RETRACT},
    ),
    "retracted": (
        Message,
        chat(message(recalled=True)),
        {"retracted/stamp": delay.stamp(NOON_MS), "body": ""},
    ),
    "receipt": (Message, hint(message(cmd=12, state="delivered")), {"receipt": "m1"}),
    "marker": (Message, hint(message(cmd=12, state="read")), {"displayed/id": "m1"}),
    "composing": (Message, hint(message(cmd=13, state="composing")), {"chat_state": "composing"}),
    "paused": (Message, hint(message(cmd=13, state="paused")), {"chat_state": "paused"}),
    "carbon of what was sent": (
        Message,
        carbon("sent", ROMEO),
        {"from": JID(ROMEO), "carbon_sent/body": MARK, "carbon_sent/to": JID(JULIET)},
    ),
    "carbon of what came": (
        Message,
        carbon("received", JULIET),
        {"from": JID(JULIET), "carbon_received/body": MARK, "carbon_received/from": JID(ROMEO)},
    ),
    "archive entry": (
        Message,
        ENTRY,
        {
            "from": JID(ROOM),
            "mam_result/id": "41",
            "mam_result/queryid": "q'1",
            "mam_result/forwarded/delay/stamp": NOON,
            "mam_result/forwarded/stanza/body": MARK,
            "mam_result/forwarded/stanza/from": JID(ROMEO),
            "mam_result/forwarded/stanza/origin_id/id": "m1",
        },
    ),
    "archive end": (
        Iq,
        result(archive.fin(True, rsm.answer(41, 43, 5, 99))),
        {
            "id": "q1",
            "mam_fin/complete": "true",
            "mam_fin/rsm/first": "41",
            "mam_fin/rsm/first_index": "5",
            "mam_fin/rsm/last": "43",
            "mam_fin/rsm/count": "99",
        },
    ),
    "archive page in the middle": (
        Iq,
        result(archive.fin(False, rsm.answer(41, 43, None, None))),
        {"mam_fin/complete": "", "mam_fin/rsm/first_index": "", "mam_fin/rsm/count": ""},
    ),
    "archive metadata": (
        Iq,
        result(archive.metadata(((41, NOON_MS), (43, NOON_MS + 1000)))),
        {
            "mam_metadata/start/id": "41",
            "mam_metadata/start/timestamp": NOON,
            "mam_metadata/end/id": "43",
            "mam_metadata/end/timestamp": NOON.replace(second=1),
        },
    ),
    "ping of ours": (
        Iq,
        ping.request("p1", "example.org", f"{JULIET}/pda", CLIENT),
        {"type": "get", "id": "p1", "from": JID("example.org"), "to": JID(f"{JULIET}/pda")},
    ),
    "version": (
        Iq,
        result(version.answer("1.0<&")),
        {"software_version/name": "Tandem", "software_version/version": "1.0<&"},
    ),
    "roster": (
        Iq,
        result(
            roster.answer(
                [
                    roster.item(ROMEO, MARK, ["Friends", MARK], "to", asks=False),
                    roster.item("nurse@example.org", "", [], "none", asks=True),
                ],
                "v7",
            )
        ),
        {
            "roster/ver": "v7",
            "roster/items": {
                JID(ROMEO): {
                    "name": MARK,
                    "subscription": "to",
                    "ask": "",
                    "approved": "",
                    "groups": ["Friends", MARK],
                },
                JID("nurse@example.org"): {
                    "name": "",
                    "subscription": "none",
                    "ask": "subscribe",
                    "approved": "",
                    "groups": [],
                },
            },
        },
    ),
    "items": (
        Iq,
        result(disco.items([(ROOM, MARK)])),
        {"disco_items/items": {(ROOM, None, MARK)}},
    ),
    "presence of JSON": (
        Presence,
        PRESENCE + presence.of_state(f"{ROMEO}/web", "away", MARK),
        {"from": JID(f"{ROMEO}/web"), "type": "away", "show": "away", "status": MARK},
    ),
    "presence that ends": (
        Presence,
        PRESENCE + presence.of_state(f"{ROMEO}/web", "offline", ""),
        {"type": "unavailable"},
    ),
    "stream error": (
        StreamError,
        f"<stream:error xmlns:stream='{ns.STREAMS}'><conflict xmlns='{ns.STREAM_ERRORS}'/>"
        f"<text xmlns='{ns.STREAM_ERRORS}'>why</text></stream:error>",
        {"condition": "conflict", "text": "why"},
    ),
    "management enabled": (
        sm.Enabled,
        stream_management.enabled("n1", 300),
        {"id": "n1", "max": "300", "resume": True},
    ),
    "management enabled without resumption": (
        sm.Enabled,
        stream_management.enabled("", 300),
        {"id": "", "resume": False},
    ),
    "management resumed": (
        sm.Resumed,
        stream_management.resumed("n1", 2**32 - 1),
        {"previd": "n1", "h": 2**32 - 1},
    ),
    "management failed": (
        sm.Failed,
        stream_management.failed("item-not-found", 5),
        {},
    ),
    "management ack": (sm.Ack, stream_management.answer(7), {"h": 7}),
}


@pytest.mark.parametrize("name", OURS)
def test_slixmpp_reads_what_we_write(name: str) -> None:
    """The same values."""
    check(*OURS[name])


def test_slixmpp_reads_lists_of_the_blocked() -> None:
    """The list, and both pushes; an unblock of all has no items."""
    for name, jids in (("blocklist", [ROMEO, MARK]), ("block", [ROMEO]), ("unblock", [])):
        items = parsed(Iq, result(blocking.listing(name, jids)))[name]["items"]
        assert [item["jid"] for item in items] == jids


@pytest.mark.parametrize(
    "info",
    [
        disco.server_info(),
        disco.account_info(),
        disco.rooms_info(),
        disco.room_info(MARK, ("muc_moderated",), room_admin.information(GROUP, 50)),
    ],
)
def test_slixmpp_reads_what_is_discovered(info: str) -> None:
    """Its identities, no feature twice, and of a room its form."""
    found = parsed(Iq, result(info))["disco_info"]
    identities = {(category, kind, name) for category, kind, _, name in found.get_identities()}
    features = found.get_features(dedupe=False)
    assert identities in (
        {("server", "im", "Tandem")},
        {("account", "registered", None), ("pubsub", "pep", None)},
        {("conference", "text", "Rooms")},
        {("conference", "text", MARK)},
    )
    assert ns.DISCO_INFO in features and len(features) == len(set(features))
    if ("conference", "text", MARK) in identities:
        assert "muc_moderated" in features
        assert found["form"].get_values() == {
            "FORM_TYPE": ["http://jabber.org/protocol/muc#roominfo"],
            "muc#roominfo_description": "plans",
            "muc#roominfo_subject": "today",
            "muc#roominfo_subjectmod": False,
            "muc#maxhistoryfetch": "50",
            "muc#roominfo_occupants": "1",
            "muc#roomconfig_roomname": MARK,
        }


def test_slixmpp_reads_the_time() -> None:
    """As text: its getters add a second Z, and know no zone without a date."""
    found = parsed(Iq, result(time.answer(NOON_MS)))["entity_time"]
    told = [found._get_sub_text(name) for name in ("utc", "tzo")]
    assert told == [delay.stamp(NOON_MS), "+00:00"]


@pytest.mark.parametrize("slug", CONDITIONS)
def test_slixmpp_reads_errors(slug: Any) -> None:
    """Type, condition and text of each of ours."""
    problem = ChatError(slug, MARK)
    found = parsed(Iq, replies.error(ASKED, JULIET, CLIENT, problem))
    assert (found["type"], found["id"], found["to"]) == ("error", "q1", JID(JULIET))
    error = found["error"]
    assert error["type"] == problem.condition.xmpp_type
    assert error["text"] == f"{slug}: {MARK}"
    condition = problem.condition.xmpp
    if condition == "policy-violation":  # of RFC 6120; slixmpp knows those of RFC 3920
        assert error.xml.find(f"{{{ns.STANZA_ERRORS}}}{condition}") is not None
    else:
        assert error["condition"] == condition


def opened(**more: Any) -> stream.Stream:
    return stream.Stream("example.org", Bounds(8192, 16), Bounds(65536, 64), **more)


def test_slixmpp_reads_stream_features() -> None:
    """TLS first where it must be, then the mechanisms, then what comes after the login."""
    names = f" xmlns:stream='{ns.STREAMS}'"

    def features(of: stream.Stream) -> Any:
        return parsed(StreamFeatures, of.features().replace(">", f"{names}>", 1))

    tls = features(opened(starttls=True))["starttls"]
    assert tls["required"]
    offered = ["SCRAM-SHA-256", "PLAIN"]
    found = features(opened(mechanisms=offered))
    assert dig(found, "features/mechanisms/mechanisms") == offered
    after = opened()
    after.authenticated()
    found = features(after)["features"]
    assert {"bind", "session", "rosterver", "sm", "csi"} <= set(found)
