import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import Cohort
from twinlab.experiment import BayesianTwin
from twinlab.learn_choice import CentralLearning
from twinlab.twins.action import Action
from twinlab.twins.population import train_population
from twinlab.twins.tracking import estimate_effects


def test_what_if_recovers_a_planted_linear_answer():
    draw = np.random.default_rng(0)
    n_people, n_hours = 12, 24 * 28
    steps = draw.gamma(0.5, 600, (n_people, n_hours)).clip(0, 8000)
    gain = draw.uniform(3, 15, n_people) / 1000
    heart_rate = 65 + gain[:, None] * steps + draw.normal(0, 2, steps.shape)
    values = np.stack([steps, heart_rate], axis=-1).astype(np.float32)
    ids = tuple(f"p{number}" for number in range(n_people))
    cohort = Cohort("planted", ids, pd.Timestamp("2025-01-06"), ("steps", "heart_rate_bpm"), values)
    twin = BayesianTwin(hidden_width=8, n_features=4, process_noise=0.002)
    population = train_population(cohort, twin, CentralLearning(n_epochs=2))
    table = estimate_effects(population, cohort, n_hours - 1, Action(minutes=60), n_hours=1)
    told = table[table.signal == "heart_rate_bpm"].effect.to_numpy()
    walked = table[table.signal == "steps"].effect.to_numpy()
    np.testing.assert_allclose(told, gain * walked, rtol=0.12, atol=1.0)
    inside = table[table.signal == "heart_rate_bpm"]
    assert ((inside.effect_lower <= gain * walked) & (gain * walked <= inside.effect_upper)).mean() >= 0.5
