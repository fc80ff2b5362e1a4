"""`python -m twinlab party`: a party of a joint question on a machine of its own."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twinlab.pipeline.joint_machine import PartyReport, make_party, run_configured_party

GUIDE = """\
Asking several providers' people one question, each on its own machine

Steps
  1. Each party: `python -m twinlab party new NAME --folder FOLDER`. It makes NAME.key, which never leaves the machine,
     NAME.pem for the others, and NAME.toml to begin with.
  2. Send each other the .pem files, and compare their fingerprints by telephone or in person. A file that was swapped
     on the way would let somebody else in under that party's name, so this step is what everything else rests on.
  3. Agree on the question, its columns with bounds, most_colluding, most_rows and addresses, before anybody looks at
     data. Everything but [party] is the same in all files; parties compare a hash of it before anything is shared.
  4. Open one port of the firewall for the other parties' addresses (7461 here, TCP, inwards). Of two parties the one
     whose name sorts later connects to the other, so the last needs no open port.
  5. Each party, within wait_s of each other: `python -m twinlab party run NAME.toml --rows rows.csv`. The file's first
     line names its columns. All get the same answer, or none.

Who sees what
  - Every party sees every total that is opened (the question's documentation lists them) and the answer.
  - Up to most_colluding parties together learn nothing else of the others' rows, even if they lie. One more opens
    everything: with three parties any two that collude have all vectors of the third.
  - The network sees who talks to whom, when, and how much, and nothing of what.
  - Nobody sees rows; they do not leave the machine. What totals say of few people is for [privacy]: each party adds
    noise of its own before it shares, so that nobody knows it all, and charges its own people's ledger first (the
    user's own, or --ledger FILE; --budget is the cap). Without [privacy] sums are exact and protect nobody in them.

What mutual TLS does, and what not
  - Each connection is encrypted (TLS 1.3), and both ends show a certificate that must be exactly the agreed one.
  - It does not make an answer true: a party may enter nonsense within the bounds.
  - It does not help against who copies a key from a party's disk.
  - It does not withstand a later quantum computer: who recorded all of a party's connections could then read the shares
    and open its vectors.

If something fails
  Nothing is answered, and the message names the party that is missing or differs. Do not repeat a spoiled run without
  one party: who spoiled it may have read a total, and two totals that differ by one party give its vector away.
"""


def print_new_party(name: str, folder: Path) -> int:
    """Make a party's key and certificate and say what to do with them."""
    found = make_party(name, folder)
    print(f"key, stays here:         {found.key}\ncertificate, for others: {found.certificate}")
    print(f"fingerprint, to compare: {found.fingerprint}\nconfiguration, to edit:  {found.config}")
    return 0


def print_joint_answer(
    config: Path, rows: Path, *, prints_json: bool, ledger: Path | None = None, budget: float = 10.0
) -> int:
    """Take part in a run and print the answer and what it cost."""
    progress = _stay_silent if prints_json else _report
    report = run_configured_party(config, rows, progress, ledger=ledger, budget=budget)
    if prints_json:
        print(json.dumps(_write_report(report), allow_nan=False))
        return 0
    print(f"\n{report.answer.sentence}\n")
    _print_table(report.answer.table())
    print(f"\n{report.guarantee}")
    if report.receipt:
        print(report.receipt)
    print(f"\n{report.n_rounds} sums were opened; what came here:")
    _print_table(report.costs)
    return 0


def print_guide() -> int:
    """Print how parties on several machines ask together."""
    print(GUIDE)
    return 0


def _write_report(report: PartyReport) -> dict[str, Any]:
    """As JSON has it, which knows no number that is none."""
    table = [
        {name: None if isinstance(cell, float) and not math.isfinite(cell) else cell for name, cell in row.items()}
        for row in report.answer.table()
    ]
    return {
        "sentence": report.answer.sentence,
        "table": table,
        "guarantee": str(report.guarantee),
        "receipt": report.receipt,
        "n_rounds": report.n_rounds,
        "costs": list(report.costs),
    }


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    cells = [
        {name: f"{cell:.5g}" if isinstance(cell, float) else str(cell) for name, cell in row.items()} for row in rows
    ]
    widths = {name: max(len(name), *(len(row[name]) for row in cells)) for name in cells[0]}
    for row in ({name: name for name in widths}, *cells):
        print("  ".join(f"{row[name]:>{width}}" for name, width in widths.items()))


def _report(what: str, done: int, total: int) -> None:
    """Progress on one line of standard error."""
    print(f"\r{what:<70}", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _stay_silent(what: str, done: int, total: int) -> None:
    """Progress for a reader who is a program."""
