"""A server on this machine that plays a vision-language model behind an API of chat completions."""

import base64
import io
import json
import threading
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


def digest_of(pixels):
    return sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


class Model:
    """Says `truth[digest]`, or of other images "I see noise.". faults: statuses of the next requests; asked: (digest,
    text) of each request that was let in; answered: the digests of those that were replied to; hold: after so many
    answers requests wait for `gate`; replies: digest -> status and reply instead; drip: what is sent instead, and then
    a byte now and then without an end."""

    def __init__(self, truth):
        self.truth, self.faults, self.replies, self.served = truth, [], {}, "toy-1"
        self.asked, self.answered, self.headers, self.bodies = [], [], [], []
        self.drip = b""
        self.hold, self.gate, self.lock = None, threading.Event(), threading.Lock()

    def reply(self, digest):
        text = self.truth.get(digest, "I see noise.")
        whole = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": self.served}
        return self.replies.get(digest, (200, whole))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        model, body = self.server.model, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, picture = body["messages"][0]["content"]
        png = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
        digest = digest_of(Image.open(io.BytesIO(png)))
        with model.lock:
            fault = model.faults.pop(0) if model.faults else None
            model.headers.append(dict(self.headers))
            model.bodies.append(body)
            held = fault is None and model.hold is not None and len(model.asked) >= model.hold
            if fault is None and not held:
                model.asked.append((digest, text["text"]))
        if held:
            model.gate.wait(60)
            self.close_connection = True
            return  # no reply: the client is gone
        with suppress(OSError):
            while model.drip and not model.gate.wait(0.02):
                self.wfile.write(model.drip)
                model.drip = b"x"
        status, content = (fault, {"error": {"message": "busy"}}) if fault else model.reply(digest)
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        with model.lock:
            if status == 200:
                model.answered.append(digest)


@contextmanager
def serving(model):
    """The address of the API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.model = True, model
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        model.gate.set()
        server.shutdown()
        server.server_close()
