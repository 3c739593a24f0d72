"""FID in the features of a network of torchvision, with weights made here in the place of its own."""

from types import SimpleNamespace

import pytest
import torch
import torchvision

from ldg.data.splits import ImageSubset
from ldg.errors import UserError
from ldg.evaluation.context import EvaluationContext, Skipped
from ldg.evaluation.distance import Distance
from ldg.evaluation.features import TorchvisionFeatures
from tests.models.test_vae import make

CPU = torch.device("cpu")
RESNET = "resnet18-f37072fd.pth"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where torchvision looks for weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    return tmp_path / "hub/checkpoints"


def test_distances_are_those_of_the_features_of_a_network_of_torchvision(folder):
    torch.manual_seed(0)
    network = torchvision.models.resnet18().eval()
    torch.save(network.state_dict(), folder / RESNET)
    images = torch.randint(256, (6, 1, 28, 28), dtype=torch.uint8)
    extract = TorchvisionFeatures("resnet18", CPU)
    with torch.inference_mode():
        features = extract(images)
        assert features.shape == (6, 512)
        preset = torchvision.models.ResNet18_Weights.DEFAULT.transforms(resize_size=224)  # and nothing is cropped
        expected = network(preset((images / 255).expand(-1, 3, -1, -1)))
        torch.testing.assert_close(network.fc(features), expected)
    subset = ImageSubset(images, torch.arange(6) % 2, torch.arange(6))
    model = make(shape=(1, 28, 28), classes=2)
    context = EvaluationContext(model, data=SimpleNamespace(train=subset, test=subset))  # and no judge
    result = Distance(rounds=1, features="resnet18")(context)
    assert "features of torchvision's resnet18 (IMAGENET1K_V1), images resized to 224x224" in result.setting
    assert result.values["fid"].reference == pytest.approx(0, abs=1e-3) and result.values["fid"].value > 0.01
    (folder / RESNET).write_bytes(b"nothing")
    with pytest.raises(UserError, match=f"{RESNET} is damaged or not the weights of resnet18; remove it"):
        TorchvisionFeatures("resnet18", CPU)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "inception_v3"])
def test_missing_weights_are_not_downloaded(name, folder, monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("downloads"))
    with pytest.raises(Skipped, match=rf"needs {folder}/{name}\S+\.pth, which this downloads: python -c") as skipped:
        TorchvisionFeatures(name, CPU)
    assert f"torchvision.models.{name}(weights='DEFAULT')" in str(skipped.value)
