"""The counters of servers as metrics of Prometheus. Needs the extra ``prometheus``.

Names and units follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

__all__ = ["ServerCollector"]

from collections.abc import Iterator

from easynetwork._extras import missing_extra

from ._metrics import METRICS, HasStatistics

try:
    from prometheus_client import Metric
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as _exc:
    raise missing_extra("prometheus_client", extra="prometheus") from _exc


class ServerCollector(Collector):
    """Collects the counters of servers. Register it: ``prometheus_client.REGISTRY.register(ServerCollector(...))``.

    The metrics are called ``easynetwork_connections_accepted_total``, ``easynetwork_connections_open``, and so on. The
    label ``server`` has the name of the server. The servers are asked at each scrape, in the thread of the scrape.

    Parameters:
        servers: asynchronous or standalone servers, by name.
    """

    def __init__(self, **servers: HasStatistics) -> None:
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        statistics = {name: server.statistics() for name, server in self._servers.items()}
        for metric in METRICS:
            labels = ["server", metric.label] if metric.label else ["server"]
            family = (CounterMetricFamily if metric.grows else GaugeMetricFamily)(
                f"easynetwork_{metric.name.replace('.', '_')}",
                metric.description,
                labels=labels,
                unit=metric.unit if metric.unit in ("bytes", "seconds") else "",
            )
            for name, of_server in statistics.items():
                for label, value in metric.values(of_server).items():
                    family.add_metric([name, label] if metric.label else [name], value)
            yield family
