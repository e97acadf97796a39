"""Which figures become metrics: each costs by the month, so only those that an alarm watches always do."""

import os
from collections.abc import Mapping
from typing import Protocol


class Sink(Protocol):
    """Powertools' metrics, as far as they are needed here."""

    def add_metric(self, name: str, unit: str, value: float) -> None: ...


def detailed() -> bool:
    """Whether the deployment asks for all of them (DETAILED_METRICS); the log has them in any case."""
    return os.environ.get("DETAILED_METRICS") == "true"


def add_details(metrics: Sink, figures: Mapping[str, float], unit: str = "Count") -> None:
    """Metrics that nobody is woken by, where the deployment asks for them."""
    if detailed():
        for name, value in figures.items():
            metrics.add_metric(name, unit, value)
