"""After a person's heart changes, the twin's error is back near what it was within three days."""

import numpy as np

from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import Intervention, simulate
from twinlab.experiment import BayesianTwin
from twinlab.learn_choice import CentralLearning
from twinlab.twins.population import train_population
from twinlab.twins.tracking import follow


def test_a_beta_blocker_is_noticed_within_three_days():
    people = draw_people(24, 11)
    calm = simulate(people, 20, 11).cohort
    change_hour = 14 * 24
    treated = simulate(people, 20, 11, [Intervention(start_hour=change_hour, kind="beta_blocker")]).cohort
    population = train_population(calm, BayesianTwin(hidden_width=16, n_features=8), CentralLearning(n_epochs=4))
    course = follow(population, treated, (1,))
    column = course.targets.index("heart_rate_bpm")
    error = np.abs(course.predictions["twin", 1][..., column] - course.actual[..., column])
    before = np.nanmean(error[:, change_hour - 7 * 24 : change_hour])
    after = np.nanmean(error[:, change_hour + 2 * 24 : change_hour + 5 * 24])
    assert after < 1.2 * before
