"""The panel of federated devices on a made-up source: what it runs, when, what it says, and what it keeps."""

import base64
import html
import threading
import time

import numpy as np
import pytest
from device_source import DeviceSource
from waiting import wait_for

import twinlab as tl
from twinlab.charts.picture import make_svg
from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.experiment import Experiment
from twinlab.learn_choice import FederatedLearning
from twinlab.widgets import FederatedDevices, worker
from twinlab.widgets import panel as shell


@pytest.fixture
def by_hand(monkeypatch):
    """As if a reader moved the controls."""
    monkeypatch.setattr(shell, "is_moved_by_hand", lambda: True)


def list_errors(panel):
    return [row["error"] for row in panel._charts["rounds"].data["line"]]


def count_fates(panel):
    """Devices on the map by fate, without the symbols of the legend."""
    fates = [row["fate"] for row in panel._charts["map"].data["devices"] if "device " in row["words"]]
    return {fate: fates.count(fate) for fate in set(fates)}


def test_the_first_federation_runs_with_the_panel_and_is_said_in_numbers():
    source = DeviceSource()
    panel = FederatedDevices(source)
    assert source.runs == [(40, 40, 20, "fedavg", "plain")]
    status = panel._status.value
    assert "Round 20 of 20: 4.86 bpm, 19 % below the 6.00 of zero budget; verdict: train" in status
    assert "It reads each update alone; here are 40 numbers of each of 12 devices" in status
    assert "recognizes 12 of 12 devices, where chance gives 1" in status
    assert list_errors(panel)[0] == 6.0
    assert len(list_errors(panel)) == 21
    assert count_fates(panel) == {"answered": 40}
    assert panel._progress.layout.visibility == "hidden"
    assert not panel._worker.is_busy


def test_controls_start_where_the_experiment_stands():
    own = {"n_rounds": 7, "clients_per_round": 15, "dropout": 0.25, "n_attackers": 4, "attack": "nan",
           "strategy": "fedmedian", "quorum_share": 0.3}  # fmt: skip
    panel = FederatedDevices(DeviceSource(**own))
    assert panel.values == {
        "n_devices": 40, "clients_per_round": 15, "n_rounds": 7, "dropout": 0.25, "attackers": 10, "attack": "nan",
        "strategy": "fedmedian", "quorum_share": 0.3, "aggregation": "plain", "epsilon": "off",
        "signal": "heart_rate_bpm",
    }  # fmt: skip
    private = FederatedDevices(DeviceSource(privacy={"kind": "person", "epsilon": 2.5}, aggregation="secure"))
    assert (private.values["epsilon"], private.values["aggregation"]) == (2.5, "secure")


def test_what_is_chosen_reaches_the_experiment():
    source = DeviceSource(n_people=60)
    panel = FederatedDevices(source)
    panel.set(
        n_devices=50, clients_per_round=20, n_rounds=6, dropout=0.3, attackers=20, attack="nan", strategy="krum",
        quorum_share=0.1,
    )  # fmt: skip
    n_devices, learn = source.asked[-1]
    assert (n_devices, learn.clients_per_round, learn.n_rounds, learn.dropout) == (50, 20, 6, 0.3)
    assert (learn.n_attackers, learn.n_malicious, learn.attack, learn.strategy) == (10, 4, "nan", "krum")
    panel.set(strategy="fedavg", epsilon=2.0, attackers=0, clients_per_round="all")
    n_devices, learn = source.asked[-1]
    assert (learn.privacy.kind, learn.privacy.epsilon, learn.privacy.expected_people) == ("person", 2.0, 50)
    assert (learn.clients_per_round, learn.n_attackers, learn.n_malicious) == (50, 0, 0)
    assert "Noise hides each person in the model at epsilon 2, and not from the server" in panel._status.value


def test_hints_and_ways_to_lie_are_those_of_the_experiments_fields():
    panel = FederatedDevices(DeviceSource())
    fields = FederatedLearning.model_fields
    for name in ("clients_per_round", "n_rounds", "dropout", "attack", "strategy", "quorum_share"):
        assert panel.widgets[name].tooltip == fields[name].description
    offered = [value for _, value in panel.controls["attack"].options]
    assert offered == list(fields["attack"].annotation.__args__)
    strategies = {value for _, value in panel.controls["strategy"].options}
    assert strategies == {"fedavg", "fedmedian", "fedtrimmedavg", "krum", "multikrum"}
    assert strategies < set(fields["strategy"].annotation.__args__)


