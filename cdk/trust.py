"""Who may act in a role: a service, and for this account alone."""

from aws_cdk import Aws
from aws_cdk import aws_iam as iam


def service(name: str) -> iam.ServicePrincipal:
    """A service that says for whose resource it acts, so that nobody else's may have it act here.

    So AWS's documents have it for ECS, SageMaker and the Scheduler. Lambda and API Gateway are not among those that are
    told of there: their roles trust them plainly.
    """
    return iam.ServicePrincipal(
        f"{name}.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
    )
