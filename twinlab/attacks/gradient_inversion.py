"""Records read back from the update that a device sends to a server.

A unit of the first layer adds to its weights a sum of input rows and to its bias the sum of the same factors, so a unit
that is active for one record alone gives that record away: weights divided by bias. Learning rate, scale and clipping
cancel in the ratio. Three attacks follow from it, from the mildest server to the most hostile:

- `invert_update`: any honest model, each unit by itself (Phong et al., IEEE TIFS 13, 2018).
- `invert_batch`: an honest relu network and one step on a small batch, all records at once (after Dimitrov et al.,
  "SPEAR: Exact Gradient Inversion of Batches in Federated Learning", NeurIPS 2024).
- `imprint_model` and `invert_imprinted`: a server that sends a made-up model, whose units cut a batch into slices
  (Fowl et al., "Robbing the Fed", ICLR 2022).

No attack here sees a record. `twinlab.evaluation.recovery` holds the truth and scores what they return.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from twinlab.errors import SpecificationError
from twinlab.fleet import Fleet, State

#: A bias that moved less than this share of the one that moved most is rounding.
_SMALLEST_SHARE = 1e-6
#: A gradient has a rank when the next singular value is so many times smaller.
_RANK_GAP = 100.0
#: How far from zero or one an error may lie, and how alike two mixings of one length may be; single precision needs it.
_ERROR_TOLERANCE, _SAME_MIXING = 1e-2, 0.9999
_TRIES_AT_ONCE = 4096


def invert_update(update: Mapping[str, Tensor]) -> Tensor:
    """Candidate records from any update: weights of each first-layer unit divided by its bias.

    Args:
      update: of one model, new weights less old ones or a gradient, at any scale; seen by the attacker. Only the first
        layer is read: `weight_0` (1, input, unit) and `bias_0` (1, unit).

    Returns:
      (candidate, input), float64; one for each unit that moved. A candidate is a record where its unit was active for
      that record alone, and a mixture of records otherwise.

    Raises:
      SpecificationError: if the update is not that of one model with a first layer.

    >>> record, error = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5]])
    >>> invert_update({"weight_0": (record.T @ error)[None], "bias_0": error}).tolist()
    [[2.0, -1.0]]
    """
    weights, bias = _take_first_layer(update)
    return _divide(weights, bias)


def invert_batch(
    update: Mapping[str, Tensor], state: Mapping[str, Tensor], n_rows: int, seed: int = 0, n_tries: int = 32_768
) -> Tensor:
    """Records of a small batch from one gradient of an honest relu network, exactly.

    The gradient of the first layer is records times errors, a product of rank `n_rows`. Any such product is known up to
    a mixing of its rows. The right mixing is betrayed by relu: with one output, a record's errors, each divided by its
    unit's outgoing weight, are one number where the unit was on and zero where it was off. A guess names `n_rows - 1`
    units that were off for the same record, which fixes that record's errors up to scale; it is right when all its
    other errors, too, are zero or one number. The work doubles with each record.

    Args:
      update: as for `invert_update`, of one step on all rows at once; seen by the attacker.
      state: the model that was sent to the device, `weight_0` and `weight_1` (1, unit, 1); public.
      n_rows: rows in the batch; known to the attacker, since devices report it as their weight.
      seed: of the guesses; public.
      n_tries: how many guesses.

    Returns:
      (candidate, input), float64: `n_rows` candidates, or none where the gradient has another rank (several steps,
      noise, more rows than units) or too few guesses were right.

    Raises:
      SpecificationError: if the update or the state is not that of one model with one hidden layer and one output, or
        `n_rows` is below one.
    """
    weights, bias = _take_first_layer(update)
    outgoing = state.get("weight_1")
    if n_rows < 1 or outgoing is None or outgoing.shape != (1, len(bias), 1) or "weight_2" in state:
        got = None if outgoing is None else tuple(outgoing.shape)
        raise SpecificationError(
            f"invert_batch: expected n_rows of at least 1 and one hidden layer before one output, weight_1 "
            f"(1, {len(bias)}, 1), got n_rows {n_rows} and weight_1 {got}"
        )
    product = torch.cat([weights, bias[None]])
    nothing = torch.zeros(0, len(weights), dtype=torch.float64)
    if n_rows >= min(product.shape):
        return nothing
    left, sizes, right = torch.linalg.svd(product, full_matrices=False)
    if not sizes[n_rows - 1] > _RANK_GAP * sizes[n_rows]:
        return nothing
    moved = bias.abs() > _SMALLEST_SHARE * bias.abs().max()
    errors = (right[:n_rows] / outgoing[0, :, 0].double())[:, moved]
    mixings = _find_mixings(errors, torch.Generator().manual_seed(seed), n_tries)
    if len(mixings) < n_rows:
        return nothing
    # The row of ones that feeds the bias fixes the scale of each record.
    records = (left[:, :n_rows] * sizes[:n_rows]) @ torch.linalg.pinv(mixings)
    return (records[:-1] / records[-1]).mT.contiguous()


def find_cut_points(public_rows: Tensor, direction: Tensor, n_units: int) -> Tensor:
    """Where an imprinted layer cuts: quantiles of a direction over rows that the attacker knows, ascending (unit,).

    Args:
      public_rows: (row, input) of people like the victims; public.
      direction: (input,); public.
      n_units: units of the first layer.
    """
    shares = (torch.arange(n_units, dtype=torch.float64) + 0.5) / n_units
    return torch.quantile((public_rows.double() @ direction.double()), shares)


def imprint_model(fleet: Fleet, state: Mapping[str, Tensor], direction: Tensor, cut_points: Tensor) -> State:
    """A model that a hostile server sends instead of an honest one.

    Every first-layer unit measures the same direction and switches on above its own cut, and all of them feed the next
    layer alike. The updates of neighbouring units then differ by the records between their cuts and by nothing else.
    A client sees through it: all columns of its first weights are equal.

    Args:
      fleet: one relu model with at least one hidden layer.
      state: parameters to start from; the layers after the second are kept.
      direction: (input,); public.
      cut_points: (unit,), ascending; public, see `find_cut_points`.

    Returns:
      The state to send, as of a fleet of one.

    Raises:
      SpecificationError: if the fleet is no single relu network, or shapes differ.
    """
    if fleet.n_models != 1 or fleet.activation != "relu" or fleet.n_layers < 2:
        raise SpecificationError(
            f"imprint: expected one relu model with a hidden layer, got {fleet.n_models} models, {fleet.activation}, "
            f"widths {fleet.widths}"
        )
    n_inputs, n_units = fleet.widths[:2]
    if direction.shape != (n_inputs,) or cut_points.shape != (n_units,):
        raise SpecificationError(
            f"imprint: expected a direction ({n_inputs},) and cut points ({n_units},), got {tuple(direction.shape)} "
            f"and {tuple(cut_points.shape)}"
        )
    made = {name: value.clone() for name, value in state.items()}
    made["weight_0"] = direction.to(made["weight_0"])[None, :, None].repeat(1, 1, n_units)
    made["bias_0"] = -cut_points.to(made["bias_0"])[None]
    made["weight_1"] = torch.full_like(made["weight_1"], 1 / n_units)
    made["bias_1"] = torch.zeros_like(made["bias_1"])
    return made


def invert_imprinted(update: Mapping[str, Tensor]) -> Tensor:
    """Candidate records from the update of an imprinted model: differences of neighbouring units.

    Args:
      update: as for `invert_update`, trained from what `imprint_model` returned; seen by the attacker.

    Returns:
      (candidate, input), float64; one for each slice into which records fell. A candidate is a record where its slice
      held that record alone, and a mixture otherwise.

    Raises:
      SpecificationError: if the update is not that of one model with a first layer.
    """
    weights, bias = _take_first_layer(update)
    return _divide(_subtract_neighbour(weights), _subtract_neighbour(bias))


def _subtract_neighbour(values: Tensor) -> Tensor:
    """Each unit less the next one (..., unit); above the last cut there is nothing to subtract."""
    return values - torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], -1)


def _divide(weights: Tensor, bias: Tensor) -> Tensor:
    """(candidate, input): columns of weights divided by biases, where those moved."""
    moved = bias.abs() > _SMALLEST_SHARE * bias.abs().max()
    return (weights[:, moved] / bias[moved]).mT.contiguous()


def _take_first_layer(update: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weights (input, unit) and biases (unit,) of the first layer, in double precision."""
    weights, bias = update.get("weight_0"), update.get("bias_0")
    if weights is None or bias is None or weights.dim() != 3 or len(weights) != 1 or bias.shape != weights[:, 0].shape:
        got = {name: tuple(value.shape) for name, value in update.items()}
        raise SpecificationError(
            f"update: expected weight_0 (1, input, unit) and bias_0 (1, unit) of one model, got {got}; take one with "
            "Fleet.model"
        )
    return weights[0].double(), bias[0].double()


