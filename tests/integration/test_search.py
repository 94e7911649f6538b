"""Searching one's conversations: what is found, what is not, and what happens in between."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.json_client import JsonClient, http
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


async def ask(client: JsonClient, q: str, **filters: object) -> tuple[int, Any]:
    path = f"/api/search?{urlencode({'q': q, **filters})}"
    status, answer, _ = await http(client.node, "GET", path, token=client.token)
    return status, answer


async def found(client: JsonClient, q: str, **filters: object) -> list[str]:
    """The texts found, newest first."""
    status, answer = await ask(client, q, **filters)
    assert status == 200, answer
    return [message["content"] for message in answer["messages"]]


async def make_group(owner: JsonClient, *members: JsonClient) -> int:
    body = {"name": "friends", "members": [member.id for member in members]}
    status, group, _ = await http(owner.node, "POST", "/api/groups", body, token=owner.token)
    assert status == 201, group
    return int(group["id"])


async def say_all(sender: JsonClient, to: int, texts: list[str], chat: int = 10) -> None:
    for n, text in enumerate(texts):
        sender.send(cmd=chat, dstid=to, content=text, cid=f"{to}-{n}")
    for n in range(len(texts)):
        await sender.expect(cmd=1, cid=f"{to}-{n}")


@pytest.mark.gen_test(timeout=30)
async def test_sent_text_is_found_at_once_by_both(node: Node) -> None:
    """Its sender finds it as soon as it is acked, its reader as soon as it came."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    assert await found(alice, "quick") == []
    assert await found(bob, "quick") == []
    ack = await alice.say(bob.id, "the quick brown fox", "c1")
    assert await found(alice, "quick") == ["the quick brown fox"]
    message = await bob.expect(cmd=10)
    assert await ask(bob, "quick") == (200, {"messages": [message], "more": False})
    assert message["id"] == ack["id"]


@pytest.mark.gen_test(timeout=30)
async def test_texts_of_all_scripts_are_found_by_their_parts(node: Node) -> None:
    """Words and parts of them, single Chinese characters, whatever the case and the accents."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    texts = [
        "我们谈论人工智能吧",
        "iPhone手机坏了",
        "Crème brûlée, s'il vous plaît",
        "Die STRASSE war naß",
        "Рад слышать",
        "안녕하세요 여러분",
        "well done 👍🏽",
        "cost: $5.00 (50%) & more",
        "ｆｕｌｌ width",
    ]
    await say_all(alice, bob.id, texts)
    for query, expected in {
        "人工智能": [0],
        "智": [0],
        "手机坏": [1],
        "phone": [1],
        "creme": [2],
        "BRÛL": [2],
        "straße": [3],
        "nass": [3],
        "лыша": [4],
        "안녕": [5],
        "👍": [6],
        "$5.00": [7],
        "(50%)": [7],
        "full": [8],
        "done well": [6],
        "done fox": [],
        "能智": [],
        "oul": [],
    }.items():
        assert await found(bob, query) == [texts[n] for n in expected], query


@pytest.mark.gen_test(timeout=30)
async def test_hostile_queries_are_text_like_any_other(node: Node) -> None:
    """Operators and regular expressions mean themselves; what says too little is invalid."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    await alice.say(bob.id, "plain words only", "c1")
    for query in (
        '{"$gt": ""}',
        "$where: function() { return true }",
        "wor.s",
        "(wor|x)*",
        "[words]",
        "words\\b",
        "words'; DROP TABLE",
        '"words"',
        "words\x00",
        "%77ords",
        "龘" * 100,
    ):
        assert await found(alice, query) == [], query
    assert await found(alice, "words " * 16 + "only") == ["plain words only"]
    for query in ("", " ", "w", "w p o", "???", "x" * 101, "x" * 10_000):
        status, answer = await ask(alice, query)
        assert (status, list(answer["errors"])) == (422, ["q"]), query
    for wrong in (
        {"chat": 12, "dstid": bob.id},
        {"dstid": bob.id},
        {"limit": 0},
        {"before": -1},
        {"since": "yesterday"},
        {"media": 2**60},
    ):
        assert (await ask(alice, "words", **wrong))[0] == 422, wrong
    for odd in ({"since": 2**53 - 1}, {"until": 0}, {"before": 0}, {"sender": 2**53 - 1}):
        assert await found(alice, "words", **odd) == [], odd
    _, _, response = await http(alice.node, "GET", "/api/search?q=%ff%fe", token=alice.token)
    assert response.code == 422
    assert (await http(alice.node, "GET", "/api/search?q=words"))[0] == 401
    assert (await http(alice.node, "GET", "/api/search", token=alice.token))[0] == 422


