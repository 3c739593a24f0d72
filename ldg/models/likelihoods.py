"""p(x | z, c), the likelihood, in nats summed over the pixels of an image."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F


def _per_image(log_prob: Tensor) -> Tensor:
    return log_prob.flatten(1).sum(1)


class Likelihood(nn.Module):
    """Base class: a subclass implements :meth:`log_prob` and :meth:`mean`.

    Attributes:
        parameters_per_channel: Maps that the network decodes for each image channel.
        discrete: Whether ``log_prob`` is a probability, so that bits per dimension make sense, or a density on [0, 1].
        description: Its name and what it is a probability or density of; results of different kinds do not compare.
    """

    parameters_per_channel = 1
    discrete = False

    @property
    def description(self) -> str:
        """The name, and what it is a probability or density of."""
        return f"{type(self).__name__}, a {'probability of grey levels' if self.discrete else 'density on [0, 1]'}"

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Convert images to the encoder's input, which is what the likelihood is computed of.

        Args:
            x: (B, C, H, W) in [0, 1].
            generator: Source of randomness, if there is any.

        Returns:
            (B, C, H, W) in [0, 1].
        """
        return x

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Compute log p(x | z, c).

        Args:
            params: The network's output (B, C * ``parameters_per_channel``, H, W).
            x: Images (B, C, H, W), as :meth:`target` returns them.

        Returns:
            Nats (B,).
        """
        raise NotImplementedError

    def mean(self, params: Tensor) -> Tensor:
        """Compute E[x | z, c].

        Args:
            params: The network's output (B, C * ``parameters_per_channel``, H, W).

        Returns:
            (B, C, H, W) in [0, 1].
        """
        raise NotImplementedError


def pixel_noise(x: Tensor, seed: int) -> Tensor:
    """Compute uniform noise that depends on the image and the seed alone.

    A hash (the 32-bit finaliser "lowbias32" of C. Wellons, 2018) of the pixel's place and the image's bytes, so that an
    image gets the same noise in every epoch, batch order and process.

    Args:
        x: Images (B, C, H, W) in [0, 1].
        seed: Of the noise.

    Returns:
        (B, C, H, W) in [0, 1), float64.
    """
    mask = 0xFFFFFFFF

    def mix(h: Tensor) -> Tensor:
        h = ((h ^ (h >> 16)) * 0x7FEB352D) & mask
        h = ((h ^ (h >> 15)) * 0x846CA68B) & mask
        return h ^ (h >> 16)

    places = torch.arange(x[0].numel(), device=x.device) + 1
    bytes_ = (x.flatten(1) * 255).round().long()
    image = mix((bytes_ * mix(places)).sum(1) + seed & mask)
    return (mix((image[:, None] + places * 0x9E3779B9) & mask).double() / 2**32).view_as(x)


class Bernoulli(Likelihood):
    """Independent Bernoulli per pixel, parameterised by logits.

    Args:
        binarize: ``none`` uses grey values as they are, x log p + (1 - x) log(1 - p), which is not a probability of a
            grey image but compares between models of this kind. ``dynamic`` draws a new binary image each time
            (Salakhutdinov & Murray 2008), ``static`` the same one always.
        seed: Of the static binarisation.
    """

    def __init__(self, binarize: Literal["none", "dynamic", "static"] = "none", seed: int = 0) -> None:
        super().__init__()
        self.binarize = binarize
        self.seed = seed
        self.discrete = binarize != "none"

    @property
    def description(self) -> str:
        """The name, and how grey values are used."""
        kinds = {"none": "grey values as they are", "dynamic": "dynamically binarised"}
        return f"Bernoulli, {kinds.get(self.binarize, f'statically binarised, seed {self.seed}')}"

    def target(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As :meth:`Likelihood.target`, binarised if ``binarize`` says so."""
        if self.binarize == "none":
            return x
        if self.binarize == "dynamic":
            source = x if generator is None else x.to(generator.device)
            return torch.bernoulli(source, generator=generator).to(x.device)
        return (pixel_noise(x, self.seed) < x).to(x.dtype)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """As :meth:`Likelihood.log_prob`."""
        return -_per_image(F.binary_cross_entropy_with_logits(params, x, reduction="none"))

    def mean(self, params: Tensor) -> Tensor:
        """As :meth:`Likelihood.mean`."""
        return params.sigmoid()


