"""Writing as one ONNX graph: styles or noise, and labels, through prior and decoder to images.

:class:`ldg.generation.onnx.OnnxDecoder` runs it without torch.
"""

import json
import warnings
from typing import Any

import onnx
import onnxscript  # noqa: F401  (torch's exporter needs it, and would say so in many lines)
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from ldg.errors import UserError, one_line
from ldg.models.style import StyleSpace
from ldg.models.vae import VAE

INPUTS = ["latents", "labels", "temperature", "is_style"]
_LARGE = 1000  # weights of a tensor from which half precision saves more than its conversion takes


class WritingGraph(nn.Module):
    """Decodes styles or noise.

    Args:
        model: In eval mode, on the CPU.
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.style_space = StyleSpace(model)

    def forward(self, latents: Tensor, labels: Tensor, temperature: Tensor, is_style: Tensor) -> Tensor:
        """Compute mean images.

        Args:
            latents: Styles or noise (N, D).
            labels: Shares of the classes (N, K).
            temperature: Of styles, a scalar.
            is_style: Whether the latents are styles, a boolean scalar.

        Returns:
            (N, C, H, W) in [0, 1].
        """
        of_styles = self.style_space.latents(latents, labels, temperature)
        return self.model.decode(torch.where(is_style, of_styles, self.model.from_noise(latents, labels)), labels)


def to_onnx(model: VAE, about: dict[str, Any]) -> bytes:
    """Convert a model into the content of an ``.onnx`` file.

    Args:
        model: In eval mode, on the CPU.
        about: What the file says of it: plain values for JSON.

    Returns:
        The file, with inputs and output of :class:`WritingGraph`. Weights that half precision holds exactly are stored
        so, and computed with in single precision.

    Raises:
        UserError: If ONNX has no operator for a layer of the model.
    """
    example = (
        torch.zeros(3, model.latent_dim),
        torch.full((3, model.num_classes), 1 / model.num_classes),
        torch.tensor(1.0),
        torch.tensor(True),
    )
    shapes = ({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}, None, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names of axes
            # strict: the number of images is not that of the example
            exported = torch.export.export(WritingGraph(model).eval(), example, dynamic_shapes=shapes, strict=True)
            program = torch.onnx.export(exported, input_names=INPUTS, output_names=["images"], verbose=False)
    except Exception as error:  # whatever torch raises of a layer that it cannot follow, or ONNX does not have
        raise UserError(f"the model cannot be exported as ONNX: {one_line(error)[:200]}") from None
    assert program is not None
    proto = program.model_proto
    _halve(proto.graph)
    # where the exporter's source lies
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output, proto.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del proto.metadata_props[:]
    helper.set_model_props(proto, {"ldg": json.dumps(about)})
    return proto.SerializeToString()


def _halve(graph: onnx.GraphProto) -> None:
    """Store tensors in half precision, where that changes none of their values."""
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and values.size >= _LARGE:
            with torch.no_grad():
                halved = torch.from_numpy(values.copy()).half()
            if torch.equal(halved.float(), torch.from_numpy(values.copy())):
                name = tensor.name
                tensor.CopyFrom(numpy_helper.from_array(halved.numpy(), f"{name}.half"))
                casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
