"""Promise: nothing is released that was not charged, the cap holds whoever spends, and a changed record is noticed."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from twinlab.budget import PrivacyBudget, PureEvent
from twinlab.errors import BudgetExhaustedError, PrivacyError
from twinlab.ledger import PrivacyLedger

#: Runs in processes of its own: opens the ledger, spends, and says so only afterwards.
SPENDER = """
import sys
from twinlab.budget import PrivacyBudget, PureEvent, count_leaves
from twinlab.errors import BudgetExhaustedError
from twinlab.ledger import PrivacyLedger

def add_up(events, delta):
    return sum(n * leaf.epsilon for leaf, n in count_leaves(*events).items())

def open_account(path, epsilon=1.0):
    return PrivacyLedger(path, cohort="c", budget=PrivacyBudget(epsilon, 0.0), accountant=add_up)
"""


def add_up(events, delta):
    return sum(event.epsilon for event in events)


def open_account(path, epsilon=1.0):
    return PrivacyLedger(path, cohort="c", budget=PrivacyBudget(epsilon, 0.0), accountant=add_up)


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SPENDER + textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(
    prices=st.lists(st.integers(10_000, 300_000), min_size=2, max_size=4),
    cap=st.integers(300_000, 1_500_000),
)
def test_processes_that_spend_at_once_never_overspend(tmp_path_factory, prices, cap):
    path = tmp_path_factory.mktemp("at_once") / "ledger.sqlite"
    code = """
    ledger = open_account(sys.argv[1], float(sys.argv[2]))
    for _ in range(12):
        try:
            print(round(ledger.spend(PureEvent(float(sys.argv[3]))).epsilon * 1e6), flush=True)
        except BudgetExhaustedError:
            break
    """
    # the account is made by whoever comes first, too
    spenders = [start(code, path, cap / 1e6, price / 1e6) for price in prices]
    ends = [(spender.communicate(timeout=120), spender.returncode) for spender in spenders]
    assert [code for _, code in ends] == [0] * len(ends), ends
    released = [[int(line) for line in out.split()] for (out, _), _ in ends]
    ledger = open_account(path, cap / 1e6)
    charged = [round(row["epsilon"] * 1e6) for row in ledger.entries()]
    assert sorted(charged) == sorted(amount for own in released for amount in own)
    assert sum(charged) == round(ledger.gauge()["spent"] * 1e6) <= cap
    for price, own in zip(prices, released, strict=True):
        assert len(own) == 12 or cap - sum(charged) < price, "refused while there was room"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="WINDOWS has neither fork nor SIGKILL")
def test_a_process_killed_at_any_call_leaves_a_whole_entry_or_none(tmp_path):
    """A child is killed at its first call inside `spend`, the next child at a later one, and so on to the end."""
    code = """
    import os, signal

    def die_at(n):
        left = n
        def hook(frame, event, argument):
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(hook)

    n, status = 1, 1
    while status:
        ledger = open_account(f"{sys.argv[1]}/{n}.sqlite", 2.0)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            die_at(n)
            ledger.spend(PureEvent(0.5))
            sys.setprofile(None)
            os.write(writer, b"released")
            os._exit(0)
        os.close(writer)
        released = os.read(reader, 8) == b"released"
        os.close(reader)
        _, status = os.waitpid(child, 0)
        ledger.spend(PureEvent(1.0))
        print(n, int(released), *[row["epsilon"] for row in ledger.entries()], flush=True)
        n += int(sys.argv[2])
    """
    spender = start(code, tmp_path, 5)
    out, errors = spender.communicate(timeout=120)
    assert spender.returncode == 0, errors
    rows = [line.split() for line in out.splitlines()]
    assert len(rows) > 40
    assert all(charged in (["1.0"], ["0.5", "1.0"]) for _, _, *charged in rows)
    assert all(len(charged) == 2 for _, released, *charged in rows if released == "1")
    assert rows[0][2:] == ["1.0"], "the first children die before anything is written"
    assert rows[-2][2:] == ["0.5", "1.0"], "the last ones die after it is"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="WINDOWS has no SIGKILL")
def test_a_process_killed_at_any_time_leaves_a_whole_entry_or_none(tmp_path):
    path = tmp_path / "ledger.sqlite"
    open_account(path, 1e6)
    code = """
    ledger = open_account(sys.argv[1], 1e6)
    while True:
        print(ledger.spend(PureEvent(0.001)).number, flush=True)
    """
    released = set()
    for i in range(12):
        spender = start(code, path)
        lines = [spender.stdout.readline() for _ in range(i % 4 + 1)]
        spender.kill()
        rest, _ = spender.communicate()
        released |= {int(line) for line in [*lines, *rest.splitlines()] if line.strip()}
    charged = {row["number"] for row in open_account(path, 1e6).entries()}
    assert released <= charged
    assert len(charged) - len(released) <= 12
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def write_history(path, n=4):
    ledger = open_account(path, 100.0)
    for _ in range(n):
        ledger.spend(PureEvent(1.0), experiment="ab12")
    return ledger


def edit(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    for trigger in ("entries_stay", "entries_do_not_change"):
        connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


EDITS = {
    "a smaller charge": [
        "UPDATE entry SET body = replace(body, '\"total_micro\":1', '\"total_micro\":0') WHERE number = 2"
    ],
    "another account": ['UPDATE entry SET body = replace(body, \'"cohort":"c"\', \'"cohort":"d"\') WHERE number = 3'],
    "a larger cap": ["UPDATE entry SET body = replace(body, '\"epsilon_micro\":1', '\"epsilon_micro\":9')"],
    "an entry dropped": ["DELETE FROM entry WHERE number = 3"],
    "an entry dropped, the rest moved up": [
        "DELETE FROM entry WHERE number = 3",
        "UPDATE entry SET number = 3 WHERE number = 4",
        "UPDATE entry SET number = 4 WHERE number = 5",
    ],
    "the last one dropped": ["DELETE FROM entry WHERE number = 5"],
    "all dropped": ["DELETE FROM entry"],
    "two swapped": [
        "UPDATE entry SET number = 99 WHERE number = 2",
        "UPDATE entry SET number = 2 WHERE number = 3",
        "UPDATE entry SET number = 3 WHERE number = 99",
    ],
    "one repeated": ["INSERT INTO entry SELECT 6, body, mac FROM entry WHERE number = 5"],
    "a seal of another type": ["UPDATE entry SET mac = 'x' WHERE number = 2"],
    "the table gone": ["DROP TABLE entry"],
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_ledger_is_noticed_and_spends_nothing(name, tmp_path):
    ledger = write_history(tmp_path / "ledger.sqlite")
    edit(ledger.path, *EDITS[name])
    for use in (
        lambda: ledger.spend(PureEvent(1.0)),
        ledger.remaining,
        ledger.verify,
        lambda: open_account(ledger.path),
    ):
        with pytest.raises(PrivacyError, match="expected an unbroken history") as caught:
            use()
        assert not isinstance(caught.value, BudgetExhaustedError)


def test_entries_are_not_changed_by_accident(tmp_path):
    ledger = write_history(tmp_path / "ledger.sqlite")
    connection = sqlite3.connect(ledger.path)
    for statement in ("DELETE FROM entry WHERE number = 2", "UPDATE entry SET body = '{}' WHERE number = 2"):
        with pytest.raises(sqlite3.IntegrityError, match="entries"):
            connection.execute(statement)
    connection.close()
    assert ledger.verify() == 5


def test_a_copied_deleted_or_rolled_back_ledger_is_noticed(tmp_path):
    ledger = write_history(tmp_path / "ledger.sqlite", 2)
    seal = tmp_path / "ledger.sqlite.seal"
    copy = shutil.copy(ledger.path, tmp_path / "copy.sqlite")
    with pytest.raises(PrivacyError, match=r"its seal copy\.sqlite\.seal is not there"):
        open_account(copy, 100.0)
    shutil.copy(seal, tmp_path / "copy.sqlite.seal")
    with pytest.raises(PrivacyError, match="copy or a restored backup"):
        open_account(copy, 100.0)
    ledger.spend(PureEvent(1.0))
    with open(copy, "rb") as old, open(ledger.path, "r+b") as file:  # the old content in the same file
        file.truncate()
        file.write(old.read())
    with pytest.raises(PrivacyError, match="has 3 entries and its seal remembers 4"):
        ledger.spend(PureEvent(1.0))
    ledger.path.unlink()
    with pytest.raises(PrivacyError, match=r"not there"):
        ledger.spend(PureEvent(1.0))
    with pytest.raises(PrivacyError, match="its seal remembers 4 entries"):
        open_account(ledger.path, 100.0)
    ledger.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(PrivacyError, match="cannot be read"):
        open_account(ledger.path, 100.0)


def test_a_lost_or_foreign_seal_is_noticed(tmp_path):
    ledger = write_history(tmp_path / "ledger.sqlite")
    other = write_history(tmp_path / "other.sqlite")
    seal = tmp_path / "ledger.sqlite.seal"
    mine, foreign = json.loads(seal.read_text()), json.loads((tmp_path / "other.sqlite.seal").read_text())
    seal.write_text(json.dumps({**mine, "key": foreign["key"]}))
    with pytest.raises(PrivacyError, match="entry 1 was changed, or comes from another ledger"):
        ledger.remaining()
    seal.write_text("{}")
    with pytest.raises(PrivacyError, match=r"seal .* cannot be read"):
        ledger.remaining()
    seal.unlink()
    with pytest.raises(PrivacyError, match=r"seal .* is not there"):
        ledger.remaining()
    assert other.remaining() == 96.0


def test_time_turned_back_with_the_seal_is_noticed_by_who_kept_a_digest(tmp_path):
    """The one thing that the files cannot tell by themselves, and what is promised instead."""
    ledger = write_history(tmp_path / "ledger.sqlite", 1)
    seal = tmp_path / "ledger.sqlite.seal"
    old, old_seal, old_digest = ledger.path.read_bytes(), seal.read_bytes(), ledger.digest
    ledger.spend(PureEvent(1.0))
    witnessed = ledger.digest
    assert ledger.verify(old_digest) == 3
    with open(ledger.path, "r+b") as file:
        file.truncate()
        file.write(old)
    seal.write_bytes(old_seal)
    assert ledger.verify() == 2  # from the inside all looks well
    with pytest.raises(PrivacyError, match="continuation of the history"):
        ledger.verify(witnessed)
