"""What there is in the account, asked service by service: CloudFormation's word is not taken for it."""

from collections.abc import Callable
from typing import Any, Final

from tests.rehearsal.emulator import Emulator

# What to call, and where in its answer the names are.
LISTED: Final = {
    "athena": [("list_work_groups", "WorkGroups", "Name")],
    "apigateway": [
        ("get_rest_apis", "items", "id"),
        ("get_api_keys", "items", "id"),
        ("get_usage_plans", "items", "id"),
    ],
    "cloudwatch": [
        ("describe_alarms", "MetricAlarms", "AlarmName"),
        ("list_dashboards", "DashboardEntries", "DashboardName"),
    ],
    "dynamodb": [("list_tables", "TableNames", "")],
    "ec2": [
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
    ],
    "ecs": [("list_clusters", "clusterArns", ""), ("list_task_definitions", "taskDefinitionArns", "")],
    "events": [("list_rules", "Rules", "Name")],
    "glue": [("get_databases", "DatabaseList", "Name")],
    "iam": [("list_roles", "Roles", "RoleName")],
    "kinesis": [("list_streams", "StreamNames", "")],
    "lambda": [
        ("list_functions", "Functions", "FunctionName"),
        ("list_layers", "Layers", "LayerName"),
        ("list_event_source_mappings", "EventSourceMappings", "UUID"),
    ],
    "logs": [("describe_log_groups", "logGroups", "logGroupName")],
    "s3": [("list_buckets", "Buckets", "Name")],
    "scheduler": [("list_schedules", "Schedules", "Name")],
    "secretsmanager": [("list_secrets", "SecretList", "Name")],
    "sns": [("list_topics", "Topics", "TopicArn")],
    "sqs": [("list_queues", "QueueUrls", "")],
    "ssm": [("describe_parameters", "Parameters", "Name")],
}


def inventory(emulator: Emulator) -> set[str]:
    """`service: name` of everything the services list."""
    return {
        f"{service} {key}: {name}"
        for service, calls in LISTED.items()
        for call, key, field in calls
        for name in _names(emulator.client(service), call, key, field)
    }


def _names(client: Any, call: str, key: str, field: str) -> list[str]:
    if client.can_paginate(call):
        pages = list(client.get_paginator(call).paginate())
    else:
        answered: Callable[[], Any] = getattr(client, call)
        pages = [answered()]
    return [str(entry[field] if field else entry) for page in pages for entry in page.get(key) or []]
