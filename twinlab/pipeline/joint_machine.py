"""A party of a joint question on a machine of its own: its key, its rows from a CSV file, and its part in a run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinlab.errors import DataContractError
from twinlab.pipeline.joint_party import find_disturbance
from twinlab.protection.joint.identity import make_identity, write_identity
from twinlab.protection.joint.link import Link
from twinlab.protection.joint.party_config import load_party_config, write_example
from twinlab.protection.joint.party_run import RunPhase, run_party
from twinlab.protection.joint.question_file import list_columns
from twinlab.protection.joint.statistic import Column, check_rows
from twinlab.roles import Progress, report_nothing

#: Parties that know each other renew certificates every second year.
_DAYS = 730


@dataclass(frozen=True)
class NewParty:
    """What was made for a party.

    Attributes:
      key: file that stays where it is.
      certificate: file for the other parties.
      fingerprint: of the certificate, to be compared by another way than the file went.
      config: an example, where there was none.
    """

    key: Path
    certificate: Path
    fingerprint: str
    config: Path


@dataclass(frozen=True, repr=False)
class PartyReport:
    """What a party has after a run.

    Attributes:
      answer: as public as the parties make it.
      n_rounds: sums that were opened.
      costs: a row for each sender and phase of what came here: sender, phase, messages, bytes, seconds.
    """

    answer: Any
    n_rounds: int
    costs: tuple[dict[str, Any], ...]

    def __repr__(self) -> str:
        return f"PartyReport({self.n_rounds} sums): {self.answer}"


def make_party(name: str, folder: Path) -> NewParty:
    """Make a party's key and certificate, and an example of its configuration.

    Args:
      name: of the party; public.
      folder: where files go; made if it is not there.

    Raises:
      SpecificationError: if there is a key already, or the name does not do.
    """
    identity = make_identity(name, _DAYS)
    key, certificate = write_identity(identity, folder)
    config = folder / f"{name}.toml"
    if not config.exists():
        others = [other for other in ("north", "south", "east") if other != name][:2]
        config.write_text(write_example((name, *others)), encoding="utf-8")
    return NewParty(key, certificate, identity.fingerprint, config)


def run_configured_party(config: Path, rows: Path, progress: Progress = report_nothing) -> PartyReport:
    """Take part in a run between machines.

    Args:
      config: the party's TOML file.
      rows: CSV file with a header; private. It holds at least the columns that the question names.
      progress: hears of each phase.

    Raises:
      SpecificationError: if the configuration is wrong. Nothing was sent.
      DataContractError: if the rows break their bounds, or there are too few of them over all parties.
      ProtocolError: if a party is missing or does not do its part; the message names it.
    """
    found = load_party_config(config)
    columns = list_columns(found.terms.question)
    table = check_rows(load_rows(rows, columns), columns)

    def report_phase(number: int, n_rounds: int, phase: RunPhase) -> None:
        progress(f"sum {number}: {phase}" if number else "parties agree", number, n_rounds + 1)

    with Link(found.identity, time_limit_s=found.time_limit_s, listen=found.listen) as link:
        progress(f"waiting at {link.address} for {', '.join(found.addresses)}", 0, found.terms.question.n_rounds + 1)
        link.connect(found.addresses, found.certificates, wait_s=found.wait_s)
        run = run_party(
            found.terms, link, table, disturb=find_disturbance(found.terms.noise), report_phase=report_phase
        )
    n_all = found.terms.question.n_rounds + 1
    progress("joint answer", n_all, n_all)
    costs: dict[tuple[str, str], dict[str, Any]] = {}
    for each in run.received:
        start = {"sender": each.sender, "phase": each.phase, "messages": 0, "bytes": 0, "seconds": 0.0}
        row = costs.setdefault((each.sender, each.phase), start)
        row["messages"] += 1
        row["bytes"] += each.n_bytes
        row["seconds"] += each.seconds
    return PartyReport(run.answer, len(run.totals), tuple(costs.values()))


def load_rows(path: Path, columns: Sequence[Column]) -> np.ndarray:
    """Some columns of a CSV file, found by the names in its header; other columns are left alone.

    Returns:
      float (row, column); NaN where a cell is empty.

    Raises:
      DataContractError: if a column is missing or holds what is no number. The message has neither values nor rows.
    """
    names = [column.name for column in columns]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if missing := [name for name in names if list(header).count(name) != 1]:
                raise DataContractError(
                    f"{path.name}: expected columns {', '.join(names)}, each once, got no or several of "
                    f"{', '.join(missing)}; name them in the file's first line"
                )
            cells = [[record[name] for name in names] for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataContractError(
            f"{path.name}: expected a CSV file in UTF-8, got none ({type(error).__name__}); export it anew"
        ) from None
    table = np.full((len(cells), len(names)), np.nan)
    for at, name in enumerate(names):
        try:
            table[:, at] = [float(record[at]) if record[at] and record[at].strip() else np.nan for record in cells]
        except ValueError:
            raise DataContractError(
                f"{path.name}: expected numbers in {name}, got something else in some cells; recode or empty them"
            ) from None
    return table
