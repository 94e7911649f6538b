"""All steps of a subscription, from all states, as two XMPP clients see them."""

import pytest

from server.subscriptions import Kind
from tests.integration.test_xmpp_roster import Contact, couple
from tests.support.node import Node
from tests.unit.server.test_subscriptions import OUTBOUND

pytestmark = pytest.mark.dialogue

# How two without anything between them get there: who sends what.
WAYS: dict[str, tuple[tuple[str, Kind], ...]] = {
    "None": (),
    "None+Out": (("me", "subscribe"),),
    "None+In": (("they", "subscribe"),),
    "None+Out+In": (("me", "subscribe"), ("they", "subscribe")),
    "To": (("me", "subscribe"), ("they", "subscribed")),
    "To+In": (("me", "subscribe"), ("they", "subscribed"), ("they", "subscribe")),
    "From": (("they", "subscribe"), ("me", "subscribed")),
    "From+Out": (("they", "subscribe"), ("me", "subscribed"), ("me", "subscribe")),
    "Both": (
        ("they", "subscribe"),
        ("me", "subscribed"),
        ("me", "subscribe"),
        ("they", "subscribed"),
    ),
}


async def forget(one: Contact, other: Contact) -> None:
    """Nothing is between them and on their lists any more."""
    for client, partner in ((one, other), (other, one)):
        if partner.bare in await client.items():
            remove = client.make_iq_set()
            remove["roster"]["items"] = {partner.bare: {"subscription": "remove"}}
            await remove.send(timeout=10)


def state(own: tuple[str, str | None], theirs: tuple[str, str | None]) -> str:
    """What two rosters say, in the words of the RFC; who only asked may not be on the other's."""
    subscription, ask = own
    asks = ("+Out" if ask else "") + ("+In" if theirs[1] else "")
    return subscription.capitalize() + asks


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("kind", OUTBOUND)
async def test_step_from_every_state_leads_where_the_rfc_says(node: Node, kind: Kind) -> None:
    """Both rosters tell the new state, and the contact hears the stanza if it is passed on."""
    juliet, romeo = await couple(node)
    nothing = ("none", None)
    for before, after in OUTBOUND[kind].items():
        await forget(juliet, romeo)
        for who, step in WAYS[before]:
            sender, other = (juliet, romeo) if who == "me" else (romeo, juliet)
            sender.tell(other.bare, step)
            await sender.ping()
        mine, theirs = await juliet.items(), await romeo.items()
        own, partner = mine.get(romeo.bare, nothing), theirs.get(juliet.bare, nothing)
        assert state(own, partner) == before
        await romeo.ping()
        romeo.heard.clear()
        juliet.tell(romeo.bare, kind)
        await juliet.ping()
        mine, theirs = await juliet.items(), await romeo.items()
        own, partner = mine.get(romeo.bare, nothing), theirs.get(juliet.bare, nothing)
        assert state(own, partner) == after.rstrip("*"), (before, kind)
        inverse = {"to": "from", "from": "to"}
        assert partner[0] == inverse.get(own[0], own[0])
        if after.endswith("*"):
            await romeo.hear(kind, juliet.bare)
        else:
            heard = [each["type"] for each in romeo.heard if each["from"].bare == juliet.bare]
            assert kind not in heard
