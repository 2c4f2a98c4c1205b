"""Lets schemathesis try the HTTP API of a local stack, by the document that the API gives of itself.

    .venv/bin/python tests/fuzz_api.py [--seed N]

Starts target/debug/posthorn (or POSTHORN_BIN) on a free port with data of its own, publishes some
events, and stops it again. Prints the seed; the same seed makes the same requests. Exits with 1 if
something is found.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from openapi_spec_validator import validate

ROOT = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("POSTHORN_BIN", ROOT / "target/debug/posthorn")
START_SECONDS = 30
# Then it has hung: it takes half a minute, and some on a busy machine.
RUN_SECONDS = 900
EXAMPLES = 40
# Nobody listens at the port of `discard`.
URLS = ["http://127.0.0.1:9/hooks", "http://localhost:9/?a=b", "https://localhost:9/"]
FILTERS = ["", "type:order.created", "type:order.* -tag:x", 'subject:"order shipped"', "meta.n:1 reader"]
TIMES = ["2020-01-01T00:00:00Z", "2026-11-22T03:41:20.857+01:00", "2099-12-31T23:59:59.999999Z"]

CONFIG = """
[dictionaries]
cursors = {{ values = {cursors} }}
ids = {{ values = {ids} }}
messages = {{ values = ["m-0", "m-1", "nobody"] }}
filters = {{ values = {filters} }}
times = {{ values = {times} }}
urls = {{ values = {urls} }}
endpoints = {{ values = {endpoints} }}
deliveries = {{ values = {deliveries} }}

# What no schema can say: a cursor and an id carry a check, a filter has a grammar.
[parameters]
"query.before" = {{ dictionary = "cursors", probability = 1.0 }}
"query.after" = {{ dictionary = "cursors", probability = 1.0 }}
"query.filter" = {{ dictionary = "filters", probability = 1.0 }}
"query.from" = {{ dictionary = "times", probability = 0.5 }}
"query.to" = {{ dictionary = "times", probability = 0.5 }}
"path.id" = {{ dictionary = "ids", probability = 0.5 }}
"path.endpoint_id" = {{ dictionary = "endpoints", probability = 0.7 }}
"path.delivery_id" = {{ dictionary = "deliveries", probability = 0.7 }}
"query.endpoint" = {{ dictionary = "endpoints", probability = 0.7 }}
# Nothing is sent to strangers.
"body.url" = {{ dictionary = "urls", probability = 1.0 }}
"body.since" = {{ dictionary = "times", probability = 0.5 }}
"body.after" = {{ dictionary = "cursors", probability = 1.0 }}
"path.message_id" = {{ dictionary = "messages", probability = 0.5 }}
"body.filter" = {{ dictionary = "filters", probability = 1.0 }}

[checks]
# Some requests are refused for what no schema can say: two parameters that exclude each other, the
# cursor of another message, a type that is Mandrill's, a filter or an id that is none.
positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409]
# What is longer than API Gateway takes never reaches the function.
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 409, 413, 431]

# Nor that a signature which was made up is wrong.
[[operations]]
include-path = "/mandrill"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403]
checks.negative_data_rejection.expected-statuses = [400, 403, 405, 413, 415, 431]

[[operations]]
include-path = "/v1/ingest/{{endpoint_id}}"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 403, 404, 409]
checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 431]
"""


class Stack:
    """A local stack in a directory of its own."""

    def __init__(self, directory):
        self.directory = Path(directory)
        command = [str(BINARY), "up", "--port", "0", "--data-dir", directory]
        with open(self.directory / "out.log", "wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.urls = self.wait()

    def wait(self):
        file, deadline = self.directory / "stack.json", time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                return json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                time.sleep(0.05)
        self.stop()
        sys.exit(f"{BINARY} did not start:\n{(self.directory / 'out.log').read_text(encoding='utf-8')}")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, path, body=None):
        """What a GET, or a POST of this, is answered."""
        headers = {"Authorization": f"Bearer {self.urls['token']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.urls['http']}{path}", data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


def run(stack, directory, seed):
    """The exit code of schemathesis. A document that is not valid ends it at once."""
    validate(stack.ask("/openapi.json"))
    endpoints = [stack.ask("/v1/endpoints", {"url": url, "retry_schedule": []})["id"] for url in URLS]
    for number in range(6):
        message = f"m-{number % 2}"
        event = {"type": "order.created", "message_id": message, "metadata": {"n": number}, "tags": ["x"]}
        stack.ask("/v1/events", event)
    events = stack.ask("/v1/events")["events"]
    # Made of both ids, whether or not they are there yet.
    deliveries = [f"dlv_{event['id'][4:]}_{endpoint[3:]}" for event in events for endpoint in endpoints]
    config = Path(directory) / "schemathesis.toml"
    lists = {
        "cursors": [event["cursor"] for event in events],
        "ids": [event["id"] for event in events],
        "filters": FILTERS,
        "times": TIMES,
        "urls": URLS,
        "endpoints": endpoints,
        "deliveries": deliveries,
    }
    # A list of texts is written alike in JSON and TOML.
    lists = {name: json.dumps(values, ensure_ascii=False) for name, values in lists.items()}
    config.write_text(CONFIG.format(**lists), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run"]
    command += [f"{stack.urls['http']}/openapi.json", "--header", f"Authorization: Bearer {stack.urls['token']}"]
    command += ["--checks", "all", "--seed", str(seed), "--max-examples", str(EXAMPLES), "--no-color"]
    command += ["--generation-database", "none", "--continue-on-failure", "--warnings", "off"]
    # A stream does not end while somebody waits for it.
    command += ["--exclude-path", "/v1/stream"]
    return subprocess.run(command, cwd=directory, timeout=RUN_SECONDS, check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    seed = parser.parse_args().seed
    print(f"fuzz_api: seed {seed}; again with `.venv/bin/python tests/fuzz_api.py --seed {seed}`", flush=True)
    with tempfile.TemporaryDirectory(prefix="posthorn-fuzz-") as directory:
        stack = Stack(directory)
        try:
            return run(stack, directory, seed)
        finally:
            stack.stop()


if __name__ == "__main__":
    sys.exit(main())
