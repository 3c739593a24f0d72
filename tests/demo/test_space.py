"""The command as a user types it, and the folder of a Space, which runs by itself."""

import re
import socket
import time
import urllib.request

import pytest
import yaml

from ldg.checkpoint import SHIPPED
from tests.demo.server import Server, free_port
from tests.processes import call

pytest.importorskip("gradio")
SCRIPT = "ldg/__main__.py"


@pytest.mark.slow
def test_a_space_runs_from_its_folder(tmp_path):
    import gradio

    status, out, err = call(
        tmp_path, "demo", str(SHIPPED), str(SHIPPED.with_suffix(".onnx")), "--space", "my-space", script=SCRIPT
    )
    assert (status, out) == (0, "my-space\n"), err
    folder = tmp_path / "my-space"
    assert [path.name for path in tmp_path.iterdir()] == ["my-space"]
    assert {path.name for path in folder.iterdir()} == {"app.py", "requirements.txt", "README.md", "ldg", "weights"}
    header = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert (header["sdk"], header["sdk_version"], header["app_file"]) == ("gradio", gradio.__version__, "app.py")
    required = (folder / "requirements.txt").read_text()
    assert re.search("^gradio", required, re.M) and re.search("^torch", required, re.M) and "onnxruntime" in required
    assert "tensorboard" not in required and "extra" not in required.replace("--extra-index-url", "")
    port = free_port()
    environment = {"GRADIO_SERVER_PORT": str(port), "PYTHONPATH": "", "TMPDIR": str(tmp_path)}
    with Server(folder, "app.py", **environment) as it:
        page = wait_for(f"http://127.0.0.1:{port}", it.process)
    assert "ldg: handwriting" in page and "data:image/png;base64" in page


def wait_for(address, process):
    while process.poll() is None:
        try:
            return urllib.request.urlopen(address).read().decode()
        except OSError:
            time.sleep(0.2)
    pytest.fail(process.stdout.read())


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "there").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, message in (
            (["--port", port], f"port {port}: Address already in use; another one is given by --port"),
            (["--port", "0"], "argument --port: must be a whole number from 1 to 65535, got '0' (see --help)"),
            (["nowhere"], "no checkpoint at nowhere; name a run folder, or a .ckpt, .safetensors or .onnx file"),
            (["--space", "there"], "there exists; remove it, or give another name"),
        ):
            status, out, err = call(tmp_path, "demo", *map(str, arguments), script=SCRIPT)
            assert (status, out, err) == (2, "", f"error: {message}\n")


def test_without_gradio_the_extra_is_named(tmp_path, monkeypatch):
    from ldg.commands import demo
    from ldg.errors import UserError

    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"the package gradio is missing: (uv )?pip install \"ldg\[demo\]\""):
        demo.main([])
