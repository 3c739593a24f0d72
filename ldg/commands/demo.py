"""Open a page in the browser: write, read a hand, explore a model, compare runs.

ldg demo                                      with the weights that come with ldg
ldg demo outputs/NAME/ID outputs/NAME2/ID2    with the first run; Compare writes with all
ldg demo --space my-space                     the files of a Hugging Face Space

The page is for this machine only. It needs the extra demo, as in: pip install "ldg[demo]".
"""

import os
import shutil
import signal
import socket
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

from ldg.checkpoint import SHIPPED, find
from ldg.commands.cli import Parser, number
from ldg.errors import UserError, describe_os_error, missing_package
from ldg.files import look

HOST = "127.0.0.1"
PORT = 7860


def main(arguments: list[str]) -> None:
    """Serve the page of a command line until a signal, or write a Space.

    Args:
        arguments: Without the program's name.

    Raises:
        UserError: For the first thing that is wrong.
    """
    parser = Parser("demo", __doc__)
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="run folder, .ckpt, .safetensors or .onnx (default: the weights of ldg)")
    add("--port", type=number(int, 1, 65535), default=PORT, help=f"where the page is, at {HOST} (default: {PORT})")
    add("--no-browser", action="store_true", help="only print the address")
    add("--space", metavar="FOLDER", help="write the files of a Hugging Face Space into this new folder, and end")
    args = parser.parse_args(arguments)
    sources = {run: find(run) for run in args.runs} or {"the weights of ldg": SHIPPED}
    if find_spec("gradio") is None:
        raise UserError(missing_package("gradio"))
    if args.space is not None:
        return _write_space(sources, Path(args.space))
    _require_port(args.port)
    return _serve(sources, args.port, opens=not args.no_browser)


def _write_space(sources: dict[str, Path], folder: Path) -> None:
    """Write a Space whole or not at all, and print its folder."""
    from ldg.commands.export import export
    from ldg.demo.space import write_files

    if look(folder):
        raise UserError(f"{folder} exists; remove it, or give another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as base:
        made = Path(base) / folder.name
        (made / "weights").mkdir(parents=True)
        weights = {}
        for number, (name, file) in enumerate(sources.items(), 1):
            is_exported = file.suffix in (".safetensors", ".onnx")
            copy = made / "weights" / f"model-{number}{file.suffix if is_exported else '.safetensors'}"
            if is_exported:
                shutil.copyfile(file, copy)
            else:
                export(file, copy)
            weights[name] = copy.relative_to(made).as_posix()
        write_files(made, weights)
        made.rename(folder)
    print(folder)


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"port {port}: {describe_os_error(error)}; another one is given by --port") from None


def _serve(sources: dict[str, Path], port: int, *, opens: bool) -> None:
    """Serve the page until the process is told to end; its files end with it."""
    folder = tempfile.mkdtemp(prefix="ldg-demo-")
    tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"] = folder
    # gradio asks the page whether it is there, which is no matter for a proxy
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST]))
    try:
        from ldg.demo.page import launch
        from ldg.demo.rendering import load_model

        page = launch(
            [load_model(file, name) for name, file in sources.items()],
            server_name=HOST,
            server_port=port,
            inbrowser=opens,
            share=False,
            prevent_thread_lock=True,
        )
        print(f"http://{HOST}:{port}  (Ctrl-C ends it)", flush=True)
        ended = threading.Event()
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, lambda *_: ended.set())
        ended.wait()
        page.close(verbose=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
