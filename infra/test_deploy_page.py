"""Runs infra/deploy-page.sh against a program that stands in for the AWS CLI and notes its calls."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
OUTPUTS = {
    "DashboardBucketName": "posthorn-dashboardbucket-x1",
    "WebSocketUrl": "wss://a1b2c3.execute-api.us-east-1.amazonaws.com/live",
    "PageUrl": "https://d111.cloudfront.net",
}
STAND_IN = """#!/usr/bin/env python3
import json, os, re, sys
arguments, text = sys.argv[1:], ""
if "describe-stacks" in arguments:
    key = re.search("OutputKey=='(.*?)'", " ".join(arguments))[1]
    print(json.loads(os.environ["OUTPUTS"]).get(key, "None"))
elif arguments[:3] == ["s3", "cp", "-"]:
    text = sys.stdin.read()
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([arguments, text]) + "\\n")
"""


class DeployPage(unittest.TestCase):
    def run_with(self, outputs, *arguments):
        """The script's result, and the calls of the AWS CLI with what they were given to read."""
        with tempfile.TemporaryDirectory() as directory:
            aws, calls = Path(directory) / "aws", Path(directory) / "calls"
            aws.write_text(STAND_IN, encoding="utf-8")
            aws.chmod(0o755)
            environment = {
                **os.environ,
                "PATH": f"{directory}:{os.environ['PATH']}",
                "OUTPUTS": json.dumps(outputs),
                "CALLS": str(calls),
            }
            result = subprocess.run(
                [str(HERE / "deploy-page.sh"), *arguments], env=environment, capture_output=True, text=True, check=False
            )
            return result, [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]

    def test_the_files_and_a_configuration_go_into_the_bucket(self):
        result, calls = self.run_with(OUTPUTS)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(OUTPUTS["PageUrl"], result.stdout)
        sync = next(arguments for arguments, _ in calls if arguments[:2] == ["s3", "sync"])
        self.assertIn("s3://posthorn-dashboardbucket-x1", sync)
        self.assertIn("no-cache", sync)
        # Every file of the page is of a kind that is uploaded.
        included = {sync[at + 1].lstrip("*") for at, word in enumerate(sync) if word == "--include"}
        self.assertEqual({file.suffix for file in (HERE / "../dashboard").iterdir()}, included)
        # The client package has another folder, and is not deleted as a stranger in this one.
        self.assertIn("posthorn-client.js", sync[sync.index("--include") :])
        uploaded = next(arguments for arguments, _ in calls if "../client/dist/posthorn-client.js" in arguments)
        self.assertIn("s3://posthorn-dashboardbucket-x1/", uploaded)
        self.assertTrue((HERE / "../client/dist/posthorn-client.js").is_file())
        _, text = next(call for call in calls if call[0][:3] == ["s3", "cp", "-"])
        self.assertEqual(json.loads(text), {"http": "/", "ws": OUTPUTS["WebSocketUrl"]})

    def test_the_stack_has_a_name(self):
        _, calls = self.run_with(OUTPUTS, "mail-events")
        self.assertIn("mail-events", calls[0][0])

    def test_a_stack_without_the_page_gets_nothing(self):
        result, calls = self.run_with({})
        self.assertEqual(result.returncode, 1)
        self.assertIn("Dashboard=on", result.stderr)
        self.assertEqual([arguments[0] for arguments, _ in calls], ["cloudformation"])


if __name__ == "__main__":
    unittest.main()
