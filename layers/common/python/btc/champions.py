"""The champion: the promoted model whose forecasts are served."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from btc.forecasts import Reason
from btc.times import DAY, parse_iso

CARD: Final = ("trained_from", "tested_from", "tested_until", "rows", "metrics", "dataset", "code")
"""What is told of a model beside its version, from its description."""


class Champion(NamedTuple):
    """The model that serves, as promotion left it; times in ISO 8601."""

    model_version: str
    """The artefact's own version: the date it was trained until, and a hash."""
    package: str
    """The registry's version: `group/7`."""
    artefact: str
    """s3:// address of its model.tar.gz."""
    trained_until: str
    """Its age counts from there."""
    promoted_at: str

    def expired(self, now: int, max_age_days: int) -> bool:
        """Whether too much has happened at `now` (µs) since the last bar it learnt from."""
        return now - parse_iso(self.trained_until) > max_age_days * DAY


class Promoted(NamedTuple):
    """The champion, and what its description tells of CARD."""

    champion: Champion
    card: Mapping[str, Any]


def card(description: Mapping[str, Any]) -> dict[str, Any]:
    return {name: description[name] for name in CARD if name in description}


def unusable(champion: Champion | None, now: int, max_age_days: int) -> Reason | None:
    """Why no champion may be asked at `now` (µs); None where it may."""
    if champion is None:
        return Reason.NO_CHAMPION
    return Reason.EXPIRED if champion.expired(now, max_age_days) else None
