"""The template is valid, is deployed by moto, and its alarms are the objectives and the report's thresholds."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from capacity.exports import Source
from capacity.exports.cloudformation import template
from capacity.exports.watches import Watch

boto3 = pytest.importorskip("boto3", reason="moto is not installed (pip install 'moto[cloudformation]')")
moto = pytest.importorskip("moto", reason="moto is not installed (pip install 'moto[cloudformation]')")
REGION = "eu-central-1"
INLINE_BYTES = 51_200  # CloudFormation takes no longer template as text
GIVEN = {
    "CacheCluster": "cache-001",
    "LoadBalancer": "app/web/0123456789abcdef",
    "Queue": "posts",
    "WorkerService": "workers",
    "WorkerCluster": "default",
}


@pytest.fixture(scope="session")
def cloud() -> None:
    """What moto's CloudFormation does not know: alarms and the scaling of services, passed on to moto's own services.

    boto3 checks every property by the API's own description, and moto resolves references and conditions before.
    """
    from moto.cloudformation import parsing
    from moto.core.common_models import CloudFormationModel

    class PassedOn(CloudFormationModel):
        def __init__(self, name: str) -> None:
            self.physical_resource_id = name

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return False

    class Alarm(PassedOn, CloudFormationModel):
        @staticmethod
        def cloudformation_type() -> str:
            return "AWS::CloudWatch::Alarm"

        @classmethod
        def create_from_cloudformation_json(cls, name: str, values: Any, account: str, region: str, **_: Any) -> Any:
            properties = values["Properties"]
            whole = ("EvaluationPeriods", "DatapointsToAlarm", "Period")
            numbers = {key: int(properties[key]) for key in whole if key in properties}
            boto3.client("cloudwatch", region).put_metric_alarm(**{**properties, **numbers})
            return cls(properties["AlarmName"])

    class Target(PassedOn, CloudFormationModel):
        @staticmethod
        def cloudformation_type() -> str:
            return "AWS::ApplicationAutoScaling::ScalableTarget"

        @classmethod
        def create_from_cloudformation_json(cls, name: str, values: Any, account: str, region: str, **_: Any) -> Any:
            properties = values["Properties"]
            bounds = {key: int(properties[key]) for key in ("MinCapacity", "MaxCapacity")}
            boto3.client("application-autoscaling", region).register_scalable_target(**{**properties, **bounds})
            return cls("|".join(properties[key] for key in ("ResourceId", "ScalableDimension", "ServiceNamespace")))

    class Policy(PassedOn, CloudFormationModel):
        @staticmethod
        def cloudformation_type() -> str:
            return "AWS::ApplicationAutoScaling::ScalingPolicy"

        @classmethod
        def create_from_cloudformation_json(cls, name: str, values: Any, account: str, region: str, **_: Any) -> Any:
            properties = dict(values["Properties"])
            names = ("ResourceId", "ScalableDimension", "ServiceNamespace")
            target = dict(zip(names, properties.pop("ScalingTargetId").split("|"), strict=True))
            client = boto3.client("application-autoscaling", region)
            return cls(client.put_scaling_policy(**properties, **target)["PolicyARN"])

    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
    known = parsing.get_model_map()
    known |= {each.cloudformation_type(): each for each in (Alarm, Target, Policy)}


@pytest.fixture
def aws(cloud: None) -> Iterator[None]:
    with mocked():
        yield


@pytest.fixture(scope="module")
def alarms(cloud: None, exported: Path) -> dict[str, dict[str, Any]]:
    """The alarms of the whole template, deployed once."""
    with mocked():
        return deployed(written(exported), **GIVEN)


@contextmanager
def mocked() -> Iterator[None]:
    """An account with a service of workers, that is not one of Amazon's."""
    with pytest.MonkeyPatch.context() as patch, moto.mock_aws(), warnings.catch_warnings():
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.delenv("AWS_PROFILE", raising=False)
        warnings.filterwarnings("error", message="Tried to parse")  # a resource that moto would leave out
        ecs = boto3.client("ecs", REGION)
        ecs.create_cluster(clusterName="default")
        ecs.register_task_definition(family="worker", containerDefinitions=[{"name": "w", "image": "w", "memory": 1}])
        ecs.create_service(cluster="default", serviceName="workers", taskDefinition="worker", desiredCount=1)
        yield


