"""A SLURM cluster of one node on this machine: daemons, ports, sockets and spool of its own in a temporary folder."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.conftest import program

CORES = 2

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# a job that is requeued begins when its credentials have expired
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=5
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def cluster(accounting=""):
    """Start the daemons; SLURM's commands find them by the environment variable SLURM_CONF, which is the value."""
    programs = [program(name) for name in ("munged", "slurmctld", "slurmd", "sbatch")]
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # paths of sockets are short
    processes, ready = [], False

    def start(*line):
        with (folder / f"{Path(line[0]).name}.out").open("w") as log:
            processes.append(subprocess.Popen(line, stdout=log, stderr=log, env=os.environ | environment))

    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    try:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        names = {"key": "key", "socket": "socket", "pid": "pid", "log": "log", "seed": "seed"}
        files = [f"--{option}-file={folder}/munge.{name}" for option, name in names.items() if option != "socket"]
        start(programs[0], "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
        values = {"folder": folder, "host": socket.gethostname().split(".")[0], "user": getpass.getuser()}
        values |= {"ctld_port": _free_port(), "d_port": _free_port(), "cores": CORES, "accounting": accounting}
        Path(environment["SLURM_CONF"]).write_text(CONFIG.format(**values))
        start(programs[1], "-D", "-i")
        start(programs[2], "-D")
        deadline = time.monotonic() + 30
        while "idle" not in command(environment, "sinfo", "--noheader", "--format=%t"):
            logs = "\n".join(file.read_text() for file in folder.glob("*.out"))
            assert time.monotonic() < deadline and all(p.poll() is None for p in processes), logs
            time.sleep(0.2)
        ready = True
        yield environment
    finally:
        if ready:
            command(environment, "scancel", f"--user={getpass.getuser()}")
            deadline = time.monotonic() + 20
            while command(environment, "squeue", "--noheader").strip() and time.monotonic() < deadline:
                time.sleep(0.2)
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def command(environment, *line):
    """What one of SLURM's commands prints."""
    done = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr
