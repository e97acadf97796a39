"""Lambda functions in Python: their code is a folder of functions/, their layers come from layers/ and build/."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import BundlingOptions, DockerImage, Duration, FileSystem, ILocalBundling
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from btc.settings import Settings
from cdk.logs import log_group
from cdk.settings import Stage

ROOT = Path(__file__).parents[1]
RUNTIME = lambda_.Runtime.PYTHON_3_13
IN_PLACE = "aws:cdk:disable-asset-staging"
"""The context that has assets not copied."""
NOT_DEPLOYED = ["**/__pycache__", "**/*.pyc", ".DS_Store"]


class LayerMissingError(RuntimeError):
    """A third-party layer has not been built."""


class Layers(Construct):
    """Code shared by functions, each layer declared once, when it is first asked for."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self._built = ROOT / "build" / "layers" / stage.layers
        in_place = self.node.try_get_context(IN_PLACE)
        self._compiled = stage.layers == "lambda" and not in_place
        self._declared: dict[str, lambda_.LayerVersion] = {}

    def named(self, *names: str) -> list[lambda_.ILayerVersion]:
        """Raises LayerMissingError for one that has not been built."""
        return [self._layer(name) for name in names]

    def _layer(self, name: str) -> lambda_.LayerVersion:
        if name not in self._declared:
            self._declared[name] = lambda_.LayerVersion(
                self,
                name.capitalize(),
                code=self._code(name),
                description=f"{name} for predict-bitcoin-price",
                compatible_architectures=[lambda_.Architecture.ARM_64],
                compatible_runtimes=[RUNTIME],
            )
        return self._declared[name]

    def _code(self, name: str) -> lambda_.AssetCode:
        if name == "common":
            return _common(compiled=self._compiled)
        folder, inputs = self._built / name, self._built / f"{name}.inputs"
        if not folder.is_dir() or not inputs.is_file():
            raise LayerMissingError(f"{folder.relative_to(ROOT)} is not there: build it with `make layers`")
        # The hash of what a layer was built from names it as well as that of its thousands of files, at no cost.
        return lambda_.Code.from_asset(str(folder), asset_hash=inputs.read_text())


@jsii.implements(ILocalBundling)
class _Compiled:
    """Has layers/build.py make the domain's layer: an import makes no bytecode anew at each cold start."""

    def try_bundle(self, output_dir: str, *, image: DockerImage | None = None, **_: Any) -> bool:  # noqa: ARG002 - jsii's
        """Never leaves it to Docker."""
        subprocess.run([sys.executable, str(ROOT / "layers" / "build.py"), "--common", output_dir], check=True)
        return True


def _common(*, compiled: bool) -> lambda_.AssetCode:
    """The domain's layer. Sources that are read in place are compiled there, by whoever imports them."""
    place = str(ROOT / "layers" / "common")
    if not compiled:
        return lambda_.Code.from_asset(place, exclude=NOT_DEPLOYED)
    # Named by its sources and by what compiles them: bytecode tells nothing more.
    compiler = (ROOT / "layers" / "build.py").read_text()
    return lambda_.Code.from_asset(
        place,
        asset_hash=FileSystem.fingerprint(place, exclude=NOT_DEPLOYED, extra_hash=compiler),
        bundling=BundlingOptions(image=DockerImage.from_registry("none"), local=_Compiled()),
    )


class PythonFunction(lambda_.Function):
    """The function of one folder of functions/, told what its settings say."""

    def __init__(  # noqa: PLR0913 - what distinguishes one function from another
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        settings: Settings,
        layers: list[lambda_.ILayerVersion],
        stage: Stage,
        memory_mb: int,
        timeout_s: int,
        description: str,
        on_failure: lambda_.IDestination | None = None,
        snap_start: bool = False,
    ) -> None:
        logged = log_group(scope, f"{construct_id}Logs", stage=stage)
        super().__init__(
            scope,
            construct_id,
            role=_role(scope, construct_id, name=name),
            code=lambda_.Code.from_asset(str(ROOT / "functions" / name), exclude=NOT_DEPLOYED),
            handler="handler.handler",
            description=description,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            layers=layers,
            environment=environment(name, settings, stage),
            memory_size=memory_mb,
            timeout=Duration.seconds(timeout_s),
            on_failure=on_failure,
            log_group=logged,
            tracing=lambda_.Tracing.ACTIVE if stage.tracing else None,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        )
        # Not the managed policy: a function that may create log groups creates its own anew after it was deleted.
        logged.grant_write(self)


def _role(scope: Construct, construct_id: str, *, name: str) -> iam.Role:
    return iam.Role(
        scope,
        f"{construct_id}Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"What {name} may do",
    )


def environment(name: str, settings: Settings, stage: Stage) -> dict[str, str]:
    """What the process of `name` finds in its environment."""
    return {
        **settings.to_env(),
        "POWERTOOLS_SERVICE_NAME": name,
        "POWERTOOLS_METRICS_NAMESPACE": stage.metrics,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "DETAILED_METRICS": str(stage.detailed_metrics).lower(),
    }
