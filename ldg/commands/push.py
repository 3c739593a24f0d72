"""Publish a run on the Hugging Face Hub: weights, config, picture, model card with its scorecard.

ldg push OWNER/NAME outputs/NAME/ID
ldg push OWNER/NAME outputs/NAME/ID --private --revision v2
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldg import checkpoint, hub
from ldg.commands.cli import Parser
from ldg.commands.export import export
from ldg.errors import UserError

if TYPE_CHECKING:
    from ldg.evaluation.scorecard import Scorecard
    from ldg.models.vae import VAE

PICTURE = "picture.png"
TEXT = "Hello World"
TASK = "unconditional-image-generation"  # the nearest that the Hub has


def push(repository: str, source: str | Path, *, private: bool = False, revision: str | None = None) -> str:
    """Upload a run in one commit; the repository and the branch are made if they are missing.

    Args:
        repository: ``OWNER/NAME`` on the Hub.
        source: Checkpoint file or run folder.
        private: Whether a new repository is private.
        revision: The branch; None: ``main``.

    Returns:
        The address of the commit.

    Raises:
        UserError: If the checkpoint cannot be read, nobody is logged in, or the Hub refuses.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UserError(f"{repository}: write OWNER/NAME, as in me/handwriting")
    file = checkpoint.find(source)
    api = hub.connect()
    import huggingface_hub

    if huggingface_hub.get_token() is None:
        raise UserError("no one is logged in to the Hugging Face Hub: hf auth login, or set HF_TOKEN")
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), repository, file)
        files = [
            huggingface_hub.CommitOperationAdd(path.name, path.read_bytes()) for path in sorted(Path(folder).iterdir())
        ]
    with hub.explained(repository):
        api.create_repo(repository, private=private or None, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        message = f"{file.name} of ldg"
        return str(api.create_commit(repository, files, commit_message=message, revision=revision).commit_url)


def _prepare(folder: Path, repository: str, file: Path) -> None:
    """Write all files of a repository."""
    from ldg.files import write_text
    from ldg.generation import picture, writer
    from ldg.generation.alphabet import explain_refusal

    export(file, folder / hub.WEIGHTS)
    model = checkpoint.load(folder / hub.WEIGHTS)
    about: dict[str, Any] = {"classes": model.classes, "conditioning": model.conditioning}
    can_write = explain_refusal(TEXT, about) is None and writer.is_typeset(model)
    drawn = writer.write(model, TEXT) if can_write else writer.samples(model, 4, 8)
    picture.save(drawn, folder / PICTURE)
    about |= {"image_shape": model.image_shape, "config": model.config}
    write_text(folder / "config.json", json.dumps(about, indent=2) + "\n")
    arguments = f'"{TEXT}"' if can_write else "--rows 4 --columns 8"
    write_text(folder / "README.md", model_card(repository, model, _scorecard(file), arguments))


def _scorecard(file: Path) -> Scorecard | None:
    """The scorecard of a checkpoint, if that is what was measured."""
    from ldg.evaluation.report import scorecard_folder
    from ldg.evaluation.scorecard import read_scorecard

    path = scorecard_folder(file) / "scorecard.json"
    card = read_scorecard(path) if path.is_file() else None
    return card if card is not None and Path(card.checkpoint).resolve() == file.resolve() else None


def model_card(repository: str, model: VAE, card: Scorecard | None, arguments: str) -> str:
    """The model card of a run: what it is, how it is used, and its scorecard, for people and for the Hub.

    Args:
        repository: ``OWNER/NAME``.
        model: Of the run.
        card: Its scorecard; None: it was not measured.
        arguments: With which ``ldg write`` draws something.

    Returns:
        Markdown, with metadata in YAML above it.
    """
    from huggingface_hub import ModelCardData

    from ldg.evaluation.table import format_markdown_table, list_notes, list_settings

    name, (channels, height, width) = repository.partition("/")[2], model.image_shape
    results = {} if card is None else {"model_name": name, "eval_results": _results(card)}
    metadata = ModelCardData(library_name="ldg", tags=["ldg", "vae", "image-generation"], **results)  # type: ignore[arg-type]
    parts = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {name}",
        f"![what it draws]({PICTURE})",
        f"A variational autoencoder of ldg, the letter-digit generator: {len(model.classes)} classes, images of "
        f"{channels} x {height} x {width}, {model.latent_dim} latents, conditioning `{model.conditioning}`. "
        "`config.json` has all settings.",
        f'```bash\npip install "ldg[hub]"\nldg write {arguments} --checkpoint hf://{repository}\n```',
        f'```python\nimport ldg\n\nmodel = ldg.load("hf://{repository}")\n```',
        "Loading it runs no code of anybody's.",
        "## Scorecard",
    ]
    if card is None:
        parts.append(f"It was not measured; `ldg evaluate hf://{repository}` does it.")
    else:
        parts += [format_markdown_table([card]), "\n".join(f"- {line}" for line in list_settings([card]))]
        parts += [f"- {line}" for line in list_notes([card])]
    return "\n\n".join(parts) + "\n"


def _results(card: Scorecard) -> list[Any]:
    """The values of a scorecard as the Hub has evaluation results."""
    from huggingface_hub import EvalResult

    from ldg.evaluation.table import list_titles

    data = card.test_images[0]
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=data.lower(),
            dataset_name=data,
            dataset_split="test",
            metric_type=name,
            metric_name=title,
            metric_value=card.values[name].value,
            metric_config=card.setting(name),
        )
        for name, title in list_titles([card]).items()
        if card.values[name].is_finite
    ]


def main(arguments: list[str]) -> None:
    """Publish the run of a command line, and print its address.

    Args:
        arguments: Without the program's name.

    Raises:
        UserError: If it cannot be published.
    """
    parser = Parser("push", __doc__)
    parser.add_argument("repository", metavar="OWNER/NAME", help="on the Hub; it is made if it is missing")
    parser.add_argument("run", metavar="RUN", help="checkpoint file or run folder")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", metavar="NAME", help="branch, made if it is missing (default: main)")
    args = parser.parse_args(arguments)
    print(push(args.repository, args.run, private=args.private, revision=args.revision))