def test_the_line_grows_round_by_round_and_the_map_follows():
    source, seen = DeviceSource(dropout=0.3), []
    panel = FederatedDevices(source)
    before = panel._charts["map"].data["devices"]
    source.hear = lambda number: seen.append((number, len(list_errors(panel)), panel._charts["map"].alt_text))
    panel.press("run")
    assert [n for _, n, _ in seen] == [21, *range(2, 21)]  # the old picture stays until a round is finished
    assert all(f"round {number - 1} of 20" in words for number, _, words in seen[1:])
    assert count_fates(panel)["vanished"] > 0
    assert sum(count_fates(panel).values()) == 40
    assert len(before) == len(panel._charts["map"].data["devices"])


def test_a_small_federation_reruns_at_once_and_a_large_one_waits_for_run():
    source = DeviceSource(n_people=400)
    panel = FederatedDevices(source)  # 8,000 trainings: nobody would see a picture if the first one waited, too
    assert len(source.runs) == 1
    panel.set(n_rounds=30)
    assert len(source.runs) == 1
    assert "Press Run for 400 devices, fedavg, plain: 12,000 trainings on devices, about 6 s." in panel._status.value
    assert "The pictures show the run before." in panel._status.value
    assert "Round 20 of 20" in panel._status.value
    panel.press("run")
    assert source.runs[-1] == (400, 400, 30, "fedavg", "plain")
    assert "Press Run" not in panel._status.value
    panel.set(clients_per_round=50)
    assert source.runs[-1] == (400, 50, 30, "fedavg", "plain")
    panel.set(aggregation="secure")  # never at once, of whatever size
    assert len(source.runs) == 3
    assert "Press Run for 400 devices, 50 a round, fedavg, secure" in panel._status.value
    assert "about" not in panel._status.value.partition("Press Run")[2].partition("devices.")[0]
    panel.set(aggregation="plain")  # as drawn
    assert "Press Run" not in panel._status.value


def test_another_signal_only_repaints():
    source = DeviceSource()
    panel = FederatedDevices(source)
    panel.set(signal="steps")
    assert len(source.runs) == 1
    assert "Steps: error in steps/h by round" in panel._charts["rounds"].signals["headline"]
    assert list_errors(panel)[0] == 500.0


def test_the_run_before_stays_to_compare_with():
    panel = FederatedDevices(DeviceSource())
    assert panel._charts["rounds"].data["before"] == []
    panel.set(n_rounds=10)
    assert len(panel._charts["rounds"].data["before"]) == 20
    assert "The run before ended at 4.86 bpm" in panel._status.value
    panel.set(n_rounds=5)
    assert len(panel._charts["rounds"].data["before"]) == 10


def test_masked_numbers_stand_beside_plain_ones():
    panel = FederatedDevices(DeviceSource())
    panel.set(aggregation="secure")
    assert "sums of a group" not in panel._charts["view"].alt_text
    panel.press("run")
    assert "It reads sums of a group of 20 devices only" in panel._status.value
    assert "recognizes 1 of 12 devices, where chance gives 1" in panel._status.value
    svg = make_svg(panel.draw().to_dict())
    for words in ("Plain: the updates themselves", "Masked: what secure sums send"):
        assert words in svg
    cells = panel.pictures["view"].data["cells"]
    assert len(cells) == 2 * 12 * 40
    greys = [color for color in cells["color"] if len({color[1:3], color[3:5], color[5:7]}) == 1]
    assert len(greys) >= 12 * 40


def test_encrypted_bytes_stand_beside_plain_numbers_and_keep_their_name():
    panel = FederatedDevices(DeviceSource())
    panel.set(aggregation="encrypted")  # never at once, as secure sums
    assert "Press Run for " in panel._status.value
    assert "encrypted" in panel._status.value
    panel.press("run")
    assert "It reads a round's opened sum only" in html.unescape(panel._status.value)
    heads = ["Plain: the updates themselves", "Encrypted: bytes of ciphertexts"]
    assert all(words in make_svg(panel.draw().to_dict()) for words in heads)
    panel.set(aggregation="plain")
    panel.press("run")
    words = panel.pictures["view"].data["words"]
    assert words.query("look == 'head'").sort_values("x")["text"].tolist() == heads
    panel.set(aggregation="secure")
    panel.press("run")
    assert "Masked: what secure sums send" in panel.pictures["view"].data["words"]["text"].tolist()


