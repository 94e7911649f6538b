"""The log as other nodes follow it."""

from pathlib import Path

import pytest

from server.clients import now_ms
from server.model import RECALL, SINGLE, Message, Tally, first_id_of
from server.ports import Stored
from server.store.messages import UNAPPLIED_MS
from tests.integration.test_writer import Sender, data_dir, run

__all__ = ["data_dir"]


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize(
    ("age_ms", "waits"), [(0, True), (UNAPPLIED_MS + 1000, False), (-3_600_000, False)]
)
async def test_act_is_followed_when_it_is_applied_or_was_left_undone(
    data_dir: Path, age_ms: int, waits: bool
) -> None:
    """Nor does it wait for the clock of a node that is an hour ahead."""

    async def act(sender: Sender) -> None:
        sender.send("a")
        await sender.heard(1)
        entry = Message(id=first_id_of(now_ms() - age_ms), cmd=RECALL, chat=SINGLE, seq=2, ref=1)
        stored = Stored(entry, "", sender.conv)
        await sender.store.messages.insert(
            [sender.store.messages.encode(stored, (sender.userid,), Tally(1, 1, 1))]
        )
        found = await sender.store.messages.entries(sender.conv, 0, None, 10)
        assert [each.message.seq for each in found] == ([1] if waits else [1, 2])

    await run(data_dir, act)
