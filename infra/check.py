"""Checks infra/template.yaml without a network and without AWS.

A linter sees next to nothing inside `AWS::Serverless::*`, so the template is first
translated by the code that AWS runs, and the result is linted. What a linter cannot
know is checked here. Prints each finding; exits with 1 if there is one.
"""

import json
import logging
import os
import re
import sys
from pathlib import Path

# The translator refuses to run without a region; nothing is called there.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
# It also complains, on leaving, that nobody collected its metrics.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

from cfnlint.api import lint  # noqa: E402
from cfnlint.config import ManualArgs  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

TEMPLATE = Path(__file__).with_name("template.yaml")
# Parameters change what SAM generates, so a second set is translated too.
PARAMETERS = ({}, {"Architecture": "x86_64", "WebhookPath": "/hooks/mail", "LogLevel": "DEBUG"})


def findings(text, parameter_sets=PARAMETERS):
    """Everything that is wrong with a SAM template, as lines of text."""
    source = yaml_parse(text)
    found = check_code(source) + check_event_paths(source) + check_filters(source)
    for parameters in parameter_sets:
        try:
            translated = translate(yaml_parse(text), parameters)
        except InvalidDocumentException as error:
            return found + [f"SAM: {cause.message}" for cause in error.causes]
        found += check_invocations(translated) + check_lint(translated)
    return list(dict.fromkeys(found))


def translate(source, parameters):
    """Turns the SAM template into plain CloudFormation."""
    for function in of_type(source, "AWS::Serverless::Function").values():
        function["Properties"]["CodeUri"] = "s3://bucket/key"  # what `sam deploy` puts there
    return transform(source, dict(parameters), NoManagedPolicies())


class NoManagedPolicies:
    """The policies here are written out, so no ready-made one is looked up."""

    def load(self):
        return {}


def of_type(template, kind):
    return {name: it for name, it in template["Resources"].items() if it["Type"] == kind}


def check_code(source):
    """`sam build` runs cargo in CodeUri, where the wanted program has to be a package's own."""
    found = []
    for name, function in of_type(source, "AWS::Serverless::Function").items():
        code = TEMPLATE.parent / function["Properties"].get("CodeUri", "")
        binary = function.get("Metadata", {}).get("BuildProperties", {}).get("Binary")
        if not (code / "Cargo.toml").is_file():
            found.append(f"{name}: CodeUri has no Cargo.toml: {code}")
        if binary != code.name:
            found.append(f"{name}: Binary is {binary}, but CodeUri is the package {code.name}")
    return found


def events(source):
    for name, function in of_type(source, "AWS::Serverless::Function").items():
        for event, it in function["Properties"].get("Events", {}).items():
            yield f"{name}.{event}", it["Type"], it.get("Properties", {})


def check_event_paths(source):
    """An HTTP API's import drops a route that ends with a slash, without saying so."""
    return [
        f"{name}: the path {properties['Path']} ends with a slash"
        for name, kind, properties in events(source)
        if kind == "HttpApi" and str(properties.get("Path", "")).endswith("/")
    ]


def check_filters(source):
    """A filter pattern is text to CloudFormation; AWS refuses it only while deploying."""
    found = []
    for name, _, properties in events(source):
        for each in properties.get("FilterCriteria", {}).get("Filters", []):
            try:
                pattern = json.loads(each["Pattern"])
            except ValueError as error:
                found.append(f"{name}: the filter pattern is not JSON: {error}")
                continue
            found += [f"{name}: the filter pattern's {field} is not a list" for field in unlisted(pattern)]
    return found


def unlisted(pattern, field=""):
    """The fields of a pattern whose leaf is not a list that is not empty."""
    if isinstance(pattern, dict) and pattern:
        return [bad for key, it in pattern.items() for bad in unlisted(it, f"{field}.{key}".lstrip("."))]
    return [] if isinstance(pattern, list) and pattern else [field or "root"]


def check_invocations(translated):
    """Every route leads to a function that exists and lets the gateway call it."""
    functions = of_type(translated, "AWS::Lambda::Function")
    integrations = of_type(translated, "AWS::ApiGatewayV2::Integration")
    permissions = of_type(translated, "AWS::Lambda::Permission").values()
    allowed = {name for it in permissions for name in named(it["Properties"]["FunctionName"], functions)}
    routes = {}
    for name, route in of_type(translated, "AWS::ApiGatewayV2::Route").items():
        targets = named(route["Properties"].get("Target"), integrations)
        routes[name] = [integrations[it]["Properties"]["IntegrationUri"] for it in targets]
    for api, it in of_type(translated, "AWS::ApiGatewayV2::Api").items():
        for path, methods in it["Properties"].get("Body", {}).get("paths", {}).items():
            for method, operation in methods.items():
                integration = operation.get("x-amazon-apigateway-integration", {})
                routes[f"{api} {method} {path}"] = [integration.get("uri")]
    found = []
    for route, targets in routes.items():
        called = [name for target in targets for name in named(target, functions)]
        found += [] if called else [f"{route}: leads to no function"]
        found += [f"{route}: {name} has no permission" for name in called if name not in allowed]
    return found


def named(value, candidates):
    """The candidates that a value refers to, by whichever intrinsic function."""
    words = re.findall(r"\w+", json.dumps(value))
    return [name for name in candidates if name in words]


def check_lint(translated):
    matches = lint(json.dumps(translated), config=ManualArgs(regions=["us-east-1"]))
    return [f"{'/'.join(map(str, it.path or []))}: {it.rule.id} {it.message}" for it in matches]


if __name__ == "__main__":
    found = findings(TEMPLATE.read_text(encoding="utf-8"))
    print("\n".join(found) or "infra/template.yaml: no finding")
    sys.exit(1 if found else 0)
