"""A party of a joint question on a machine of its own: its key, its rows from a CSV file, and its part in a run."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twinlab.budget import PrivacyBudget
from twinlab.errors import DataContractError
from twinlab.ledger import open_ledger
from twinlab.pipeline.joint_asking import EXACT
from twinlab.pipeline.joint_party import find_disturbance
from twinlab.pipeline.joint_plan import NoisePlan, plan_noise
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.joint.identity import make_identity, write_identity
from twinlab.protection.joint.link import Link
from twinlab.protection.joint.party_config import PartyConfig, load_party_config, write_example
from twinlab.protection.joint.party_run import RunPhase, RunTerms, run_party
from twinlab.protection.joint.question_file import list_columns
from twinlab.protection.joint.statistic import Column, check_rows
from twinlab.release import DifferentialPrivacy, NoGuarantee
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
      guarantee: what is promised to the people in the answer.
      receipt: what this party's ledger was charged, in words; empty for exact sums.
    """

    answer: Any
    n_rounds: int
    costs: tuple[dict[str, Any], ...]
    guarantee: DifferentialPrivacy | NoGuarantee
    receipt: str

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


def run_configured_party(
    config: Path,
    rows: Path,
    progress: Progress = report_nothing,
    *,
    ledger: Path | None = None,
    budget: float = 10.0,
) -> PartyReport:
    """Take part in a run between machines.

    With an epsilon in the configuration this party's people pay from one account, which bears the party's name, before
    anything of them is shared; what is then spoiled stays charged.

    Args:
      config: the party's TOML file.
      rows: CSV file with a header; private. It holds at least the columns that the question names, a row a person.
      progress: hears of each phase.
      ledger: the file of the party's ledger; the user's own when None.
      budget: epsilon that the party's people may lose in all.

    Raises:
      SpecificationError: if the configuration is wrong. Nothing was sent.
      BudgetExhaustedError: if the party's ledger does not allow it; nothing was spent, and no share was sent.
      DataContractError: if the rows break their bounds, or there are too few of them over all parties.
      ProtocolError: if a party is missing or does not do its part; the message names it.
    """
    found = load_party_config(config)
    terms, plan = _plan(found)
    columns = list_columns(terms.question)
    table = check_rows(load_rows(rows, columns), columns)

    def report_phase(number: int, n_rounds: int, phase: RunPhase) -> None:
        progress(f"sum {number}: {phase}" if number else "parties agree", number, n_rounds + 1)

    n_all = terms.question.n_rounds + 1
    with Link(found.identity, time_limit_s=found.time_limit_s, listen=found.listen) as link:
        progress(f"waiting at {link.address} for {', '.join(found.addresses)}", 0, n_all)
        link.connect(found.addresses, found.certificates, wait_s=found.wait_s)
        receipt = _charge(found, plan, ledger, budget)
        run = run_party(terms, link, table, disturb=find_disturbance(terms.noise), report_phase=report_phase)
    progress("joint answer", n_all, n_all)
    costs: dict[tuple[str, str], dict[str, Any]] = {}
    for each in run.received:
        start = {"sender": each.sender, "phase": each.phase, "messages": 0, "bytes": 0, "seconds": 0.0}
        row = costs.setdefault((each.sender, each.phase), start)
        row["messages"] += 1
        row["bytes"] += each.n_bytes
        row["seconds"] += each.seconds
    guarantee = EXACT if plan is None else plan.guarantee
    return PartyReport(run.answer, len(run.totals), tuple(costs.values()), guarantee, receipt)


def _plan(found: PartyConfig) -> tuple[RunTerms, NoisePlan | None]:
    """The terms with their noise, which follows from what all parties' files have in common."""
    if found.epsilon is None or found.delta is None:
        return found.terms, None
    plan = plan_noise(
        found.terms.question,
        n_parties=len(found.terms.names),
        most_colluding=found.terms.most_colluding,
        epsilon=found.epsilon,
        delta=found.delta,
        most_rows=found.terms.most_rows,
    )
    return replace(found.terms, question=plan.question, noise=plan.noise), plan


def _charge(found: PartyConfig, plan: NoisePlan | None, path: Path | None, budget: float) -> str:
    """Let this party's people pay, or be refused."""
    if plan is None:
        return ""
    name = found.identity.name
    account = hashlib.sha256(f"party {name}".encode()).hexdigest()[:16]
    cap = PrivacyBudget(budget, plan.delta)
    ledger = open_ledger(path, cohort=account, budget=cap, accountant=compute_epsilon)
    return str(ledger.spend(plan.event, purpose="joint answer", experiment=found.terms.digest.hex()[:16]))


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
