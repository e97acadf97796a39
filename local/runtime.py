"""The folder that stands in for AWS's managed Python runtime: its client and boto3, and nothing else."""

from __future__ import annotations

from importlib.metadata import Distribution, distribution
from pathlib import Path

# What the managed runtime carries, with everything these import (spelled out: extras and markers would blur it).
DISTRIBUTIONS = (
    "awslambdaric",
    "simplejson",
    "snapshot-restore-py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "python-dateutil",
    "six",
    "urllib3",
)


def managed_runtime(folder: Path) -> Path:
    """Fill `folder` with links to the installed distributions of the managed runtime and return it.

    A function's process gets this folder instead of site-packages, so that it can import what Lambda provides and
    cannot import what only this project's environment happens to hold. Raises PackageNotFoundError, by name, when
    one of them is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in DISTRIBUTIONS:
        for entry in _top_level(distribution(name)):
            link = folder / entry.name
            if not link.is_symlink():
                link.symlink_to(entry.resolve())
    return folder


def _top_level(installed: Distribution) -> set[Path]:
    """The files and folders of a distribution that lie directly in site-packages."""
    root = Path(str(installed.locate_file("")))
    names = {file.parts[0] for file in installed.files or () if file.parts[0] not in ("..", "__pycache__")}
    return {root / name for name in names}
