"""Scripts as a user starts them, in processes and folders of their own."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time

from tests.conftest import HOME

FORKING = """
import json, os, resource, runpy, signal, sys
import matplotlib.figure, optuna, pytorch_lightning, torch, wandb
import evaluate, generate, train
import ldg.data.module, ldg.evaluation.report, ldg.sweeps.job, ldg.sweeps.report, ldg.training.run

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        status = 0
        try:
            os.chdir(order["folder"])
            signal.alarm(order.get("limit", 0))
            if order.get("memory"):
                pages = int(open("/proc/self/statm").read().split()[0])
                resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + order["memory"],) * 2)
            os.environ.update(order["environment"])
            for number, file in enumerate([os.devnull, *order["files"]]):
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
            sys.argv = order["line"]
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as stop:
            status = stop.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 70
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def start(folder, *arguments, script="train.py", **environment):
    """A new process."""
    return subprocess.Popen(
        [sys.executable, str(HOME / script), *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@functools.cache
def _forking(pid):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    return subprocess.Popen([sys.executable, "-c", FORKING], encoding="utf-8", env=environment, **pipes)


def call(
    folder,
    *arguments,
    script="train.py",
    kill_after=None,
    stop_when=None,
    signum=signal.SIGINT,
    limit=0,
    memory=0,
    **environment,
):
    """Exit status, stdout and stderr of the script in a child of a process that has imported what takes seconds.

    It is killed ``kill_after`` so many seconds, or gets ``signum`` as soon as ``stop_when()``. After ``limit`` seconds
    SIGALRM ends it; ``memory`` is what it may have beyond the process it is forked from, in bytes.
    """
    forking = _forking(os.getpid())  # one for each process of tests
    out, err = (folder.parent / f"{folder.name}.{stream}" for stream in ("stdout", "stderr"))
    order = {"folder": str(folder), "environment": environment, "files": [str(out), str(err)]}
    order |= {"limit": limit, "memory": memory}
    print(json.dumps(order | {"line": [str(HOME / script), *arguments]}), file=forking.stdin, flush=True)
    child = int(forking.stdout.readline())
    if kill_after is not None:
        time.sleep(kill_after)
        with contextlib.suppress(ProcessLookupError):  # it was faster
            os.kill(child, signal.SIGKILL)
    if stop_when is not None:
        deadline = time.monotonic() + 120
        while not stop_when():
            assert time.monotonic() < deadline, err.read_text(encoding="utf-8")
            time.sleep(0.005)
        os.kill(child, signum)
    return int(forking.stdout.readline()), out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
