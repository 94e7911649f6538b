"""What tests of contacts, blocks and presence do over HTTP."""

from typing import Any

from tests.support.json_client import JsonClient, http


async def call(client: JsonClient, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request of this client to its own node."""
    status, answer, _ = await http(client.node, method, path, body, client.token)
    return status, answer


async def contacts(client: JsonClient) -> dict[int, dict[str, Any]]:
    """What the client's list says, by id."""
    status, listed = await call(client, "GET", "/api/contacts")
    assert (status, listed["more"]) == (200, False)
    return {each["id"]: each for each in listed["contacts"]}


async def states(client: JsonClient) -> dict[int, str]:
    return {userid: each["state"] for userid, each in (await contacts(client)).items()}


async def ask(client: JsonClient, other: JsonClient, **fields: Any) -> dict[str, Any]:
    status, contact = await call(client, "POST", "/api/contacts", {"id": other.id, **fields})
    assert status == 201, contact
    return dict(contact)


async def befriend(one: JsonClient, other: JsonClient) -> None:
    """Makes them contacts. Those who are connected have heard all that comes of it."""
    await ask(one, other)
    status, contact = await call(other, "POST", f"/api/contacts/{one.id}/accept")
    assert (status, contact["state"]) == (200, "both")
    if other.socket is not None:
        await other.expect(cmd=21, event="request", userid=one.id)
    for client, friend in ((one, other), (other, one)):
        if client.socket is not None:
            await client.expect(cmd=21, event="accepted", userid=friend.id)
            if friend.socket is not None:
                await client.expect(cmd=20, userid=friend.id)


async def block(client: JsonClient, other: JsonClient) -> None:
    assert (await call(client, "PUT", f"/api/blocks/{other.id}"))[0] == 204


async def unblock(client: JsonClient, other: JsonClient) -> None:
    assert (await call(client, "DELETE", f"/api/blocks/{other.id}"))[0] == 204
