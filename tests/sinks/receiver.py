"""A receiver of webhooks that believes nothing but the reference library of Standard Webhooks.

usage: receiver.py SECRET

Prints its port, then a line of JSON for each request: what the library says of it. Answers 204 to
what is signed rightly and 401 to everything else.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
telling = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            said = {"payload": webhook.verify(body, headers), "error": None}
        except WebhookVerificationError as error:
            said = {"payload": None, "error": str(error)}
        said["id"] = headers.get("webhook-id")
        said["key"] = headers.get("idempotency-key")
        said["signatures"] = len(headers.get("webhook-signature", "").split())
        with telling:
            print(json.dumps(said), flush=True)
        self.send_response(401 if said["error"] else 204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