def _find_mixings(errors: Tensor, draw: torch.Generator, n_tries: int) -> Tensor:
    """Mixings (record, basis vector) that turn errors (basis vector, unit) into one number or zero for every unit."""
    n_rows, n_units = errors.shape
    found = torch.zeros(0, n_rows, dtype=errors.dtype)
    if n_rows > n_units:
        return found
    for _ in range(0, n_tries, _TRIES_AT_ONCE):
        units = torch.rand(_TRIES_AT_ONCE, n_units, generator=draw).argsort(1)[:, : n_rows - 1]
        chosen = errors.mT[units]
        # A guess whose units do not settle a mixing gives no finite one, and the comparison below passes it over.
        first, _ = torch.linalg.solve_ex(chosen[..., :-1], -chosen[..., -1])
        mixings = torch.nn.functional.normalize(torch.cat([first, torch.ones(len(units), 1).double()], 1), dim=1)
        own = mixings @ errors
        largest = own.gather(1, own.abs().argmax(1, keepdim=True))
        own = own / largest
        is_right = (torch.minimum(own.abs(), (own - 1).abs()) < _ERROR_TOLERANCE).all(1)
        for mixing in mixings[is_right]:
            if not len(found) or float((found @ mixing).abs().max()) < _SAME_MIXING:
                found = torch.cat([found, mixing[None]])
            if len(found) == n_rows:
                return found
    return found
