"""What happens in this process, counted for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from ecg_ka import Estimate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Meter:
    """The counters of one application. No label holds what a caller sent: the number of series stays bounded."""

    def __init__(self, gauges: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(gauges)
        ProcessCollector(registry=self._registry)
        labels = ("method", "route", "status")
        self._requests = Counter("ecg_ka_requests", "requests answered", labels, registry=self._registry)
        self._seconds = Histogram(
            "ecg_ka_request_seconds", "time to answer", ("route",), buckets=_SECONDS, registry=self._registry
        )
        self._estimates = Counter("ecg_ka_estimates", "estimates made", ("region",), registry=self._registry)
        self._flags = Counter("ecg_ka_flags", "flags raised", ("flag",), registry=self._registry)

    def count_request(self, method: str, route: str | None, status: int | None, seconds: float) -> None:
        """One request was answered; of a path that no route has nothing is told."""
        name = route or "none"
        self._requests.labels(method, name, str(status or 0)).inc()
        self._seconds.labels(name).observe(seconds)

    def count_estimate(self, estimate: Estimate) -> None:
        """One estimate was made; ``withheld`` is a region of its own."""
        self._estimates.labels(estimate.region.name if estimate.region else "withheld").inc()
        for flag in estimate.flags:
            self._flags.labels(str(flag)).inc()

    def exposition(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        return generate_latest(self._registry)
