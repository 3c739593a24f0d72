"""A server on this machine that stands in for Weights & Biases, or fails in one of the ways in which a server can."""

import contextlib
import http.server
import json
import threading
import time

ANSWERS = {  # status, body
    "401": (401, b'{"errors":[{"message":"user is not logged in"}]}'),
    "403": (403, b"permission denied"),
    "404": (404, b""),
    "500": (500, b""),
    "garbage": (200, b"<html>a hotel's login page</html>"),
    "empty": (200, b"{}"),
}


class Server(http.server.ThreadingHTTPServer):
    """W&B's service closes connections as it likes, which is no error."""

    def handle_error(self, request, client_address):
        """Say nothing."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as its server's ``mode`` says: one of ANSWERS, ``hang``, ``redirect`` or ``works``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.path, body))
        if self.server.mode == "hang":
            self.server.over.wait()
            self.close_connection = True
        elif self.server.mode == "redirect":
            self.reply(307, b"", Location=self.path)
        elif self.server.mode == "works":
            self.reply(200, json.dumps(self.answer(body)).encode())
        else:
            self.reply(*ANSWERS[self.server.mode])

    do_GET = do_PUT = do_POST

    def answer(self, body):
        """What W&B would say, as far as a run needs it."""
        if self.path != "/graphql":
            return {}
        request = json.loads(body)
        operation = request["query"].split("(")[0].split()[-1]
        return {"data": getattr(self, f"answer_{operation}", lambda **_: {})(**request.get("variables", {}))}

    def answer_UpsertBucket(self, name, project, displayName=None, **_):
        place = {"id": "p", "name": project, "entity": {"id": "e", "name": "someone"}}
        bucket = {"id": "b", "name": name, "displayName": displayName, "config": "{}", "project": place}
        return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}

    def answer_CreateRunFiles(self, files, **_):
        addresses = [{"name": name, "uploadUrl": f"{self.server.url}/storage/{name}"} for name in files]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": addresses}}

    def reply(self, status, body, **headers):
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client did not wait
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(mode, handler=Handler):
    """A server whose ``mode`` may be changed while it runs; ``requests`` is what it was sent, ``url`` its address."""
    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.mode, server.requests, server.over = mode, [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    import sys

    with serving(sys.argv[1]) as server:
        print(server.url, flush=True)
        while True:
            time.sleep(1)
