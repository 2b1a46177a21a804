"""The counters of servers as instruments of OpenTelemetry. Needs the extra ``opentelemetry``.

Names and units follow https://opentelemetry.io/docs/specs/semconv/general/metrics/.
"""

from __future__ import annotations

__all__ = ["instrument"]

from collections.abc import Iterable, Mapping
from functools import partial

from easynetwork._extras import missing_extra

from ._metrics import METRICS, HasStatistics, Metric

try:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter
except ModuleNotFoundError as _exc:
    raise missing_extra("opentelemetry", extra="opentelemetry") from _exc


def instrument(servers: Mapping[str, HasStatistics], meter: Meter | None = None) -> None:
    """Create observable instruments for the counters of *servers*.

    They are called ``easynetwork.server.connections.accepted``, ``easynetwork.server.connections.open``, and so on. The
    attribute ``easynetwork.server.name`` has the name of the server. The servers are asked at each collection, in the
    thread of the reader.

    Parameters:
        servers: asynchronous or standalone servers, by name.
        meter: creates the instruments; None for one of the global provider.
    """
    meter = meter or get_meter("easynetwork")
    for metric in METRICS:
        unit = {"bytes": "By", "seconds": "s"}.get(metric.unit, f"{{{metric.unit}}}")
        create = meter.create_observable_counter if metric.grows else meter.create_observable_gauge
        name = f"easynetwork.server.{metric.name}"
        _ = create(name, [partial(_observe, servers, metric)], unit=unit, description=metric.description)


def _observe(servers: Mapping[str, HasStatistics], metric: Metric, _: CallbackOptions) -> Iterable[Observation]:
    for name, server in servers.items():
        for label, value in metric.values(server.statistics()).items():
            attributes = {"easynetwork.server.name": name}
            if metric.label:
                attributes[metric.label] = label
            yield Observation(value, attributes)
