"""Builds what the functions and the training job are deployed with, without Docker: `python layers/build.py`.

    build/layers/lambda/NAME/python    each third-party layer for Lambda (arm64, Python 3.13)
    build/layers/local/NAME/python     the same for this machine, for functions that run on it
    build/layers/local/runtime         what Lambda's own runtime brings, for this machine
    build/training/sourcedir.tar.gz    the training program, as SageMaker unpacks it

`--common FOLDER` writes there what the layer of the domain is made of, which a synthesis asks for by itself.

Versions are those of requirements.lock. What is up to date, by a hash of its inputs, is left alone.
"""

import argparse
import functools
import gzip
import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
LAYERS = ("powertools", "xgboost", "awswrangler")
LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORM = "aarch64-manylinux_2_28"  # the oldest for which current NumPy has wheels; Lambda has glibc 2.34

BROUGHT_BY_LAMBDA = ("boto3", "botocore", "s3transfer", "urllib3")
BULK = (
    *("**/tests", "**/__pycache__", "bin", ".lock", "*.dist-info/RECORD", "setuptools*", "distutils-precedence.pth"),
    *("pyarrow/include", "pyarrow/src", "pyarrow/*flight*"),
)
"""What nothing here imports. The rest of *.dist-info stays: packages ask importlib.metadata for their own version."""


