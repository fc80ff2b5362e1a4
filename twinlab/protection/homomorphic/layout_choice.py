"""Which layouts can serve a model in a ring, and roughly what each costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from twinlab.protection.homomorphic.convolution_layout import PackedConvolutionLayout, TiledConvolutionLayout
from twinlab.protection.homomorphic.layout import Layout
from twinlab.protection.homomorphic.linear_layout import FeatureMajorLayout, InterleavedLayout
from twinlab.protection.homomorphic.model import AnyModel, ConvolutionModel, EncryptedHead, LinearModel
from twinlab.protection.homomorphic.network_layout import BlockLayout, TiledLayout
from twinlab.protection.homomorphic.schedule import Stage

#: Seconds of an operation on one prime at ring degree 4096, measured on an ordinary core. Only their ratios matter.
_SECONDS = {"multiply": 3e-5, "weigh": 4e-5, "square": 1.2e-4, "rescale": 1.5e-4, "switch": 2.2e-4}
_ENCRYPT_SECONDS, _DECRYPT_SECONDS = 9e-4, 6e-4
_REFERENCE_DEGREE = 4096


def list_layouts(model: AnyModel) -> list[Layout]:
    """Layouts for a model, for any number of slots: fit them with `fit_layout`."""
    shape = (1, model.n_features, model.n_outputs)
    if isinstance(model, EncryptedHead):
        return [InterleavedLayout(*shape, head_is_encrypted=True)]
    if isinstance(model, LinearModel):
        return [InterleavedLayout(*shape), FeatureMajorLayout(*shape)]
    if isinstance(model, ConvolutionModel):
        n_filters, n_channels, n_taps = model.kernel.shape
        parts = {"n_channels": n_channels, "n_steps": model.n_steps, "n_filters": n_filters, "n_taps": n_taps}
        return [TiledConvolutionLayout(*shape, **parts), PackedConvolutionLayout(*shape, **parts)]
    layouts: list[Layout] = [
        BlockLayout(*shape, hidden=model.widths),
        FeatureMajorLayout(*shape, hidden=model.widths),
    ]
    return [TiledLayout(*shape, n_hidden=model.widths[0]), *layouts] if len(model.widths) == 1 else layouts


def fit_layout(layout: Layout, n_slots: int) -> Layout | None:
    """The layout in ciphertexts of so many slots, or None if a question does not fit."""
    fitted = replace(layout, n_slots=n_slots)
    return fitted if fitted.n_positions * fitted.columns_per_row <= n_slots else None


def estimate_seconds(
    layout: Layout, counts: Mapping[tuple[str, int], int], stages: Sequence[Stage], ring_degree: int, batch: int
) -> float:
    """Rough processor time of a batch on all sides.

    Args:
      layout: fitted.
      counts: operations of a message by name and stage.
      stages: of the program.
      ring_degree: n.
      batch: questions.
    """
    total = 0.0
    for (what, stage), count in counts.items():
        n_primes = stages[stage].level + 1
        # Switching keys takes each digit through all primes.
        factor = n_primes * (n_primes + 1) / 2 if what == "switch" else n_primes
        total += _SECONDS[what] * factor * count
    total += _ENCRYPT_SECONDS * (stages[0].level + 1) * layout.n_ciphertexts
    total += _DECRYPT_SECONDS * (stages[-1].level + 1) * layout.n_answers
    return total * ring_degree / _REFERENCE_DEGREE * math.ceil(batch / layout.capacity)
