import subprocess
import sys

import pytest

from twinlab.__main__ import main, parse_changes
from twinlab.commands.doctor import Check, Examination, examine_machine
from twinlab.commands.workspace import QUIET, find_notebook, make_quiet_environment
from twinlab.errors import SpecificationError


def test_show_prints_every_field_with_its_limits(capsys):
    assert main(["show", "--set", "twin.process_noise=0.02"]) == 0
    out = capsys.readouterr().out
    assert "twin.process_noise" in out
    assert "0.02" in out
    assert "2 to 100000" in out


def test_wrong_words_are_told_all_at_once(capsys):
    assert main(["show", "--set", "cohort.n_people=1", "--set", "twin.covrage=2"]) == 2
    text = capsys.readouterr().err
    assert "expected 2 to 100000, got 1" in text
    assert "did you mean 'coverage'?" in text


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("x=3", 3),
        ("x=0.5", 0.5),
        ("x=['a', 'b']", ["a", "b"]),
        ("x=true", True),
        ("x=none", None),
        ("x=some text", "some text"),
        ("x=a=b", "a=b"),
        ("x=", ""),
        ("x=__import__('os')", "__import__('os')"),
    ],
)
def test_values_are_read_as_what_they_look_like(words, value):
    assert parse_changes([words]) == {"x": value}


def test_a_change_without_equals_sign_is_refused():
    with pytest.raises(SpecificationError, match="FIELD=VALUE"):
        parse_changes(["seed"])


def test_an_unknown_notebook_names_those_there_are():
    with pytest.raises(SpecificationError, match="00_welcome"):
        find_notebook("99")


def test_notebooks_are_found_by_number_and_name():
    assert find_notebook("1").stem == find_notebook("01").stem == "01_meet_your_twin"
    assert find_notebook("00_welcome").name == "00_welcome.ipynb"


def test_unknown_words_end_with_status_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--fast"])
    assert caught.value.code == 2
    assert "unknown words: --fast" in capsys.readouterr().err


def test_the_command_works_as_a_module():
    done = subprocess.run([sys.executable, "-m", "twinlab", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("twinlab ")


def test_the_doctor_finds_this_machine_well():
    examination = examine_machine()
    ill = [check for check in examination.checks if not check.is_ok]
    assert not ill, examination
    assert {"Python", "torch", "memory", "chart renderer", "write access"} <= {c.name for c in examination.checks}


def test_the_doctor_says_what_to_do():
    examination = Examination(
        (Check("torch", False, "not installed", "run `make setup`"), Check("pandas", True, "3")), 1.0
    )
    assert not examination.is_ok
    assert "1 to mend" in repr(examination)
    assert "-> run `make setup`" in repr(examination)


def test_telemetry_is_off_unless_the_user_turned_it_on(monkeypatch):
    monkeypatch.delenv("FLWR_TELEMETRY_ENABLED", raising=False)
    assert {name: make_quiet_environment()[name] for name in QUIET}["FLWR_TELEMETRY_ENABLED"] == "0"
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    assert make_quiet_environment()["FLWR_TELEMETRY_ENABLED"] == "1"


def test_the_frontier_is_a_table_on_the_command_line(capsys):
    small = ["--set", "cohort.n_people=6", "--set", "cohort.n_days=8", "--set", "learn.privacy.n_steps=4"]
    assert main(["frontier", "--set", "learn.privacy=person", *small, "--signal", "steps", "--json"]) == 0
    assert '"verdict"' in capsys.readouterr().out


def test_real_people_are_told_the_price_before_anything_is_spent(capsys, tmp_path, monkeypatch, fitbit_folder):
    monkeypatch.setenv("TWINLAB_LEDGER", str(tmp_path / "ledger.sqlite"))
    words = ["--set", "cohort=fitbit", "--set", f"cohort.path={fitbit_folder}", "--set", "learn.privacy=person"]
    assert main(["frontier", *words, "--set", "learn.privacy.expected_people=40"]) == 1
    assert "Nothing was spent" in capsys.readouterr().err
