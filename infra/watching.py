"""Alarms and the dashboard: a metric that nobody reports raises no alarm, and no error either.

So each has to be one that AWS or our functions report under exactly these dimensions, of a
resource of this template.
"""

import json
import re
from pathlib import Path

from rules import of_type

HERE = Path(__file__).parent
HANDBOOK = HERE / "../docs/OPERATIONS.md"
OUR_METRICS = HERE / "../crates/platform/src/metrics.rs"
WEBHOOK = HERE / "../functions/webhook/src"

FUNCTION = ("FunctionName",)
MAPPING = ("EventSourceMappingUUID",)
API = ("ApiId",)
TABLE = ("TableName",)
INDEX = ("GlobalSecondaryIndexName", "TableName")
OPERATION = ("Operation", "TableName")
QUEUE = ("QueueName",)
STACK = ("stack",)


def our_metrics():
    """What our functions report: each metric of the stack, and some of them by a second dimension."""
    text = OUR_METRICS.read_text(encoding="utf-8")
    counts = re.findall(r'Metric::count(?:_by)?\(\s*"(\w+)"(?:,\s*"(\w+)")?', text)
    others = re.findall(r'name: "(\w+)",\s*unit: "\w+",\s*by: (?:None|Some\("(\w+)"\))', text)
    return {name: [STACK, tuple(sorted((by, "stack")))] if by else [STACK] for name, by in counts + others}


# "Types of metrics for Lambda functions", "Monitor HTTP/WebSocket API with CloudWatch metrics",
# "DynamoDB metrics and dimensions", "Available CloudWatch metrics for Amazon SQS".
METRICS = {
    "AWS/Lambda": {
        **dict.fromkeys(
            "Invocations Errors Throttles Duration ConcurrentExecutions IteratorAge DestinationDeliveryFailures"
            " RecursiveInvocationsDropped".split(),
            [FUNCTION],
        ),
        # Only with MetricsConfig: EventCount on the mapping.
        **dict.fromkeys(
            "PolledEventCount FilteredOutEventCount InvokedEventCount FailedInvokeEventCount DroppedEventCount"
            " OnFailureDestinationDeliveredEventCount".split(),
            [MAPPING],
        ),
    },
    "AWS/ApiGateway": dict.fromkeys(
        "Count 4xx 5xx Latency IntegrationLatency DataProcessed"
        " ConnectCount MessageCount ClientError IntegrationError ExecutionError".split(),
        [API],
    ),
    "AWS/DynamoDB": {
        **dict.fromkeys(
            "ConsumedWriteCapacityUnits ConsumedReadCapacityUnits WriteThrottleEvents ReadThrottleEvents".split(),
            [TABLE, INDEX],
        ),
        **dict.fromkeys("SystemErrors ThrottledRequests SuccessfulRequestLatency".split(), [OPERATION]),
    },
    "AWS/SQS": dict.fromkeys(
        "ApproximateAgeOfOldestMessage ApproximateNumberOfMessagesVisible ApproximateNumberOfMessagesNotVisible"
        " ApproximateNumberOfMessagesDelayed".split(),
        [QUEUE],
    ),
    "Posthorn": our_metrics(),
}
# An HTTP API and a WebSocket API report different things under the same dimension.
SOCKET_METRICS = {"ConnectCount", "MessageCount", "ClientError", "IntegrationError", "ExecutionError"}
BOTH_METRICS = {"IntegrationLatency"}

RESOURCES = {
    "FunctionName": "AWS::Lambda::Function",
    "EventSourceMappingUUID": "AWS::Lambda::EventSourceMapping",
    "ApiId": "AWS::ApiGatewayV2::Api",
    "TableName": "AWS::DynamoDB::Table",
    "QueueName": "AWS::SQS::Queue",
}


# What has to be watched of every resource of a type, whoever adds one.
WATCHED = {
    "FunctionName": ("Errors", "Throttles"),
    "EventSourceMappingUUID": ("OnFailureDestinationDeliveredEventCount", "DroppedEventCount"),
    "TableName": ("WriteThrottleEvents", "ReadThrottleEvents", "SystemErrors"),
}


# "CloudWatch alarm limits": a hard one for metrics; and "MetricDataQuery": ten expressions.
METRICS_OF_AN_ALARM = 10
EXPRESSIONS_OF_AN_ALARM = 10


def findings(translated):
    return check_alarms(translated) + check_everything_is_watched(translated) + check_dashboards(translated)


