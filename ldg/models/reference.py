"""The networks of older Keras systems, layer by layer, as baselines."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from ldg.models.conv import flatten_map, stage_sizes, unflatten_map
from ldg.models.dense import concatenate
from ldg.models.network import Network, Sizes


def _norm(kind: type[nn.Module], features: int) -> nn.Module:
    return kind(features, eps=1e-3, momentum=0.01)  # Keras's settings in torch's terms


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    return [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]


def _initialise(network: nn.Module, std: float | None) -> None:
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                assert module.bias is not None
                module.bias.zero_()
                nn.init.xavier_uniform_(module.weight) if std is None else nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.BatchNorm2d) and std is not None:
                nn.init.normal_(module.weight, mean=1.0, std=std)


class ReferenceEncoder(nn.Module):
    """Image (B, C, H, W) and condition (B, K) or None -> means and log variances of z, (B, 2 D).

    The condition reaches convolutions through a dense layer from pixels and condition to an image.
    """

    def __init__(
        self,
        sizes: Sizes,
        channels: list[int],
        strides: list[int],
        hidden: list[int],
        kernel: int,
        signed: bool,
        norm_heads: bool,
        std: float | None,
    ) -> None:
        super().__init__()
        image_shape, condition_dim, out_features = sizes.image_shape, sizes.encoder_condition_dim, 2 * sizes.latent_dim
        self.image_shape, self.signed = image_shape, signed
        pixels, (_, height, width) = math.prod(image_shape), image_shape
        self.front = nn.Sequential(*_dense([pixels + condition_dim, pixels])) if channels and condition_dim else None
        maps: list[nn.Module] = []
        for (before, after), stride in zip(pairwise([image_shape[0], *channels]), strides, strict=True):
            conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2)
            maps += [conv, _norm(nn.BatchNorm2d, after), nn.ReLU()]
            height, width = -(-height // stride), -(-width // stride)
        self.maps = nn.Sequential(*maps)
        features = channels[-1] * height * width if channels else pixels + condition_dim
        widths = [features, *hidden]
        self.hidden = nn.Sequential(*_dense(widths))
        _initialise(self, std)
        self.heads = nn.Linear(widths[-1], out_features)
        for head in self.heads.weight.chunk(2):  # one for the means, one for the log variances
            nn.init.xavier_uniform_(head)
        nn.init.zeros_(self.heads.bias)
        self.norm = _norm(nn.BatchNorm1d, out_features) if norm_heads else nn.Identity()

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        """Compute the parameters of q(z | x, c)."""
        x = 2 * x - 1 if self.signed else x
        if c is not None:
            x = torch.cat([x.flatten(1), c], dim=1)
        if self.front is not None:
            x = self.front(x).view(-1, *self.image_shape)
        return self.norm(self.heads(self.hidden(flatten_map(self.maps(x)))))


class ReferenceDecoder(nn.Module):
    """Latents (B, D) and condition (B, K) or None -> likelihood parameters (B, out_channels, H, W)."""

    def __init__(
        self,
        sizes: Sizes,
        first: int | None,
        channels: list[int],
        strides: list[int],
        hidden: list[int],
        kernel: int,
        norm_first: bool,
        norm_last: bool,
        std: float | None,
    ) -> None:
        super().__init__()
        out_shape = (sizes.out_channels, *sizes.image_shape[1:])
        widths = [sizes.latent_dim + sizes.decoder_condition_dim, *hidden]
        self.maps = nn.Sequential()
        if first is None:
            self.hidden = nn.Sequential(*_dense(widths), nn.Linear(widths[-1], math.prod(out_shape)))
            self.shape = out_shape
        else:
            self.shape = (first, *stage_sizes(*out_shape[1:], sum(stride == 2 for stride in strides))[-1])
            self.hidden = nn.Sequential(*_dense([*widths, math.prod(self.shape)]))
            if norm_first:
                self.maps.append(_norm(nn.BatchNorm2d, first))
            for place, ((before, after), stride) in enumerate(zip(pairwise([first, *channels]), strides, strict=False)):
                self.maps.append(nn.ConvTranspose2d(before, after, kernel, stride, kernel // 2, stride - 1))
                if norm_last or place < len(channels) - 1:
                    self.maps.append(_norm(nn.BatchNorm2d, after))
                self.maps.append(nn.ReLU())
            self.maps.append(nn.ConvTranspose2d(channels[-1], out_shape[0], kernel, padding=kernel // 2))
        _initialise(self, std)

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """Compute the parameters of p(x | z, c)."""
        return self.maps(unflatten_map(self.hidden(concatenate(z, c)), self.shape))


class ReferenceNetwork(Network):
    """The encoder and decoder of an older system.

    All layers start from N(0, ``std``) with zero biases and batch norm gains from N(1, ``std``), or with Keras's
    initialisation (Glorot & Bengio 2010) where ``std`` is None; the latent heads always start that way.

    Args:
        sizes: What it is built for.
        channels: Of each convolution of the encoder.
        strides: Of each convolution of the encoder.
        hidden: Widths of the dense layers after them.
        kernel: Size of all convolutions.
        signed: Scale images to [-1, 1].
        norm_heads: Batch norm after the latent heads.
        decoder_hidden: Widths of the decoder's dense layers.
        decoder_first: Channels of the small map after them; None: a dense layer to the pixels.
        decoder_channels: Of each transposed convolution after the small map, the last of them before the image.
        decoder_strides: Of each transposed convolution.
        decoder_norm_first: Batch norm after the small map.
        decoder_norm_last: Batch norm after the last transposed convolution before the image.
        std: Standard deviation of the initial weights.
    """

    def __init__(
        self,
        sizes: Sizes,
        channels: list[PositiveInt] = [],  # noqa: B006
        strides: list[PositiveInt] = [],  # noqa: B006
        hidden: list[PositiveInt] = [],  # noqa: B006
        kernel: PositiveInt = 3,
        signed: bool = False,
        norm_heads: bool = False,
        decoder_hidden: list[PositiveInt] = [],  # noqa: B006
        decoder_first: PositiveInt | None = None,
        decoder_channels: list[PositiveInt] = [],  # noqa: B006
        decoder_strides: list[PositiveInt] = [],  # noqa: B006
        decoder_norm_first: bool = False,
        decoder_norm_last: bool = True,
        std: PositiveFloat | None = 0.02,
    ) -> None:
        super().__init__(sizes)
        self.encoder = ReferenceEncoder(sizes, channels, strides, hidden, kernel, signed, norm_heads, std)
        maps = (decoder_first, decoder_channels, decoder_strides, decoder_hidden, kernel)
        self.decoder = ReferenceDecoder(sizes, *maps, decoder_norm_first, decoder_norm_last, std)

    def encode(self, x: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.encode`."""
        return self.encoder(x, c)

    def decode(self, z: Tensor, c: Tensor | None) -> Tensor:
        """As :meth:`Network.decode`."""
        return self.decoder(z, c)
