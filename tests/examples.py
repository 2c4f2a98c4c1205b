"""Runs the endpoints in docs/examples against a local stack: real deliveries to all three programs.

    .venv/bin/python tests/examples.py

Starts target/debug/posthorn (or POSTHORN_BIN) on a free port with data of its own, creates the
endpoints with the requests of docs/examples/README.md, and sends events of events/mandrill.
Exits with 1 if a program does not do with them what it should.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

from standardwebhooks.webhooks import Webhook

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs/examples"
BINARY = os.environ.get("POSTHORN_BIN", ROOT / "target/debug/posthorn")
# Far longer than it takes on a busy machine: it only matters when something is wrong.
DEADLINE_SECONDS = 60
PROGRAMS = {
    "rust": [ROOT / "target/debug/examples/endpoints"],
    "typescript": ["node", EXAMPLES / "typescript/dist/endpoints.js"],
    "python": [sys.executable, EXAMPLES / "python/endpoints.py"],
}
# What is sent, and what each program has to say of it.
EVENTS = {
    "message/hard_bounce": "canary.recipient@example.com gets no more mail: hard_bounce",
    "message/soft_bounce": "canary.recipient@example.com could not be reached",
    "inbound/inbound-attachments": "mail from canary.sender@example.com: canary-subject (2 attachments)",
    "sync/blacklist_add": "deny list, add: canary.recipient@example.com",
    "sync/denylist_remove-sender-text": "deny list, remove: canary.recipient@example.com",
    "sync/whitelist_add": "allow list, add: canary.recipient@example.com",
}
LISTENING = "listening on "


def eventually(check, what):
    """What `check` answers, as soon as that is something."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.02)
    raise SystemExit(f"examples: not within {DEADLINE_SECONDS} s: {what()}")


class Process:
    """A program, and the lines that it has printed."""

    def __init__(self, command, **environment):
        self.name = str(command[0])
        self.lines = []
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, text):
        eventually(
            lambda: any(text in line for line in self.lines),
            lambda: f"{self.name} does not say {text!r}, but {self.lines}",
        )

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Program(Process):
    """One of the examples, with its endpoints."""

    def __init__(self, language, stack):
        self.url = f"http://127.0.0.1:{free_port()}"
        self.secrets = {path: create(stack, path, self.url) for path in ("bounces", "inbound", "lists")}
        secrets = {f"{path.upper()}_SECRET": secret for path, secret in self.secrets.items()}
        super().__init__(PROGRAMS[language], PORT=self.url.rsplit(":", 1)[1], **secrets)
        self.says(LISTENING)

    def post(self, path, body, headers):
        """The status of a POST that is not the stack's."""
        request = urllib.request.Request(f"{self.url}/{path}", body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def said(self):
        return sorted(line for line in self.lines if LISTENING not in line)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def create(stack, path, url):
    """The secret of a new endpoint, made with the request of the README."""
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    [line] = re.findall(rf"^curl .*/{path}\".*$", readme, re.MULTILINE)
    line = line.replace("http://127.0.0.1:8888", url).replace("http://localhost:8080", stack["http"])
    environment = {**os.environ, "TOKEN": stack["token"]}
    answer = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)["secret"]


def bounce(event_id, recipient):
    return json.dumps({"id": event_id, "type": "soft_bounce", "recipient": recipient, "data": None})


def signed(secret, body, at):
    event_id = json.loads(body)["id"]
    signature = Webhook(secret).sign(event_id, at, body)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
        "content-type": "application/json",
    }


def check_refusals(program):
    """What is not signed, or wrongly, or is old, is refused; what comes twice is handled once."""
    body, last = bounce("evt_twice", "twice@example.com"), bounce("evt_last", "last@example.com")
    now = datetime.now(timezone.utc)
    good = signed(program.secrets["bounces"], body, now)
    cases = {
        "not signed": (body, {}, 401),
        "of another endpoint": (body, signed(program.secrets["lists"], body, now), 401),
        "changed": (body + " ", good, 401),
        "odd": (body, {**good, "webhook-signature": "v1"}, 401),
        "stale": (body, signed(program.secrets["bounces"], body, now - timedelta(minutes=6)), 401),
        "good": (body, good, 204),
        "again": (body, good, 204),
        # When this one's line is read, so is what the others made it say.
        "last": (last, signed(program.secrets["bounces"], last, now), 204),
    }
    for what, (text, headers, expected) in cases.items():
        status = program.post("bounces", text.encode(), headers)
        if status != expected:
            raise SystemExit(f"examples: {program.name}: {what}: {status} in place of {expected}")


def check(program):
    for line in EVENTS.values():
        program.says(line)
    check_refusals(program)
    bounced = [f"{name}@example.com could not be reached" for name in ("twice", "last")]
    program.says(bounced[-1])
    expected = sorted([*EVENTS.values(), *bounced])
    if program.said() != expected:
        raise SystemExit(f"examples: {program.name} says {program.said()}")


def run(directory):
    stack = Process([BINARY, "up", "--port", "0", "--data-dir", directory])
    running = [stack]
    try:
        stack.says("Ctrl-C")
        urls = json.loads((Path(directory) / "stack.json").read_text(encoding="utf-8"))
        programs = []
        for language in PROGRAMS:
            programs.append(Program(language, urls))
            running.append(programs[-1])
        for event in EVENTS:
            file = ROOT / f"events/mandrill/{event}.json"
            subprocess.run([BINARY, "send", file, "--data-dir", directory], check=True, capture_output=True)
        for program in programs:
            check(program)
            print(f"examples: {program.name}: {len(program.said())} events handled")
    finally:
        for process in running:
            process.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="posthorn-examples-") as data_dir:
        run(data_dir)
