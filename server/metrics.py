"""What the server counts about itself, for Prometheus. No ids of anybody or anything in labels.

The parts on the way of a message add to plain integers; they become Prometheus samples only when
somebody asks (:meth:`Metrics.render`). Only what happens once a batch or once a second goes
through a Prometheus object.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from server.ports import Bus
    from server.sequence import Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LAG_SAMPLE_S = 1.0


class Metrics(Collector):
    """One server's counters.

    ``accepted``: messages that passed the router's checks; ``stored``: new entries durable in the
    history; ``delivered``: copies handed to connections. ``queue_depth`` and
    ``index_behind`` are asked at scrape time, and of a service of several nodes ``bus`` and
    ``sequence``.
    """

    bus: "Bus | None" = None
    sequence: "Sequence | None" = None

    def __init__(self) -> None:
        self.accepted = 0
        self.stored = 0
        self.delivered = 0
        self.queue_depth: Callable[[], int] = lambda: 0
        self.index_behind: Callable[[], int] = lambda: 0
        self._connections: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._logins: Counter[str] = Counter()
        self._uploads: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._batch_size = Histogram(
            "tandem_batch_messages",
            "Messages in one write to the database",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self._registry,
        )
        self._commit_time = Histogram(
            "tandem_commit_seconds",
            "Time until a write was durable",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self._registry,
        )
        self._lag = Histogram(
            "tandem_event_loop_lag_seconds",
            "How late the event loop was for a timer, sampled every second",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self._registry,
        )

    def connected(self, protocol: str) -> None:
        """A connection of ``protocol`` (``json``, ``xmpp-websocket``, ``xmpp``) was bound."""
        self._connections[protocol] += 1

    def disconnected(self, protocol: str) -> None:
        """A connection counted by :meth:`connected` is gone."""
        self._connections[protocol] -= 1

    def error(self, slug: str) -> None:
        """A peer was told this error."""
        self._errors[slug] += 1

    def login(self, outcome: str) -> None:
        """A login ended as ``ok``, or was refused with this slug."""
        self._logins[outcome] += 1

    def upload(self, outcome: str) -> None:
        """A slot was ``offered``, its file ``stored``, or its upload ``broken``."""
        self._uploads[outcome] += 1

    def batch(self, size: int, seconds: float) -> None:
        """``size`` messages became durable together in ``seconds``."""
        self._batch_size.observe(size)
        self._commit_time.observe(seconds)

    async def watch_loop(self) -> None:
        """Samples the event loop's lag once a second until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SAMPLE_S
            await asyncio.sleep(LAG_SAMPLE_S)
            self._lag.observe(max(0.0, loop.time() - due))

    def render(self) -> bytes:
        """Everything in Prometheus' text format (:data:`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Samples of the plain counters (called by the registry)."""
        messages = CounterMetricFamily(
            "tandem_messages", "Messages by how far they came", labels=["state"]
        )
        for state in ("accepted", "stored", "delivered"):
            messages.add_metric([state], getattr(self, state))
        yield messages
        yield GaugeMetricFamily(
            "tandem_queue_messages", "Messages waiting to be durable", value=self.queue_depth()
        )
        yield GaugeMetricFamily(
            "tandem_index_behind_conversations",
            "Conversations that the search's index is behind with",
            value=self.index_behind(),
        )
        connections = GaugeMetricFamily(
            "tandem_connections", "Bound connections by protocol", labels=["protocol"]
        )
        for protocol, count in self._connections.items():
            connections.add_metric([protocol], count)
        yield connections
        if self.bus is not None and self.sequence is not None:
            yield from self._between_nodes(self.bus, self.sequence)
        errors = CounterMetricFamily("tandem_errors", "Errors told to peers", labels=["slug"])
        for slug, count in self._errors.items():
            errors.add_metric([slug], count)
        yield errors
        logins = CounterMetricFamily("tandem_logins", "Logins by outcome", labels=["outcome"])
        for outcome, count in self._logins.items():
            logins.add_metric([outcome], count)
        yield logins
        uploads = CounterMetricFamily("tandem_uploads", "Uploads by outcome", labels=["outcome"])
        for outcome, count in self._uploads.items():
            uploads.add_metric([outcome], count)
        yield uploads

    @staticmethod
    def _between_nodes(bus: "Bus", sequence: "Sequence") -> Iterator[Metric]:
        yield GaugeMetricFamily("tandem_bus_up", "Whether other nodes can be reached", bus.is_up)
        yield GaugeMetricFamily(
            "tandem_bus_topics", "Users and groups that are listened for", bus.watched
        )
        yield CounterMetricFamily(
            "tandem_bus_lost", "What could not be handed to the bus", value=bus.lost
        )
        holes = CounterMetricFamily(
            "tandem_holes", "Entries that the bus did not bring", labels=["outcome"]
        )
        holes.add_metric(["read"], sequence.filled)
        holes.add_metric(["void"], sequence.voided)
        yield holes
