"""AWS WAF before the API: what is known to be an attack, and who asks far too often, reaches nothing behind it."""

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from cdk.problems import TOO_OFTEN
from cdk.settings import Stage

MANAGED = (
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesAmazonIpReputationList",
)
EVALUATED_S = 300
TOO_OFTEN_BODY = "TooOften"


class Firewall(Construct):
    """Rules that Amazon keeps up to date, behind a limit on each address."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, api: apigateway.RestApi) -> None:
        super().__init__(scope, construct_id)
        acl = wafv2.CfnWebACL(
            self,
            "Acl",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible(stage.prefix),
            custom_response_bodies={
                TOO_OFTEN_BODY: wafv2.CfnWebACL.CustomResponseBodyProperty(
                    # Of no other kind than this, and the same for every request: it knows none by an id.
                    content_type="APPLICATION_JSON",
                    content=TOO_OFTEN.body(request_id="none", reason="TOO_OFTEN"),
                )
            },
            rules=[self._limit(stage), *(_managed(place, name) for place, name in enumerate(MANAGED, 1))],
        )
        wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=api.deployment_stage.stage_arn, web_acl_arn=acl.attr_arn
        )

    def _limit(self, stage: Stage) -> wafv2.CfnWebACL.RuleProperty:
        """Nobody needs more than a key gives, and a page more than some addresses behind one router."""
        return wafv2.CfnWebACL.RuleProperty(
            name="TooOften",
            priority=0,
            action=wafv2.CfnWebACL.RuleActionProperty(block=_told(stage)),
            statement=wafv2.CfnWebACL.StatementProperty(
                rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                    aggregate_key_type="IP",
                    evaluation_window_sec=EVALUATED_S,
                    limit=max(100, 2 * stage.rate_per_s * EVALUATED_S),
                )
            ),
            visibility_config=_visible("TooOften"),
        )


def _told(stage: Stage) -> wafv2.CfnWebACL.BlockActionProperty:
    """Left to the gateway this would be 403, which tells a client to give up instead of when to come back."""
    return wafv2.CfnWebACL.BlockActionProperty(
        custom_response=wafv2.CfnWebACL.CustomResponseProperty(
            response_code=TOO_OFTEN.status or 0,
            custom_response_body_key=TOO_OFTEN_BODY,
            response_headers=[
                wafv2.CfnWebACL.CustomHTTPHeaderProperty(name=name, value=value)
                for name, value in TOO_OFTEN.headers(stage).items()
            ],
        )
    )


def _managed(priority: int, name: str) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(name=name, vendor_name="AWS")
        ),
        visibility_config=_visible(name),
    )


def _visible(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=f"PredictBitcoin{name}", sampled_requests_enabled=False
    )
