"""Whatever is sent to rooms: one answer to each request, no fault of the server, nothing told."""

import itertools

import pytest
from lxml import etree

from tests.support.groups import make_group
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node
from tests.support.raw_xmpp import RawXmpp

pytestmark = pytest.mark.dialogue

MUC = "http://jabber.org/protocol/muc"
FORM = "jabber:x:data"
DISCO = "http://jabber.org/protocol/disco"
ARCHIVE = "urn:xmpp:mam:2"
LONG = "o" * 3000
CHILDREN = (
    f"<x xmlns='{MUC}'/>",
    f"<x xmlns='{MUC}'><history maxstanzas='-1' seconds='{LONG}' since=''/><password/></x>",
    f"<x xmlns='{MUC}'><history since='0000-99-99T99:99:99Z'/></x>",
    f"<x xmlns='{MUC}'><password>{LONG}</password></x>",
    f"<x xmlns='{MUC}#user'><invite to=''/></x>",
    f"<x xmlns='{MUC}#user'><invite to='@'/><decline/></x>",
    f"<x xmlns='{MUC}#user'><decline to='localhost'/></x>",
    f"<query xmlns='{MUC}#admin'/>",
    f"<query xmlns='{MUC}#admin'><item affiliation='owner' jid='{LONG}@localhost'/></query>",
    f"<query xmlns='{MUC}#admin'><item affiliation='none' jid='localhost'/></query>",
    f"<query xmlns='{MUC}#admin'><item role='none' nick=''/></query>",
    f"<query xmlns='{MUC}#admin'><item role='none' nick='{LONG}'/></query>",
    f"<query xmlns='{MUC}#admin'>" + "<item role='none' nick='x'/>" * 60 + "</query>",
    f"<query xmlns='{MUC}#owner'/>",
    f"<query xmlns='{MUC}#owner'><destroy jid='/'/></query>",
    f"<query xmlns='{MUC}#owner'><x xmlns='{FORM}'/></query>",
    f"<query xmlns='{MUC}#owner'><x xmlns='{FORM}' type='submit'><field/><field var='FORM_TYPE'/>"
    f"</x></query>",
    f"<query xmlns='{MUC}#owner'><x xmlns='{FORM}' type='submit'>"
    f"<field var='muc#roomconfig_roomname'><value>{LONG}</value></field></x></query>",
    f"<query xmlns='{DISCO}#info' node='{LONG}'/>",
    f"<query xmlns='{DISCO}#items' node='x'/>",
    f"<query xmlns='{ARCHIVE}'><x xmlns='{FORM}' type='submit'><field var='start'/></x></query>",
    f"<query xmlns='{ARCHIVE}'><set xmlns='http://jabber.org/protocol/rsm'><max>-1</max></set></query>",
    f"<query xmlns='{ARCHIVE}'><flip-page/></query>",
    f"<metadata xmlns='{ARCHIVE}'/>",
    "<moderate xmlns='urn:xmpp:message-moderate:1'/>",
    f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{LONG}'/>",
    "<ping xmlns='urn:xmpp:ping'/>",
    "<vCard xmlns='vcard-temp'/>",
    "<subject/>",
    f"<subject>{LONG}</subject>",
    "<body/>",
    "<reactions xmlns='urn:xmpp:reactions:0'/>",
    "<replace xmlns='urn:xmpp:message-correct:0'/><body>x</body>",
    "<retract xmlns='urn:xmpp:message-retract:1'/>",
    "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>",
    "<active xmlns='http://jabber.org/protocol/chatstates'/>",
)
KINDS = {
    "iq": ("get", "set", "result"),
    "presence": ("", "unavailable", "probe", "subscribed", "error", "odd"),
    "message": ("", "groupchat", "chat", "headline", "error", "odd"),
}
ADDRESSES = ("{room}", "{room}/nobody", "{room}/{nick}", "{service}", "{service}/x", "0@{service}")


@pytest.mark.parametrize("is_member", (True, False), ids=("member", "stranger"))
@pytest.mark.gen_test(timeout=120)
async def test_each_request_has_one_answer_and_strangers_learn_nothing(
    node: Node, is_member: bool
) -> None:
    """Every child in every stanza to every kind of address, from inside and outside; the group
    stays as it was."""
    alice, bob = await JsonClient.online(node), await JsonClient.register(node)
    gid = await make_group(alice, *((bob,) if is_member else ()))
    _, before = await alice.call("GET", f"/api/groups/{gid}")
    bob.node = node.pick()
    service = "conference.localhost"
    names = {"room": f"{gid}@{service}", "service": service, "nick": bob.username}
    told = []
    for name, place in itertools.product(KINDS, ADDRESSES):
        for kind in KINDS[name]:  # each on a stream of its own, whose patience has an end
            romeo = RawXmpp(bob.node, "tcp")
            await romeo.login(bob.username, PASSWORD, "")
            if is_member:
                romeo.send(f"<presence to='{names['room']}/x'><x xmlns='{MUC}'/></presence>")
                await romeo.take(lambda e: e.find("{jabber:client}subject") is not None)
            typed = f" type='{kind}'" if kind else ""
            to = place.format(**names)
            for at, child in enumerate(CHILDREN):
                romeo.send(f"<{name} id='n{at}' to='{to}'{typed}>{child}</{name}>")
            await romeo.settle()
            assert not romeo.error
            answers = [e for e in romeo.come if e.tag.endswith("}iq")]
            asked = [f"n{at}" for at in range(len(CHILDREN))] if kind in ("get", "set") else []
            assert sorted(e.get("id") for e in answers) == sorted(asked)
            assert all(e.get("type") in ("result", "error") for e in answers)
            told += romeo.come
            await romeo.cut()
    come = "\n".join(etree.tostring(e, encoding="unicode") for e in told)
    assert "internal-server-error" not in come and "undefined-condition" not in come
    if not is_member:
        assert before["name"] not in come and alice.username not in come
    assert (await alice.call("GET", f"/api/groups/{gid}"))[1] == before
