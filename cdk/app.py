"""The CDK app: `python -m cdk.app`, which the CDK's command line runs as cdk.json says.

python -m cdk.app --stage local --output FOLDER    synthesises without the command line
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from aws_cdk import App, DefaultStackSynthesizer, Tags

from cdk import nag
from cdk.python_function import IN_PLACE
from cdk.settings import DEV, Stage, stage_named
from cdk.stack import PredictBitcoin

ROOT = Path(__file__).parents[1]


def context() -> dict[str, Any]:
    """The feature flags of cdk.json, which only the command line reads by itself."""
    flags: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return flags


def build(
    stage: Stage | None = None,
    *,
    output: Path | None = None,
    validate: bool | None = False,
    in_place: bool = False,
    checked: bool = False,
) -> App:
    """The app of `stage`, or of the one named by the context (`-c stage=prod`), ready for `.synth()`.

    `validate` checks the template against CloudFormation's schemas, which takes ten seconds; None leaves it to the
    environment (CDK_VALIDATION). With `in_place` assets are not copied, and the template tells where each lies.
    `checked` has cdk-nag look at it: a finding that is not known ends the command line.
    """
    by_path = {"aws:cdk:enable-asset-metadata": True, IN_PLACE: True}
    app = App(
        outdir=str(output) if output else None,
        context={**context(), **(by_path if in_place else {})},
        builtin_cloud_formation_validation=validate,
        analytics_reporting=False,
    )
    chosen = stage or stage_named(app.node.try_get_context("stage") or DEV.name)
    if email := app.node.try_get_context("alarm_email"):
        chosen = replace(chosen, alarm_email=email)
    stack = PredictBitcoin(
        app,
        chosen.stack_name,
        stage=chosen,
        description="Real-time Bitcoin price forecasts: exact bars, calibrated intervals, an honest gate",
        synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=not chosen.emulated),
    )
    Tags.of(stack).add("project", "predict-bitcoin-price")
    Tags.of(stack).add("stage", chosen.name)
    if checked:
        nag.check(app, stack, chosen)
    return app


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", type=stage_named, help="instead of the context's")
    parser.add_argument("--output", type=Path, help="instead of the command line's")
    chosen = parser.parse_args()
    by_hand = chosen.output is not None
    build(
        chosen.stage, output=chosen.output, validate=False if by_hand else None, in_place=by_hand, checked=not by_hand
    ).synth()


if __name__ == "__main__":
    main()
