"""A port in PyTorch of the training step of `adgm` and `sdgm`, and the process that measures it.

Plain: no normalisation, no terms on q(y|a,x), one sample, the exact sum over the classes. The arithmetic is that of the
package: the first layer of a conditional is split by parent, so that W_x x is computed once and not for every class.
Copies of the parents, as most ports have them, would cost more (`naive` of `cases.py`). Batches are drawn on the device
from arrays that stay there, pixels anew at every step; Adam, clipping, weight prior and schedule are those of the
defaults. The epsilon of PyTorch's Adam stands at another place in the quotient, which changes no cost.

It is a script that any Python with PyTorch runs. PyTorch is imported here alone.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError:  # Who starts this has looked for it; whoever imports all modules need not have it.
    torch = nn = functional = None

from adgm_tf.config import Config
from adgm_tf.experiments.speed import figures
from adgm_tf.model.family import FAMILY, Row

# What `torch.compile` is told, by variant; CUDA graphs start a step's kernels in one call.
COMPILED = {"torch_compiled": "default", "torch_graphs": "reduce-overhead", "torch_bfloat16": "reduce-overhead"}
LOG_VARIANCE_BOUND = 10.0
EXAMPLES, LABELLED, PIXELS, CLASSES = 4000, 100, 784, 10
Module = nn.Module if nn else object


@dataclasses.dataclass(frozen=True)
class PortSizes:
    """Units of a, x and z, the number of classes, and the hidden layers of every conditional."""

    a: int
    x: int
    z: int
    y: int
    hidden_units: tuple[int, ...]


class PortNoise(NamedTuple):
    """Noise N(0,1) of a [L+U,1,A], of z of the labelled [L,1,Z] and of the unlabelled examples [U,C,Z]."""

    a: torch.Tensor
    labelled_z: torch.Tensor
    unlabelled_z: torch.Tensor


class PortConditional(Module):
    """Parameters of p(variable | parents): W_out relu(W_2 relu(sum_p W_p p + b_1) + b_2) + b_out.

    Args:
      parents: size of each parent: units of a, x and z, number of classes of y.
      parameters: how many come out.
      hidden_units: of the layers between.
    """

    def __init__(self, parents: Mapping[str, int], parameters: int, hidden_units: Sequence[int]):
        super().__init__()
        first = hidden_units[0]
        self.parts = nn.ModuleDict({p: nn.Embedding(n, first) if p == "y" else nn.Linear(n, first, bias=False)
                                    for p, n in parents.items()})
        self.first_bias = nn.Parameter(torch.zeros(first))
        self.rest = nn.ModuleList(nn.Linear(m, n) for m, n in itertools.pairwise((*hidden_units, parameters)))

    def forward(self, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Returns parameters [B,S,n] given x [B,1,D], a [B,1,A], z [B,S,Z], y [B,S] or [1,S]."""
        h = sum((part(given[p]) for p, part in self.parts.items()), self.first_bias)
        for linear in self.rest:
            h = linear(torch.relu(h))
        return h.to(self.first_bias.dtype)


