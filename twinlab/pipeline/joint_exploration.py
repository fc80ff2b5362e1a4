"""Hospitals that a panel asks together: made to order, asked anew at every move, with what each holds of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.hospital import BIASES, QUESTION_KINDS, Bias, Hospitals, admit_patients, choose_question
from twinlab.pipeline.joint_asking import JointAnswer, ask_hospitals
from twinlab.pipeline.joint_plan import plan_noise
from twinlab.pipeline.joint_view import compare_parties
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.fixed_point import choose_fixed_point
from twinlab.protection.joint.share import open_shares
from twinlab.protection.joint.statistic import measure_magnitude
from twinlab.roles import Progress, report_nothing

Row = Mapping[str, Any]

#: Whom hospitals see, in words.
OWN_KIND, ALIKE = "each sees its own kind", "all see people like any"
_NO_BIAS: Final[Bias] = "none"
_DELTA = 1e-6
_SIZES: Final = (20, 30, 40, 60, 80, 120, 180, 260, 420, 600)
_FEWEST, _MOST = 3, 7
_FIRST, _SECOND = 1, 2
#: Values of which shares are shown: the round, the place in its vector, and a short name.
_SHOWN: Final[Mapping[str, tuple[tuple[int, int, str], ...]]] = {
    "means": ((_FIRST, 0, "patients"), (_SECOND, 0, "scaled age"), (_SECOND, 5, "scaled glucose")),
    "correlations": ((_FIRST, 0, "patients"), (_SECOND, 0, "scaled age"), (_SECOND, 5, "scaled glucose")),
    "histogram": ((_FIRST, 0, "patients"), (_SECOND, 4, "60 to 65 bpm"), (_SECOND, 5, "65 to 70 bpm")),
    "median": ((_FIRST, 0, "patients"),),
    "linear regression": ((_FIRST, 0, "patients"), (_SECOND, 0, "scaled age"), (_SECOND, 1, "scaled steps")),
    "admission risk": ((_FIRST, 0, "not admitted"), (_FIRST, 1, "admitted"), (_SECOND, 1, "slope, age")),
    "survival": ((_FIRST, 0, "patients"), (_SECOND, 0, "by day 30"), (_SECOND, 1, "by day 60")),
}


@dataclass(frozen=True, repr=False)
class HospitalView:
    """What a question to hospitals together found.

    Attributes:
      rows: as `compare_parties` has them; without joint ones where all together found nothing. Those of single
        hospitals are private to them.
      shares: receiver, sender, value and share of some values of the first sums; private to their receivers.
      totals: value and total, which all see.
      reason: why all together found nothing; empty where they did.
      epsilon: what it may cost a patient; None without noise.
      n_rounds, n_bytes: sums that were opened, and bytes of all messages.
    """

    rows: Sequence[Row]
    shares: Sequence[Row] = ()
    totals: Sequence[Row] = ()
    reason: str = ""
    epsilon: float | None = None
    n_rounds: int = 0
    n_bytes: int = 0

    def __repr__(self) -> str:
        return f"HospitalView({len(self.rows)} rows, {self.n_rounds} rounds, {self.n_bytes:,} bytes, simulated)"


@dataclass(frozen=True, repr=False)
class HospitalExploration:
    """Hospitals to order, and questions to them; `twinlab.widgets.HospitalsTogether` shows it.

    Attributes:
      first: the hospitals it began with.
      n_days: of readings of each patient of new hospitals.
      seed: of people, never of shares or noise.
    """

    first: Hospitals
    n_days: int = 14
    seed: int = 0
    _made: dict[tuple[int, int, str], Hospitals] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made[self.start] = self.first

    @property
    def questions(self) -> Sequence[str]:
        """What can be asked."""
        return QUESTION_KINDS

    @property
    def crowds(self) -> Sequence[str]:
        """Whom hospitals may see."""
        return OWN_KIND, ALIKE

    @property
    def numbers(self) -> Sequence[int]:
        """How many hospitals there may be."""
        return range(_FEWEST, _MOST + 1)

    @property
    def start(self) -> tuple[int, int, str]:
        """How many hospitals it began with, patients of the smallest, and whom they see."""
        crowd = ALIKE if set(self.first.biases) == {_NO_BIAS} else OWN_KIND
        return len(self.first.names), min(self._sizes), crowd

    @property
    def sizes(self) -> Sequence[int]:
        """Patients that the smallest may have: up to those of the largest."""
        return sorted({min(self._sizes), *(size for size in _SIZES if size < max(self._sizes)), max(self._sizes)})

    def is_known(self, n_hospitals: int, n_smallest: int, crowd: str) -> bool:
        """Whether these hospitals are there without simulating people."""
        return (n_hospitals, n_smallest, crowd) in self._made

    def admit(
        self, n_hospitals: int, n_smallest: int, crowd: str, progress: Progress = report_nothing
    ) -> Sequence[tuple[str, int, str]]:
        """Simulate hospitals, unless they are there; what `progress` raises ends it.

        Sizes go in even steps from the largest, as large as at the beginning, to the smallest.

        Returns:
          Name, patients and whom it sees more of, a hospital each; the patients do not exist.

        Raises:
          SpecificationError: if it is none of `numbers`, `sizes` and `crowds`.
        """
        table = self._find(n_hospitals, n_smallest, crowd, progress).describe()
        return list(zip(table["hospital"], map(int, table["patients"]), table["sees_more"], strict=True))

    def ask(
        self,
        question: str,
        n_hospitals: int,
        n_smallest: int,
        crowd: str,
        *,
        epsilon: float | None = None,
        most_colluding: int = 1,
    ) -> HospitalView:
        """Ask all hospitals, in this process, with fresh shares and fresh noise. Nobody exists, so nobody is charged.

        Args:
          question: one of `questions`.
          n_hospitals, n_smallest, crowd: which hospitals; simulated first if they are not there.
          epsilon: what the answer would cost a patient; None opens exact sums.
          most_colluding: how many may pool what they saw.

        Raises:
          SpecificationError: if a value is none that is offered, or as many as half may collude.
        """
        hospitals = self._find(n_hospitals, n_smallest, crowd, report_nothing)
        asked = choose_question(question, hospitals)
        tables = hospitals.take_rows(asked)
        most_rows = 1 << (max(map(len, tables.values())) - 1).bit_length()
        try:
            found = ask_hospitals(
                asked, tables, epsilon=epsilon, delta=_DELTA, most_colluding=most_colluding, most_rows=most_rows
            )
        except DataContractError as error:  # so much noise that too few people are counted, or no curve is left
            return HospitalView([], reason=str(error), epsilon=epsilon)
        largest = measure_magnitude(most_rows)
        if epsilon is not None:
            plan = plan_noise(
                asked, n_parties=len(tables), most_colluding=most_colluding, epsilon=epsilon, delta=_DELTA,
                most_rows=most_rows,
            )  # fmt: skip
            largest = plan.largest
        shares, totals = _open_first(found, _SHOWN[question], most_colluding, largest)
        return HospitalView(
            rows=compare_parties(found, question, hospitals.truth),
            shares=shares,
            totals=totals,
            epsilon=epsilon,
            n_rounds=found.n_rounds,
            n_bytes=found.n_bytes,
        )

    @property
    def _sizes(self) -> list[int]:
        return [len(table) for table in self.first.tables.values()]

    def _find(self, n_hospitals: int, n_smallest: int, crowd: str, progress: Progress) -> Hospitals:
        """Hospitals that are there, or new ones."""
        key = (n_hospitals, n_smallest, crowd)
        if key not in self._made:
            self._check(n_hospitals, n_smallest, crowd)
            sizes = np.linspace(max(self._sizes), n_smallest, n_hospitals).round().astype(int).tolist()
            biases = self._choose_biases(n_hospitals, crowd)
            self._made[key] = admit_patients(
                sizes, biases=biases, n_days=self.n_days, seed=self.seed, progress=progress
            )
        return self._made[key]

    def _choose_biases(self, n_hospitals: int, crowd: str) -> tuple[Bias, ...]:
        """Those it began with, then the others, over again; or none."""
        if crowd == ALIKE:
            return (_NO_BIAS,) * n_hospitals
        first = () if self.start[2] == ALIKE else self.first.biases
        kinds = (*first, *(bias for bias in BIASES if bias not in first))
        return tuple(kinds[place % len(kinds)] for place in range(n_hospitals))

    def _check(self, n_hospitals: int, n_smallest: int, crowd: str) -> None:
        """Refuse hospitals that are not offered, all faults at once."""
        offers: list[tuple[str, Any, Sequence[Any]]] = [
            ("n_hospitals", n_hospitals, self.numbers), ("n_smallest", n_smallest, self.sizes),
            ("crowd", crowd, self.crowds),
        ]  # fmt: skip
        faults = [
            f"{name}: expected one of {', '.join(map(str, known))}, got {value!r}; choose one"
            for name, value, known in offers
            if value not in known
        ]
        if faults:
            raise SpecificationError("\n".join(faults))

    def __repr__(self) -> str:
        return f"HospitalExploration({self.first!r})"


def explore_hospitals(
    hospitals: Hospitals | None = None, *, n_days: int = 14, seed: int = 0, progress: Progress = report_nothing
) -> HospitalExploration:
    """Get hospitals ready for a panel that asks them together, and makes others on demand.

    Args:
      hospitals: to begin with, from `admit_patients`; three of them when None.
      n_days: of readings of each patient of hospitals that are made later; public.
      seed: of their people; public.
      progress: told while people and twins live.

    Raises:
      SpecificationError: if there are too few days.
    """
    first = hospitals if hospitals is not None else admit_patients(n_days=n_days, seed=seed, progress=progress)
    return HospitalExploration(first, n_days, seed)


def _open_first(
    found: JointAnswer, shown: Sequence[tuple[int, int, str]], most_colluding: int, largest: float
) -> tuple[list[Row], list[Row]]:
    """Shares of some values as they were dealt, and the sums that all parties opened from shares of them."""
    parties = list(found.own)
    fixed_point = choose_fixed_point(largest=largest, n_parties=len(parties))
    shares: list[Row] = []
    totals: list[Row] = []
    for number in dict.fromkeys(number for number, _, _ in shown):
        values = [(place, name) for round_number, place, name in shown if round_number == number]
        opened: dict[int, np.ndarray] = {}
        for message in found.transcript:
            if message.kind == f"share of the sum, round {number}" and message.receiver == parties[0]:
                opened[parties.index(message.sender) + 1] = np.ravel(message.payload)
            elif message.kind == f"share of a vector, round {number}":
                held = np.ravel(message.payload)
                shares += [
                    {"receiver": message.receiver, "sender": message.sender, "value": name,
                     "share": float(held[place]) / PRIME}
                    for place, name in values
                ]  # fmt: skip
        total = fixed_point.decode_sum(open_shares(opened, most_colluding + 1))
        totals += [{"value": name, "total": float(total[place])} for place, name in values]
    shares.sort(key=lambda row: (parties.index(row["receiver"]), parties.index(row["sender"])))
    return shares, totals
