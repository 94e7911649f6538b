"""What /metrics says: ``server/metrics.py``."""

from server.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Sample with labels → value, as a scraper reads them."""
    lines = metrics.render().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_render_of_plain_counters_shows_their_present_values() -> None:
    """What the router and the writer add to integers is there at the next scrape."""
    metrics = Metrics()
    metrics.accepted += 3
    metrics.stored += 2
    metrics.delivered += 7
    metrics.queue_depth = lambda: 5
    found = samples(metrics)
    assert found['tandem_messages_total{state="accepted"}'] == 3
    assert found['tandem_messages_total{state="stored"}'] == 2
    assert found['tandem_messages_total{state="delivered"}'] == 7
    assert found["tandem_queue_messages"] == 5


def test_render_of_connections_counts_those_that_are_there() -> None:
    """A connection that went is taken off its protocol."""
    metrics = Metrics()
    metrics.connected("json")
    metrics.connected("json")
    metrics.connected("xmpp")
    metrics.disconnected("json")
    found = samples(metrics)
    assert found['tandem_connections{protocol="json"}'] == 1
    assert found['tandem_connections{protocol="xmpp"}'] == 1


def test_render_of_events_has_their_labels_and_sums() -> None:
    """Errors by slug, logins by outcome, batches by size and time."""
    metrics = Metrics()
    metrics.error("slow-down")
    metrics.login("ok")
    metrics.batch(40, 0.25)
    found = samples(metrics)
    assert found['tandem_errors_total{slug="slow-down"}'] == 1
    assert found['tandem_logins_total{outcome="ok"}'] == 1
    assert found["tandem_batch_messages_sum"] == 40
    assert found["tandem_commit_seconds_sum"] == 0.25


def test_two_servers_in_one_process_count_apart() -> None:
    """Nothing is kept in Prometheus' global registry."""
    one, other = Metrics(), Metrics()
    one.error("invalid")
    assert 'tandem_errors_total{slug="invalid"}' not in samples(other)
