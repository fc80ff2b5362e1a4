"""Plans: what is offered, what is refused and what the refusal says."""

import dataclasses

import numpy as np
import pytest

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.protection.homomorphic import EncryptedHead, LogisticModel, SquareNetwork, ask, plan, set_up
from twinlab.protection.homomorphic.parameters import find_ceiling
from twinlab.protection.homomorphic.planner import MARGIN


@pytest.fixture(scope="module")
def forty():
    """Logistic regression of 40 features and a network 40-64-1, with rows."""
    draw = np.random.default_rng(1)
    logistic = LogisticModel(0.4 * draw.normal(size=(1, 40)), [0.3])
    network = SquareNetwork(
        (draw.normal(size=(40, 64)) / 6, draw.normal(size=(64, 1)) / 8), (0.1 * draw.normal(size=64), np.array([0.1]))
    )
    return logistic, network, draw.normal(size=(200, 40))


@pytest.mark.parametrize(("batch", "layout"), [(1, "interleaved"), (20, "interleaved"), (4000, "feature-major")])
def test_a_linear_model_gets_the_layout_of_its_batch(forty, batch, layout):
    logistic, _, rows = forty
    found = plan(logistic, rows, batch=batch)
    assert found.layout.name == layout
    assert found.ring.ring_degree <= 4096
    assert found.expected_error <= 1e-3
    assert len(found.rotation_steps) == (6 if layout == "interleaved" else 0)


@pytest.mark.parametrize(("batch", "layout"), [(1, "tiled"), (50, "block"), (4000, "feature-major")])
def test_a_network_gets_the_layout_of_its_batch(forty, batch, layout):
    _, network, rows = forty
    found = plan(network, rows, batch=batch)
    assert (found.layout.name, found.ring.ring_degree, found.depth) == (layout, 8192, 3)


@pytest.mark.parametrize("share", [False, True])
def test_every_plan_is_secure_and_quantum_safe_if_asked(models, share):
    for name, (model, rows) in models.items():
        if share and name == "deep network":
            continue
        for quantum_safe in (False, True):
            found = plan(model, rows, quantum_safe=quantum_safe, share_results=share)
            assert found.ring.modulus_bits <= find_ceiling(found.ring.ring_degree, quantum_safe=quantum_safe)
            assert found.ring.security_bits >= 128
            assert found.ring.quantum_security_bits >= 128 or not quantum_safe


def test_results_of_a_deep_network_cannot_be_shared_and_the_refusal_says_what_to_give_up(models):
    model, rows = models["deep network"]
    with pytest.raises(IncompatibleChoicesError, match="do not share results"):
        plan(model, rows, share_results=True)


def test_bounds_hold_for_the_largest_rows_that_are_admitted(models):
    draw = np.random.default_rng(0)
    for name in ("logistic", "network", "deep network", "convolution"):
        model, rows = models[name]
        found = plan(model, rows)
        largest = np.sign(draw.normal(size=(500, model.n_features))) * found.find_column_bound()
        assert np.abs(model.answer_plain(largest)).max() <= found.output_bound
        for stage, bits in zip(found.stages, found.scale_bits, strict=True):
            assert bits < found.ring.find_bits_at(stage.level)


def test_a_shared_plan_has_flooding_and_a_larger_modulus(forty):
    logistic, _, rows = forty
    private, shared = (plan(logistic, rows, batch=4000, share_results=share) for share in (False, True))
    assert (private.flooding_deviation, private.rounding) == (0, 0)
    assert shared.flooding_deviation > 1e7 * shared.noise_deviation
    assert shared.ring.ring_degree == 8192
    assert shared.expected_error <= 1e-3


def test_rows_are_admitted_up_to_half_again_as_large(forty):
    logistic, _, rows = forty
    found = plan(logistic, rows)
    bound = found.find_column_bound()
    assert (bound >= MARGIN * np.abs(rows).max(0)).all()
    assert (bound <= 2 * MARGIN * np.abs(rows).max(0)).all()
    assert all(np.log2(scale) % 1 == 0 for scale in found.input_scale)


def test_features_in_very_different_units_are_no_trouble():
    draw = np.random.default_rng(2)
    units = 10.0 ** np.arange(-4, 6)
    model = LogisticModel(draw.normal(size=(1, 10)) / units, [0.1])
    rows = draw.normal(size=(100, 10)) * units
    found = plan(model, rows)
    holder, server, _ = set_up(found, model)
    assert ask(found, holder, server, rows[:5], plain_model=model).error < 1e-3


