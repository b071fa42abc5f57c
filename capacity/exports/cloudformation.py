"""A CloudFormation template: an alarm a watch that CloudWatch sees, a dashboard, topics to tell, and the scaling."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from capacity.exports.cloudwatch import OPERATORS, alarm, alarm_name, dashboard_body, substituted
from capacity.exports.levels import AlertLevel
from capacity.exports.metrics import CRITICAL
from capacity.exports.monitoring import Monitoring, Scaling, named_parameters
from capacity.exports.watches import Watch

DESCRIPTION_LENGTH = 1024  # CloudFormation takes no longer one
VERSION = "2010-09-09"


def template(watches: Sequence[Watch], monitoring: Monitoring, made_from: str) -> dict[str, Any]:
    """The template as JSON values.

    Every alarm tells the topic of its severity. A resource exists where the parameters that it needs are given.
    """
    seen = [watch for watch in watches if watch.metric.cloudwatch]
    alarms = [
        (watch, level)
        for watch in seen
        for level in (watch.alarms if not watch.unseen_by_cloudwatch else [])
        if level.broken_by in OPERATORS
    ]
    scaled = {name: monitoring.scaling[name] for name in dict.fromkeys(level.scales for _, level in alarms) if name}
    named = named_parameters([*(each.metric.cloudwatch for each in seen if each.metric.cloudwatch), *scaled.values()])
    given = {name: each for name, each in monitoring.parameters.items() if name in named}
    optional = {name for name, each in given.items() if each.default == ""}
    severities = dict.fromkeys(level.severity for _, level in alarms)
    resources: dict[str, Any] = {
        _topic(each): {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": f"Capacity: {each}"}}
        for each in severities
    }
    for name, each in scaled.items():
        resources |= _scaling(name, each)
    for watch, level in alarms:
        resources[alarm_name(watch, level)] = _alarm(watch, level, scaled, optional)
    if seen:
        body = {"Fn::Sub": dashboard_body(seen)}
        resources["Dashboard"] = {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": body}}
    told = {each: f"Subscribe to it: {monitoring.severities.of(each).means}" for each in severities}
    outputs = {_topic(each): {"Description": said, "Value": {"Ref": _topic(each)}} for each, said in told.items()}
    return {
        "AWSTemplateFormatVersion": VERSION,
        "Description": made_from[:DESCRIPTION_LENGTH],
        "Parameters": {
            name: {"Type": each.type, "Description": each.description, "Default": each.default}
            for name, each in given.items()
        },
        "Conditions": _conditions((watch for watch, _ in alarms), scaled.values(), optional),
        "Resources": resources,
        "Outputs": outputs,
    }


def _needs(watch: Watch, optional: set[str]) -> list[str]:
    assert watch.metric.cloudwatch is not None
    return sorted(watch.metric.cloudwatch.parameters & optional)


def _conditions(alarms: Iterable[Watch], scaled: Iterable[Scaling], optional: set[str]) -> dict[str, Any]:
    """That a parameter is not empty, for each that a resource needs, and that several are not."""
    conditions: dict[str, Any] = {}
    for needed in [*(_needs(watch, optional) for watch in alarms), *([each.needs] for each in scaled)]:
        for name in needed:
            conditions[f"Has{name}"] = {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}
        if len(needed) > 1:
            conditions[_condition(needed)] = {"Fn::And": [{"Condition": f"Has{name}"} for name in needed]}
    return conditions


def _condition(needed: Sequence[str]) -> str:
    return f"Has{'And'.join(needed)}"


def _alarm(watch: Watch, level: AlertLevel, scaled: Mapping[str, Scaling], optional: set[str]) -> dict[str, Any]:
    """It also tells where its data have ended: of what is always there that is no good sign."""
    topic = {"Ref": _topic(level.severity)}
    told: Any = [topic]
    if level.scales:
        told = {"Fn::If": [f"Has{scaled[level.scales].needs}", [{"Ref": _policy(level.scales)}, topic], [topic]]}
    properties = {**alarm(watch, level), "AlarmActions": told}
    if level.severity == CRITICAL and properties["TreatMissingData"] == "missing":
        properties["InsufficientDataActions"] = [topic]
    resource = {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
    needed = _needs(watch, optional)
    return {**resource, "Condition": _condition(needed)} if needed else resource


def _topic(severity: str) -> str:
    return f"{severity.capitalize()}Topic"


def _policy(name: str) -> str:
    return f"{name.capitalize()}Policy"


def _scaling(name: str, scaling: Scaling) -> dict[str, Any]:
    """What is scaled, and the policy that the alarms start."""
    has, scaled = f"Has{scaling.needs}", f"{name.capitalize()}Target"
    target = {
        "ServiceNamespace": scaling.namespace,
        "ScalableDimension": scaling.dimension,
        "ResourceId": substituted(scaling.resource),
        "MinCapacity": {"Ref": scaling.least},
        "MaxCapacity": {"Ref": scaling.most},
    }
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": scaling.cooldown_s,
        "MetricAggregationType": "Maximum",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": scaling.add}],
    }
    policy = {
        "PolicyName": {"Fn::Sub": f"${{AWS::StackName}}-{name}"},
        "PolicyType": "StepScaling",
        "ScalingTargetId": {"Ref": scaled},
        "StepScalingPolicyConfiguration": steps,
    }
    kind = "AWS::ApplicationAutoScaling"
    return {
        scaled: {"Type": f"{kind}::ScalableTarget", "Condition": has, "Properties": target},
        _policy(name): {"Type": f"{kind}::ScalingPolicy", "Condition": has, "Properties": policy},
    }
