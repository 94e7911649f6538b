"""Who may do what over the JSON WebSocket: one row for each frame, one column for each caller.

The callers and what is named in braces are those of ``tests/support/cast.py``. A cell says what
comes of the frame, for its sender and for whoever it is meant for (``other``, ``friend`` or, in
the group, the peer):

    ack   it is acked, and passed on        yes   no answer, and it is passed on
    ans   it is answered to the sender      ---   no answer, and nobody hears of it
    out   403 not-a-member    low   403 not-allowed    blk   403 blocked    mut   403 muted
    usr   404 no-such-user    msg   404 no-such-message    unk   400 unknown-cmd
"""

import json
import re
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tests.support.cast import CALLERS, UNKNOWN, Cast, names_in
from tests.support.foreign import same_answer
from tests.support.json_client import JsonClient
from tests.support.node import Node

CODES = {
    "out": (403, "not-a-member"),
    "low": (403, "not-allowed"),
    "blk": (403, "blocked"),
    "mut": (403, "muted"),
    "usr": (404, "no-such-user"),
    "msg": (404, "no-such-message"),
    "unk": (400, "unknown-cmd"),
}
SILENT = ("yes", "---")

# In the order of CALLERS without nobody:
# stranger, blocked, blocker, member, muted, gone, admin, owner
TABLE = """
ans ans ans ans ans ans ans ans 0
unk unk unk unk unk unk unk unk 1 id=1 seq=1
unk unk unk unk unk unk unk unk 2 code=403 reason=blocked
unk unk unk unk unk unk unk unk 9 chat=11 dstid={gid} seq=1
ack low blk ack ack ack ack ack 10 dstid={other} content=x
usr usr usr usr usr usr usr usr 10 dstid={none} content=x
out ack ack ack mut out ack ack 11 dstid={gid} content=x
out low low low mut out ack ack 11 dstid={gid} content=x at=[0]
out ack ack ack mut out ack ack 11 dstid={gid} content=x ref={theirs}
yes --- --- yes yes yes yes yes 12 chat=10 dstid={other} seq={end} state=delivered
yes --- --- yes yes yes yes yes 12 chat=10 dstid={other} seq={end} state=read
out yes yes yes yes out yes yes 12 chat=11 dstid={gid} seq={seq} state=delivered
out yes yes yes yes out yes yes 12 chat=11 dstid={gid} seq={seq} state=read
yes --- --- yes yes yes yes yes 13 chat=10 dstid={other} state=composing
out yes yes yes mut out yes yes 13 chat=11 dstid={gid} state=composing
ack ack ack ack ack ack ack ack 14 chat=10 dstid={other} ref={wrote}
low low low low low low low low 14 chat=10 dstid={other} ref={read}
msg msg msg msg msg msg msg msg 14 chat=10 dstid={other} ref={none}
out ack ack ack ack out ack ack 14 chat=11 dstid={gid} ref={mine}
out low low low low out ack ack 14 chat=11 dstid={gid} ref={theirs}
out msg msg msg msg out msg msg 14 chat=11 dstid={gid} ref={none}
ack low blk ack ack ack ack ack 15 chat=10 dstid={other} ref={wrote} content=y
low low blk low low low low low 15 chat=10 dstid={other} ref={read} content=y
msg low blk msg msg msg msg msg 15 chat=10 dstid={other} ref={none} content=y
out ack ack ack mut out ack ack 15 chat=11 dstid={gid} ref={mine} content=y
out low low low mut out low low 15 chat=11 dstid={gid} ref={theirs} content=y
ack low blk ack ack ack ack ack 16 chat=10 dstid={other} ref={read} content=y
ack low blk ack ack ack ack ack 16 chat=10 dstid={other} ref={wrote} content=
out ack ack ack mut out ack ack 16 chat=11 dstid={gid} ref={theirs} content=y
out msg msg msg mut out msg msg 16 chat=11 dstid={gid} ref={none} content=y
--- --- --- yes yes yes yes yes 20 state=dnd memo=for-{friend}
unk unk unk unk unk unk unk unk 21 event=accepted userid={own}
unk unk unk unk unk unk unk unk 22 event=joined dstid={gid}
unk unk unk unk unk unk unk unk 23 chat=11 dstid={gid} seq=1
unk unk unk unk unk unk unk unk 24 chat=11 dstid={gid}
ans ans ans ans ans ans ans ans 30
ans ans ans ans ans ans ans ans 31 chat=10 dstid={other}
ans ans ans ans ans ans ans ans 31 chat=10 dstid={none}
out ans ans ans ans out ans ans 31 chat=11 dstid={gid}
out ans ans ans ans out ans ans 31 chat=11 dstid={gid} after=0
"""


