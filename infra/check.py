"""Checks infra/template.yaml without a network and without AWS.

A linter sees next to nothing inside `AWS::Serverless::*`, so the template is first
translated by the code that AWS runs, and the result is linted, once with everything
optional off and once with everything on. What a linter cannot know is in rules.py and
watching.py. Prints each finding; exits with 1 if there is one.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
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

import rules  # noqa: E402
import watching  # noqa: E402

HERE = Path(__file__).parent
TEMPLATE = HERE / "template.yaml"
EVERYTHING = {
    "Architecture": "x86_64",
    "WebhookPath": "/hooks/mail",
    "LogLevel": "DEBUG",
    "DeletionProtection": "off",
    "PushConcurrency": "5",
    "CorsOrigins": "https://app.example, http://localhost:3000",
    "AllowPrivateEndpoints": "true",
    "DeliverConcurrency": "2",
    "TimeScale": "60",
    "Tail": "on",
    "AlarmEmail": "ops@example.com",
    "QuietHours": "6",
    "HttpAccessLogs": "on",
    "WebSocketAccessLogs": "on",
    "Dashboard": "on",
    "HttpDomainName": "hooks.example.com",
    "HttpCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001",
    "WebSocketDomainName": "live.example.com",
    "WebSocketCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000002",
    "HostedZoneId": "Z0123456789ABCDEFGHIJ",
}
# Parameters change what SAM generates, and which branches the linters look at.
ONE_NAME = {name: EVERYTHING[name] for name in ("HttpDomainName", "HttpCertificateArn")}
PARAMETERS = ({}, EVERYTHING, {"Alarms": "off", "Tracing": "PassThrough", **ONE_NAME})


def findings(text, parameter_sets=PARAMETERS, linter=None):
    """Everything that is wrong with a SAM template, as lines of text."""
    linter = linter or check_lint
    source = yaml_parse(text)
    found = rules.of_source(source)
    for parameters in parameter_sets:
        try:
            translated = translate(yaml_parse(text), parameters)
        except InvalidDocumentException as error:
            return found + [f"SAM: {cause.message}" for cause in error.causes]
        found += rules.of_translated(translated) + watching.findings(translated) + linter(translated)
    return list(dict.fromkeys(found))


def translate(source, parameters):
    """Turns the SAM template into plain CloudFormation, with the parameters as its defaults."""
    for function in rules.of_type(source, "AWS::Serverless::Function").values():
        function["Properties"]["CodeUri"] = "s3://bucket/key"  # what `sam deploy` puts there
    translated = transform(source, dict(parameters), NoManagedPolicies())
    for name, value in parameters.items():
        translated["Parameters"][name]["Default"] = value
    return translated


class NoManagedPolicies:
    """The policies here are written out, so no ready-made one is looked up."""

    def load(self):
        return {}


def check_lint(translated):
    matches = lint(json.dumps(translated), config=ManualArgs(regions=["us-east-1"]))
    return [f"{'/'.join(map(str, it.path or []))}: {it.rule.id} {it.message}" for it in matches]


def check_with_sam(template):
    """What the SAM CLI says before it deploys."""
    command = [tool("sam"), "validate", "--lint", "--region", "us-east-1", "--template-file", str(template)]
    environment = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "SAM_CLI_TELEMETRY": "0"}
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    return [] if result.returncode == 0 else [f"sam validate: {(result.stdout + result.stderr).strip()}"]


def check_security(translated):
    """What checkov finds; checkov.yaml says what it need not look for, and why."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "translated.json"
        file.write_text(json.dumps(translated), encoding="utf-8")
        command = [tool("checkov"), "--file", str(file), "--config-file", str(HERE / "checkov.yaml"), "--output", "json"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(result.stdout)
        failed = report["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        return [f"checkov did not run: {(result.stdout + result.stderr).strip()}"]
    return [f"{it['resource']}: {it['check_id']} {it['check_name']}" for it in failed]


def tool(name):
    """A program that `make setup` installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def main():
    text = TEMPLATE.read_text(encoding="utf-8")
    found = findings(text)
    if not found:
        found = check_with_sam(TEMPLATE)
        for parameters in PARAMETERS[:2]:
            found += check_security(translate(yaml_parse(text), parameters))
    print("\n".join(dict.fromkeys(found)) or "infra/template.yaml: no finding")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
