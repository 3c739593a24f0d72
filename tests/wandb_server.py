"""A server on this machine that stands in for Weights & Biases, or fails in one of the ways in which a server can.

It speaks what wandb 0.31 needs, and keeps what runs send: a :class:`Run` for each in ``runs``, an :class:`Artifact` for
each version in ``artifacts``.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
import time
from dataclasses import dataclass, field

import wandb

from ldg.training.wandb import WandbRun

KEY = "0123456789" * 4
ANSWERS = {  # status, body
    "401": (401, b'{"errors":[{"message":"user is not logged in"}]}'),
    "403": (403, b"permission denied"),
    "404": (404, b""),
    "500": (500, b""),
    "garbage": (200, b"<html>a hotel's login page</html>"),
    "empty": (200, b"{}"),
}
ENTITY = "someone"
REGISTRY = "someones-organization"  # the entity of the registry
WHEN = "2020-01-01T00:00:00Z"


@dataclass
class Run:
    """What the server knows of a run: ``about`` as GraphQL names it, and the files that were streamed or uploaded."""

    about: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    lines: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self):
        """The rows that were logged."""
        return [json.loads(line) for line in self.lines.get("wandb-history.jsonl", [])]

    @property
    def summary(self):
        """The last line that was sent of it."""
        return json.loads(self.lines["wandb-summary.json"][-1])


@dataclass
class Artifact:
    """A version of an artifact; ``files`` by the name in its manifest, ``users`` and ``maker`` are names of runs."""

    type: str
    collection: str
    version: int
    digest: str
    metadata: dict
    maker: str
    aliases: list
    files: dict = field(default_factory=dict)
    users: list = field(default_factory=list)
    links: list = field(default_factory=list)
    is_whole: bool = False  # its upload is done, so that others see it

    @property
    def entries(self):
        """What its manifest lists."""
        return json.loads(self.files["manifest"])["contents"]


def log_in(patch, folder, address, **settings):
    """Log somebody in to W&B at an address."""
    for name, value in {"API_KEY": KEY, "BASE_URL": address, **settings}.items():
        patch.setenv(f"WANDB_{name}", value)
    patch.delenv("WANDB_MODE")
    patch.setenv("NETRC", str(folder / "netrc"))
    patch.setattr(WandbRun, "_server_failed", False)
    wandb.teardown()  # it keeps the environment it was started with


class Server(http.server.ThreadingHTTPServer):
    """W&B's service closes connections as it likes, which is no error."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing."""

    def add_artifact(self, collection, files):
        """A model that no run has logged."""
        contents = {
            name: {"digest": base64.b64encode(hashlib.md5(content).digest()).decode(), "size": len(content)}
            for name, content in files.items()
        }
        policy = {"storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"}}
        manifest = json.dumps({"version": 1, **policy, "contents": contents}).encode()
        artifact = Artifact("model", collection, 0, "0", {}, None, ["latest"], files | {"manifest": manifest})
        artifact.is_whole = True
        self.artifacts.append(artifact)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as its server's ``mode`` says: one of ANSWERS, ``hang``, ``redirect`` or ``works``.

    A request whose path begins with ``held`` hangs; the operation of GraphQL that ``refused`` names is answered with an
    error.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.path, body))
        if self.server.mode == "hang" or self.path.startswith(self.server.held):
            self.server.over.wait()
            self.close_connection = True
        elif self.server.mode == "redirect":
            self.reply(307, b"", Location=self.path)
        elif self.server.mode != "works":
            self.reply(*ANSWERS[self.server.mode])
        elif self.command == "PUT":
            self.reply(200, self.store(body))
        elif self.command == "GET":
            self.reply(200, self.fetch())
        else:
            with self.server.lock:
                answer = self.graphql(**json.loads(body)) if self.path == "/graphql" else self.stream(body)
            self.reply(200, json.dumps(answer).encode())

    do_GET = do_PUT = do_POST

    def store(self, content):
        """Keep what is uploaded."""
        *_, kind, owner, name = self.path.split("/", 4)
        holder = self.server.runs[owner] if kind == "run" else self.server.artifacts[int(owner)]
        holder.files[name] = content
        return b""

    def fetch(self):
        """A file of an artifact: its manifest by its number, another by its MD5."""
        *_, key, name = self.path.split("/")
        if name == "manifest":
            return self.server.artifacts[int(key)].files[name]
        files = [content for artifact in self.server.artifacts for content in artifact.files.values()]
        return next(content for content in files if hashlib.md5(content).hexdigest() == key)

    def stream(self, body):
        """Metrics, summary and exit status, as they are logged."""
        run = self.server.runs[self.path.split("/")[4]]
        sent = json.loads(body)
        for name, chunk in sent.get("files", {}).items():
            lines = run.lines.setdefault(name, [])
            lines[chunk["offset"] :] = chunk["content"]
        if sent.get("complete"):
            run.exit_code = sent["exitcode"]
        return {}

    def graphql(self, query, variables=None, **_):
        """What W&B would say, as far as a run and its artifacts need it."""
        operation = query.split("(")[0].split()[1].strip("{")
        if operation == self.server.refused:
            return {"data": None, "errors": [{"message": "permission denied"}]}
        given = (variables or {}).get("input", variables or {})
        return {"data": getattr(self, f"answer_{operation}", lambda **_: {})(**given)}

    def answer_Viewer(self):
        return {"viewer": {"id": "u", "entity": ENTITY, "username": ENTITY, "teams": {"edges": []}, "flags": "{}"}}

    answer_GetDefaultEntity = answer_Viewer

    def bucket(self, name):
        """A run as GraphQL describes it."""
        run = self.server.runs[name]
        described = {"id": name, "name": name, "displayName": run.about.get("displayName"), "tags": []}
        config = {key: {"value": value} for key, value in run.config.items()}
        described |= {"config": json.dumps(config), "wandbConfig": json.dumps({"t": {}}), "notes": ""}
        described |= {"summaryMetrics": json.dumps(run.summary) if "wandb-summary.json" in run.lines else "{}"}
        for key, file in (("log", "output.log"), ("history", "wandb-history.jsonl"), ("events", "wandb-events.jsonl")):
            lines = run.lines.get(file, [])
            described |= {f"{key}LineCount": len(lines), f"{key}Tail": json.dumps(lines[-1:])}
        return described

    def answer_RunResumeStatus(self, name, project, **_):
        bucket = self.bucket(name) if name in self.server.runs else None
        return {"model": {"id": "p", "name": project, "entity": {"id": "e", "name": ENTITY}, "bucket": bucket}}

    def answer_UpsertBucket(self, name, project, config=None, **about):
        is_new = name not in self.server.runs
        run = self.server.runs.setdefault(name, Run())
        run.about |= {key: value for key, value in about.items() if value is not None} | {"project": project}
        run.config |= {key: value["value"] for key, value in json.loads(config or "{}").items()}
        place = {"id": "p", "name": project, "entity": {"id": "e", "name": ENTITY}}
        return {"upsertBucket": {"bucket": self.bucket(name) | {"project": place}, "inserted": is_new}}

    def upload_to(self, kind, name, file):
        return f"{self.server.url}/storage/{kind}/{name}/{file}"

    def answer_CreateRunFiles(self, run, files, **_):
        addresses = [{"name": name, "uploadUrl": self.upload_to("run", run, name)} for name in files]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": addresses}}

    def answer_CreateArtifact(self, artifactTypeName, artifactCollectionName, digest, runName, **given):
        """A new version, unless there is one with the same content."""
        versions = [each for each in self.server.artifacts if each.collection == artifactCollectionName]
        known = next((each for each in versions if each.digest == digest), None)
        if known is None:
            metadata = json.loads(given.get("metadata") or "{}")
            maker = (artifactTypeName, artifactCollectionName, len(versions), digest, metadata, runName)
            self.server.artifacts.append(known := Artifact(*maker, aliases=[]))
            state = "PENDING"
        else:
            state = "COMMITTED"
        for each in versions:
            each.aliases = [name for name in each.aliases if name not in self.names(given)]
        known.aliases += self.names(given)
        answer = {"id": str(self.server.artifacts.index(known)), "state": state}
        return {"createArtifact": {"artifact": answer | {"artifactSequence": {"latestArtifact": None}}}}

    def names(self, given):
        return [alias["alias"] for alias in given.get("aliases") or []]

    def answer_CreateArtifactManifest(self, artifactID, **_):
        file = {"id": "f", "uploadUrl": self.upload_to("artifact", artifactID, "manifest"), "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": artifactID, "file": file}}}

    def answer_UpdateArtifactManifest(self, artifactManifestID, **_):
        answer = self.answer_CreateArtifactManifest(artifactManifestID)["createArtifactManifest"]
        return {"updateArtifactManifest": answer}

    def answer_CreateArtifactFiles(self, artifactFiles, **_):
        nodes = [
            {
                "storagePath": f"{file['artifactID']}/{file['name']}",
                "uploadUrl": self.upload_to("artifact", file["artifactID"], file["name"]),
                "uploadHeaders": [],
                "artifact": {"id": file["artifactID"]},
            }
            for file in artifactFiles
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def answer_CommitArtifact(self, artifactID):
        artifact = self.server.artifacts[int(artifactID)]
        artifact.is_whole = True
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": artifact.digest}}}

    def answer_UseArtifact(self, artifactID, runName, **_):
        self.server.artifacts[int(artifactID)].users.append(runName)
        return {"useArtifact": {"artifact": {"id": artifactID}}}

    def answer_ArtifactType(self, name, **_):
        found = self.find(*name.split(":"))
        return {"project": {"artifact": found and {"artifactType": {"name": found.type}}}}

    def find(self, collection, alias):
        """The version of an artifact that an alias names."""
        versions = [each for each in self.server.artifacts if each.collection == collection and each.is_whole]
        named = [each for each in versions if alias in (*each.aliases, f"v{each.version}")]
        return next(iter(named), None)

    def answer_ArtifactByID(self, id, **_):
        return {"artifact": self.describe(self.server.artifacts[int(id)])}

    def answer_ArtifactMembershipByName(self, project, name, **_):
        found = self.find(*name.split(":"))
        return {"project": {"artifactCollectionMembership": found and self.membership(found, project, name)}}

    def membership(self, artifact, project, name):
        return {
            "id": "m",
            "versionIndex": artifact.version,
            "createdAt": WHEN,
            "aliases": [{"id": "a", "alias": alias} for alias in artifact.aliases],
            "artifactCollection": {
                "__typename": "ArtifactSequence",
                "name": name.split(":")[0],
                "project": self.project(project),
            },
            "artifact": self.describe(artifact),
        }

    def project(self, name):
        return {"id": "p", "internalId": "1", "name": name, "entity": {"name": ENTITY}}

    def describe(self, artifact):
        """A version of an artifact as GraphQL describes it."""
        described = dict.fromkeys(("description", "historyStep", "digestAlgorithm", "commitHash", "updatedAt"))
        return described | {
            "id": str(self.server.artifacts.index(artifact)),
            "artifactSequence": {"name": artifact.collection, "project": self.project("ldg")},
            "versionIndex": artifact.version,
            "artifactType": {"name": artifact.type},
            "metadata": json.dumps(artifact.metadata),
            "ttlDurationSeconds": 0,
            "ttlIsInherited": True,
            "tags": [],
            "state": "COMMITTED",
            "size": sum(map(len, artifact.files.values())),
            "digest": artifact.digest,
            "fileCount": len(artifact.files),
            "createdAt": WHEN,
            "aliases": [],
        }

    def answer_FetchArtifactManifest(self, id):
        return {"artifact": {"currentManifest": {"file": {"directUrl": self.upload_to("artifact", id, "manifest")}}}}

    def answer_FetchOrgInfoFromEntity(self, **_):
        organization = {"name": REGISTRY, "orgEntity": {"name": REGISTRY}}
        return {"entity": {"organization": None, "user": {"organizations": [organization]}}}

    def answer_LinkArtifact(self, artifactID, artifactPortfolioName, aliases, entityName, projectName):
        artifact = self.server.artifacts[int(artifactID)]
        place = "/".join((entityName, projectName, artifactPortfolioName))
        artifact.links.append((place, [alias["alias"] for alias in aliases]))
        membership = self.membership(artifact, projectName, artifactPortfolioName)
        return {"result": {"versionIndex": 0, "artifactMembership": membership}}

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
    server.mode, server.requests, server.over = mode, [], threading.Event()
    server.runs, server.artifacts, server.refused = {}, [], None
    server.held = " "  # no path begins with it
    server.lock = threading.Lock()
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
