"""Model packages in the SageMaker Model Registry, and the artefacts they point to in S3."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlparse

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


class NoArtefactError(ValueError):
    """A model package, or an address, that names no model.tar.gz in S3."""


class NotPromotableError(ValueError):
    """A model package that must not become the champion: of another group, or not approved."""


class Package(NamedTuple):
    """One version in the registry."""

    group: str
    status: str
    """Approved, Rejected or PendingManualApproval."""
    model_version: str
    """`group/7`."""
    artefact: str
    """s3:// address of its model.tar.gz."""


def package(client: "SageMakerClient", arn: str) -> Package:
    """The package an ARN names; raises NoArtefactError where it holds no model."""
    answer = client.describe_model_package(ModelPackageName=arn)
    containers = answer.get("InferenceSpecification", {}).get("Containers", [])
    if not containers or "ModelDataUrl" not in containers[0]:
        raise NoArtefactError(f"{arn} has no model data: register it with an InferenceSpecification")
    group = answer["ModelPackageGroupName"]
    version = f"{group}/{answer['ModelPackageVersion']}"
    return Package(group, answer["ModelApprovalStatus"], version, containers[0]["ModelDataUrl"])


def require_approved(package: Package, group: str) -> None:
    """Raises NotPromotableError unless the package is an approved one of this group, whatever the event said."""
    if package.group != group or package.status != "Approved":
        raise NotPromotableError(
            f"{package.model_version} is {package.status}: only an Approved model of {group} may serve"
        )


def download(client: "S3Client", uri: str, folder: Path) -> Path:
    """The artefact at an s3:// address as a file in `folder`; raises NoArtefactError where there is none.

    To who may not list a bucket S3 says of what is not there that it is forbidden.
    """
    address = urlparse(uri)
    if address.scheme != "s3" or not address.path.strip("/"):
        raise NoArtefactError(f"{uri!r} is no address of an object in S3")
    target = folder / Path(address.path).name
    try:
        client.download_file(address.netloc, address.path.lstrip("/"), str(target))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "403", "AccessDenied"):
            raise NoArtefactError(f"{uri} is not there, or may not be read: {error}") from error
        raise
    return target
