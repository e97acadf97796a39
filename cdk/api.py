"""The REST API: known paths only, a key for all but what is open, problem details for every error."""

from aws_cdk import Duration, Size
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from btc.problems import CONTENT_TYPE
from btc.routes import LIVE, ROUTES, Route
from btc.settings import Api as ApiSettings
from cdk.bars import Bars
from cdk.dashboard import files
from cdk.firewall import Firewall
from cdk.forecasts import Forecasts
from cdk.live import Live
from cdk.logs import log_group
from cdk.problems import problems
from cdk.python_function import Layers, PythonFunction
from cdk.removal import removal_policy
from cdk.scores import Scores
from cdk.settings import Stage

COMPRESSED_BYTES = 1024
"""Smaller answers are not worth the time that gzip takes on either side."""
SIGNED = ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"]
"""Headers of a signed request."""

TICKETS_AT_ONCE = 20
"""Tabs that open together."""


def _open_limits(stage: Stage) -> dict[str, apigateway.MethodDeploymentOptions]:
    """By path and method, for all that is answered without a key."""
    limit = apigateway.MethodDeploymentOptions(
        throttling_rate_limit=stage.open_rate_per_s, throttling_burst_limit=stage.open_rate_per_s
    )
    paths = [*(route.path for route in ROUTES if not route.keyed), *files()]
    return {f"{path}/GET": limit for path in paths}


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
        live: Live | None,
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
                cors_origin=stage.cors_origin,
                signed=stage.signed,
                channel_url=live.url if live else "",
                listeners_table=live.listeners.table_name if live else "",
            ),
            layers=layers.named("common", "powertools"),
            stage=stage,
            memory_mb=512,
            timeout_s=15,
            snap_start=stage.snap_start,
        )
        self.access_logs = log_group(self, "AccessLogs", stage=stage)
        self.api = self._rest(stage)
        methods = self._paths(stage)
        self._problems(stage)
        self.plan = self._plan(stage, tickets=methods[LIVE])
        self.key = self.api.add_api_key("Key", description=f"First key of {stage.prefix}")
        self.plan.add_api_key(self.key)
        if stage.signed:
            self._callers()
        if stage.firewall:
            Firewall(self, "Firewall", stage=stage, api=self.api)

    def _rest(self, stage: Stage) -> apigateway.RestApi:
        return apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=stage.prefix,
            description="Forecasts of the Bitcoin price",
            cloud_watch_role=not stage.emulated,  # access logs need the account to have one
            cloud_watch_role_removal_policy=None if stage.emulated else removal_policy(stage),
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            min_compression_size=Size.bytes(COMPRESSED_BYTES),
            deploy_options=apigateway.StageOptions(
                stage_name="live",
                throttling_rate_limit=stage.total_rate_per_s,
                throttling_burst_limit=stage.total_rate_per_s,
                method_options=_open_limits(stage),
                tracing_enabled=stage.tracing,
                access_log_destination=apigateway.LogGroupLogDestination(self.access_logs),
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

    def _paths(self, stage: Stage) -> dict[Route, apigateway.Method]:
        methods = {}
        integration = apigateway.LambdaIntegration(self._answering(stage), allow_test_invoke=False)
        validator = self.api.add_request_validator("Parameters", validate_request_parameters=True)
        for route in ROUTES:
            needed = {f"method.request.querystring.{name}": True for name in route.required}
            signed = route.keyed and stage.signed
            resource = self.api.root.resource_for_path(route.path)
            methods[route] = resource.add_method(
                "GET",
                integration,
                api_key_required=route.keyed,
                authorization_type=apigateway.AuthorizationType.IAM if signed else None,
                request_parameters=needed,
                request_validator=validator if needed else None,
            )
            if stage.cors_origin:
                resource.add_cors_preflight(
                    allow_origins=[stage.cors_origin],
                    allow_methods=["GET"],
                    allow_headers=["x-api-key", "if-none-match", *(SIGNED if stage.signed else [])],
                    max_age=Duration.hours(1),
                )
        return methods

    def _answering(self, stage: Stage) -> lambda_.IFunction:
        """The function, or its published version: only such a one starts from a snapshot."""
        if not stage.snap_start:
            return self.function
        return lambda_.Alias(self, "Published", alias_name="live", version=self.function.current_version)

    def _callers(self) -> None:
        """What IAM users and roles need beside a key, to be attached by whoever looks after them."""
        iam.ManagedPolicy(
            self,
            "Callers",
            description="May ask this API",
            statements=[
                iam.PolicyStatement(
                    actions=["execute-api:Invoke"],
                    # Symbols stand in the path: all that is read under /v1.
                    resources=[self.api.arn_for_execute_api("GET", "/v1/*", "live")],
                )
            ],
        )

    def _problems(self, stage: Stage) -> None:
        for name, problem in problems(stage).items():
            headers = {"Content-Type": CONTENT_TYPE, **problem.headers(stage)}
            self.api.add_gateway_response(
                name.title().replace("_", ""),
                type=apigateway.ResponseType.of(name),
                status_code=str(problem.status) if problem.status else None,
                response_headers={header: f"'{value}'" for header, value in headers.items()},
                templates={"application/json": problem.body(reason="$context.error.responseType")},
            )

    def _plan(self, stage: Stage, *, tickets: apigateway.Method) -> apigateway.UsagePlan:
        plan = self.api.add_usage_plan(
            "Plan",
            description="What one key may ask for",
            throttle=apigateway.ThrottleSettings(rate_limit=stage.rate_per_s, burst_limit=stage.rate_per_s * 3 // 2),
            quota=apigateway.QuotaSettings(limit=stage.requests_per_day, period=apigateway.Period.DAY),
        )
        limit = apigateway.ThrottleSettings(rate_limit=stage.tickets_per_minute / 60, burst_limit=TICKETS_AT_ONCE)
        plan.add_api_stage(
            stage=self.api.deployment_stage,
            throttle=[apigateway.ThrottlingPerMethod(method=tickets, throttle=limit)],
        )
        return plan