def deployed(text: str, **given: str) -> dict[str, dict[str, Any]]:
    """The alarms of the deployed template by the name of their watch."""
    client = boto3.client("cloudformation", REGION)
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    client.create_stack(StackName="capacity", TemplateBody=text, Parameters=parameters)
    assert client.describe_stacks(StackName="capacity")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    pages = boto3.client("cloudwatch", REGION).get_paginator("describe_alarms").paginate()
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return {alarm["AlarmName"].removeprefix("capacity-"): alarm for alarm in alarms}


def written(exported: Path) -> str:
    return (exported / "cloudformation.json").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_cfn_lint_finds_nothing_wrong(exported: Path) -> None:
    api = pytest.importorskip("cfnlint.api", reason="cfn-lint is not installed (pip install cfn-lint)")
    assert api.lint(written(exported), regions=[REGION]) == []
    broken = written(exported).replace('"GreaterThanThreshold"', '"Above"')
    assert "E3030" in {match.rule.id for match in api.lint(broken, regions=[REGION])}


def test_the_template_can_be_given_as_text(exported: Path) -> None:
    assert len(written(exported).encode()) < INLINE_BYTES


@pytest.mark.parametrize(
    ("watch", "operator", "threshold", "periods"),
    [
        ("QueueDepthPeakWarning", "GreaterThanThreshold", 5000, 2),
        ("QueueDepthPeakCritical", "GreaterThanThreshold", 10000, 5),
        ("QueueDeadLetterGrowthCritical", "GreaterThanThreshold", 100, 5),
        ("GatewaySuccessRateWarning", "LessThanOrEqualToThreshold", 99.6, 15),  # a fifth of 0.5 % before the promise
        ("GatewaySuccessRateCritical", "LessThanOrEqualToThreshold", 99.5, 5),  # > 99.5 %
        ("RedisMemoryUtilisationCritical", "GreaterThanThreshold", 95, 5),
        ("RedisFragmentationCritical", "GreaterThanOrEqualToThreshold", 1.5, 5),
        ("RedisEvictionsWarning", "GreaterThanThreshold", 0, 1),  # == 0: a single one fires at once
        ("RedisEvictionsCritical", "GreaterThanThreshold", 100, 5),  # a minute, which is the period
    ],
)
def test_a_deployed_alarm_has_the_promised_limit(
    alarms: dict[str, dict[str, Any]], watch: str, operator: str, threshold: float, periods: int
) -> None:
    alarm = alarms[watch]
    assert alarm["ComparisonOperator"] == operator
    assert alarm["Threshold"] == pytest.approx(threshold, rel=1e-12)
    assert alarm["EvaluationPeriods"] == alarm["DatapointsToAlarm"] == periods
    assert len(alarm["AlarmDescription"]) <= 1024


def test_every_watch_that_cloudwatch_sees_is_deployed_with_its_metric(
    aws: None, exported: Path, source: Source
) -> None:
    alarms = deployed(written(exported), **GIVEN)
    seen = [watch for watch in source.watches if not watch.unseen_by_cloudwatch]
    assert set(alarms) == {f"{watch.name}{level.severity.capitalize()}" for watch in seen for level in watch.alarms}
    assert alarms["RedisMemoryUtilisationCritical"]["Dimensions"] == [{"Name": "CacheClusterId", "Value": "cache-001"}]
    (combined, dead) = alarms["QueueDeadLetterGrowthCritical"]["Metrics"]
    assert combined["Expression"] == "60 * RATE(dead)"
    assert {"Name": "queue", "Value": "posts"} in dead["MetricStat"]["Metric"]["Dimensions"]
    topics = {topic["TopicArn"] for topic in boto3.client("sns", REGION).list_topics()["Topics"]}
    assert {action for alarm in alarms.values() for action in alarm["AlarmActions"] if ":sns:" in action} == topics


