"""`make image`: builds the ingest task's image from Debian's packages, and runs it as its task definition says.

What Docker would be given is what CDK stages for it. The task then reads a simulated exchange into an emulated stream.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from btc.trades import Trades
from local.screen import Screen
from tests.image.building import Built, ImageError, base, build, build_for_arm, foreign, prepare, secrets, writable
from tests.image.container import Container, environment_of
from tests.infra.assembly import Assembly
from tests.local.feeding import Stack, running

PATIENCE_S: Final = 60.0
UNTRIED: Final = (
    "the base itself, which is in a registry, and that its digest is there: Debian's own Python 3.13 stands for it.",
    "ARM itself: the image that runs is this machine's; the one for ARM is built and looked at.",
    "limits of memory and processor: the task definition's own hold on Fargate.",
)
PROBE: Final = """
import os
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "dev")]
    if folder in MOUNTED:
        folders[:] = files[:] = []
    for path in (folder, *(os.path.join(folder, name) for name in files)):
        if not os.path.islink(path) and os.access(path, os.W_OK):
            print(path)
"""
"""Names all that its user can write, but for devices; does not look into what is mounted for it."""


def staged(folder: Path) -> tuple[Path, str, Assembly]:
    """The folder that Docker would be given, the Dockerfile in it, and the template that runs the image."""
    import aws_cdk  # noqa: PLC0415 - seconds

    from cdk import bars, ingestion  # noqa: PLC0415
    from cdk.app import context  # noqa: PLC0415
    from cdk.settings import DEV  # noqa: PLC0415

    app = aws_cdk.App(outdir=str(folder), context=context(), builtin_cloud_formation_validation=False)
    stack = aws_cdk.Stack(app, "Image")
    trades = ingestion.Trades(stack, "Trades", stage=DEV).stream
    state = bars.on_demand_table(stack, "State", key="name", stage=DEV)
    ingestion.Ingestion(stack, "Ingestion", stage=DEV, trades=trades, state=state)
    app.synth()
    [assets] = folder.glob("*.assets.json")
    [image] = json.loads(assets.read_text())["dockerImages"].values()
    source = image["source"]
    return folder / source["directory"], source["dockerFile"], Assembly.read(folder)


def expect_clean(built: Built, context: Path) -> str:
    """Raises ImageError where something is in it that should not be."""
    for what, found in {
        "is in /app and no source of the task's": foreign(built, context),
        "looks like a secret": secrets(built),
        "could be written by its user": writable(built),
    }.items():
        if found:
            raise ImageError(f"{len(found)} added, first {found[0]}: {what}")
    if built.config["User"].partition(":")[0] in ("", "0", "root"):
        raise ImageError("it would run as root")
    return f"{sum(1 for _ in built.added()):,} files and folders added, user {built.config['User']}"


def expect_arm(libraries: list[str]) -> str:
    """Raises ImageError where a library is another processor's."""
    if foreign_ones := [name for name in libraries if "aarch64" not in name]:
        raise ImageError(f"{', '.join(foreign_ones)} would not run on ARM")
    return f"{', '.join(libraries)}, on {os.uname().machine}"


def expect_closed(container: Container, mounted: list[str]) -> str:
    """Raises ImageError where the running program has rights that it does not need."""
    if "0" in container.status("Uid") or set("".join(container.status("CapEff"))) != {"0"}:
        raise ImageError("it runs with root's rights")
    done = container.ask("python", "-c", f"MOUNTED = {mounted!r}\n{PROBE}")
    if done.returncode:
        raise ImageError(f"the probe failed: {done.stderr}")
    if done.stdout.split() != mounted:
        raise ImageError(f"it can write {', '.join(done.stdout.split())}, not just {', '.join(mounted)}")
    return f"uid {container.status('Uid')[0]}, no capability, writes {', '.join(mounted)} alone"


def until(container: Container, met: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not met():
        container.check()
        if time.monotonic() > end:
            raise ImageError(f"{what} not within {PATIENCE_S:.0f} s:\n{container.log()}")
        time.sleep(0.3)


def rehearse(screen: Screen, folder: Path, parts: ExitStack) -> None:
    """Raises ImageError at the first thing that is not as it should be."""
    step = screen.phase
    with step("what Docker would be given"):
        context, dockerfile, assembly = staged(folder / "cdk.out")
    with step("a base of Debian's packages"):
        base()
    with step("buildah build"):
        built = build(context, dockerfile, folder)
    with step("what is in the image") as phase:
        phase.tell(expect_clean(built, context))
    with step("buildah build for ARM") as phase:
        phase.tell(expect_arm(build_for_arm(context, dockerfile, folder)))
    with step("exchange and emulator"):
        exchange = parts.enter_context(running("local.exchange", "--history-days", "0.01"))
        stack = Stack(parts.enter_context(running("local.emulator"))["endpoint"], exchange)
    task = assembly.task("ingest_trades")
    with step("trades into the stream") as phase:
        log = folder / "log"
        container = parts.enter_context(Container(built, task, environment_of(task, stack.told()), log))
        until(container, lambda: any(isinstance(entry, Trades) for entry in stack.entries()), "no trade came")
        until(container, container.healthy, "it was not healthy")
        sent = sum(len(entry) for entry in stack.entries() if isinstance(entry, Trades))
        phase.tell(f"{sent} trades; healthy by its task definition's check")
    with step("what it may do") as phase:
        mounts = [mount["ContainerPath"] for mount in task["ContainerDefinitions"][0]["MountPoints"]]
        phase.tell(expect_closed(container, mounts))
    with step("its other program"):
        if container.ask("python", "-m", "functions.fill_history", "--help").returncode:
            raise ImageError("fill_history does not even tell its usage")
    with step("SIGTERM") as phase:
        status, seconds = container.stop()
        if status:
            raise ImageError(f"it ended with {status}:\n{container.log()}")
        phase.tell(f"ended with 0 after {seconds:.1f} s")


def main() -> int:
    screen, began = Screen(), time.monotonic()
    try:
        with screen.phase("buildah and debootstrap"):
            prepare(os.geteuid())
        with tempfile.TemporaryDirectory(prefix="predict-bitcoin-image-") as folder, ExitStack() as parts:
            rehearse(screen, Path(folder), parts)
    except ImageError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    screen.say(f"built and run in {time.monotonic() - began:.0f} s; not tried here:")
    for line in UNTRIED:
        screen.say(f"- {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