def frames(table: str) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Cells and frame of each row, which is written as ``cmd field=value …``."""
    found = []
    for line in filter(None, table.splitlines()):
        *cells, cmd, fields = f"{line} ".split(" ", len(CALLERS))
        frame: dict[str, Any] = {"cmd": int(cmd)}
        for field in fields.split():
            name, _, value = field.partition("=")
            frame[name] = value if not re.fullmatch(r"[0-9]+|\[.*\]", value) else json.loads(value)
        found.append((tuple(cells), frame))
    return found


ROWS = frames(TABLE)


def answers(frame: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Whether a frame that came is the answer to one that was sent with cid and rid."""
    if sent["cmd"] == 0:
        return frame["cmd"] == 0
    if frame["cmd"] in (1, 2) and sent["cmd"] == 12:
        return True  # what only the database knows of a receipt is told without its cid
    return sent["cid"] in (frame.get("cid"), frame.get("rid")) and "userid" not in frame


async def answer_to(client: JsonClient, sent: dict[str, Any]) -> dict[str, Any]:
    client.send(**sent)
    return await client.expect_that(lambda frame: answers(frame, sent), what=f"answer to {sent}")


def in_short(answer: dict[str, Any]) -> str:
    """As it is written in the table."""
    if answer["cmd"] == 2:
        told = answer["code"], answer["reason"]
        return next((short for short, known in CODES.items() if known == told), str(told))
    return "ack" if answer["cmd"] == 1 else "ans"


@pytest.mark.gen_test(timeout=30)
async def test_table_has_a_row_for_every_cmd_that_is_known(node: Node) -> None:
    """Whatever is not answered with ``unknown-cmd``; and no row is of one that does not exist."""
    known = set()
    for first in range(0, 128, 16):  # so many wrong ones does a connection take
        client = await JsonClient.online(node)
        for cmd in range(first, first + 16):
            answer = await answer_to(client, {"cmd": cmd, "cid": f"c{cmd}", "rid": f"c{cmd}"})
            if answer.get("reason") != "unknown-cmd":
                known.add(cmd)
    listed = {frame["cmd"] for cells, frame in ROWS if set(cells) != {"unk"}}
    assert known == listed


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(("cells", "frame"), ROWS, ids=[json.dumps(frame) for _, frame in ROWS])
async def test_frame_is_for_whom_the_table_says(
    node: Node, cells: tuple[str, ...], frame: dict[str, Any]
) -> None:
    """And is passed on from those only; a group one may not see is like one that is not there."""
    text = json.dumps(frame)
    cast = await Cast.of(node, text, online=True)
    [witness] = [*cast.users.values()] or [cast.peer]
    got = []
    for client in (witness, *cast.callers.values()):
        await client.settled()
    for expected, (name, client) in zip(cells, cast.callers.items(), strict=True):
        sent = cast.fill(frame, name) | {"cid": "c", "rid": "c"}
        if expected in SILENT:
            client.send(**sent)
            assert [each for each in await client.settled() if answers(each, sent)] == []
            got.append("")
            continue
        answer = await answer_to(client, sent)
        got.append(in_short(answer))
        if got[-1] == "out":
            instead = dict.fromkeys(names_in(text), UNKNOWN)
            nowhere = cast.fill(frame, name, **instead) | {"cid": "c", "rid": "c"}
            assert json.dumps(await answer_to(client, nowhere)) == json.dumps(answer)
    heard = []
    for at, client in enumerate(cast.callers.values()):
        if cells[at] in ("ack", "yes"):
            await witness.expect(cmd=frame["cmd"], userid=client.id)
            heard.append(at)
    rest = [each for each in await witness.settled() if each["cmd"] == frame["cmd"]]
    assert rest == []
    for at, client in enumerate(cast.callers.values()):
        assert [each for each in await client.settled() if each["cmd"] in (1, 2)] == []
        if not got[at]:
            got[at] = "yes" if at in heard else "---"
    assert tuple(got) == cells


@pytest.mark.gen_test(timeout=30)
async def test_nobody_gets_a_socket_without_an_own_good_token(node: Node) -> None:
    """One answer to whatever is wrong: nothing is told of the account, or of the token."""
    alice, bob = await JsonClient.register(node), await JsonClient.register(node)
    ended = await JsonClient.register(node)
    assert (await ended.call("POST", "/api/logout"))[0] == 204
    tickets = [(await each.call("POST", "/api/ticket"))[1]["ticket"] for each in (alice, alice)]
    socket = JsonClient(node, alice.account() | {"token": tickets[0]})
    await socket.connect()
    wrong = [
        ("", ""),
        (alice.id, ""),
        (alice.id, "garbage"),
        (UNKNOWN, "garbage"),
        (alice.id, alice.refresh_token),
        (alice.id, bob.token),  # another user's
        (UNKNOWN, bob.token),
        (bob.id, tickets[1]),
        (ended.id, ended.token),
        (alice.id, tickets[0]),  # spent
        (f"0{alice.id}x", alice.token),
    ]
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    refusals = []
    for userid, token in wrong:
        url = f"{node.url}/chat?id={userid}&token={token}"
        refused = await AsyncHTTPClient().fetch(HTTPRequest(url, headers=headers), False)
        assert refused.code == 403
        refusals.append(refused)
    assert same_answer(*refusals)
