"""The model card that a version carries in the registry: what it is for, what it learnt from, how it was judged.

Its shape is SageMaker's model card schema for model packages, whose texts have bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from btc.models import Model

_NAME: Final = 63
_TEXT: Final = 1024
_PURPOSE: Final = (
    "Quantiles, 5 % to 95 %, of the Bitcoin price some minutes ahead: how far it may go. Which way it goes is close to "
    "a coin toss, and no advice to trade follows from it."
)
_TOLD: Final = ("crps_skill", "crps_skill_low", "crps_skill_high", "coverage_90", "mae_skill", "direction", "rows")


@dataclass(frozen=True)
class Verdict:
    """What the gate decided of a model, and its mean skill over the horizons against each rival."""

    status: str
    reasons: tuple[str, ...]
    skills: Mapping[str, Mapping[str, float]]
    champion_version: str | None


def of(model: Model, verdict: Verdict) -> dict[str, Any]:
    """The card (JSON-able) of a model with the gate's verdict."""
    about = model.description
    horizons = [
        _group(f"{horizon} minutes ahead", {name: measured[name] for name in _TOLD if name in measured})
        for horizon, measured in about["metrics"].items()
    ]
    rivals = [_group(f"against {name}", skill) for name, skill in verdict.skills.items()]
    champion = verdict.champion_version or "none"
    return {
        "model_overview": {
            "model_creator": f"training code {about.get('code', 'unknown')}",
            "model_artifact": [model.version],
        },
        "intended_uses": {
            "purpose_of_model": _PURPOSE,
            "intended_uses": "Served while it is the champion and not expired; else a baseline is, and says so.",
            "factors_affecting_model_efficiency": "Minutes that are absent or unproven; a market that changes faster "
            "than the rolling calibration follows.",
            "risk_rating": "Low",
        },
        "training_details": {
            "objective_function": {"function": "Minimize", "facet": "Loss", "condition": "pinball, mean over levels"},
            "training_observations": _cut(
                f"{about.get('rows')} rows from {about.get('trained_from')} until {about['trained_until']}; "
                f"dataset {about.get('dataset')}; {about.get('trials')} trials"
            ),
            "training_job_details": {
                "hyper_parameters": [
                    {"name": name, "value": str(value)} for name, value in about.get("params", {}).items()
                ],
            },
        },
        "evaluation_details": [
            {
                "name": "unseen weeks",
                "evaluation_observation": _cut(f"{verdict.status}: {'; '.join(verdict.reasons)}"),
                "datasets": [str(about.get("dataset"))],
                "metadata": {
                    "tested_from": str(about.get("tested_from")),
                    "tested_until": str(about.get("tested_until")),
                    "champion": champion,
                },
                "metric_groups": horizons + rivals,
            }
        ],
        "additional_information": {
            "custom_details": {"model_version": model.version, "status": verdict.status, "champion": champion},
        },
    }


def _group(name: str, values: Mapping[str, float]) -> dict[str, Any]:
    told = [{"name": each, "type": "number", "value": float(value)} for each, value in values.items()]
    return {"name": name[:_NAME], "metric_data": told}


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"