class Gaussian(Likelihood):
    """Normal density around the decoded image, on the [0, 1] scale.

    The squared error on [-1, 1] plus KL of older code is ``activation=tanh variance=0.125``, up to the constant
    392 log(pi / 4) for 28x28 pixels.

    Args:
        variance: A number, or ``learned``: one for all pixels, fitted with the rest (Rybkin et al. 2021, sigma-VAE).
        activation: Bounds the mean; ``tanh`` is mapped from [-1, 1] to [0, 1].
    """

    def __init__(
        self,
        variance: Annotated[float, Field(gt=0)] | Literal["learned"] = 0.01,
        activation: Literal["sigmoid", "tanh"] = "sigmoid",
    ) -> None:
        super().__init__()
        self.activation = activation
        start = math.log(0.01 if variance == "learned" else variance)
        if variance == "learned":
            self.log_variance = nn.Parameter(torch.tensor(start))
        else:
            self.register_buffer("log_variance", torch.tensor(start), persistent=False)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """As :meth:`Likelihood.log_prob`."""
        # below a grey level's own width (1/255) a density of 8-bit data has no bound: the floor keeps it honest
        log_variance = self.log_variance.clamp(min=-2 * math.log(255))
        squared = (x - self.mean(params)).square()
        return -0.5 * _per_image(squared * (-log_variance).exp() + (log_variance + math.log(2 * math.pi)))

    def mean(self, params: Tensor) -> Tensor:
        """As :meth:`Likelihood.mean`."""
        return params.sigmoid() if self.activation == "sigmoid" else (params.tanh() + 1) / 2


class ContinuousBernoulli(Likelihood):
    """The normalised Bernoulli for grey values in [0, 1] (Loaiza-Ganem & Cunningham 2019, eq. 5)."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """As :meth:`Likelihood.log_prob`."""
        return _per_image(torch.distributions.ContinuousBernoulli(logits=params, validate_args=False).log_prob(x))

    def mean(self, params: Tensor) -> Tensor:
        """As :meth:`Likelihood.mean`."""
        # not torch's mean, which loses all but three digits near 0, where the two terms cancel; its limit of logits
        logits = params.clamp(math.log(torch.finfo().eps), -math.log(torch.finfo().eps))
        is_small = logits.abs() < 0.5
        away = torch.where(is_small, 1.0, logits)
        series = 0.5 + logits / 12 - logits**3 / 720 + logits**5 / 30240
        return torch.where(is_small, series, 1 / (1 - (-away).exp()) - 1 / away).clamp(0, 1)


class DiscretizedLogistic(Likelihood):
    """A logistic distribution discretised to the 256 grey levels (Salimans et al. 2017, eq. 2, with one component).

    The network decodes a location and a log scale for each channel of each pixel.
    """

    parameters_per_channel = 2
    discrete = True

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        location, log_scale = params.chunk(2, dim=1)
        # scales from a hundredth of a grey level to the whole range; the start (params = 0) is mid grey, a fifth wide
        return location * 0.5 + 0.5, (log_scale - 1.6).clamp(min=-10.0, max=1.0)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """As :meth:`Likelihood.log_prob`."""
        location, log_scale = self._split(params)
        inverse = (-log_scale).exp()
        upper = (x - location + 0.5 / 255) * inverse
        lower = (x - location - 0.5 / 255) * inverse
        # sigmoid(upper) - sigmoid(lower) = sigmoid(upper) sigmoid(-lower) (1 - exp(lower - upper)), stable in logs
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        log_prob = torch.where(x < 0.5 / 255, F.logsigmoid(upper), inside)
        return _per_image(torch.where(x > 254.5 / 255, F.logsigmoid(-lower), log_prob))

    def mean(self, params: Tensor) -> Tensor:
        """As :meth:`Likelihood.mean`."""
        # E[x] = sum_k P(x >= k / 255) / 255 is the midpoint rule for the integral over t in [0, 1] of
        # sigmoid((location - t) / scale), which has a closed form
        location, log_scale = self._split(params)
        scale = log_scale.exp()
        return (scale * (F.softplus(location / scale) - F.softplus((location - 1) / scale))).clamp(0, 1)
