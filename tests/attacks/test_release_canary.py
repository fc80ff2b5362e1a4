import math

import numpy as np
import pytest
from scipy.stats import binom

from twinlab.attacks.release_canary import (
    KIND,
    MODEL,
    NEAREST,
    ROWS,
    attack_release_canary,
    audit_canary,
    compare_likelihoods,
)
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

THREAT = ThreatModel("membership", "public", "everybody else")


def send(payloads):
    return [Message("trainer", "public", KIND, 0, 0.0, each, NoGuarantee("test")) for each in payloads]


def claim(method, targets, present, absent, threat=THREAT, **facts):
    facts = {"method": method, "shadows_with": present, "shadows_without": absent, **facts}
    return attack_release_canary(send(targets), PublicKnowledge(facts=facts), threat).scores


def make_models(rng, shift, n, n_values=400):
    """Normal values of which three say something."""
    values = rng.normal(size=(n, n_values))
    values[:, :3] += shift
    return [{"model": {"a": row[:100], "b": row[100:].reshape(3, -1)}} for row in values]


def test_a_learned_ratio_finds_the_few_values_that_say_something():
    """One that weighs all values as shadows show them drowns in 397 chances."""
    rng = np.random.default_rng(0)
    present, absent = make_models(rng, 1.5, 30), make_models(rng, 0.0, 30)
    targets = make_models(rng, 1.5, 200) + make_models(rng, 0.0, 200)
    right = ((claim(MODEL, targets, present, absent) > 0) == (np.arange(400) < 200)).mean()
    flat = [np.stack([np.r_[each["model"]["a"], each["model"]["b"].ravel()] for each in made])
            for made in (targets, present, absent)]  # fmt: skip
    naive = (flat[0] - (flat[1].mean(0) + flat[2].mean(0)) / 2) @ (flat[1].mean(0) - flat[2].mean(0))
    assert right > 0.85
    assert ((naive > 0) == (np.arange(400) < 200)).mean() < right - 0.05


def test_values_without_any_spread_are_used_and_break_nothing():
    present, absent = np.tile([1.0, 5.0], (8, 1)), np.tile([0.0, 5.0], (8, 1))
    scores = compare_likelihoods(np.array([[1.0, 5.0], [0.0, 5.0]]), present, absent)
    assert scores[0] > 0 > scores[1]
    assert np.isfinite(scores).all()
    assert (compare_likelihoods(absent, absent, absent) == 0).all()


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_a_known_recipe_needs_no_luck_with_shadows(noise):
    """Twenty values of 400 move by little: shadows do not find them, who knows the recipe does."""
    rng = np.random.default_rng(1)
    exact = {"a": np.zeros(400)}, {"a": np.zeros(400)}
    exact[0]["a"][:20] = 0.5
    draw = rng.normal if noise == "gaussian" else rng.laplace

    def release(with_it, n):
        return [{"model": {"a": exact[0 if with_it else 1]["a"] + draw(0, 1, 400)}} for _ in range(n)]

    shadows, targets = (release(True, 10), release(False, 10)), release(True, 200) + release(False, 200)
    facts = {"exact_with": exact[0], "exact_without": exact[1], "noise": noise, "scales": {"a": 1.0}}
    truth = np.arange(400) < 200
    known = ((claim(MODEL, targets, *shadows, **facts) > 0) == truth).mean()
    learned = ((claim(MODEL, targets, *shadows) > 0) == truth).mean()
    assert known > learned + 0.1


def make_rows(rng, n_copies, n_runs):
    """A hundred everyday rows, and copies of an outlier with words of its own."""
    made = []
    for _ in range(n_runs):
        steps, kinds = rng.normal(50, 10, 100), rng.choice(["a", "b"], 100)
        made.append({"rows": {"steps": np.r_[steps, np.full(n_copies, 100.0)], "kind": np.r_[kinds, ["c"] * n_copies]}})
    return made


@pytest.mark.parametrize("method", [ROWS, NEAREST])
def test_rows_that_copy_the_canary_are_seen(method):
    rng = np.random.default_rng(2)
    known = {"canary": {"steps": np.array([100.0]), "kind": np.array(["c"])}, "others": make_rows(rng, 0, 1)[0]["rows"]}
    present, absent = make_rows(rng, 3, 10), make_rows(rng, 0, 10)
    scores = claim(method, make_rows(rng, 3, 20) + make_rows(rng, 0, 20), present, absent, **known)
    assert ((scores > 0) == (np.arange(40) < 20)).all()


def test_bounds_are_those_of_clopper_and_pearson():
    """No error in 60 releases of either kind: each rate is at most 1 - (level / 2) ** (1 / 60)."""
    ones = np.ones(60)
    report = audit_canary({"one": (ones, -ones)}, 1.0, 0.0)
    rate = 1 - 0.025 ** (1 / 60)
    assert report.lower_bound == pytest.approx(math.log((1 - rate) / rate))
    assert report.ceiling == report.lower_bound
    assert report.verdict == "broken"
    assert audit_canary({"one": (ones, -ones)}, 5.0, 0.0).verdict == "could not have seen it"
    assert audit_canary({"one": (-ones, ones)}, 1.0, 0.0).lower_bound == 0


def test_a_correct_mechanism_is_hardly_ever_above_its_claim_where_a_naive_ratio_mostly_is():
    """Randomised response leaks exactly epsilon. Of 800 bounds at most 76 may exceed it: at 5 % more have p < 1e-6."""
    assert binom.sf(76, 800, 0.05) < 1e-6
    rng = np.random.default_rng(3)
    keep = math.e / (1 + math.e)
    above = naive = 0
    for _ in range(800):
        present, absent = (np.where(rng.random(60) < chance, 1.0, -1.0) for chance in (keep, 1 - keep))
        report = audit_canary({"one": (present, absent)}, 1.0, 0.0)
        above += report.lower_bound > 1
        naive += (present > 0).mean() > math.e * (absent > 0).mean()
        assert report.verdict != "broken"
    assert above <= 76
    assert naive > 250


def test_what_cannot_be_attacked_is_refused():
    rng = np.random.default_rng(4)
    models = make_models(rng, 0.0, 4)
    with pytest.raises(SpecificationError, match="a method among"):
        claim("another", models, models, models)
    with pytest.raises(SpecificationError, match="the goal membership"):
        claim(MODEL, models, models, models, threat=ThreatModel("linkage", "public", "nothing"))
    with pytest.raises(DataContractError, match="2 layouts"):
        claim(MODEL, [*models, {"model": {"a": np.zeros(3)}}], models, models)
    with pytest.raises(DataContractError, match="expected rows in each"):
        claim(ROWS, models, models, models, canary={}, others={})
    facts = {"exact_with": {"a": np.zeros(3)}, "exact_without": {"a": np.ones(3)}, "scales": {"a": 1.0}}
    with pytest.raises(DataContractError, match="as the recipe says"):
        claim(MODEL, models, models, models, noise="gaussian", **facts)
