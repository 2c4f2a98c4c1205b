"""Runs the endpoints in docs/examples against a local stack: real deliveries to all three programs.

    .venv/bin/python tests/examples.py

Starts target/debug/posthorn (or POSTHORN_BIN) on a free port with data of its own, creates the
endpoints with the requests of docs/examples/README.md, and sends every sample of events/mandrill
and of crates/mandrill/testdata, and what else has been seen where they have mail. Exits with 1 if
a program does not do with them what it should.
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
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatch
from pathlib import Path
from textwrap import dedent

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
# Every sample: single events, and batches.
SAMPLES = sorted([*ROOT.glob("events/mandrill/*/*.json"), *ROOT.glob("crates/mandrill/testdata/*.json")])
# What has been seen in place of a mail, beside the samples.
ODD_MAIL = [
    {"event": "inbound"},
    {"event": "inbound", "msg": None},
    {"event": "inbound", "msg": []},
    {"event": "inbound", "msg": "text"},
    {"event": "inbound", "msg": {"email": "in@example.com", "from_email": "a@example.com"}},
    {"event": "inbound", "msg": {"from_email": None, "subject": ["a"], "attachments": []}},
    {"event": "inbound", "msg": {"from_email": "b@example.com", "subject": "", "attachments": None}},
]
# The types of each path's endpoint.
TYPES = {
    "bounces": ["hard_bounce", "soft_bounce", "spam", "unsub", "reject"],
    "inbound": ["inbound"],
    "lists": ["allowlist_*", "denylist_*", "whitelist_*", "blacklist_*"],
}
# Some of what is sent, and what each program has to say of it.
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

    def __init__(self, language, stack, directory):
        # It cannot be written before the directory is there: until then, handlers fail.
        self.output = Path(directory) / language / "output"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.secrets = {path: create(stack, path, self.url) for path in ("bounces", "inbound", "lists")}
        secrets = {f"{path.upper()}_SECRET": secret for path, secret in self.secrets.items()}
        super().__init__(PROGRAMS[language], PORT=self.url.rsplit(":", 1)[1], OUTPUT=str(self.output), **secrets)
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
        """What its handlers have written."""
        text = self.output.read_text(encoding="utf-8") if self.output.exists() else ""
        return text.splitlines()


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


def expect(program, what, found, expected):
    if found != expected:
        raise SystemExit(f"examples: {program.name}: {what}: {found} in place of {expected}")


def check_failure(program):
    """A handler that fails once handles the event at the next attempt, and not again at the next."""
    body = bounce("evt_fails_once", "once@example.com")
    post = lambda: program.post("bounces", body.encode(), signed(program.secrets["bounces"], body, now()))
    expect(program, "a handler fails", [post(), post()], [500, 500])
    program.output.parent.mkdir()
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(post) for _ in range(2)]
    expect(program, "the next attempts", [one.result() for one in both], [204, 204])
    expect(program, "after a failure", program.said(), ["once@example.com could not be reached"])


def check_refusals(program):
    """What is not signed, or wrongly, or is old, is refused; what comes twice is handled once."""
    body, last = bounce("evt_twice", "twice@example.com"), bounce("evt_last", "last@example.com")
    good = signed(program.secrets["bounces"], body, now())
    cases = {
        "not signed": (body, {}, 401),
        "of another endpoint": (body, signed(program.secrets["lists"], body, now()), 401),
        "changed": (body + " ", good, 401),
        "odd": (body, {**good, "webhook-signature": "v1"}, 401),
        "stale": (body, signed(program.secrets["bounces"], body, now() - timedelta(minutes=6)), 401),
        "good": (body, good, 204),
        "again": (body, good, 204),
        "last": (last, signed(program.secrets["bounces"], last, now()), 204),
    }
    said = len(program.said())
    for what, (text, headers, expected) in cases.items():
        expect(program, what, program.post("bounces", text.encode(), headers), expected)
    bounced = [f"{name}@example.com could not be reached" for name in ("twice", "last")]
    expect(program, "after what is refused", program.said()[said:], bounced)


def check_samples(program, events):
    """Every event is handled, whatever it says, by each of the handlers."""
    for event in events:
        for path in TYPES:
            # Another id: by its own, it may have been handled.
            body = json.dumps({**event, "id": f"evt_{path}_{event['id']}"})
            status = program.post(path, body.encode(), signed(program.secrets[path], body, now()))
            expect(program, f"{path} with {body}", status, 204)


def line(event):
    """What a handler says of an event that is for its endpoint."""
    kind, recipient = event["type"], text(event["recipient"])
    if kind == "inbound":
        data = event["data"] if isinstance(event["data"], dict) else {}
        message = data.get("msg") if isinstance(data.get("msg"), dict) else {}
        sender, subject = text(message.get("from_email")), text(message.get("subject"))
        return f"mail from {sender}: {subject} ({len(message.get('attachments') or [])} attachments)"
    if kind == "soft_bounce":
        return f"{recipient} could not be reached"
    if any(fnmatch(kind, pattern) for pattern in TYPES["lists"]):
        which, _, action = kind.partition("_")
        return f"{'deny' if which in ('blacklist', 'denylist') else 'allow'} list, {action}: {recipient}"
    return f"{recipient} gets no more mail: {kind}"


def text(value):
    return value if isinstance(value, str) else "(none)"


def now():
    return datetime.now(timezone.utc)


def check_readme():
    """The README shows what the Python endpoint does."""
    shown = re.search(r"```python\n(.*?)```", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    source = (EXAMPLES / "python/endpoints.py").read_text(encoding="utf-8")
    method = re.search(r"^    def receive.*?(?=^\S)", source, re.DOTALL | re.MULTILINE)[0]
    code = lambda lines: [line for line in dedent(lines).splitlines() if line.strip() and "# " not in line]
    if code(shown) != code(method):
        raise SystemExit("examples: the README's handler is not that of python/endpoints.py")


def stored(stack):
    """Every event of the stack, as endpoints get it."""
    request = urllib.request.Request(
        f"{stack['http']}/v1/events?limit=1000", headers={"Authorization": f"Bearer {stack['token']}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["events"]


def check(program, events):
    wanted = [event for event in events if any(fnmatch(event["type"], it) for types in TYPES.values() for it in types)]
    expected = sorted(["once@example.com could not be reached", *map(line, wanted)])
    eventually(lambda: len(program.said()) >= len(expected), lambda: f"{program.name} says {program.said()}")
    expect(program, "its handlers", sorted(program.said()), expected)
    for said in EVENTS.values():
        if said not in expected:
            raise SystemExit(f"examples: nothing says {said!r}")
    check_refusals(program)
    check_samples(program, events)


def run(directory):
    stack = Process([BINARY, "up", "--port", "0", "--data-dir", directory])
    running = [stack]
    try:
        stack.says("Ctrl-C")
        urls = json.loads((Path(directory) / "stack.json").read_text(encoding="utf-8"))
        programs = []
        for language in PROGRAMS:
            programs.append(Program(language, urls, directory))
            running.append(programs[-1])
            check_failure(programs[-1])
        odd = Path(directory) / "odd-mail.json"
        odd.write_text(json.dumps(ODD_MAIL), encoding="utf-8")
        for file in [*SAMPLES, odd]:
            subprocess.run([BINARY, "send", file, "--data-dir", directory], check=True, capture_output=True)
        events = stored(urls)
        for program in programs:
            check(program, events)
            print(f"examples: {program.name}: {len(events)} events handled")
    finally:
        for process in running:
            process.stop()


if __name__ == "__main__":
    check_readme()
    with tempfile.TemporaryDirectory(prefix="posthorn-examples-") as data_dir:
        run(data_dir)