class Port(Module):
    """The model and its loss.

    Args:
      row: the parents of each conditional.
      sizes: its dimensions.
      alpha: weight of the classification term.
    """

    def __init__(self, row: Row, sizes: PortSizes, alpha: float):
        super().__init__()
        self.row, self.sizes, self.alpha = row, sizes, alpha
        parameters = dict(q_a=2 * sizes.a, q_y=sizes.y, q_z=2 * sizes.z, p_a=2 * sizes.a, p_x=sizes.x)
        self.conditionals = nn.ModuleDict({
            key: PortConditional({p: getattr(sizes, p) for p in getattr(row, key)}, n, sizes.hidden_units)
            for key, n in parameters.items() if getattr(row, key)})

    def draw_noise(self, labelled: int, unlabelled: int, device: torch.device) -> PortNoise:
        """Returns fresh noise."""
        sizes = self.sizes
        shapes = ((labelled + unlabelled, 1, sizes.a), (labelled, 1, sizes.z), (unlabelled, sizes.y, sizes.z))
        return PortNoise(*(torch.randn(shape, device=device) for shape in shapes))

    def forward(self, x: torch.Tensor, y: torch.Tensor, noise: PortNoise) -> torch.Tensor:
        """J = mean_labelled(L + alpha C) + mean_unlabelled(U) [], x [L+U,D] labelled first, y [L]."""
        count, x = len(y), x[:, None]
        a, log_q_a = self._drawn("q_a", {"x": x}, noise.a)
        logits = self._of("q_y", {"a": a, "x": x})[:, 0]
        every = torch.arange(self.sizes.y, device=x.device)[None]
        labelled = self._log_weight({"x": x[:count], "a": a[:count], "y": y[:, None]}, log_q_a[:count],
                                    noise.labelled_z)
        unlabelled = self._log_weight({"x": x[count:], "a": a[count:], "y": every}, log_q_a[count:],
                                      noise.unlabelled_z)
        log_q_y = torch.log_softmax(logits[count:], -1)
        bound = (log_q_y.exp() * (unlabelled - log_q_y)).sum(-1)
        return self.alpha * functional.cross_entropy(logits[:count], y) - labelled.mean() - bound.mean()

    def _log_weight(self, given: dict[str, torch.Tensor], log_q_a: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """log p(x,y,z,a) - log q(a|x) - log q(z|.) [B,S]."""
        z, log_q_z = self._drawn("q_z", given, noise)
        given = given | {"z": z}
        logits = self._of("p_x", given)
        log_p_x = -functional.binary_cross_entropy_with_logits(logits, given["x"].expand_as(logits),
                                                               reduction="none").sum(-1)
        zero = torch.zeros((), device=z.device, dtype=z.dtype)
        prior_of_a = _gaussian(self._of("p_a", given)) if self.row.p_a else (zero, zero)
        log_p = log_p_x - math.log(self.sizes.y) + _log_normal(z, zero, zero) + _log_normal(given["a"], *prior_of_a)
        return log_p - log_q_a - log_q_z

    def _of(self, key: str, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.conditionals[key](given)

    def _drawn(self, key: str, given: Mapping[str, torch.Tensor],
               noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A draw from q [B,S,n] and its log density [B,S]."""
        mean, log_variance = _gaussian(self._of(key, given))
        value = mean + torch.exp(0.5 * log_variance) * noise
        return value, _log_normal(value, mean, log_variance)


def _gaussian(parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance, which tanh keeps within its bound."""
    mean, raw = parameters.chunk(2, -1)
    return mean, LOG_VARIANCE_BOUND * torch.tanh(raw / LOG_VARIANCE_BOUND)


def _log_normal(value: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """log N(v | m, exp(s)) = -1/2 sum( log 2 pi + s + (v - m)^2 exp(-s) ), over the last axis."""
    squares = (value - mean) ** 2 * torch.exp(-log_variance)
    return -0.5 * (math.log(2 * math.pi) + log_variance + squares).sum(-1)


class PortSteps:
    """Training steps on noise in the shape of MNIST.

    Args:
      model: its row of the family.
      batch: labelled examples a step, and unlabelled ones.
      variant: torch_eager, or a key of `COMPILED`.
      config: sizes, rate and clipping.
    """

    def __init__(self, model: str, batch: int, variant: str, config: Config):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batch, self.config, self.bfloat16 = batch, config, variant == "torch_bfloat16"
        sizes = PortSizes(config.auxiliary_dim, PIXELS, config.latent_dim, CLASSES, config.hidden_units)
        alpha = config.classification_beta * EXAMPLES / LABELLED
        self.port = Port(FAMILY[model], sizes, alpha).to(self.device)
        self.x = torch.randint(0, 256, (EXAMPLES, PIXELS), dtype=torch.uint8, device=self.device)
        self.y = torch.arange(LABELLED, device=self.device) % CLASSES
        self.weights = list(self.port.parameters())
        self.optimizer = torch.optim.Adam(self.weights, lr=config.learning_rate, eps=1e-7, fused=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, config.num_steps)
        mode = COMPILED.get(variant)
        self.loss = torch.compile(self._loss, mode=mode, dynamic=False) if mode else self._loss

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """J of a batch that is drawn from the arrays, without the weight prior."""
        labelled = torch.randint(0, LABELLED, (self.batch,), device=self.device)
        unlabelled = torch.randint(0, EXAMPLES, (self.batch,), device=self.device)
        pixels = x[torch.cat([labelled, unlabelled])].float() / 255
        binary = (torch.rand_like(pixels) < pixels).float()
        noise = self.port.draw_noise(self.batch, self.batch, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            return self.port(binary, y[labelled], noise)

    def train(self, steps: int) -> float:
        """Takes steps; returns the mean loss, for which the device has to be done."""
        total = torch.zeros((), device=self.device)
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.loss(self.x, self.y)
            loss.backward()
            total += loss.detach()
            self._add_weight_prior()
            if self.config.clip_norm:
                nn.utils.clip_grad_norm_(self.weights, self.config.clip_norm)
            self.optimizer.step()
            self.schedule.step()
        return float(total) / steps

    def _add_weight_prior(self) -> None:
        """Adds the gradient of -log N(weights|0,1) / N, w / N."""
        if self.config.weight_prior:
            torch._foreach_add_([w.grad for w in self.weights], [w.detach() for w in self.weights], alpha=1 / EXAMPLES)


def measured(model: str, batch: int, variant: str) -> dict[str, Any]:
    """Returns what a step costs, and on what."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.set_float32_matmul_precision("high")
    # Without this the ninth function of one name is no longer compiled.
    torch.compiler.reset()
    gc.collect()
    found = figures.timed(PortSteps(model, batch, variant, Config()).train)
    return found | {"device": torch.cuda.get_device_name() if has_gpu else "CPU",
                    "tf32": torch.get_float32_matmul_precision() == "high"}


if __name__ == "__main__":
    figures.answer(measured)
