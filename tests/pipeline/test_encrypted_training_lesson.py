"""The lesson on encrypted training: what it compares, and what it says of who sees what."""

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline.encrypted_training_lesson import FEATURES, EncryptedTrainingLesson

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lesson():
    return EncryptedTrainingLesson(n_people=20, n_days=14, seed=3)


@pytest.fixture(scope="module")
def compared(lesson):
    return lesson.train(lesson.plan(n_epochs=3))


def test_days_are_standardised_by_those_to_train_on(lesson):
    assert lesson.rows.shape[1] == lesson.held_out_rows.shape[1] == len(FEATURES) == 9
    assert len(lesson.rows) == len(lesson.labels)
    assert len(lesson.held_out_rows) == len(lesson.held_out_labels) > 20
    np.testing.assert_allclose(lesson.rows.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(lesson.rows.std(0), 1, atol=0.05)
    assert lesson.labels.mean() == pytest.approx(0.5, abs=0.02)
    again = EncryptedTrainingLesson(n_people=20, n_days=14, seed=3)
    assert np.array_equal(again.rows, lesson.rows)


def test_people_who_are_held_out_are_other_people():
    with pytest.raises(SpecificationError, match="expected at least 10, got 9"):
        EncryptedTrainingLesson(n_people=9)


def test_the_same_is_learned_encrypted_and_in_the_clear(compared):
    by_way = compared.table.set_index("way")
    encrypted, same = by_way.loc["encrypted"], by_way.loc["in the clear, same sigmoid"]
    assert encrypted.weight_difference <= compared.training.plan.weight_error
    assert encrypted.accuracy == pytest.approx(same.accuracy, abs=0.02)
    assert encrypted.log_loss < by_way.loc["always the same answer"].log_loss
    assert same.weight_difference == 0 < by_way.loc["in the clear, exact sigmoid"].weight_difference
    assert (compared.path.encrypted - compared.path.plain).abs().max() <= compared.training.plan.weight_error
    assert len(compared.path) == 3 * 10
    assert repr(compared) == compared.sentence
    assert "the key holder saw the weights of all 3 epochs, the server none" in compared.sentence


def test_the_polynomial_leaves_the_sigmoid_beyond_its_range(lesson):
    table = lesson.tabulate_sigmoid()
    away = (table.exact - table.cubic).abs()
    assert away[table.is_trusted].max() < 0.1 < 1 < away.max()


def test_views_say_that_the_key_holder_sees_weights_and_the_server_does_not(lesson):
    views = lesson.list_views().set_index("what")
    assert views.loc["weights of every epoch", "key_holder"] == "in the clear"
    assert set(views.loc[["records and labels", "weights of every epoch", "gradient of every epoch"], "server"]) == {
        "encrypted"
    }