def test_data_that_end_are_no_good_sign_except_where_nobody_asks(alarms: dict[str, dict[str, Any]]) -> None:
    """What is always there tells when its data end; without requests there is no rate of success."""
    memory, asked = alarms["RedisMemoryUtilisationCritical"], alarms["GatewaySuccessRateCritical"]
    assert (memory["TreatMissingData"], asked["TreatMissingData"]) == ("missing", "notBreaching")
    assert memory["InsufficientDataActions"] == memory["AlarmActions"] and not asked["InsufficientDataActions"]
    expression = next(each["Expression"] for each in asked["Metrics"] if each["Id"] == "watched")
    # what the load balancer itself could not pass on is in no count of requests, and fails
    assert expression == "100 - 100 * (FILL(errors, 0) + FILL(own, 0)) / (FILL(requests, 0) + FILL(own, 0))"


def test_what_has_no_name_given_is_not_watched(aws: None, exported: Path) -> None:
    alarms = deployed(written(exported), CacheCluster="cache-001")
    assert {"RedisMemoryUtilisationCritical", "RedisEvictionsWarning"} <= set(alarms)
    assert {name for name in alarms if not name.startswith("Redis")} == set()


def test_the_scale_up_triggers_of_the_queue_add_workers(aws: None, exported: Path) -> None:
    alarm = deployed(written(exported), **GIVEN, MinWorkers="2", MaxWorkers="6")["QueueDepthPeakWarning"]
    client = boto3.client("application-autoscaling", REGION)
    (target,) = client.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == ("service/default/workers", 2, 6)
    (policy,) = client.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert policy["StepScalingPolicyConfiguration"]["Cooldown"] == 120
    assert policy["StepScalingPolicyConfiguration"]["StepAdjustments"][0]["ScalingAdjustment"] == 1
    assert policy["PolicyARN"] in alarm["AlarmActions"]


def test_without_a_worker_service_the_trigger_only_tells(aws: None, exported: Path) -> None:
    alarm = deployed(written(exported), Queue="posts")["QueueDepthPeakWarning"]
    assert [action.split(":")[2] for action in alarm["AlarmActions"]] == ["sns"]
    assert not boto3.client("application-autoscaling", REGION).describe_scaling_policies(ServiceNamespace="ecs")[
        "ScalingPolicies"
    ]


def test_the_dashboard_shows_every_metric_with_its_limits(aws: None, exported: Path, source: Source) -> None:
    deployed(written(exported), **GIVEN)
    client = boto3.client("cloudwatch", REGION)
    (entry,) = client.list_dashboards()["DashboardEntries"]
    text = client.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"]
    assert "${" not in text
    widgets = {each["properties"]["title"]: each["properties"] for each in json.loads(text)["widgets"]}
    seen = [watch for watch in source.watches if watch.metric.cloudwatch]
    assert len(widgets) == len(seen)
    memory = widgets["redis: Memory of maxmemory"]
    assert [(line["label"], line["value"]) for line in memory["annotations"]["horizontal"]] == [
        ("warning: above 85 %", 85),
        ("critical: above 95 %", 95),
    ]
    assert memory["metrics"][0][:4] == [
        "AWS/ElastiCache",
        "DatabaseMemoryUsagePercentage",
        "CacheClusterId",
        "cache-001",
    ]
    assert memory["region"] == REGION


def test_nothing_is_substituted_in_a_text(aws: None, hostile: Watch, source: Source) -> None:
    made = template([hostile], source.monitoring, "made")
    alarms = deployed(json.dumps(made), Queue="posts")
    assert alarms[f"{hostile.name}Critical"]["AlarmDescription"].startswith(f"{hostile.title} is above 10,000 jobs")
    client = boto3.client("cloudwatch", REGION)
    (entry,) = client.list_dashboards()["DashboardEntries"]
    body = json.loads(client.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"])
    assert body["widgets"][0]["properties"]["title"] == f"queue: {hostile.title}"