def check_alarms(translated):
    found = []
    topics = of_type(translated, "AWS::SNS::Topic")
    sections = set(re.findall(r"^#+ `?(\w+)`?$", HANDBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    for name, alarm in of_type(translated, "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        if f"docs/OPERATIONS.md, {name}." not in properties.get("AlarmDescription", ""):
            found.append(f"{name}: AlarmDescription does not lead to docs/OPERATIONS.md")
        if name not in sections:
            found.append(f"{name}: docs/OPERATIONS.md has no section of this name")
        if "TreatMissingData" not in properties:
            found.append(f"{name}: TreatMissingData is not said")
        for action in properties.get("AlarmActions") or ["nobody"]:
            if not (isinstance(action, dict) and action.get("Ref") in topics):
                found.append(f"{name}: tells {action}, which is no topic of this template")
        for metric in metrics_of(properties):
            found += check_metric(translated, name, *metric)
        found += check_size(name, properties.get("Metrics", []))
    return found


def check_size(name, queries):
    counts = (
        ("MetricStat", "metrics", METRICS_OF_AN_ALARM),
        ("Expression", "expressions", EXPRESSIONS_OF_AN_ALARM),
    )
    return [
        f"{name}: has {count} {what}, and CloudWatch takes {most}"
        for field, what, most in counts
        if (count := sum(field in query for query in queries)) > most
    ]


def check_everything_is_watched(translated):
    watched = {
        (name, value.get("Ref"))
        for alarm in of_type(translated, "AWS::CloudWatch::Alarm").values()
        for _, name, dimensions in metrics_of(alarm["Properties"])
        for value in dimensions.values()
        if isinstance(value, dict)
    }
    return [
        f"{resource}: no alarm watches its {metric}"
        for dimension, metrics in WATCHED.items()
        for resource, it in of_type(translated, RESOURCES[dimension]).items()
        for metric in metrics
        if (metric, resource) not in watched and not is_of_queue(it)
    ]


def is_of_queue(resource):
    """Whether it is a queue's mapping, which gives nothing up: the queue does, by its RedrivePolicy."""
    is_mapping = resource["Type"] == "AWS::Lambda::EventSourceMapping"
    return is_mapping and "StartingPosition" not in resource["Properties"]


def metrics_of(properties):
    """Namespace, name and dimensions of what an alarm watches."""
    for query in properties.get("Metrics", [{"MetricStat": {"Metric": properties}}]):
        if metric := query.get("MetricStat", {}).get("Metric"):
            dimensions = {it["Name"]: it["Value"] for it in metric.get("Dimensions", [])}
            yield metric["Namespace"], metric["MetricName"], dimensions


def check_metric(translated, place, namespace, name, dimensions):
    known = METRICS.get(namespace, {}).get(name)
    if known is None:
        return [f"{place}: nobody reports the metric {namespace} {name}"]
    if tuple(sorted(dimensions)) not in known:
        return [f"{place}: {name} is not reported by {', '.join(sorted(dimensions)) or 'nothing'}"]
    if name in METRICS["AWS/Lambda"] and MAPPING in known and not counts_events(translated, dimensions):
        return [f"{place}: {name} needs MetricsConfig with EventCount"]
    return [
        f"{place}: {dimension} {value} is not what reports {name}"
        for dimension, value in dimensions.items()
        if not is_reporter(translated, dimension, value, name, dimensions)
    ]


def is_reporter(translated, dimension, value, metric, dimensions):
    """Whether a dimension's value is something of this template that reports the metric."""
    referred = name_of(value)
    if dimension == "stack":
        return referred == "AWS::StackName"
    if dimension == "code":
        return any(f'"{value}"' in file.read_text(encoding="utf-8") for file in WEBHOOK.glob("*.rs"))
    if dimension == "GlobalSecondaryIndexName":
        table = translated["Resources"].get(dimensions["TableName"].get("Ref"), {"Properties": {}})
        return value in [it["IndexName"] for it in table["Properties"].get("GlobalSecondaryIndexes", [])]
    if dimension not in RESOURCES:
        return isinstance(value, str)
    resource = of_type(translated, RESOURCES[dimension]).get(referred)
    if resource is None or dimension != "ApiId" or metric in BOTH_METRICS:
        return resource is not None
    return (resource["Properties"].get("ProtocolType") == "WEBSOCKET") == (metric in SOCKET_METRICS)


def name_of(value):
    """The resource that a reference names: a queue is reported by its name, which is an attribute of it."""
    if not isinstance(value, dict):
        return None
    name, attribute = (value.get("Fn::GetAtt") or [None, None])[:2]
    return name if attribute == "QueueName" else value.get("Ref")


def counts_events(translated, dimensions):
    """Whether a mapping reports how many events it handles."""
    name = dimensions["EventSourceMappingUUID"].get("Ref")
    mapping = of_type(translated, "AWS::Lambda::EventSourceMapping").get(name, {"Properties": {}})
    return "EventCount" in mapping["Properties"].get("MetricsConfig", {}).get("Metrics", [])


def check_dashboards(translated):
    found = []
    for name, dashboard in of_type(translated, "AWS::CloudWatch::Dashboard").items():
        try:
            widgets = json.loads(dashboard["Properties"]["DashboardBody"]["Fn::Sub"])["widgets"]
        except ValueError as error:
            found.append(f"{name}: DashboardBody is not JSON: {error}")
            continue
        for widget in widgets:
            place = f"{name}, {widget['properties']['title']}"
            for metric in widget["properties"]["metrics"]:
                found += check_line(translated, place, [it for it in metric if isinstance(it, str)], metric[-1])
    return found


def check_line(translated, place, words, last):
    """One line of a widget: namespace, name, then dimensions in turn; or a search."""
    if words:
        namespace, name, *rest = words
        dimensions = {key: unquoted(value) for key, value in zip(rest[::2], rest[1::2], strict=True)}
        return check_metric(translated, place, namespace, name, dimensions)
    search = re.match(r"SEARCH\('\{(\w+),([\w,]+)\} MetricName=\"(\w+)\" stack=", last.get("expression", ""))
    if not search:
        return [f"{place}: {last} cannot be understood"]
    namespace, dimensions, name = search.groups()
    if tuple(sorted(dimensions.split(","))) not in METRICS.get(namespace, {}).get(name, []):
        return [f"{place}: nobody reports the metric {namespace} {name} by {dimensions}"]
    return []


def unquoted(value):
    """`${Table}` in a text is a reference."""
    reference = re.fullmatch(r"\$\{([\w:]+)(?:\.(\w+))?\}", value)
    if not reference:
        return value
    return {"Fn::GetAtt": [reference[1], reference[2]]} if reference[2] else {"Ref": reference[1]}
