"""The ClientMap: several threads at once, limits, and that a reader never sees half a change."""

import random
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from server.clients import USERS_PER_SHARD, AddressCounter, ClientMap, ClientNode
from server.errors import ChatError
from server.model import User


def node(userid: int) -> ClientNode:
    nothing: Any = None
    return ClientNode(User(userid), nothing, Mock())


def test_bind_and_unbind_change_what_is_found() -> None:
    """Connections are found in the order they came, and gone after unbind."""
    clients = ClientMap(10)
    first, second = node(7), node(7)
    assert clients.bind(first) is None
    assert clients.bind(second) is None
    assert clients.of(7) == (first, second)
    assert clients.unbind(first)
    assert not clients.unbind(first)
    assert clients.of(7) == (second,)
    assert clients.unbind(second)
    assert clients.of(7) == ()
    assert len(clients) == 0


def test_bind_beyond_the_user_limit_gives_the_oldest_back() -> None:
    """The oldest connection gives way and is no longer found."""
    clients = ClientMap(2)
    nodes = [node(7) for _ in range(3)]
    assert [clients.bind(each) for each in nodes] == [None, None, nodes[0]]
    assert clients.of(7) == (nodes[1], nodes[2])


def test_bind_into_a_full_shard_is_refused_but_not_for_known_users() -> None:
    """A shard holds 100,000 users; who is in it may come with another device."""
    clients = ClientMap(10, shards=1)
    for userid in range(USERS_PER_SHARD):
        clients.bind(node(userid))
    with pytest.raises(ChatError) as refused:
        clients.bind(node(USERS_PER_SHARD))
    assert refused.value.slug == "busy"
    assert clients.bind(node(5)) is None


def test_map_under_threads_loses_and_invents_nothing() -> None:
    """Eight threads bind, read and unbind the same users; what stays is exactly what should."""
    clients = ClientMap(1_000_000, shards=4)
    kept: list[list[ClientNode]] = [[] for _ in range(8)]
    wrong: list[str] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        chance = random.Random(number)
        mine: list[ClientNode] = []
        start.wait()
        for _ in range(4000):
            userid = chance.randrange(50)
            if mine and chance.random() < 0.5:
                gone = mine.pop(chance.randrange(len(mine)))
                if not clients.unbind(gone):
                    wrong.append("a bound connection was not found")
            else:
                new = node(userid)
                clients.bind(new)
                mine.append(new)
            if any(found.userid != userid for found in clients.of(userid)):
                wrong.append("another user's connection was found")
            if mine and mine[-1] not in clients.of(mine[-1].userid):
                wrong.append("an own connection was not seen")
        kept[number] = mine

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    expected = sorted(id(each) for mine in kept for each in mine)
    assert sorted(id(each) for each in clients.everyone()) == expected


def test_address_counter_refuses_beyond_its_limit_and_forgets_who_left() -> None:
    """A freed place is given again."""
    counter = AddressCounter(2)
    counter.enter("a")
    counter.enter("a")
    with pytest.raises(ChatError):
        counter.check("a")
    counter.check("b")
    counter.leave("a")
    counter.check("a")
