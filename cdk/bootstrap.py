"""`cdk bootstrap` with images scanned when they are pushed: `python -m cdk.bootstrap`, and what that verb takes.

No template of the app's own can see to it. Images go to the repository that bootstrapping makes, before a stack is
there; a registry's scanning is one setting of the whole account, which two stages would take from each other; and
CDK's own template leaves it to that setting. So the repository is made with it.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from cdk.__main__ import run

TEMPLATE: Final = Path(__file__).parents[1] / "build" / "bootstrap.yaml"
REPOSITORY: Final = "  ContainerAssetsRepository:\n    Type: AWS::ECR::Repository\n    Properties:\n"
SCANNED: Final = "      ImageScanningConfiguration: { ScanOnPush: true }\n"


class UnknownTemplateError(RuntimeError):
    """The command line's own template is not what is changed here."""


def scanned(template: str) -> str:
    """The bootstrap template with a repository that scans what is pushed. Raises UnknownTemplateError."""
    if template.count(REPOSITORY) != 1 or "ImageScanningConfiguration" in template:
        raise UnknownTemplateError("the CDK's bootstrap template has changed: look how it makes its repository")
    return template.replace(REPOSITORY, REPOSITORY + SCANNED)


def write() -> Path:
    """Where the template lies, made of the command line's own."""
    own = run("bootstrap", "--show-template", stdout=subprocess.PIPE)
    own.check_returncode()
    TEMPLATE.parent.mkdir(exist_ok=True)
    TEMPLATE.write_text(scanned(own.stdout))
    return TEMPLATE


if __name__ == "__main__":
    sys.exit(run("bootstrap", "--template", str(write()), *sys.argv[1:]).returncode)