def test_noise_at_the_server_hides_nobody_from_whoever_reads_encrypted_sums():
    panel = FederatedDevices(DeviceSource(), aggregation="encrypted", epsilon=2.0)
    assert "and not from the server and who holds the key, who read sums before it" in panel._status.value
    panel = FederatedDevices(DeviceSource(), aggregation="plain", epsilon=2.0)
    assert "and not from the server, which reads updates before it" in panel._status.value
    privacy = {"kind": "person", "epsilon": 2.0, "noise_at": "devices"}
    panel = FederatedDevices(DeviceSource(privacy=privacy, aggregation="encrypted"))
    assert "at epsilon 2." in panel._status.value


@pytest.mark.parametrize(
    ("n_people", "first", "mix", "back", "neighbour"),
    [
        (40, {"strategy": "krum"}, {"aggregation": "secure"}, {"aggregation": "plain"}, "aggregation = 'plain'"),
        (40, {"strategy": "fedmedian"}, {"epsilon": 2.0}, {"epsilon": "off"}, "strategy = 'fedavg'"),
        (5, {"attackers": 30}, {"strategy": "krum"}, {"strategy": "fedmedian"}, "bears at most 1 liars"),
    ],
)
def test_a_senseless_mix_is_refused_with_its_neighbour_and_the_picture_stays(
    monkeypatch, n_people, first, mix, back, neighbour
):
    source = DeviceSource(n_people=n_people)
    panel = FederatedDevices(source, **first)
    n_runs, drawn = len(source.runs), panel.draw().to_dict(validate=False)
    with pytest.raises(IncompatibleChoicesError, match=neighbour):
        panel.set(**mix)
    monkeypatch.setattr(shell, "is_moved_by_hand", lambda: True)
    panel.set(**mix)
    assert neighbour.replace("'", "&#x27;") in panel._status.value
    assert "twinlab-fault" in panel._status.value
    panel.buttons["run"].click()  # no way around it
    assert len(source.runs) == n_runs
    assert panel.draw().to_dict(validate=False) == drawn
    panel.set(**back)
    assert "twinlab-fault" not in panel._status.value
    assert "Round 20 of 20" in panel._status.value


def test_a_senseless_mix_does_not_end_the_run_that_goes_on(page, by_hand):
    source = DeviceSource(seconds=0.02)
    panel = FederatedDevices(source, strategy="fedmedian")
    wait_for(lambda: panel._now is not None)
    panel.set(aggregation="secure")
    assert "aggregation = &#x27;plain&#x27;" in panel._status.value
    wait_for(lambda: not panel._worker.is_busy)
    assert len(list_errors(panel)) == 21
    assert "aggregation = &#x27;plain&#x27;" in panel._status.value


def test_a_mix_that_is_senseless_from_the_start_is_refused():
    with pytest.raises(IncompatibleChoicesError, match="strategy = 'fedavg'"):
        FederatedDevices(DeviceSource(), strategy="krum", aggregation="secure")


def test_stop_keeps_finished_rounds_and_a_fragment_is_not_compared_with():
    source = DeviceSource()
    panel = FederatedDevices(source)
    source.hear = lambda number: panel.stop() if number == 4 else None
    panel.press("run")
    assert len(list_errors(panel)) == 4  # the start and three rounds
    assert "Stopped: finished rounds stay." in panel._status.value
    assert "Round 3 of 20" in panel._status.value
    assert "callback" not in panel._status.value
    source.hear = lambda number: None
    panel.set(n_rounds=10)
    assert len(panel._charts["rounds"].data["before"]) == 20
    panel.stop()
    assert "Nothing is running." in panel._status.value


def test_a_federation_that_ends_early_says_why_and_keeps_the_picture():
    source = DeviceSource()
    panel = FederatedDevices(source)
    source.quorum = 41
    panel.press("run")
    assert "No round was finished, so nothing was learned: round: expected more usable replies." in panel._status.value
    assert len(list_errors(panel)) == 21
    source.quorum = 0
    source.hear = lambda number: setattr(source, "quorum", 41 if number > 3 else 0)
    panel.press("run")
    assert "It ended early: round: expected more usable replies." in panel._status.value
    assert len(list_errors(panel)) == 4


