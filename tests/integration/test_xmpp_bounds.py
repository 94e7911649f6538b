"""What one XMPP client can make the server do: each kind of stanza has its bound."""

import pytest

from stanzas import ns
from tests.support.json_client import PASSWORD, JsonClient
from tests.support.node import Node
from tests.support.raw_xmpp import RawXmpp

MANY = 700
FLOODS = (
    "<iq type='result' id='n' to='{other}'/>",
    "<iq type='error' id='n' to='{other}'/>",
    "<message type='error' to='{other}'/>",
    "<presence type='error' to='{other}'/>",
    "<presence to='nobody.at.all@localhost'/>",
    "<presence type='probe' to='nobody.at.all@localhost'/>",
    "<message to='no-room@conference.localhost'><x xmlns='" + ns.MUC_USER + "'>"
    "<invite to='{other}'/></x></message>",
    "<iq type='get' id='n'><blocklist xmlns='" + ns.BLOCKING + "'/></iq>",
    "<iq type='set' id='n'><unblock xmlns='" + ns.BLOCKING + "'/></iq>",
    "<iq type='get' id='n' to='{other}'><ping xmlns='urn:xmpp:ping'/></iq>",
)


async def _client(node: Node) -> RawXmpp:
    account = await JsonClient.register(node)
    client = RawXmpp(node, "tcp")
    await client.login(account.username, PASSWORD, "")
    return client


@pytest.mark.gen_test(timeout=60)
async def test_no_flood_is_for_nothing(own_node: Node) -> None:
    """Also what has no answer is counted, and who does not slow down is sent away."""
    own_node.env |= {
        "TANDEM_LIMITS_RATE_SCALE": "1",
        "TANDEM_LIMITS_SENDS_PER_SECOND": "20",
        "TANDEM_LIMITS_SENDS_BURST": "20",
        "TANDEM_LIMITS_REGISTRATIONS_PER_HOUR": "1000",
    }
    own_node.start()
    other = await _client(own_node)
    other.send("<presence/>")
    await other.settle()
    flooding = [await _client(own_node) for _ in FLOODS]
    for client, flood in zip(flooding, FLOODS, strict=True):
        client.send(flood.format(other=other.me) * MANY)
    for client, flood in zip(flooding, FLOODS, strict=True):
        await client.ended(30)
        assert client.error == "policy-violation", flood
        await client.cut()
    await other.settle()
    assert len(other.come) < 4 * 150
    await other.logout()


@pytest.mark.gen_test(timeout=30)
async def test_what_is_large_for_many_counts_as_several(own_node: Node) -> None:
    """A payload of a hundred KiB is told to all contacts."""
    own_node.env |= {"TANDEM_LIMITS_RATE_SCALE": "1"}
    own_node.start()
    client = await _client(own_node)
    large = f"<x xmlns='urn:example'>{'o' * 100_000}</x>"
    for at in range(30):
        client.send(
            f"<iq type='set' id='p{at}'><pubsub xmlns='{ns.PUBSUB}'><publish node='urn:example'>"
            f"<item id='current'>{large}</item></publish></pubsub></iq>"
        )
    refused = await client.take(lambda e: e.get("type") == "error", 20)
    assert "slow-down" in "".join(refused.itertext())
    await client.cut()
