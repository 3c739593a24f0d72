"""The line of ldg/weights/JUDGES.md about a judge, and whether half precision changes what it recognises.

python experiments/judge_card.py outputs/judge_emnist/ID ldg/weights/judge_emnist.safetensors
"""

from pathlib import Path

import torch
from torch import Tensor

from ldg import checkpoint
from ldg.commands.cli import Parser, start
from ldg.commands.export import export
from ldg.data.splits import ImageSubset
from ldg.evaluation.class_accuracy import confusion_matrix, weighted_accuracy
from ldg.evaluation.judge import load_judge
from ldg.files import look
from ldg.models.classifier import Classifier

HEAD = "judge|SHA-256|parameters|classes|MB|test images|accuracy|in half precision|by class|changed"


@torch.inference_mode()
def recognise(judge: Classifier, test: ImageSubset) -> Tensor:
    """The classes (N,) that a judge takes the test images for."""
    return torch.cat([judge(test[rows][0]).argmax(1) for rows in torch.arange(len(test)).split(500)])


def card_line(run: Path, file: Path) -> str:
    original, shipped = load_judge(run), load_judge(file)
    test = checkpoint.load_data(original).test
    full, half = recognise(original, test), recognise(shipped, test)
    averaged, _ = weighted_accuracy(confusion_matrix(half, test.labels, shipped.num_classes))
    cells = [
        f"`{file.stem}`",
        f"`{shipped.title.split()[-1]}`",
        f"{sum(parameter.numel() for parameter in shipped.parameters()):,}",
        str(shipped.num_classes),
        f"{file.stat().st_size / 1e6:.2f}",
        f"{len(test):,}",
        *(f"{(predicted == test.labels).double().mean():.2%}" for predicted in (full, half)),
        f"{averaged:.2%}",
        str(int((full != half).sum())),
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    parser = Parser("python experiments/judge_card.py", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder of experiment=judge...")
    parser.add_argument("file", type=Path, metavar="FILE.safetensors", help="its export, which is written if missing")
    args = parser.parse_args(arguments)
    if not look(args.file):
        export(args.run, args.file)
    columns = HEAD.split("|")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", card_line(args.run, args.file), sep="\n")


if __name__ == "__main__":
    start(main)
