"""The REST API: known paths only, a key for all but health, problem details for every error."""

import json
from typing import NamedTuple

from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

from btc.settings import Api as ApiSettings
from cdk.bars import Bars
from cdk.forecasts import Forecasts
from cdk.python_function import Layers, PythonFunction, log_group, removal_policy
from cdk.scores import Scores
from cdk.settings import Stage

OPEN = ("/health",)
KEYED = (
    "/v1/forecasts/{symbol}",
    "/v1/forecasts/{symbol}/history",
    "/v1/scores/{symbol}",
    "/v1/bars/{symbol}",
    "/v1/models/current",
)

NO_KEY = "Send a valid API key in the header x-api-key."
NO_PATH = "There is nothing at this path."


class Problem(NamedTuple):
    """What the gateway answers by itself (RFC 9457)."""

    title: str
    status: int | None = None
    """None: the one that the gateway has for the case."""
    detail: str | None = None
    """None: the gateway's own message."""


PROBLEMS = {
    "UNAUTHORIZED": Problem("Unauthorized", 401),
    "ACCESS_DENIED": Problem("Forbidden", 403),
    "INVALID_API_KEY": Problem("Forbidden", 403, NO_KEY),
    "MISSING_AUTHENTICATION_TOKEN": Problem("Not Found", 404, NO_PATH),  # what the gateway calls an unknown path
    "RESOURCE_NOT_FOUND": Problem("Not Found", 404, NO_PATH),
    "REQUEST_TOO_LARGE": Problem("Content Too Large", 413, "A body here may hold 10 MB at most."),
    "THROTTLED": Problem("Too Many Requests", 429, "Too many requests at once: wait a second before the next."),
    "QUOTA_EXCEEDED": Problem("Too Many Requests", 429, "This key has used up its requests for today (UTC)."),
    "INTEGRATION_FAILURE": Problem("Bad Gateway", 502),
    "INTEGRATION_TIMEOUT": Problem("Gateway Timeout", 504),
    "DEFAULT_4XX": Problem("The request was refused"),
    "DEFAULT_5XX": Problem("The service failed"),
}


class Api(Construct):
    """HTTPS in front of one function."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layers: Layers,
        bars: Bars,
        forecasts: Forecasts,
        scores: Scores,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = PythonFunction(
            self,
            "Function",
            name="api",
            description="Answers requests for forecasts, how they have done, bars and the model",
            settings=ApiSettings(
                bars_table=bars.table.table_name,
                forecasts_table=forecasts.table.table_name,
                scores_table=scores.table.table_name,
                state_table=bars.state.table_name,
                markets=tuple(str(market) for market in stage.markets),
            ),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=15,
        )
        self.api = self._rest(stage)
        self._paths()
        self._problems()
        self.key = self._key(stage)

    def _rest(self, stage: Stage) -> apigateway.RestApi:
        return apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=stage.prefix,
            description="Forecasts of the Bitcoin price",
            cloud_watch_role=not stage.emulated,  # access logs need the account to have one
            cloud_watch_role_removal_policy=None if stage.emulated else removal_policy(stage),
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            deploy_options=apigateway.StageOptions(
                stage_name="live",
                throttling_rate_limit=stage.total_rate_per_s,
                throttling_burst_limit=stage.total_rate_per_s,
                access_log_destination=apigateway.LogGroupLogDestination(log_group(self, "AccessLogs", stage=stage)),
                access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
                    caller=False,
                    http_method=True,
                    ip=True,
                    protocol=True,
                    request_time=True,
                    resource_path=True,
                    response_length=True,
                    status=True,
                    user=False,
                ),
            ),
        )

    def _paths(self) -> None:
        integration = apigateway.LambdaIntegration(self.function, allow_test_invoke=False)
        for path in (*OPEN, *KEYED):
            self.api.root.resource_for_path(path).add_method("GET", integration, api_key_required=path in KEYED)

    def _problems(self) -> None:
        for name, problem in PROBLEMS.items():
            status = {"status": problem.status} if problem.status else {}
            body = {
                "type": "about:blank",
                "title": problem.title,
                **status,
                "detail": problem.detail or "@",
                "instance": "$context.path",
                "request_id": "$context.requestId",
            }
            # `messageString` is the gateway's message with its quotation marks, so it takes the place of a value.
            template = json.dumps(body).replace('"@"', "$context.error.messageString")
            self.api.add_gateway_response(
                name.title().replace("_", ""),
                type=apigateway.ResponseType.of(name),
                status_code=str(problem.status) if problem.status else None,
                response_headers={"Content-Type": "'application/problem+json'"},
                templates={"application/json": template},
            )

    def _key(self, stage: Stage) -> apigateway.IApiKey:
        key = self.api.add_api_key("Key", description=f"First key of {stage.prefix}")
        plan = self.api.add_usage_plan(
            "Plan",
            description="What one key may ask for",
            throttle=apigateway.ThrottleSettings(rate_limit=stage.rate_per_s, burst_limit=stage.rate_per_s * 3 // 2),
            quota=apigateway.QuotaSettings(limit=stage.requests_per_day, period=apigateway.Period.DAY),
        )
        plan.add_api_key(key)
        plan.add_api_stage(stage=self.api.deployment_stage)
        return key
