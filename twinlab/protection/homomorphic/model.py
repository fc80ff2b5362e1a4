"""What can be asked: models that need only sums and products, with weights the provider keeps.

`LinearModel`, `LogisticModel`, `SquareNetwork` and `ConvolutionModel` are in the clear on the provider's side, and
people's rows are encrypted. `EncryptedHead` is the other way round: a person's own weights are encrypted and the
features, such as the hour or a plan for tomorrow, are in the clear.

Activations are squares, either the plain one or that of `twinlab.fleet.Fleet`, z/2 + z^2/4, which is the plain one of
z + 1 up to constants that go into the next layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal, Union

import numpy as np

from twinlab.errors import SpecificationError

if TYPE_CHECKING:
    from torch import Tensor

    from twinlab.fleet import Fleet

#: How an answer is read: as it is, or as the logit of a probability.
Link = Literal["identity", "logistic"]
#: z/2 + z^2/4 as in `Fleet`, or z^2.
Square = Literal["square", "plain_square"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearModel:
    """Weighted sums of features, for one or several outputs.

    Attributes:
      weight: (output, feature); the provider's.
      bias: (output,); the provider's.
    """

    weight: np.ndarray
    bias: np.ndarray

    kind: ClassVar[str] = "linear"
    link: ClassVar[Link] = "identity"

    def __post_init__(self) -> None:
        """Bring weights into one form and refuse what does not fit together."""
        weight = _as_numbers("weight", np.atleast_2d(np.asarray(self.weight, dtype=np.float64)), 2)
        bias = _as_numbers("bias", np.atleast_1d(np.asarray(self.bias, dtype=np.float64)), 1)
        if len(bias) != len(weight):
            raise SpecificationError(f"bias: expected {len(weight)} numbers, one per output, got {len(bias)}")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)

    @property
    def n_features(self) -> int:
        """Numbers in a row."""
        return self.weight.shape[1]

    @property
    def n_outputs(self) -> int:
        """Numbers in an answer."""
        return self.weight.shape[0]

    def answer_plain(self, rows: np.ndarray) -> np.ndarray:
        """What encryption must not change: (row, output)."""
        return flatten_rows(self, rows) @ self.weight.T + self.bias

    def scale_inputs(self, scale: np.ndarray) -> LinearModel:
        """The model of rows that were divided by `scale` (feature,)."""
        return replace(self, weight=self.weight * scale)

    def group_features(self) -> np.ndarray:
        """int (feature,): features of one group must share a scale."""
        return np.arange(self.n_features)

    def describe(self) -> dict[str, object]:
        """The public shape."""
        return {"kind": self.kind, "features": self.n_features, "outputs": self.n_outputs}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_features} features, {self.n_outputs} outputs)"


@dataclass(frozen=True, eq=False, repr=False)
class LogisticModel(LinearModel):
    """Logistic regression. The answer is the logit; its reader takes the sigmoid, or the sign as the label."""

    link: ClassVar[Link] = "logistic"


@dataclass(frozen=True, eq=False, repr=False)
class SquareNetwork:
    """A multilayer perceptron with squares between its layers.

    Attributes:
      weights: of each layer, (in, out) as in `Fleet`; the provider's.
      biases: of each layer, (out,); the provider's.
      activation: which square.
      logistic: whether answers are logits.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    activation: Square = "square"
    logistic: bool = False

    kind: ClassVar[str] = "network"

    def __post_init__(self) -> None:
        """Bring weights into one form and refuse what does not fit together."""
        weights = tuple(_as_numbers("weights", np.asarray(each, dtype=np.float64), 2) for each in self.weights)
        biases = tuple(_as_numbers("biases", np.asarray(each, dtype=np.float64), 1) for each in self.biases)
        widths = [each.shape for each in weights]
        if len(weights) < 2 or len(biases) != len(weights):
            raise SpecificationError(
                f"network: expected at least two layers with a bias each, got {len(weights)} weights and {len(biases)} "
                "biases; a single layer is a LinearModel"
            )
        fits = all(before[1] == after[0] for before, after in pairwise(widths))
        if not fits or any(len(bias) != shape[1] for bias, shape in zip(biases, widths, strict=True)):
            raise SpecificationError(f"network: expected each layer to fit the next and its bias, got shapes {widths}")
        _check_square(self.activation)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)

    @classmethod
    def from_fleet(cls, fleet: Fleet, state: Mapping[str, Tensor], k: int = 0) -> SquareNetwork:
        """Model k of a trained fleet.

        Raises:
          SpecificationError: if its activation is not a square.
        """
        if fleet.activation != "square":
            raise SpecificationError(
                f"fleet.activation: expected 'square', the only one that can be computed on encrypted numbers, got "
                f"{fleet.activation!r}; train the fleet with it"
            )
        layers = range(fleet.n_layers)
        return cls(
            tuple(state[f"weight_{layer}"][k].detach().double().numpy() for layer in layers),
            tuple(state[f"bias_{layer}"][k].detach().double().numpy() for layer in layers),
            logistic=fleet.loss == "logistic",
        )

    @property
    def link(self) -> Link:
        """How an answer is read."""
        return "logistic" if self.logistic else "identity"

    @property
    def n_features(self) -> int:
        """Numbers in a row."""
        return self.weights[0].shape[0]

    @property
    def n_outputs(self) -> int:
        """Numbers in an answer."""
        return self.weights[-1].shape[1]

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return tuple(each.shape[1] for each in self.weights[:-1])

    def answer_plain(self, rows: np.ndarray) -> np.ndarray:
        """What encryption must not change: (row, output)."""
        values = flatten_rows(self, rows)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight + bias
            if layer < len(self.weights) - 1:
                values = values**2 if self.activation == "plain_square" else values / 2 + values**2 / 4
        return values

    def list_plain_layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights (in, out) and bias of each layer of the same network with plain squares."""
        if self.activation == "plain_square":
            return list(zip(self.weights, self.biases, strict=True))
        # z/2 + z^2/4 = ((z + 1)^2 - 1) / 4
        layers = []
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                weight, bias = weight / 4, bias - weight.sum(0) / 4
            layers.append((weight, bias + 1 if layer < len(self.weights) - 1 else bias))
        return layers

    def scale_inputs(self, scale: np.ndarray) -> SquareNetwork:
        """The model of rows that were divided by `scale` (feature,)."""
        return replace(self, weights=(self.weights[0] * scale[:, None], *self.weights[1:]))

    def group_features(self) -> np.ndarray:
        """int (feature,): features of one group must share a scale."""
        return np.arange(self.n_features)

    def describe(self) -> dict[str, object]:
        """The public shape."""
        shape = {"kind": self.kind, "features": self.n_features, "outputs": self.n_outputs}
        return {**shape, "hidden": list(self.widths)}

    def __repr__(self) -> str:
        return f"SquareNetwork({'-'.join(map(str, (self.n_features, *self.widths, self.n_outputs)))})"


@dataclass(frozen=True, eq=False, repr=False)
class ConvolutionModel:
    """Filters over a window of several signals, a square, and a dense layer.

    Attributes:
      kernel: (filter, channel, tap); the provider's.
      kernel_bias: (filter,).
      dense: (output, filter, position); there are n_steps - n_taps + 1 positions.
      dense_bias: (output,).
      n_steps: time steps in a window.
      activation: which square.
      logistic: whether answers are logits.
    """

    kernel: np.ndarray
    kernel_bias: np.ndarray
    dense: np.ndarray
    dense_bias: np.ndarray
    n_steps: int
    activation: Square = "square"
    logistic: bool = False

    kind: ClassVar[str] = "convolution"

    def __post_init__(self) -> None:
        """Bring weights into one form and refuse what does not fit together."""
        for name, n_axes in (("kernel", 3), ("kernel_bias", 1), ("dense", 3), ("dense_bias", 1)):
            object.__setattr__(self, name, _as_numbers(name, np.asarray(getattr(self, name), dtype=np.float64), n_axes))
        n_filters, _, n_taps = self.kernel.shape
        expected = (len(self.dense_bias), n_filters, self.n_steps - n_taps + 1)
        if self.dense.shape != expected or len(self.kernel_bias) != n_filters:
            raise SpecificationError(
                f"convolution: expected dense weights (output, filter, position) of shape {expected} and "
                f"{n_filters} biases of filters, got {self.dense.shape} and {len(self.kernel_bias)}"
            )
        _check_square(self.activation)

    @property
    def link(self) -> Link:
        """How an answer is read."""
        return "logistic" if self.logistic else "identity"

    @property
    def n_features(self) -> int:
        """Numbers in a row: channels times steps."""
        return self.kernel.shape[1] * self.n_steps

    @property
    def n_outputs(self) -> int:
        """Numbers in an answer."""
        return len(self.dense)

    def answer_plain(self, rows: np.ndarray) -> np.ndarray:
        """What encryption must not change: (row, output)."""
        n_filters, n_channels, n_taps = self.kernel.shape
        windows = flatten_rows(self, rows).reshape(-1, n_channels, self.n_steps)
        n_positions = self.n_steps - n_taps + 1
        values = np.zeros((len(windows), n_filters, n_positions)) + self.kernel_bias[:, None]
        for tap in range(n_taps):
            values += np.einsum("fc,rcp->rfp", self.kernel[:, :, tap], windows[:, :, tap : tap + n_positions])
        values = values**2 if self.activation == "plain_square" else values / 2 + values**2 / 4
        return np.einsum("rfp,ofp->ro", values, self.dense) + self.dense_bias

    def to_plain_square(self) -> ConvolutionModel:
        """The same model with plain squares."""
        if self.activation == "plain_square":
            return self
        return replace(
            self,
            kernel_bias=self.kernel_bias + 1,
            dense=self.dense / 4,
            dense_bias=self.dense_bias - self.dense.sum((1, 2)) / 4,
            activation="plain_square",
        )

    def scale_inputs(self, scale: np.ndarray) -> ConvolutionModel:
        """The model of rows that were divided by `scale` (feature,), which is one number per channel."""
        return replace(self, kernel=self.kernel * scale.reshape(-1, self.n_steps)[None, :, :1])

    def group_features(self) -> np.ndarray:
        """int (feature,): the steps of a channel share a scale, since a filter passes over all of them."""
        return np.repeat(np.arange(self.kernel.shape[1]), self.n_steps)

    def describe(self) -> dict[str, object]:
        """The public shape."""
        shape = {"kind": self.kind, "features": self.n_features, "outputs": self.n_outputs}
        return {**shape, "kernel": list(self.kernel.shape), "steps": self.n_steps}

    def __repr__(self) -> str:
        n_filters, n_channels, n_taps = self.kernel.shape
        return f"ConvolutionModel({n_channels} channels x {self.n_steps}, {n_filters} filters of {n_taps})"


@dataclass(frozen=True, eq=False, repr=False)
class EncryptedHead:
    """A person's linear readout, encrypted, to be multiplied with features in the clear.

    The person encrypts the head once; the provider keeps it, cannot read it, and answers as many questions as are put
    to it. Questions are public to the provider, answers only the person can read.

    Attributes:
      typical: (output, feature): heads like those to come, such as a population's released one. Public: the plan is
        made for weights up to half again as large.
    """

    typical: np.ndarray

    kind: ClassVar[str] = "head"
    link: ClassVar[Link] = "identity"

    def __post_init__(self) -> None:
        """Refuse what is not a table of numbers."""
        typical = np.atleast_2d(np.asarray(self.typical, dtype=np.float64))
        object.__setattr__(self, "typical", _as_numbers("typical", typical, 2))

    @property
    def n_features(self) -> int:
        """Numbers in a question."""
        return self.typical.shape[1]

    @property
    def n_outputs(self) -> int:
        """Numbers in an answer."""
        return self.typical.shape[0]

    def describe(self) -> dict[str, object]:
        """The public shape."""
        return {"kind": self.kind, "features": self.n_features, "outputs": self.n_outputs}

    def __repr__(self) -> str:
        return f"EncryptedHead({self.n_features} features, {self.n_outputs} outputs)"


#: Models whose weights are in the clear on the provider's side.
PlainModel = Union[LinearModel, SquareNetwork, ConvolutionModel]
AnyModel = Union[LinearModel, SquareNetwork, ConvolutionModel, EncryptedHead]


def flatten_rows(model: AnyModel, rows: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """Rows as float64 (row, feature), whatever axes a row has.

    Raises:
      SpecificationError: if a row has not the numbers that the model wants, or some are not finite.
    """
    found = np.asarray(rows, dtype=np.float64)
    found = found.reshape(len(found), -1) if found.ndim > 1 else found.reshape(1, -1)
    if found.shape[1] != model.n_features or not len(found):
        raise SpecificationError(
            f"rows: expected at least one row of {model.n_features} features, got shape {np.shape(rows)}"
        )
    if not np.isfinite(found).all():
        n_bad = int((~np.isfinite(found)).sum())
        raise SpecificationError(f"rows: expected finite numbers, got {n_bad} that are not; fill or drop them first")
    return found


def _as_numbers(name: str, values: np.ndarray, n_axes: int) -> np.ndarray:
    """Checked, and out of reach of later changes."""
    if values.ndim != n_axes or not values.size or not np.isfinite(values).all():
        raise SpecificationError(
            f"{name}: expected finite numbers on {n_axes} axes, got shape {values.shape}; check the trained model"
        )
    values = values.copy()
    values.setflags(write=False)
    return values


def _check_square(activation: str) -> None:
    if activation not in ("square", "plain_square"):
        raise SpecificationError(
            f"activation: expected 'square' or 'plain_square', got {activation!r}; nothing else can be computed on "
            "encrypted numbers here"
        )