def test_a_first_federation_without_a_round_leaves_a_labelled_picture():
    panel = FederatedDevices(DeviceSource(quorum=41))
    assert panel.pictures["rounds"].data["note"]["text"].tolist() == ["not run yet"]
    svg = make_svg(panel.draw().to_dict())
    for words in ("not run yet", "nothing was sent yet", "Devices before the first round", "not asked 40"):
        assert words in svg, words


def test_controls_move_while_rounds_run_and_stale_federations_are_dropped(page):
    source = DeviceSource(seconds=0.05)
    panel = FederatedDevices(source)
    assert panel._worker.is_busy  # it did not wait for the rounds
    for n_rounds in (21, 22, 23):
        panel.set(n_rounds=n_rounds)
        time.sleep(0.12)
    assert panel._worker.is_busy
    assert "Running 40 devices, fedavg, plain ..." in panel._status.value
    wait_for(lambda: not panel._worker.is_busy)
    assert len(list_errors(panel)) == 24
    assert "Round 23 of 23" in panel._status.value
    assert panel._charts["rounds"].data["before"] == []  # no whole run came before it
    wait_for(lambda: not any(thread.name == "twinlab panel" for thread in threading.enumerate()))


def test_who_moves_a_slider_there_and_back_gets_the_run_that_is_chosen(page):
    source = DeviceSource(seconds=0.03)
    panel = FederatedDevices(source)
    wait_for(lambda: panel._now is not None)
    panel.set(n_rounds=10)
    panel.set(n_rounds=20)
    wait_for(lambda: not panel._worker.is_busy)
    assert len(list_errors(panel)) == 21
    assert panel._now.ended == ""
    assert source.runs[-1][2] == 20


def test_a_move_that_changes_nothing_lets_the_running_federation_go_on(page):
    source = DeviceSource(seconds=0.03)
    panel = FederatedDevices(source)
    wait_for(lambda: panel._now is not None)
    panel.set(n_rounds=20)
    wait_for(lambda: not panel._worker.is_busy)
    assert len(source.runs) == 1


def test_another_signal_is_drawn_while_a_mix_is_refused_and_the_sentence_stays(by_hand):
    panel = FederatedDevices(DeviceSource(), strategy="krum")
    panel.set(aggregation="secure")
    panel.set(signal="steps")
    assert list_errors(panel)[0] == 500.0
    assert "aggregation = &#x27;plain&#x27;" in panel._status.value


def test_a_large_choice_lets_the_running_federation_finish(page):
    source = DeviceSource(n_people=400, seconds=0.02)
    panel = FederatedDevices(source, clients_per_round=100)
    wait_for(lambda: panel._now is not None)
    panel.set(n_rounds=50, clients_per_round="all")
    wait_for(lambda: not panel._worker.is_busy)
    assert [run[:3] for run in source.runs] == [(400, 100, 20)]
    assert len(list_errors(panel)) == 21
    assert "Press Run for 400 devices, fedavg, plain: 20,000 trainings" in panel._status.value


def test_stop_beside_a_page_stops_and_the_next_press_goes_on(page):
    source = DeviceSource(seconds=0.04)
    panel = FederatedDevices(source)
    wait_for(lambda: len(list_errors(panel)) > 2 if panel._charts["rounds"].data else False)
    panel.press("stop")
    wait_for(lambda: not panel._worker.is_busy)
    n_rounds = len(list_errors(panel))
    assert n_rounds < 21
    source.seconds = 0.0
    panel.press("run")
    wait_for(lambda: len(list_errors(panel)) == 21)


def test_a_fault_inside_is_raised_headless_and_reported_beside_a_page(monkeypatch):
    class Broken(DeviceSource):
        def measure_start(self, changes=None):
            raise KeyError("secret value 61.7")

    with pytest.raises(KeyError):
        FederatedDevices(Broken())
    monkeypatch.setattr(worker, "is_page_open", lambda: True)
    panel = FederatedDevices(Broken())
    wait_for(lambda: not panel._worker.is_busy)
    assert "Something went wrong inside twinlab (KeyError)" in panel._status.value
    assert "61.7" not in panel._status.value