def test_tutorial_parameters_are_refused_with_their_fault_and_a_ring(forty):
    logistic, _, rows = forty
    with pytest.raises(IncompatibleChoicesError) as caught:
        plan(logistic, rows, ring_degree=4096, prime_bits=(40, 20, 40), scale_bits=20)
    for words in ("expected an error of at most 1.0e-03", "ring degree 4096", "scale", "take ring degree 4096 and let"):
        assert words in str(caught.value)


def test_overflow_is_refused_by_naming_the_operation(forty):
    _, network, rows = forty
    with pytest.raises(IncompatibleChoicesError, match=r"overflow: .*after .* values need .* bits"):
        plan(network, rows, ring_degree=8192, prime_bits=(60, 40, 40, 60), scale_bits=40)


def test_a_ring_too_small_for_the_depth_is_refused_and_one_that_would_do_is_named(forty):
    _, network, rows = forty
    with pytest.raises(IncompatibleChoicesError, match=r"depth: .*layer 2; take ring degree 8192 and let"):
        plan(network, rows, ring_degree=4096)


def test_a_tolerance_out_of_reach_is_refused(forty):
    logistic, _, rows = forty
    with pytest.raises(IncompatibleChoicesError, match=r"tolerance: .*most of it comes from"):
        plan(logistic, rows, tolerance=1e-17)


def test_a_network_too_deep_for_any_ring_is_refused():
    draw = np.random.default_rng(0)
    layers = 12
    model = SquareNetwork(
        tuple(draw.normal(size=(6, 6)) / 2 for _ in range(layers)), tuple(np.zeros(6) for _ in range(layers))
    )
    with pytest.raises(IncompatibleChoicesError, match=r"overflow: .*before square .* take fewer layers"):
        plan(model, draw.normal(size=(20, 6)))


def test_a_window_that_fits_no_ciphertext_is_refused():
    head = EncryptedHead(np.ones((1, 40_000)))
    with pytest.raises(IncompatibleChoicesError, match="fit the 16384 slots"):
        plan(head, np.ones((1, 40_000)))


def test_what_makes_no_sense_is_refused_all_at_once(forty):
    logistic, _, rows = forty
    with pytest.raises(SpecificationError) as caught:
        plan(logistic, rows, tolerance=0, batch=0, ring_degree=5000)
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(SpecificationError, match="together"):
        plan(logistic, rows, prime_bits=(60,))
    with pytest.raises(SpecificationError, match="quantum-safe, got 109"):
        plan(logistic, rows, ring_degree=4096, prime_bits=(60, 49), scale_bits=26, quantum_safe=True)
    with pytest.raises(SpecificationError, match="got 1 that are not"):
        plan(logistic, np.where(np.arange(40) == 3, np.nan, 1.0))


def test_good_parameters_by_hand_are_taken_as_they_are(forty):
    logistic, _, rows = forty
    found = plan(logistic, rows, ring_degree=4096, prime_bits=(60, 49), scale_bits=25)
    assert (found.ring.prime_bits, found.scale_bits) == ((60, 49), (25, 50))


def test_the_table_names_what_matters_and_no_row(forty):
    logistic, _, rows = forty
    found = plan(logistic, rows)
    named = {row["what"] for row in found.rows()}
    assert {"security, classical", "security, quantum", "error, at most", "evaluation keys, once"} <= named
    page = found._repr_html_()
    assert "109 bits" in page
    assert "128 bits" in page
    assert f"{rows[0, 0]:.4f}" not in page + repr(found)


def test_two_plans_have_two_hashes_and_one_plan_has_one(forty):
    logistic, _, rows = forty
    first = plan(logistic, rows)
    assert first.digest == plan(logistic, rows).digest
    changes = [{"output_bound": 1.0}, {"scale_bits": (1, 2)}, {"rounding": 0.1}, {"input_margin": 2.0}]
    digests = {dataclasses.replace(first, **change).digest for change in changes}
    assert len(digests | {first.digest}) == 5


def test_planned_sizes_are_those_on_the_wire(models):
    for model, rows in models.values():
        found = plan(model, rows)
        holder, server, steps = set_up(found, model)
        keys = sum(step.n_bytes for step in steps)
        assert keys == pytest.approx(found.set_up_bytes, rel=0.12)
        if found.head_is_encrypted:
            question = holder.encrypt_head(model.typical)
            server.store_head(question)
            answer = server.answer(holder.write_question(rows[:1]))
        else:
            question = holder.encrypt(rows[:1])
            answer = server.answer(question)
        assert len(question) == pytest.approx(found.question_bytes, rel=0.12)
        assert len(answer) == pytest.approx(found.answer_bytes, rel=0.12)
