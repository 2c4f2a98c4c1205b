"""Three endpoints: bounces, inbound mail, and changes of the allow and deny lists.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    BOUNCES_SECRET=whsec_… INBOUND_SECRET=… LISTS_SECRET=… python endpoints.py
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def bounce(event):
    if event["type"] == "soft_bounce":
        print(f"{event['recipient']} could not be reached", flush=True)
    else:
        print(f"{event['recipient']} gets no more mail: {event['type']}", flush=True)


def mail(event):
    message = event["data"]["msg"]
    count = len(message.get("attachments") or {})
    print(f"mail from {message['from_email']}: {message['subject']} ({count} attachments)", flush=True)


def listing(event):
    # Such as `blacklist_add`; newer ones may say `denylist`.
    kind, _, action = event["type"].partition("_")
    name = "deny list" if kind in ("blacklist", "denylist") else "allow list"
    print(f"{name}, {action}: {event['recipient']}", flush=True)


class Endpoint:
    def __init__(self, secret, handle):
        self.webhook = Webhook(os.environ[secret])
        self.handle = handle
        # The ids of what was handled; a real one keeps them in its database, with what it does.
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
        # An answer that got lost makes it come again, with the same id.
        if event["id"] not in self.handled:
            self.handled.add(event["id"])
            self.handle(event)
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