@pytest.mark.gen_test(timeout=30)
async def test_only_own_conversations_are_searched(node: Node) -> None:
    """Nobody finds what others say to each other, nor anything by naming their conversation."""
    alice, bob, eve = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob)
    await alice.say(bob.id, "secret between us", "c1")
    await alice.say(gid, "secret of the group", "c2", chat=11)
    assert len(await found(alice, "secret")) == 2
    assert await found(eve, "secret") == []
    assert await found(eve, "secret", chat=10, dstid=bob.id) == []
    assert await found(eve, "secret", sender=alice.id) == []
    assert (await ask(eve, "secret", chat=11, dstid=gid))[0] == 403
    assert (await ask(eve, "secret", chat=11, dstid=999_999_999))[0] == 403


@pytest.mark.gen_test(timeout=30)
async def test_members_find_what_they_may_read(node: Node) -> None:
    """A newcomer finds what came after the joining; who left finds nothing, also with others."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob)
    await alice.say(gid, "cake before", "c1", chat=11)
    path = f"/api/groups/{gid}/members"
    assert (await http(alice.node, "POST", path, {"id": carol.id}, token=alice.token))[0] in (
        200,
        201,
        204,
    )
    await alice.say(gid, "cake after", "c2", chat=11)
    await carol.expect(cmd=11)
    await bob.expect(cmd=11, content="cake after")
    assert await found(carol, "cake") == ["cake after"]
    assert await found(carol, "cake", chat=11, dstid=gid) == ["cake after"]
    assert await found(bob, "cake") == ["cake after", "cake before"]
    await carol.say(bob.id, "cake for two", "c3")
    assert (await http(alice.node, "DELETE", f"{path}/{carol.id}", token=alice.token))[0] == 204
    await carol.expect(cmd=22, event="removed")
    assert await found(carol, "cake") == ["cake for two"]
    await http(alice.node, "DELETE", f"/api/groups/{gid}", token=alice.token)
    assert await found(alice, "cake") == []


@pytest.mark.gen_test(timeout=30)
async def test_filters_narrow_what_is_found(node: Node) -> None:
    """By conversation, sender, media and date, and several of them at once."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(alice, bob, carol)
    acks = [
        await alice.say(bob.id, "apple 0", "c0"),
        await bob.say(alice.id, "apple 1", "c1"),
        await alice.say(carol.id, "apple 2", "c2"),
        await bob.say(gid, "apple 3", "c3", chat=11),
    ]
    url = "https://example.org/a"
    alice.send(cmd=11, dstid=gid, media=4, url=url, memo="apple in the description", cid="c4")
    acks.append(await alice.expect(cmd=1, cid="c4"))
    await carol.say(carol.id, "apple note", "c5")

    async def numbers(**filters: object) -> list[int]:
        status, answer = await ask(alice, "apple", **filters)
        assert status == 200
        order = [ack["id"] for ack in acks]
        return [order.index(message["id"]) for message in answer["messages"]]

    assert sorted(await numbers()) == [0, 1, 2, 3, 4]
    assert sorted(await numbers(chat=10)) == [0, 1, 2]
    assert sorted(await numbers(chat=11)) == [3, 4]
    assert await numbers(chat=10, dstid=bob.id) == [1, 0]
    assert await numbers(chat=11, dstid=gid) == [4, 3]
    assert sorted(await numbers(sender=bob.id)) == [1, 3]
    assert await numbers(sender=bob.id, chat=10) == [1]
    assert await numbers(media=4) == [4]
    assert sorted(await numbers(media=1)) == [0, 1, 2, 3]
    ts = acks[2]["ts"]
    for since, until in ((ts, ts), (ts, 2**53 - 1), (0, ts), (ts + 1, ts)):
        expected = [n for n, ack in enumerate(acks) if since <= ack["ts"] <= until]
        assert sorted(await numbers(since=since, until=until)) == expected
    assert await found(carol, "note", chat=10, dstid=carol.id) == ["apple note"]


@pytest.mark.gen_test(timeout=60)
async def test_pages_have_neither_gaps_nor_repeats(node: Node) -> None:
    """Over conversations that are written at the same time, also while more is written."""
    alice, bob, carol = [await JsonClient.online(node) for _ in range(3)]
    gid = await make_group(bob, alice, carol)
    for n in range(30):
        bob.send(cmd=10, dstid=alice.id, content=f"pear {n}", cid=f"b{n}")
        carol.send(cmd=11, dstid=gid, content=f"pear {n}", cid=f"c{n}")
        alice.send(cmd=10, dstid=alice.id, content="plum" if n % 3 else "pear", cid=f"a{n}")
    for n in range(30):
        await alice.expect(cmd=10, userid=bob.id, content=f"pear {n}")
        await alice.expect(cmd=11, content=f"pear {n}")
        await alice.expect(cmd=1, cid=f"a{n}")
    whole = await ask(alice, "pear", limit=1000)
    ids = [message["id"] for message in whole[1]["messages"]]
    assert len(ids) == 70 and ids == sorted(ids, reverse=True) and not whole[1]["more"]
    paged: list[int] = []
    more, before = True, {}
    while more:
        _, page = await ask(alice, "pear", limit=7, **before)
        assert len(page["messages"]) <= 7
        paged += [message["id"] for message in page["messages"]]
        more, before = page["more"], {"before": paged[-1]}
        await alice.say(alice.id, "pear, and newer", f"{len(paged)}")
    assert paged == ids


