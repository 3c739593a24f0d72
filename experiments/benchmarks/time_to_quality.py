"""How long training takes until a stated ELBO of the validation images, here and elsewhere.

    python experiments/benchmarks/time_to_quality.py                          # the run of train.py without arguments
    python experiments/benchmarks/time_to_quality.py handwriting --seeds 1 --plot learning.png
    pip install "ldg[benchmark]"                                              # and pythae as well

Contenders run in turn, in one process with the same threads, seed by seed:

    ldg      what train.py does with the experiment, all of it: validation, gallery, checkpoints
    before   the same with its configuration until 2026-11-29, where that was another
    plain    the same networks in a hand-written loop: Adam 1e-3, batches of 128, a standard normal prior
    pythae   pythae's VAE with its own networks and trainer, Adam 1e-3, batches of 128; it is not given the labels

The ELBO has all of the KL and one draw of z for each image. Time passes from the first step until the ELBO is reached,
by a line between two epochs. ldg and before train to their end; plain and pythae end where they reach it, or after
``--patience`` times the median time of ldg. Printed are medians over seeds, and the median of the ratio to ldg's time
with the same seed; "never", if not with every seed. The trial of ``compile=auto``, which is made once on a machine, is
not counted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from torch.utils.data import DataLoader, TensorDataset

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))

from ldg.checkpoint import build  # noqa: E402
from ldg.commands.cli import number, start  # noqa: E402
from ldg.config.compose import compose_config, resolve_config  # noqa: E402
from ldg.config.run_config import RunConfig  # noqa: E402
from ldg.data.module import ImageDataModule  # noqa: E402
from ldg.errors import UserError, suggestion  # noqa: E402
from ldg.runs.run import Run  # noqa: E402
from ldg.training.run import make_data, run  # noqa: E402

BATCH = 128
OTHERS = ["before", "plain", "pythae"]


class Task(NamedTuple):
    """An experiment, the ELBO to reach, and what makes of it the configuration until 2026-11-29."""

    overrides: list[str]
    target: float
    before: list[str]


ADAM = ["optimizer=adam", "trainer.precision=32-true", "compile=false"]
UNAVERAGED = ["optimizer.lr=3e-3", "callbacks.averaging=null"]
LONG = ["model.latent_dim=32", "optimizer.lr=3e-3", "trainer.gradient_clip_val=10", "trainer.max_epochs=22"]
TASKS = {
    "default": Task([], -110.35, [*ADAM, "optimizer.lr=4e-3", "model.kl.beta=0.4", "trainer.max_epochs=8"]),
    "emnist": Task(["experiment=emnist"], -130.0, [*ADAM, *UNAVERAGED]),
    "handwriting": Task(["experiment=handwriting"], -124.64, [*ADAM, *LONG]),
    "fashion": Task(["experiment=fashion"], -227.1, []),
}


class Point(NamedTuple):
    """Where training is after an epoch."""

    seconds: float
    steps: int
    elbo: float


def compose_run(overrides: list[str]) -> RunConfig:
    """The config of a command line."""
    return RunConfig.from_dict(resolve_config(compose_config(overrides)))


def train(overrides: list[str], data: ImageDataModule) -> Iterator[Point]:
    """Train as train.py does."""
    with tempfile.TemporaryDirectory() as folder:
        config = compose_run([*overrides, "logger=csv", "test=false", f"outputs={folder}"])
        run(config, build(config.data), progress=False)
        for row in Run(Path(config.folder)).rows:
            yield Point(float(row["seconds"]), int(row["step"]), float(row["val/elbo"]))


def plain(overrides: list[str], data: ImageDataModule) -> Iterator[Point]:
    """A hand-written loop with the usual settings."""
    config = compose_run([*overrides, "model/prior=normal", "model/kl=constant"])
    model = build(config.model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    train, val = (
        TensorDataset(part.images[part.indices].float() / 255, part.labels) for part in (data.train, data.val)
    )
    loader = DataLoader(train, BATCH, shuffle=True)
    seconds, steps = 0.0, 0
    while True:
        start = time.perf_counter()
        model.train()
        for images, labels in loader:
            loss = -model(images, labels).elbo.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        model.eval()
        with torch.no_grad():
            elbo = torch.cat([model(*batch).elbo for batch in DataLoader(val, 1000)]).mean().item()
        seconds += time.perf_counter() - start
        yield Point(seconds, steps, elbo)


def pythae(overrides: list[str], data: ImageDataModule) -> Iterator[Point]:
    """pythae's VAE, trainer and networks."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    train, val = (part.images[part.indices].float() / 255 for part in (data.train, data.val))
    latents = compose_run(overrides).model["latent_dim"]
    model = VAE(VAEConfig(input_dim=tuple(train[0].shape), latent_dim=latents, reconstruction_loss="bce"))
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder, learning_rate=1e-3, per_device_train_batch_size=BATCH, no_cuda=True
        )
        trainer = BaseTrainer(model, BaseDataset(train, data.train.labels), training_config=settings)
        trainer.prepare_training()
        seconds, epoch = 0.0, 0
        while True:
            start = time.perf_counter()
            epoch += 1
            model.train()
            with redirect_stderr(StringIO()):  # its progress bar
                trainer.train_step(epoch)
            model.eval()
            with torch.no_grad():
                losses = [len(x) * model({"data": x}).loss.item() for x in val.split(1000)]
            seconds += time.perf_counter() - start
            yield Point(seconds, epoch * len(trainer.train_loader), -sum(losses) / len(val))


