"""Models that a hostile server sends so that updates copy records, offered to a device that looks before it trains."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from twinlab.errors import ProtocolError
from twinlab.finding import Finding
from twinlab.fleet import Fleet, State
from twinlab.pipeline.reconstruction import N_UNITS, AttackedRows, UpdateSetting, attack_updates, train_openly
from twinlab.protection.federated.device import inspect_model

#: Just below the share of alike units at which a device refuses.
_N_HIDDEN = N_UNITS // 4 - 1
#: How far each unit's direction is turned away from the common one, as a share of its length: out of the check's reach.
_TURN = 0.02

HONEST, OPEN, TURNED = "honest", "trap", "trap, each unit turned a bit"
SMALL = f"trap in {_N_HIDDEN} of {N_UNITS} units"


def offer_models(rows: AttackedRows, n_updates: int = 20, n_rows: int = 64, seed: int = 0) -> Finding:
    """Offer a device honest and trapped models: does it refuse, and what would an update give away?

    A trap is a model whose units slice a batch into single records (`imprint_model`). A device refuses one whose units
    are alike. Two traps are made to stay below that check: one that spends few units, and one whose units differ a bit.

    Args:
      rows: records of people who do not exist.
      n_updates: attacked for each model.
      n_rows: records that a device trains on, in one step; public.
      seed: of models, draws and attacks; public.

    Returns:
      `records_recovered` from devices that train whatever they accept: the largest share over models that pass the
      check, beside the open trap without a check as baseline. The table has a row per model: model, is_refused, answer,
      share, low, high; the last three for a device that trains it all the same.

    Raises:
      SpecificationError: if there are too few records.

    Source: Fowl et al., "Robbing the Fed", ICLR 2022, for the trap; Garov et al., "Hiding in plain sight: disguising
    data stealing attacks in federated learning" (SEER), ICLR 2024, for traps that no such check finds.
    """
    found = []
    for name in (HONEST, OPEN, SMALL, TURNED):
        setting = UpdateSetting(name, "units" if name == HONEST else "slices", n_rows=n_rows)
        device = _LookingDevice(_CHANGES[name], seed)
        row = attack_updates(rows, (setting,), n_updates, seed, device.train).table[0]
        found.append(
            {
                "model": name,
                "is_refused": device.n_refused == n_updates,
                "answer": device.answer,
                **{key: row[key] for key in ("share", "low", "high")},
            }
        )
    passed = max((row for row in found if not row["is_refused"]), key=lambda row: row["share"], default=None)
    value, interval = (0.0, None) if passed is None else (passed["share"], (passed["low"], passed["high"]))
    shares = ", ".join(
        f"{row['model']}: {'refused' if row['is_refused'] else 'trained'}, {row['share']:.1%}" for row in found
    )
    return Finding(
        name="records_recovered",
        value=value,
        interval=interval,
        interval_kind="95 % bootstrap over updates",
        baseline=found[1]["share"],
        baseline_name="open trap, no check",
        sentence=f"What a device does with a model, and the share of records that an update would give away: {shares}.",
        table=tuple(found),
    )


class _LookingDevice:
    """Looks at each model it is sent, notes what it thinks, and trains it all the same, for the lesson's sake."""

    def __init__(self, change: Callable[[State, Fleet, torch.Generator], State], seed: int) -> None:
        self._change, self._draw = change, torch.Generator().manual_seed(seed)
        self.n_refused, self.answer = 0, "trains it"

    def train(self, fleet: Fleet, state: State, inputs: Tensor, targets: Tensor, setting: UpdateSetting) -> State:
        """The update, of as many units as the attacker cares for."""
        sent = self._change(state, fleet, self._draw)
        try:
            inspect_model(sent)
        except ProtocolError as refusal:
            self.n_refused, self.answer = self.n_refused + 1, str(refusal)
        update = train_openly(fleet, sent, inputs, targets, setting)
        if setting.name == SMALL:
            return {
                **update,
                "weight_0": update["weight_0"][..., :_N_HIDDEN],
                "bias_0": update["bias_0"][:, :_N_HIDDEN],
            }
        return update


def _leave(state: State, fleet: Fleet, draw: torch.Generator) -> State:
    return state


def _shrink(state: State, fleet: Fleet, draw: torch.Generator) -> State:
    """Units beyond the first few are honest again."""
    honest = fleet.init([int(torch.randint(2**31, (1,), generator=draw))])
    mixed = {name: state[name].clone() for name in state}
    for name in ("weight_0", "bias_0"):
        mixed[name][..., _N_HIDDEN:] = honest[name][..., _N_HIDDEN:]
    return mixed


def _turn(state: State, fleet: Fleet, draw: torch.Generator) -> State:
    """Each unit's direction gets a small part of its own."""
    weights = state["weight_0"]
    away = torch.randn(weights.shape, generator=draw)
    length = weights.norm(dim=1, keepdim=True)
    return {**state, "weight_0": weights + _TURN * length * away / away.norm(dim=1, keepdim=True)}


_CHANGES = {HONEST: _leave, OPEN: _leave, SMALL: _shrink, TURNED: _turn}
