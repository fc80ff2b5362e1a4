"""A control for every field of an experiment; what the experiment refuses, the form refuses."""

import ipywidgets
import pytest

import twinlab as tl
from twinlab.errors import SpecificationError
from twinlab.widgets import form as form_module
from twinlab.widgets.form import controls_for


@pytest.fixture
def experiment():
    return tl.Experiment()


def test_every_field_has_a_control_that_starts_where_the_experiment_is(experiment):
    form = controls_for(experiment)
    fields = {row["field"]: row["value"] for row in experiment.rows() if not row["field"].endswith("kind")}
    assert set(fields) <= set(form.widgets)
    for name, value in fields.items():
        shown = form.widgets[name].value
        if isinstance(form.widgets[name], ipywidgets.Text):
            assert shown == ("" if value is None else str(value))
        else:
            assert shown == pytest.approx(value) if isinstance(value, float) else shown == value


def test_limits_options_and_sentences_are_the_fields_own(experiment):
    form = controls_for(experiment, "twin")
    slider = form.widgets["twin.max_horizon_hours"]
    assert (slider.min, slider.max) == (1, 48)
    assert "forecast reaches" in slider.tooltip
    assert [value for _, value in form.widgets["twin.activation"].options] == ["tanh", "square"]
    assert isinstance(controls_for(experiment, "learn").widgets["learn.learning_rate"], ipywidgets.FloatLogSlider)
    wide = controls_for(experiment, "cohort").widgets["cohort.n_people"]
    assert [value for _, value in wide.options][:3] == [2, 5, 10]
    assert [value for _, value in wide.options][-1] == 100_000


def test_a_change_yields_a_new_experiment(experiment):
    heard = []
    form = controls_for(experiment, "twin", heard.append)
    form.widgets["twin.process_noise"].value = 0.02
    assert heard == [form.experiment]
    assert form.experiment.twin.process_noise == 0.02
    assert experiment.twin.process_noise == 0.01


def test_a_change_of_kind_changes_the_controls(experiment):
    form = controls_for(experiment, "")
    assert "cohort.n_people" in form.widgets
    form.widgets["cohort.kind"].value = "shipped"
    assert "cohort.n_people" not in form.widgets
    assert form.experiment.cohort.kind == "shipped"


def test_what_the_experiment_refuses_goes_back_and_is_said(experiment, monkeypatch):
    form = controls_for(experiment)
    with pytest.raises(SpecificationError, match=r"cohort\.path"):
        form.widgets["cohort.kind"].value = "fitbit"
    monkeypatch.setattr(form_module, "is_moved_by_hand", lambda: True)
    form.widgets["seed"].value = "many"
    assert "seed: expected a whole number" in form._fault.value
    assert form.widgets["seed"].value == "0"
    form.widgets["seed"].value = "-3"
    assert "seed" in form._fault.value
    form.widgets["twin.targets"].value = "steps, moods"
    assert "twin.targets" in form._fault.value
    assert form.experiment == experiment
    form.widgets["twin.targets"].value = "steps, sleep_min"
    assert form._fault.value == ""
    assert form.experiment.twin.targets == ("steps", "sleep_min")


def test_no_such_place(experiment):
    with pytest.raises(SpecificationError, match="there is no place 'twins'"):
        controls_for(experiment, "twins")
