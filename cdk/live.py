"""Forecasts pushed as they are made: a WebSocket API, who listens to it, and what posts to them.

Not server-sent events, for which a function would have to run as long as anybody listens; here nothing runs between two
forecasts, and what is billed are messages and the minutes of connections.
"""

import json
from dataclasses import replace

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_authorizers import WebSocketLambdaAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import WebSocketLambdaIntegration
from aws_cdk.aws_lambda_event_sources import DynamoEventSource
from constructs import Construct

from btc.forecasts import HORIZONS
from btc.requests import TICKET
from btc.settings import ConnectListeners, PushForecasts
from cdk.bars import Bars, on_demand_table
from cdk.forecasts import Forecasts
from cdk.logs import log_group
from cdk.python_function import Layers, PythonFunction
from cdk.settings import Stage

STAGE = "live"
STALE = Duration.minutes(2)
"""After an outage forecasts that came meanwhile are not pushed one after another: the next tells all there is."""
LOGGED = {
    name: f"$context.{name}"
    for name in ("requestId", "requestTime", "eventType", "routeKey", "status", "connectionId", "connectedAt")
}
"""Of each coming and going; beside it the address. Not the query, in which the ticket is."""


class Live(Construct):
    """Tickets open it, which the REST API gives to keys: see btc/aws/listeners.py."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        forecasts: Forecasts,
        failures: lambda_.IEventSourceDlq,
    ) -> None:
        super().__init__(scope, construct_id)
        # Who listens has gone within two hours: of that nothing is kept, whatever the stage keeps.
        passing = replace(stage, keep_data=False)
        self.listeners = on_demand_table(
            self, "Listeners", key="audience", sort_key="id", stage=passing, time_to_live_attribute="expires"
        )
        self.connect = PythonFunction(
            self,
            "ConnectListeners",
            name="connect_listeners",
            description="Lets in who brings a ticket, and keeps who listens",
            settings=ConnectListeners(listeners_table=self.listeners.table_name),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=10,
        )
        self.api = self._api(stage)
        self.url = f"{self.api.api_endpoint}/{STAGE}"
        self.stage = self._stage(stage)
        self.push = PythonFunction(
            self,
            "PushForecasts",
            name="push_forecasts",
            description="Posts new forecasts to all who listen to their market",
            settings=PushForecasts(
                bars_table=bars.table.table_name,
                forecasts_table=forecasts.table.table_name,
                listeners_table=self.listeners.table_name,
                channel_url=self.url,
            ),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=60,
        )
        # The longest horizon is written last: with it, all of a minute's forecasts are there.
        last = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"series": {"S": [{"suffix": f":{HORIZONS[-1]}"}]}}}}
        self.push.add_event_source(
            DynamoEventSource(
                forecasts.table,
                starting_position=lambda_.StartingPosition.LATEST,
                batch_size=100,
                filters=[lambda_.FilterCriteria.filter(last)],
                bisect_batch_on_error=True,
                retry_attempts=2,
                max_record_age=STALE,
                on_failure=failures,
            )
        )

    def grant_post(self, grantee: iam.IGrantable) -> None:
        """Posting to the connections of this stage, whose ids the gateway makes; not to end them."""
        arn = Stack.of(self).format_arn(
            service="execute-api", resource=self.api.api_id, resource_name=f"{STAGE}/POST/@connections/*"
        )
        iam.Grant.add_to_principal(grantee=grantee, actions=["execute-api:ManageConnections"], resource_arns=[arn])

    def grant_issue(self, function: lambda_.Function) -> None:
        """Tickets, and no connections, which are in the same table."""
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["dynamodb:PutItem"],
                resources=[self.listeners.table_arn],
                conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [TICKET]}},
            )
        )

    def _api(self, stage: Stage) -> apigatewayv2.WebSocketApi:
        told = WebSocketLambdaIntegration("Told", self.connect)
        admission = WebSocketLambdaAuthorizer(
            "Tickets",
            self.connect,
            authorizer_name=f"{stage.prefix}-tickets",
            identity_source=[f"route.request.querystring.{TICKET}"],
        )
        return apigatewayv2.WebSocketApi(
            self,
            "Api",
            api_name=f"{stage.prefix}-live",
            description="Forecasts of the Bitcoin price, as they are made",
            connect_route_options=apigatewayv2.WebSocketRouteOptions(integration=told, authorizer=admission),
            disconnect_route_options=apigatewayv2.WebSocketRouteOptions(integration=told),
        )

    def _stage(self, stage: Stage) -> apigatewayv2.WebSocketStage:
        made = apigatewayv2.WebSocketStage(
            self,
            "Stage",
            web_socket_api=self.api,
            stage_name=STAGE,
            auto_deploy=True,
            throttle=apigatewayv2.ThrottleSettings(
                rate_limit=stage.total_rate_per_s, burst_limit=stage.total_rate_per_s
            ),
        )
        resource = made.node.default_child
        assert isinstance(resource, apigatewayv2.CfnStage)
        resource.access_log_settings = apigatewayv2.CfnStage.AccessLogSettingsProperty(
            destination_arn=log_group(self, "AccessLogs", stage=stage).log_group_arn,
            format=json.dumps({**LOGGED, "ip": "$context.identity.sourceIp"}),
        )
        return made
