"""A server on this machine that stands in for the Hugging Face Hub: it keeps what is pushed, and gives it back."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading

TOKEN = "hf_of_somebody"


class Hub:
    """Repositories with the files of each branch, and what was requested.

    Attributes:
        repositories: branches by repository, files by branch, content by name
        private: repositories that only the token sees
        status: what every request is answered with; 0: what it asks for
    """

    def __init__(self):
        self.repositories, self.private, self.requests, self.status = {}, set(), [], 0
        self.url = ""

    def answer(self, method, path, body, token):
        """Status, content (JSON unless it is bytes) and headers."""
        self.requests.append(f"{method} {path}")
        if self.status:
            return self.status, {}, {}
        if match := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            return self.give(*match.groups(), token)
        if match := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/([^/]+))?", path):
            return self.give(match[1], match[2] or "main", None, token)
        if token != TOKEN:
            return 401, {}, {}
        if path == "/api/repos/create":
            about = json.loads(body)
            name = f"{about['organization']}/{about['name']}"
            if name in self.repositories:
                return 409, {"url": f"{self.url}/{name}"}, {}
            self.repositories[name] = {"main": {}}
            self.private |= {name} if about.get("visibility") == "private" or about.get("private") else set()
            return 200, {"url": f"{self.url}/{name}"}, {}
        if path == "/api/validate-yaml":
            return 200, {"warnings": [], "errors": []}, {}
        name, what, revision = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/(\w+)/([^/]+)", path).groups()
        branches = self.repositories[name]
        if what == "branch":
            branches.setdefault(revision, {})
            return 200, {}, {}
        if what == "preupload":
            named = [each["path"] for each in json.loads(body)["files"]]
            # the Hub itself takes large files by Xet, which is left out here
            files = [{"path": path, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for path in named]
            return 200, {"files": files}, {}
        assert what == "commit"
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                branches[revision][value["path"]] = base64.b64decode(value["content"])
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40}, {}

    def give(self, name, revision, file, token):
        """A file of a branch or commit of a repository; of no file the commit."""
        if name not in self.repositories or (name in self.private and token != TOKEN):
            return 401, {}, {"X-Error-Code": "RepoNotFound"}
        branches = self.repositories[name]
        commits = {hashlib.sha1(f"{name} {branch}".encode()).hexdigest(): branch for branch in branches}
        revision = commits.get(revision, revision)
        if revision not in branches:
            return 404, {}, {"X-Error-Code": "RevisionNotFound"}
        commit = hashlib.sha1(f"{name} {revision}".encode()).hexdigest()
        if file is None:
            return 200, {"id": name, "sha": commit, "siblings": []}, {}
        if file not in branches[revision]:
            return 404, {}, {"X-Error-Code": "EntryNotFound"}
        content = branches[revision][file]
        return 200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}


@contextlib.contextmanager
def serving():
    """A hub that answers within this context."""
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            path = self.path.partition("?")[0]
            status, content, headers = hub.answer(self.command, path, body, token)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