@pytest.mark.gen_test(timeout=60)
async def test_hits_among_many_that_only_look_like_it_are_found_once(node: Node) -> None:
    """Texts with all the pieces and not the whole are passed over, page by page."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    texts = [f"abcabd {n}" if n % 9 == 0 else f"abca cabd {n}" for n in range(100)]
    await say_all(alice, bob.id, texts)
    hits = [text for text in reversed(texts) if text.startswith("abcabd")]
    assert await found(alice, "abcabd") == hits
    for limit in range(1, 11):
        assert await found(alice, "abcabd", limit=limit) == hits[:limit]


@pytest.mark.gen_test(timeout=60)
async def test_page_of_long_texts_is_cut_by_its_size(node: Node) -> None:
    """As a page of the history is; the rest is on the next."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    await say_all(alice, bob.id, [f"{n} grape " + "我" * 19_000 for n in range(15)])
    _, page = await ask(alice, "grape", limit=100)
    assert 1 < len(page["messages"]) < 15 and page["more"]
    _, rest = await ask(alice, "grape", limit=100, before=page["messages"][-1]["id"])
    assert len(page["messages"]) + len(rest["messages"]) == 15 and not rest["more"]


async def all_found(client: JsonClient, q: str) -> set[str]:
    texts: set[str] = set()
    before: dict[str, int] = {}
    while True:
        status, page = await ask(client, q, limit=100, **before)
        assert status == 200, page
        texts |= {message["content"] for message in page["messages"]}
        if not page["more"]:
            return texts
        before = {"before": page["messages"][-1]["id"]}


@pytest.mark.gen_test(timeout=60)
async def test_killed_before_it_indexed_finds_everything_later(own_node: Node) -> None:
    """Also what was written while the search was switched off."""
    own_node.env["TANDEM_SEARCH_ENABLED"] = "false"
    own_node.start()
    alice, bob = [await JsonClient.online(own_node) for _ in range(2)]
    assert (await ask(alice, "kiwi"))[0] == 404
    await say_all(alice, bob.id, [f"kiwi {n}" for n in range(300)])
    own_node.kill()
    del own_node.env["TANDEM_SEARCH_ENABLED"]
    own_node.start()
    assert await all_found(bob, "kiwi") == {f"kiwi {n}" for n in range(300)}
    await alice.connect()
    await say_all(alice, alice.id, [f"kiwi {n}" for n in range(300, 600)])
    own_node.kill()
    own_node.start()
    assert await all_found(alice, "kiwi") == {f"kiwi {n}" for n in range(600)}
    assert own_node.stop() == 0
    assert own_node.stray_log_lines() == []


@pytest.mark.gen_test(timeout=30)
async def test_too_many_searches_are_slowed_down(tmp_path: Path) -> None:
    """Each user has so many a minute; others are not touched by it."""
    own_node = Node(tmp_path, {"TANDEM_LIMITS_RATE_SCALE": "1"})
    own_node.env["TANDEM_LIMITS_SEARCHES_PER_MINUTE"] = "3"
    own_node.start()
    try:
        alice, bob = [await JsonClient.register(own_node) for _ in range(2)]
        for _ in range(3):
            assert await found(alice, "fig") == []
        status, _, response = await http(own_node, "GET", "/api/search?q=fig", token=alice.token)
        assert status == 429 and 0 < int(response.headers["Retry-After"]) <= 60
        assert await found(bob, "fig") == []
    finally:
        own_node.clean_up()


@pytest.mark.gen_test(timeout=60)
async def test_recalled_text_is_not_found_from_the_ack_on_and_an_edit_is_found_by_its_text(
    node: Node,
) -> None:
    """At once on every node, whether or not the message was indexed by then."""
    alice, bob = [await JsonClient.online(node) for _ in range(2)]
    for waits in (True, False):
        sent = await alice.say(bob.id, f"zebra {waits}", f"c{waits}")
        if waits:
            assert len((await ask(bob, "zebra"))[1]["messages"]) == 1
        await alice.act(15, 10, bob.id, sent["id"], f"e{waits}", content=f"okapi {waits}")
        for client in (alice, bob):
            assert (await ask(client, "zebra"))[1]["messages"] == []
            assert [m["id"] for m in (await ask(client, "okapi"))[1]["messages"]] == [sent["id"]]
        await alice.act(14, 10, bob.id, sent["id"], f"r{waits}")
        for client in (alice, bob):
            assert (await ask(client, "okapi"))[1]["messages"] == []
