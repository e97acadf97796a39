"""Where trainings are kept to be compared: the serverless MLflow app, and Comet where a secret holds its key."""

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk.removal import lasting_name
from cdk.settings import Stage
from cdk.trust import service

FOLDER = "mlflow"
"""Of the models' bucket: the app's own, where reports and pictures lie."""


class Tracking(Construct):
    """The trackers of a stage; `environment` is what training/tracking.py has to know of them."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, models: s3.IBucket) -> None:
        super().__init__(scope, construct_id)
        self.environment: dict[str, str] = {}
        self._statements: list[iam.PolicyStatement] = []
        if stage.mlflow:
            self._keep_in_mlflow(stage, models)
        if stage.comet_secret:
            self._keep_in_comet(stage.comet_secret)
        if self.environment:
            # Nothing else tells a training container where its secrets are, and its image has no tracker's client.
            self.environment |= {"AWS_DEFAULT_REGION": Aws.REGION, "TRACKING_INSTALL": "1"}

    def grant_write(self, role: iam.Role) -> None:
        """Let a training write its runs; it writes their files into the models' bucket by itself."""
        for statement in self._statements:
            role.add_to_policy(statement)

    def _keep_in_mlflow(self, stage: Stage, models: s3.IBucket) -> None:
        role = iam.Role(
            self,
            "Role",
            assumed_by=service("sagemaker"),
            description="The MLflow app, reading and writing its files",
        )
        models.grant_read_write(role, f"{FOLDER}/*")
        self.app = sagemaker.CfnMlflowApp(
            self,
            "Mlflow",
            name=lasting_name(stage),
            artifact_store_uri=f"s3://{models.bucket_name}/{FOLDER}",
            role_arn=role.role_arn,
        )
        self.app.node.add_dependency(role)
        if stage.keep_data:
            self.app.apply_removal_policy(RemovalPolicy.RETAIN)
        self.environment["MLFLOW_TRACKING_URI"] = self.app.attr_arn
        # One action is the app's whole REST API; there is none that writes and cannot delete.
        self._statements.append(
            iam.PolicyStatement(actions=["sagemaker:CallMlflowAppApi"], resources=[self.app.attr_arn])
        )

    def _keep_in_comet(self, secret: str) -> None:
        self.environment["COMET_API_KEY_SECRET"] = secret
        self._statements.append(iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[secret]))
