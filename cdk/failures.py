"""Batches and events that no retry could deliver: kept whole in S3, where they can be read and sent again.

An event that gets as far as no function has a queue instead, for EventBridge leaves it nowhere else.
"""

import jsii
from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk.lake import private_bucket
from cdk.settings import Stage


@jsii.implements(lambda_.IEventSourceDlq)
class FailedBatches:
    """The destination of an event source; its function may add objects and no more."""

    def __init__(self, bucket: s3.IBucket) -> None:
        self._bucket = bucket

    def bind(
        self,
        target: lambda_.IEventSourceMapping,  # noqa: ARG002 - the interface's
        target_handler: lambda_.IFunction,
    ) -> lambda_.DlqDestinationConfig:
        _grant_add(self._bucket, target_handler)
        return lambda_.DlqDestinationConfig(destination=self._bucket.bucket_arn)


@jsii.implements(lambda_.IDestination)
class FailedEvents:
    """The destination of a function's own events, likewise."""

    def __init__(self, bucket: s3.IBucket) -> None:
        self._bucket = bucket

    def bind(
        self,
        scope: Construct,  # noqa: ARG002 - the interface's
        fn: lambda_.IFunction,
        *,
        type: lambda_.DestinationType | None = None,  # noqa: A002, ARG002 - the interface's
    ) -> lambda_.DestinationConfig:
        _grant_add(self._bucket, fn)
        return lambda_.DestinationConfig(destination=self._bucket.bucket_arn)


def _grant_add(bucket: s3.IBucket, function: lambda_.IFunction) -> None:
    """Lambda lists the bucket to check it, then writes beneath a key of its own making."""
    iam.Grant.add_to_principal(grantee=function, actions=["s3:ListBucket"], resource_arns=[bucket.bucket_arn])
    iam.Grant.add_to_principal(grantee=function, actions=["s3:PutObject"], resource_arns=[bucket.arn_for_objects("*")])


class Failures(Construct):
    """One bucket for what functions refused, one queue for what never reached them."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self.bucket = private_bucket(self, "Bucket", stage=stage)
        self.bucket.add_lifecycle_rule(id="forget", expiration=Duration.days(30))
        self.batches = FailedBatches(self.bucket)
        self.events = FailedEvents(self.bucket)
        self.undelivered = sqs.Queue(
            self,
            "Undelivered",
            retention_period=Duration.days(14),  # no queue keeps longer
            encryption=sqs.QueueEncryption.SQS_MANAGED,  # of the events of the registry, which hold no data
            enforce_ssl=True,
        )
