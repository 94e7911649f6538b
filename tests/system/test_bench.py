"""The benchmark runs, and what it sends arrives."""

import re
import subprocess
import sys

import pytest

from tests.bench.simulate import Bounds, Costs, People, predict, reckon
from tests.support.node import ROOT

SCENARIOS = ("hints-fanout", "pipeline", "mixed", "xmpp-tcp", "history", "idle", "storm")


def test_the_benchmark_loses_nothing_and_prints_its_table() -> None:
    command = [sys.executable, "-m", "tests.bench", "--pairs", "1", "--seconds", "0.3"]
    run = subprocess.run(
        [*command, "--idle", "1300", "--storm", "100", "--only", ",".join(SCENARIOS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WRONG" not in run.stdout
    rows = {
        name: row for name in SCENARIOS for row in re.findall(rf"^\| `{name}`.*", run.stdout, re.M)
    }
    assert sorted(rows) == sorted(SCENARIOS)
    for name in ("hints-fanout", "pipeline", "mixed", "xmpp-tcp", "history"):
        assert rows[name].endswith("| 0, 0, 0 |"), rows[name]


def test_the_scale_page_shows_what_the_model_says() -> None:
    """The table in ``docs/scale.md`` is the one of the measured costs."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.simulate"], cwd=ROOT, capture_output=True, text=True
    )
    page = (ROOT / "docs" / "scale.md").read_text()
    told = page.partition("<!-- python -m tests.bench.simulate -->\n")[2]
    assert told.partition("<!-- end -->")[0].strip() == run.stdout.strip()


COSTS = Costs(
    message_us=20,
    publish_us=5,
    bring_us=7,
    nats_in_us=1,
    nats_out_us=2,
    mongod_message_us=15,
    quiet_message_us=40,
    quiet_publish_us=10,
    quiet_bring_us=20,
    quiet_copy_us=2,
    quiet_nats_in_us=5,
    quiet_nats_out_us=6,
    quiet_mongod_message_us=50,
    come_us=400,
    subscribe_us=20,
    nats_subscribe_us=3,
    connection_kib=3,
    nats_topic_kib=0.3,
    idle_us=1,
    tail_us=0.5,
)


def test_prediction_of_a_message_counts_the_nodes_that_it_goes_to() -> None:
    """A 1:1 message has its reader on another node as often as there are others."""
    assert predict(COSTS, 1, 1, quiet=False) == (25, 2)
    assert predict(COSTS, 2, 1, quiet=False) == pytest.approx((25 + 7 / 2, 2 + 2 / 2))
    assert predict(COSTS, 4, 1, quiet=False) == pytest.approx((25 + 7 * 3 / 4, 2 + 2 * 3 / 4))
    nodes, nats = predict(COSTS, 3, 1000, quiet=True)  # a large group is on all of them
    assert nodes == pytest.approx(50 + 999 * 2 + 20 * 2)
    assert nats == pytest.approx(5 + 6 * 2)


def test_larger_service_takes_more_of_everything_and_nothing_is_too_busy() -> None:
    """And the same question has the same answer."""
    small, large = (reckon(People(users=users), COSTS, Bounds()) for users in (1e5, 3e6))
    assert reckon(People(users=1e5), COSTS, Bounds()) == small
    for figure in ("nodes", "nats_servers", "subscriptions", "write_load", "terabytes"):
        assert getattr(small, figure) <= getattr(large, figure)
    for service in (small, large):
        assert service.node_load <= Bounds().node
        assert service.nats_servers == 0 or service.nats_load <= Bounds().nats
        assert service.write_load / service.shards <= Bounds().mongod
