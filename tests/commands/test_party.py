"""Parties on machines of their own: new keys, a file each, one answer."""

import contextlib
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from twinlab.commands.party import print_guide, print_joint_answer, print_new_party
from twinlab.errors import BudgetExhaustedError, DataContractError, SpecificationError
from twinlab.pipeline.joint_machine import load_rows, run_configured_party
from twinlab.protection.joint import Column, MomentQuestion, add_plainly, ask_jointly

NAMES = ("north", "south", "east")
COLUMNS = (Column("age", 18, 98, "years"), Column("resting_heart_rate_bpm", 30, 130, "bpm"))


@pytest.fixture
def folder(tmp_path, capsys):
    """Three parties' files on this machine, with rows, as they follow from `party new` and the guide."""
    rng = np.random.default_rng(2)
    with contextlib.ExitStack() as stack:
        probes = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in NAMES}
        ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for name in NAMES:
        assert print_new_party(name, tmp_path) == 0
    assert capsys.readouterr().out.count("fingerprint, to compare") == 3
    example = re.sub(r"\[privacy\].*?\n\n", "", (tmp_path / "north.toml").read_text(), flags=re.DOTALL)
    assert "epsilon" not in example
    for name in NAMES:
        text = example.replace('name = "north"\nkey = "north.key"', f'name = "{name}"\nkey = "{name}.key"')
        text = text.replace("0.0.0.0:7461", f"127.0.0.1:{ports[name]}")
        for other, port in ports.items():
            text = text.replace(f"{other}.example.org:7461", f"127.0.0.1:{port}")
        (tmp_path / f"{name}.toml").write_text(text)
        rows = np.column_stack([rng.uniform(20, 90, 15), np.arange(15), rng.uniform(50, 90, 15)])
        header = "age,number,resting_heart_rate_bpm"
        np.savetxt(tmp_path / f"{name}.csv", rows, delimiter=",", header=header, comments="")
    return tmp_path


def test_three_configured_parties_have_the_pooled_answer(folder, capsys):
    tables = [load_rows(folder / f"{name}.csv", COLUMNS) for name in NAMES]
    heard = []

    def work(name):
        if name == "north":
            return print_joint_answer(folder / "north.toml", folder / "north.csv", prints_json=True)
        return run_configured_party(folder / f"{name}.toml", folder / f"{name}.csv", lambda *told: heard.append(told))

    with ThreadPoolExecutor(len(NAMES)) as pool:
        found = dict(zip(NAMES, pool.map(work, NAMES), strict=True))
    expected = ask_jointly(MomentQuestion(COLUMNS), tables, add_plainly)
    assert found["south"].answer.means == pytest.approx(expected.means, rel=1e-9)
    said = json.loads(capsys.readouterr().out)
    assert said["sentence"] == found["south"].answer.sentence
    assert [row["column"] for row in said["table"]] == ["age", "resting_heart_rate_bpm"]
    assert {(row["sender"], row["phase"], row["messages"]) for row in said["costs"]} >= {("east", "share", 2)}
    assert "joint answer" in {what for what, _, _ in heard}


def test_an_answer_is_printed_with_its_costs(folder, capsys):
    def work(name):
        return print_joint_answer(folder / f"{name}.toml", folder / f"{name}.csv", prints_json=False)

    with ThreadPoolExecutor(len(NAMES)) as pool:
        assert list(pool.map(work, NAMES)) == [0, 0, 0]
    said = capsys.readouterr()
    assert said.out.count("Over 45 people: age has mean") == 3
    assert said.out.count("2 sums were opened; what came here:") == 3
    assert said.out.count("no guarantee: the answer is exact") == 3
    assert "waiting at 127.0.0.1" in said.err


def test_with_an_epsilon_each_party_pays_first_and_stops_where_its_budget_ends(folder, capsys):
    for name in NAMES:
        path = folder / f"{name}.toml"
        path.write_text(path.read_text().replace("[question]", "[privacy]\nepsilon = 200\ndelta = 1e-7\n[question]"))

    def work(name, budget=300.0):
        own = {"ledger": folder / f"{name}.sqlite", "budget": budget}
        return run_configured_party(folder / f"{name}.toml", folder / f"{name}.csv", **own)

    with ThreadPoolExecutor(len(NAMES)) as pool:
        found = list(pool.map(work, NAMES))
    tables = [load_rows(folder / f"{name}.csv", COLUMNS) for name in NAMES]
    exact = ask_jointly(MomentQuestion(COLUMNS), tables, add_plainly)
    assert {tuple(each.answer.means) for each in found} == {tuple(found[0].answer.means)} != {tuple(exact.means)}
    assert found[0].answer.means == pytest.approx(exact.means, rel=0.1)
    assert all("epsilon 2" in str(each.guarantee) and "charged epsilon" in each.receipt for each in found)
    with ThreadPoolExecutor(len(NAMES)) as pool:
        again = [pool.submit(work, name) for name in NAMES]
    assert all(isinstance(each.exception(), BudgetExhaustedError) for each in again)


def test_rows_are_checked_before_anybody_is_spoken_to(folder):
    path = folder / "rows.csv"
    for text, fault in (
        ("age\n40\n", "expected columns age, resting_heart_rate_bpm, each once, got no or several of resting"),
        ("age,resting_heart_rate_bpm\n40,fast61\n", "expected numbers in resting_heart_rate_bpm, got something else"),
        ("age,resting_heart_rate_bpm\n40,\n", "got missing ones in resting_heart_rate_bpm"),
        ("age,resting_heart_rate_bpm\n40,161\n", "resting_heart_rate_bpm: expected values from 30 to 130, got some"),
        ("age,resting_heart_rate_bpm\n40\n", "got missing ones in resting_heart_rate_bpm"),
    ):
        path.write_text(text)
        with pytest.raises(DataContractError, match=fault) as caught:
            run_configured_party(folder / "north.toml", path)
        assert "61" not in str(caught.value)
    with pytest.raises(DataContractError, match=r"expected a CSV file in UTF-8, got none \(FileNotFoundError\)"):
        run_configured_party(folder / "north.toml", folder / "none.csv")


def test_a_key_is_not_overwritten(folder):
    with pytest.raises(SpecificationError, match="keep that key"):
        print_new_party("north", folder)


def test_the_guide_names_the_commands(capsys):
    assert print_guide() == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("party new", "party run", "fingerprint", "firewall"))
