"""Three endpoints: bounces, inbound mail, and changes of the allow and deny lists.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    BOUNCES_SECRET=whsec_… INBOUND_SECRET=… LISTS_SECRET=… python endpoints.py

They print what they would do, or append it to the file that OUTPUT names.
"""

import json
import os
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def bounce(event):
    recipient = text(event["recipient"])
    if event["type"] == "soft_bounce":
        write(f"{recipient} could not be reached")
    else:
        write(f"{recipient} gets no more mail: {event['type']}")


def mail(event):
    # What was received, which may be anything.
    message = fields(fields(event["data"]).get("msg"))
    attachments = message.get("attachments")
    # PHP writes an empty map as an empty array.
    count = len(attachments) if isinstance(attachments, (dict, list)) else 0
    sender, subject = text(message.get("from_email")), text(message.get("subject"))
    write(f"mail from {sender}: {subject} ({count} attachments)")


def listing(event):
    # Such as `blacklist_add`; newer ones may say `denylist`.
    kind, _, action = event["type"].partition("_")
    name = "deny list" if kind in ("blacklist", "denylist") else "allow list"
    write(f"{name}, {action}: {text(event['recipient'])}")


def fields(value):
    """An object's fields; none of anything else."""
    return value if isinstance(value, dict) else {}


def text(value):
    return value if isinstance(value, str) else "(none)"


def write(line):
    # Mail may hold half of a surrogate pair, which no encoding has.
    line = line.encode("utf-8", "backslashreplace") + b"\n"
    if path := os.environ.get("OUTPUT"):
        with open(path, "ab") as output:
            output.write(line)
    else:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()


class Endpoint:
    def __init__(self, secret, handle):
        self.webhook = Webhook(os.environ[secret])
        self.handle = handle
        self.lock = threading.Lock()
        # The ids of handled events. A real one keeps them in its database, and adds an id in the
        # transaction that does the work.
        self.handled = set()

    def receive(self, headers, body):
        """The status to answer with."""
        try:
            # The signature is of these bytes; JSON that was parsed and written again has another one.
            self.webhook.verify(body, headers, json_parse=False)
        # The package raises ValueError when a header is not what it should be.
        except (WebhookVerificationError, ValueError):
            return 401
        event = json.loads(body)
        try:
            # Two attempts at once: the second waits until it is known how the first ends.
            with self.lock:
                # An event is delivered again under the same id, for example when an answer was lost.
                if event["id"] not in self.handled:
                    self.handle(event)
                    self.handled.add(event["id"])
        except Exception:
            # Not handled, so not noted: the next attempt handles it.
            traceback.print_exc()
            return 500
        return 204


ENDPOINTS = {
    "/bounces": Endpoint("BOUNCES_SECRET", bounce),
    "/inbound": Endpoint("INBOUND_SECRET", mail),
    "/lists": Endpoint("LISTS_SECRET", listing),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        endpoint = ENDPOINTS.get(self.path)
        status = endpoint.receive(dict(self.headers), body) if endpoint else 404
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing but what the endpoints say."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8888"))), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
