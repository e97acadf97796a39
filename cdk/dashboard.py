"""The page at `/`: files that the deployment publishes, which the API reads from S3 by itself.

No function runs and no distribution waits for them: a page costs what its requests cost.
"""

from pathlib import Path
from typing import Final

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from btc.problems import CONTENT_TYPE
from cdk.problems import NO_PAGE
from cdk.python_function import ROOT

BUILT: Final = ROOT / "build" / "dashboard"
PAGE: Final = "index.html"
KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SAFE: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Beside the page's own Content-Security-Policy, which is written before anybody knows the host of the channel: it lets
through its own origin and any WebSocket. A second one, in a header, takes from that all WebSockets but the channel's;
`http:`, which is https too, leaves the first its say on the rest. Both have to agree."""
FOR_GOOD: Final = "public, max-age=31536000, immutable"
"""Names carry a hash of what they name; the page alone does not."""
TAGGED: Final = "If-None-Match"
GONE: Final = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of the answer where a file cannot be read."""


class DashboardMissingError(RuntimeError):
    """The page has not been built."""


def files() -> dict[str, Path]:
    """What is served, by its path; raises DashboardMissingError."""
    if not (BUILT / PAGE).is_file():
        raise DashboardMissingError(f"{BUILT.relative_to(ROOT)} is not there: build it with `make dashboard`")
    return {"/" if path.name == PAGE else f"/{path.name}": path for path in sorted(BUILT.iterdir())}


class Dashboard(Construct):
    """The built page's files as open routes of the API."""

    def __init__(self, scope: Construct, construct_id: str, *, api: apigateway.RestApi, channel: str) -> None:
        super().__init__(scope, construct_id)
        self._role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"))
        for path, file in files().items():
            asset = assets.Asset(self, file.stem.split("-", 1)[0].capitalize(), path=str(file))
            # Asset.grant_read opens the whole bucket, in which the code of every stack of the account lies.
            self._role.add_to_policy(
                iam.PolicyStatement(
                    actions=["s3:GetObject"], resources=[asset.bucket.arn_for_objects(asset.s3_object_key)]
                )
            )
            self._serve(api, path, file, asset, channel)

    def _serve(self, api: apigateway.RestApi, path: str, file: Path, asset: assets.Asset, channel: str) -> None:
        kept = "no-cache" if file.name == PAGE else FOR_GOOD
        headers = {"Content-Type": KINDS[file.suffix], "Cache-Control": kept, "Vary": "Accept-Encoding", **SAFE}
        if file.name == PAGE:
            headers["Content-Security-Policy"] = f"connect-src http: {channel}".rstrip()
        fixed = {f"method.response.header.{name}": f"'{value}'" for name, value in headers.items()}
        etag = {"method.response.header.ETag": "integration.response.header.ETag"}
        told = {**fixed, **etag}
        gone = {f"method.response.header.{name}": f"'{value}'" for name, value in GONE.items()}
        integration = apigateway.AwsIntegration(
            service="s3",
            integration_http_method="GET",
            path=f"{asset.s3_bucket_name}/{asset.s3_object_key}",
            options=apigateway.IntegrationOptions(
                credentials_role=self._role,
                request_parameters={f"integration.request.header.{TAGGED}": f"method.request.header.{TAGGED}"},
                integration_responses=[
                    apigateway.IntegrationResponse(status_code="200", response_parameters=told),
                    apigateway.IntegrationResponse(
                        status_code="304", selection_pattern="304", response_parameters=told
                    ),
                    # S3's own words would tell of the bucket.
                    apigateway.IntegrationResponse(
                        status_code="502",
                        selection_pattern="[45]\\d\\d",
                        response_parameters=gone,
                        response_templates=json_only(NO_PAGE.body()),
                    ),
                ],
            ),
        )
        api.root.resource_for_path(path).add_method(
            "GET",
            integration,
            api_key_required=False,
            request_parameters={f"method.request.header.{TAGGED}": False},
            method_responses=[
                apigateway.MethodResponse(status_code="200", response_parameters=dict.fromkeys(told, True)),
                apigateway.MethodResponse(status_code="304", response_parameters=dict.fromkeys(told, True)),
                apigateway.MethodResponse(status_code="502", response_parameters=dict.fromkeys(gone, True)),
            ],
        )


def json_only(text: str) -> dict[str, str]:
    """One answer whatever the kind of what is answered."""
    return dict.fromkeys(("application/json", "application/xml"), text)