class BuildError(RuntimeError):
    """A layer could not be built; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """One set of packages for one machine."""

    name: str
    place: Path
    for_lambda: bool

    @property
    def requirements(self) -> Path:
        return ROOT / "layers" / self.name / "requirements.in"

    @property
    def packages(self) -> Path:
        return self.place if self.name == "runtime" else self.place / "python"

    @property
    def label(self) -> str:
        return f"{'lambda' if self.for_lambda else 'local '} {self.name}"

    def fingerprint(self) -> str:
        machine = LAMBDA_PLATFORM if self.for_lambda else f"{platform.machine()} {sys.version}"
        digest = hashlib.sha256(f"{machine} {compiler(for_lambda=self.for_lambda)}".encode())
        for source in (self.requirements, ROOT / "requirements.lock", Path(__file__)):
            digest.update(source.read_bytes())
        return digest.hexdigest()


def targets(only: str | None, *, for_lambda: bool, for_local: bool) -> Iterator[Target]:
    """What to build, each layer for each machine asked for."""
    for name in LAYERS:
        if only in (None, name) and for_lambda:
            yield Target(name, BUILD / "layers" / "lambda" / name, for_lambda=True)
        if only in (None, name) and for_local:
            yield Target(name, BUILD / "layers" / "local" / name, for_lambda=False)
    if only in (None, "runtime") and for_local:
        yield Target("runtime", BUILD / "layers" / "local" / "runtime", for_lambda=False)


def build(target: Target) -> str:
    """Builds `target` beside its place and moves it there whole; returns what to tell of it."""
    stamp = target.place.with_suffix(".inputs")
    fingerprint = target.fingerprint()
    if target.place.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return f"up to date, {megabytes(target.place):.1f} MB"

    began = time.monotonic()
    part = Target(target.name, target.place.with_suffix(".part"), target.for_lambda)
    shutil.rmtree(part.place, ignore_errors=True)
    part.packages.mkdir(parents=True)
    install(part)
    strip(part)
    home = Path("/opt/python") if target.for_lambda else target.packages
    compiled = compile_bytecode(part.packages, home, compiler(for_lambda=target.for_lambda))
    shutil.rmtree(target.place, ignore_errors=True)
    part.place.rename(target.place)
    stamp.write_text(fingerprint)
    bare = "" if compiled else f", without .pyc: no Python {LAMBDA_PYTHON} here, cold starts will be slower"
    return f"built in {time.monotonic() - began:.0f} s, {megabytes(target.place):.1f} MB{bare}"


def install(target: Target) -> None:
    """Installs the locked versions from wheels only. Raises BuildError with uv's own words when it cannot."""
    foreign = ["--python-platform", LAMBDA_PLATFORM, "--python-version", LAMBDA_PYTHON] if target.for_lambda else []
    command = [
        *(uv(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target.packages)),
        *("--requirements", str(target.requirements), "--constraints", str(ROOT / "requirements.lock")),
        *("--only-binary", ":all:", "--link-mode", "copy", *foreign),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(
            f"{target.label}: uv could not install {target.requirements.relative_to(ROOT)}:\n{done.stderr}"
        )


def strip(target: Target) -> None:
    """Removes what no import reads, and from layers what Lambda brings. Native libraries are left as they are."""
    brought = () if target.name == "runtime" else BROUGHT_BY_LAMBDA
    patterns = [*BULK, *brought, *(f"{name}-*.dist-info" for name in brought)]
    for path in [path for pattern in patterns for path in target.packages.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def compile_bytecode(packages: Path, home: Path, python: str | None) -> bool:
    """Writes the .pyc that an import would otherwise make anew at each cold start; False where no Python fits.

    Tracebacks will name the sources under `home`, where they will lie.

    They carry no time of their source, since the layer's archive sets every time to 1980 and would void them.
    """
    if python is None:
        return False
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(packages), "-p", str(home)]
    # A package may carry a template or a file for another Python: what does not compile stays a source.
    subprocess.run([python, "-m", "compileall", *options, str(packages)], capture_output=True, check=False)
    return True


def common(folder: Path) -> None:
    """Writes the domain's layer for Lambda: the sources, compiled where a Python fits."""
    shutil.copytree(
        ROOT / "layers" / "common", folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    compile_bytecode(folder / "python", Path("/opt/python"), compiler(for_lambda=True))


@functools.cache
def compiler(*, for_lambda: bool) -> str | None:
    """A Python whose bytecode the target reads; None where this machine has none."""
    if not for_lambda:
        return sys.executable
    found = subprocess.run([uv(), "python", "find", LAMBDA_PYTHON], capture_output=True, text=True, check=False)
    candidates = [found.stdout.strip(), shutil.which(f"python{LAMBDA_PYTHON}")]
    candidates += [str(path) for path in Path.home().glob(f".pyenv/versions/{LAMBDA_PYTHON}.*/bin/python")]
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    for python in filter(None, candidates):
        answer = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == LAMBDA_PYTHON:
            return python
    return None


@functools.cache
def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise BuildError("uv is missing: install it with `python -m pip install uv`, or run `make layers`")
    return found


def megabytes(folder: Path) -> float:
    """Unpacked size as Lambda counts it against its 250 MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def bundle() -> str:
    """Writes the training program's archive; returns what to tell of it."""
    archive, content = BUILD / "training" / "sourcedir.tar.gz", source_archive()
    if archive.exists() and archive.read_bytes() == content:
        return "up to date"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(content)
    return f"built, {len(content) / 1e3:.0f} kB"


def source_archive() -> bytes:
    """The training program as a tar.gz: the same bytes for the same sources, whenever and wherever it is made."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, source in sorted(bundled()):
            entry = tarfile.TarInfo(name)
            content = source.read_bytes()
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def bundled() -> Iterator[tuple[str, Path]]:
    """(name in the archive, source): the training package, the domain it imports, and what pip is to add."""
    for path in (ROOT / "training").glob("*"):
        if path.name == "requirements.txt":
            yield path.name, path
        elif path.suffix == ".py":
            if path.name == "train.py":  # SageMaker runs a program that lies at the root
                yield path.name, path
            yield f"training/{path.name}", path
    domain = ROOT / "layers" / "common" / "python"
    for path in domain.rglob("*.py"):
        yield str(path.relative_to(domain)), path


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*LAYERS, "runtime", "training"], help="build just this one")
    parser.add_argument("--common", type=Path, metavar="FOLDER", help="write the domain's layer there, and no more")
    machines = parser.add_mutually_exclusive_group()
    machines.add_argument("--lambda", dest="lambda_only", action="store_true", help="only for Lambda")
    machines.add_argument("--local", dest="local_only", action="store_true", help="only for this machine")
    chosen = parser.parse_args()
    if chosen.common:
        common(chosen.common)
        return 0
    try:
        for target in targets(chosen.only, for_lambda=not chosen.local_only, for_local=not chosen.lambda_only):
            print(f"layers: {target.label:<18} …", end=" ", flush=True)
            print(build(target), flush=True)
        if chosen.only in (None, "training"):
            print(f"layers: {'training':<18} … {bundle()}")
    except BuildError as fault:
        print(f"\n{fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