def reach(points: list[Point], target: float) -> tuple[float, float] | None:
    """Seconds and steps until the target is reached, by a line between epochs; None if it is not."""
    before = None
    for point in points:
        if point.elbo >= target:
            if before is None:
                return point.seconds, point.steps
            part = (target - before.elbo) / (point.elbo - before.elbo)
            seconds, steps = (a + part * (b - a) for a, b in zip(before[:2], point[:2], strict=True))
            return seconds, steps
        before = point
    return None


def plot(curves: dict[str, list[list[Point]]], target: float, path: str) -> None:
    """Draw the ELBO over minutes, a line for each seed."""
    from matplotlib.figure import Figure

    figure = Figure((7, 4.5), layout="constrained")
    axes = figure.subplots()
    for color, (name, runs) in enumerate(curves.items()):
        for points in runs:
            axes.plot([p.seconds / 60 for p in points], [p.elbo for p in points], f"C{color}.-", lw=1.2)
        last = max((points[-1] for points in runs), key=lambda p: p.seconds)
        place = last.seconds / 60, max(last.elbo, target - 25)
        axes.annotate(name, place, (4, -4), textcoords="offset points", va="top", color=f"C{color}")
    axes.axhline(target, color="grey", lw=0.8, ls="--")
    best, longest = (max(p[at] for runs in curves.values() for points in runs for p in points) for at in (2, 0))
    axes.set(xlabel="minutes of training", ylabel="ELBO of validation images, nats", xlim=(0, 1.12 * longest / 60))
    axes.set_ylim(target - 25, best + 2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def describe(runs: list[list[Point]], reference: list[list[Point]], target: float, batch: int) -> str:
    """A line of the table: medians over seeds."""
    best = statistics.median(max(point.elbo for point in points) for points in runs)
    whole = statistics.median(points[-1].seconds for points in runs) / 60
    end = f"{best:>11.2f}{whole:>16.2f}"
    reached, others = ([reach(points, target) for points in seeds] for seeds in (runs, reference))
    pairs = [(a, b) for a, b in zip(reached, others, strict=True) if a and b]
    if len(pairs) < len(runs):
        return f"{'never':>9}{'':>29}{end}"
    seconds, steps = (statistics.median(values) for values in zip(*(a for a, _ in pairs), strict=True))
    ratio = statistics.median(a[0] / b[0] for a, b in pairs)
    return f"{seconds / 60:>9.2f}{steps:>9.0f}{batch * steps:>11.0f}{ratio:>8.2f}x{end}"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def main(arguments: list[str]) -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = f"one of {', '.join(TASKS)} (default: default), and overrides of all contenders, as in trainer.max_epochs=2"
    parser.add_argument("words", nargs="*", metavar="TASK | OVERRIDE", help=what)
    parser.add_argument("--target", type=float, help="ELBO to reach, nats")
    parser.add_argument("--seeds", type=number(int, 1), default=3)
    parser.add_argument("--without", type=lambda text: text.split(","), default=[], metavar="A,B", help="contenders")
    parser.add_argument("--patience", type=number(float, 0), default=4.0)
    parser.add_argument("--plot", help="file of the picture")
    args = parser.parse_intermixed_args(arguments)
    chosen = " ".join(word for word in args.words if "=" not in word) or "default"
    if chosen not in TASKS:
        raise UserError(f"{chosen} is no task{suggestion(chosen, TASKS)}; choose one of {', '.join(TASKS)}")
    if wrong := next((each for each in args.without if each not in OTHERS), None):
        raise UserError(f"--without {wrong}: there are {', '.join(OTHERS)}, joined by commas")
    task, given = TASKS[chosen], [word for word in args.words if "=" in word]
    target = task.target if args.target is None else args.target
    overrides = ["trainer=cpu", *task.overrides, *given]
    data = make_data(compose_run(overrides).data)
    contenders = {"ldg": (train, overrides)}
    if task.before:
        contenders["before"] = (train, ["trainer=cpu", *task.overrides, *task.before, *given])
    contenders["plain"] = (plain, overrides)
    if find_spec("pythae"):
        contenders["pythae"] = (pythae, overrides)
    else:
        print("pythae is not installed; it is left out")
    curves: dict[str, list[list[Point]]] = {name: [] for name in contenders if name not in args.without}
    for seed in range(args.seeds):
        for name, runs in curves.items():
            torch.manual_seed(seed)
            contender, line = contenders[name]
            limit = args.patience * statistics.median(
                points[-1].seconds for points in curves["ldg"] or [[Point(0, 0, 0)]]
            )
            points: list[Point] = []
            for point in contender([*line, f"seed={seed}"], data):
                points.append(point)
                if contender is not train and (point.elbo >= target or point.seconds > limit):
                    break
            runs.append(points)
            print(f"seed {seed}, {name}: {points[-1].elbo:.2f} after {points[-1].seconds:.0f} s", flush=True)
    threads = torch.get_num_threads()
    print(f"\n{chosen}, to {target} nats; torch {torch.__version__}, {threads} threads; seeds: {args.seeds}")
    print(f"{'':<8}{'minutes':>9}{'steps':>9}{'images':>11}{'of ldg':>9}{'best ELBO':>11}{'minutes in all':>16}")
    for name, runs in curves.items():
        contender, line = contenders[name]
        batch = compose_run(line).data["batch_size"] if contender is train else BATCH
        print(f"{name:<8}{describe(runs, curves['ldg'], target, batch)}")
    if args.plot:
        plot(curves, target, args.plot)


if __name__ == "__main__":
    start(main)
