"""Types of resource that cost nothing by themselves, each with the reason."""

from collections.abc import Mapping
from typing import Final

_NETWORK = "a network's parts are free; what is paid for is an address, a gateway or an endpoint"
_OF_API = "a part of the API, which is paid for by the call"
_RIGHTS = "rights cost nothing"
FREE: Final[Mapping[str, str]] = {
    "AWS::ApiGateway::Account": _OF_API,
    "AWS::ApiGateway::ApiKey": _OF_API,
    "AWS::ApiGateway::Deployment": _OF_API,
    "AWS::ApiGateway::GatewayResponse": _OF_API,
    "AWS::ApiGateway::Method": _OF_API,
    "AWS::ApiGateway::Model": _OF_API,
    "AWS::ApiGateway::RequestValidator": _OF_API,
    "AWS::ApiGateway::Resource": _OF_API,
    "AWS::ApiGateway::Stage": "a part of the API; no cache, whose hours would cost",
    "AWS::ApiGateway::UsagePlan": _OF_API,
    "AWS::ApiGateway::UsagePlanKey": _OF_API,
    "AWS::Athena::NamedQuery": "text",
    "AWS::Athena::WorkGroup": "paid for by what a query scans, 5 $ a TB, and nobody queries by itself",
    "AWS::Budgets::Budget": "a budget that only tells costs nothing",
    "AWS::CDK::Metadata": "text",
    "AWS::EC2::InternetGateway": _NETWORK,
    "AWS::EC2::Route": _NETWORK,
    "AWS::EC2::RouteTable": _NETWORK,
    "AWS::EC2::SecurityGroup": _NETWORK,
    "AWS::EC2::SecurityGroupEgress": _NETWORK,
    "AWS::EC2::SecurityGroupIngress": _NETWORK,
    "AWS::EC2::Subnet": _NETWORK,
    "AWS::EC2::SubnetRouteTableAssociation": _NETWORK,
    "AWS::EC2::VPC": _NETWORK,
    "AWS::EC2::VPCGatewayAttachment": _NETWORK,
    "AWS::ECS::Cluster": "paid for by its tasks",
    "AWS::ECS::ClusterCapacityProviderAssociations": "paid for by its tasks",
    "AWS::ECS::TaskDefinition": "paid for by the service that runs it; a task run by hand costs while it runs",
    "AWS::Events::Rule": "events that AWS itself sends are free",
    "AWS::Glue::Database": "the catalogue's first million objects are free, and this is the whole of it",
    "AWS::Glue::Table": "the catalogue's first million objects are free, and this is one",
    "AWS::IAM::ManagedPolicy": _RIGHTS,
    "AWS::IAM::Policy": _RIGHTS,
    "AWS::IAM::Role": _RIGHTS,
    "AWS::Lambda::EventInvokeConfig": "paid for by the function's invocations",
    "AWS::Lambda::EventSourceMapping": "paid for by the function's invocations; reading a table's stream is free to it",
    "AWS::Lambda::LayerVersion": "stored within what Lambda stores for nothing",
    "AWS::Lambda::Permission": _RIGHTS,
    "AWS::S3::BucketPolicy": _RIGHTS,
    "AWS::SNS::Subscription": "paid for by the message: alarms are rare",
    "AWS::SNS::Topic": "paid for by the message: alarms are rare",
    "AWS::SNS::TopicPolicy": _RIGHTS,
    "AWS::SageMaker::ModelPackageGroup": "a registry costs what its models take in S3",
    "Custom::S3AutoDeleteObjects": "runs once, when the stack goes",
}