def test_a_fault_while_a_round_is_drawn_is_not_taken_for_a_wish_to_stop(monkeypatch):
    panel = FederatedDevices(DeviceSource())
    monkeypatch.setattr(panel, "_make_pictures", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        panel.press("run")


def test_it_leaves_one_picture_of_everything_and_a_sentence(monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    panel = FederatedDevices(DeviceSource(n_people=1000), attackers=10, dropout=0.2, n_rounds=5)
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert len(base64.b64decode(bundle["image/png"])) < 90_000
    sentence = bundle["text/plain"]
    assert sentence == metadata["image/png"]["alt"] == panel.draw().to_dict()["description"]
    for words in ("verdict: train", "1,000 devices, 1,000 asked:", "100 lie; of the 100 asked", "In all rounds:",
                  "It reads each update alone"):  # fmt: skip
        assert words in sentence, words
    svg = make_svg(panel.draw().to_dict())
    for words in ("round 5:", "zero budget", "up, from devices", "(lies)"):
        assert words in svg, words


def test_every_choice_can_be_made_from_code():
    chosen = {"n_devices": 20, "clients_per_round": 10, "n_rounds": 5, "dropout": 0.4, "attackers": 10,
              "attack": "huge_weight", "strategy": "multikrum", "quorum_share": 0.2, "aggregation": "plain",
              "epsilon": "off", "signal": "steps"}  # fmt: skip
    assert FederatedDevices(DeviceSource(), **chosen).values == chosen
    panel = FederatedDevices(DeviceSource())
    panel.set(**chosen)
    assert panel.values == chosen


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_devices": 41}, "n_devices: expected one of 10, 20, 40; got 41"),
        ({"clients_per_round": 0}, "expected one of all, 10, 20; got 0"),
        ({"n_rounds": 51}, "n_rounds: expected a whole number from 5 to 50, got 51"),
        ({"n_rounds": 7.5}, "got 7.5"),
        ({"dropout": 0.9}, "dropout: expected a number from 0 to 0.8, got 0.9"),
        ({"attack": "bribe"}, "got 'bribe'"),
        ({"strategy": "fedprox"}, "got 'fedprox'"),
        ({"aggregation": "none"}, "aggregation: expected one of plain, secure, encrypted; got 'none'"),
        ({"epsilon": 50.0}, "epsilon: expected one of off, 0.5.*got 50.0"),
        ({"signal": "mood"}, "got 'mood'"),
    ],
)
def test_values_outside_the_limits_are_refused_not_moved(values, words):
    with pytest.raises(SpecificationError, match=words):
        FederatedDevices(DeviceSource(), **values)
    with pytest.raises(SpecificationError, match=words):
        FederatedDevices(DeviceSource()).set(**values)


def test_attackers_are_a_share_of_at_most_thirty_percent():
    with pytest.raises(SpecificationError, match="attackers: expected a whole number from 0 to 30 %, got 31"):
        FederatedDevices(DeviceSource()).set(attackers=31)
    with pytest.raises(SpecificationError, match="got 31"):
        FederatedDevices(DeviceSource(), attackers=31)


def test_an_experiment_that_trains_centrally_is_refused_with_what_to_do():
    source = DeviceSource()
    source.experiment = Experiment()
    with pytest.raises(SpecificationError, match=r"tl\.explore_devices"):
        FederatedDevices(source)


def test_the_real_exploration_runs_under_the_panel():
    people = {"cohort.kind": "simulated", "cohort.n_people": 20, "cohort.n_days": 10, "learn.kind": "federated"}
    source = tl.explore_devices(tl.Experiment().with_(people))
    panel = FederatedDevices(source, n_rounds=5, attackers=10, attack="nan", dropout=0.1, quorum_share=0.2)
    fates = count_fates(panel)
    assert sum(fates.values()) == 20
    assert fates["refused"] >= 1
    run = source.run(panel.choices.changes, panel.choices.n_devices)
    assert list_errors(panel) == pytest.approx(
        [run.zero_budget["heart_rate_bpm"], *(view.errors["heart_rate_bpm"] for view in run.rounds)], rel=1e-4
    )
    assert run.rounds[-1].sent_by == run.sent_by
    assert np.array_equal(run.rounds[-1].sent, run.sent, equal_nan=True)
    assert source.measure_start() == dict(run.zero_budget)
