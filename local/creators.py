"""One creator a type of resource: CloudFormation's properties → the service's API call → what Ref and GetAtt give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.intrinsics import Created
from local.streams import Emulator


@dataclass(frozen=True, slots=True)
class Request:
    """A resource to create: `name` is the one it gets when its properties give none."""

    emulator: Emulator
    name: str
    account: str
    properties: Mapping[str, Any]

    def client(self, service: str) -> Any:
        return self.emulator.client(service)

    def named(self, key: str) -> str:
        return str(self.properties.get(key, self.name))

    def arn(self, service: str, path: str) -> str:
        return f"arn:aws:{service}:{self.emulator.region}:{self.account}:{path}"

    def only(self, *keys: str) -> dict[str, Any]:
        """Those of the properties that the API takes under the same name."""
        return {key: self.properties[key] for key in keys if key in self.properties}


def _bucket(request: Request) -> Created:
    name = request.named("BucketName")
    client = request.client("s3")
    client.create_bucket(Bucket=name)
    if request.properties.get("VersioningConfiguration", {}).get("Status") == "Enabled":
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    region = request.emulator.region
    return Created(
        name,
        {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        },
    )


def _stream(request: Request) -> Created:
    name = request.named("Name")
    client = request.client("kinesis")
    # An on-demand stream begins with four shards on AWS, here with as many as the template or one.
    client.create_stream(StreamName=name, ShardCount=int(request.properties.get("ShardCount", 1)))
    description = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    return Created(name, {"Arn": description["StreamARN"], "WarmThroughputObject": ""})


def _table(request: Request) -> Created:
    name = request.named("TableName")
    properties = dict(request.properties)
    arguments = request.only(
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
        "LocalSecondaryIndexes",
        "ProvisionedThroughput",
    )
    if "StreamSpecification" in properties:
        arguments["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
    client = request.client("dynamodb")
    description = client.create_table(TableName=name, **arguments)["TableDescription"]
    if "TimeToLiveSpecification" in properties:
        expiry = {**properties["TimeToLiveSpecification"], "Enabled": True}
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    attributes = {"Arn": description["TableArn"], "TableId": description.get("TableId", name)}
    if "LatestStreamArn" in description:
        attributes["StreamArn"] = description["LatestStreamArn"]
    return Created(name, attributes)


def _queue(request: Request) -> Created:
    url = request.client("sqs").create_queue(QueueName=request.named("QueueName"))["QueueUrl"]
    name = url.rsplit("/", 1)[1]
    return Created(url, {"Arn": request.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def _parameter(request: Request) -> Created:
    name = request.named("Name")
    request.client("ssm").put_parameter(Name=name, **request.only("Type", "Value", "Description"))
    return Created(name, {"Type": request.properties["Type"], "Value": request.properties["Value"]})


def _secret(request: Request) -> Created:
    text = request.properties.get("SecretString", json.dumps({}))
    answer = request.client("secretsmanager").create_secret(Name=request.named("Name"), SecretString=text)
    return Created(answer["ARN"], {"Id": answer["ARN"]})


def _database(request: Request) -> Created:
    database = {"Name": request.name.lower(), **request.properties["DatabaseInput"]}
    request.client("glue").create_database(DatabaseInput=database)
    return Created(database["Name"])


def _glue_table(request: Request) -> Created:
    table = {"Name": request.name.lower(), **request.properties["TableInput"]}
    request.client("glue").create_table(DatabaseName=request.properties["DatabaseName"], TableInput=table)
    return Created(table["Name"])


def _work_group(request: Request) -> Created:
    name = request.named("Name")
    properties = request.properties
    arguments = (
        {"Configuration": properties["WorkGroupConfiguration"]} if "WorkGroupConfiguration" in properties else {}
    )
    request.client("athena").create_work_group(Name=name, Description=properties.get("Description", ""), **arguments)
    return Created(name, {"Name": name})


def _named_query(request: Request) -> Created:
    arguments = request.only("Database", "Description", "QueryString", "WorkGroup")
    answer = request.client("athena").create_named_query(Name=request.named("Name"), **arguments)
    return Created(answer["NamedQueryId"], {"NamedQueryId": answer["NamedQueryId"]})


def _model_package_group(request: Request) -> Created:
    name = request.named("ModelPackageGroupName")
    answer = request.client("sagemaker").create_model_package_group(
        ModelPackageGroupName=name, **request.only("ModelPackageGroupDescription")
    )
    arn = answer["ModelPackageGroupArn"]
    return Created(arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupName": name})


def _pipeline(request: Request) -> Created:
    name = request.named("PipelineName")
    definition = request.properties["PipelineDefinition"]
    # The service takes text and checks it; the emulator takes anything, so that a slip would show in the cloud first.
    body = definition.get("PipelineDefinitionBody", definition) if isinstance(definition, dict) else definition
    text = body if isinstance(body, str) else json.dumps(body)
    json.loads(text)
    request.client("sagemaker").create_pipeline(
        PipelineName=name,
        PipelineDefinition=text,
        ClientRequestToken=f"{name}-{'0' * 32}",
        RoleArn=request.properties["RoleArn"],
        **request.only("PipelineDisplayName", "PipelineDescription"),
    )
    return Created(name, {"PipelineArn": request.arn("sagemaker", f"pipeline/{name.lower()}")})


CREATORS: Final[Mapping[str, Callable[[Request], Created]]] = {
    "AWS::Athena::NamedQuery": _named_query,
    "AWS::Athena::WorkGroup": _work_group,
    "AWS::DynamoDB::Table": _table,
    "AWS::Glue::Database": _database,
    "AWS::Glue::Table": _glue_table,
    "AWS::Kinesis::Stream": _stream,
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::SSM::Parameter": _parameter,
    "AWS::SageMaker::ModelPackageGroup": _model_package_group,
    "AWS::SageMaker::Pipeline": _pipeline,
    "AWS::SecretsManager::Secret": _secret,
}
