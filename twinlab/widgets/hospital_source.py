"""What the panel of hospitals together asks of whoever makes hospitals and asks them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twinlab.roles import Progress

Row = Mapping[str, Any]


class AskedTogether(Protocol):
    """What one question found; `twinlab.pipeline.joint_exploration.HospitalView` is one."""

    @property
    def rows(self) -> Sequence[Row]:
        """As `draw_joint_answer` takes them; none where all together found nothing."""

    @property
    def shares(self) -> Sequence[Row]:
        """As `draw_share_view` takes them: receiver, sender, value, share."""

    @property
    def totals(self) -> Sequence[Row]:
        """As `draw_share_view` takes them: value, total."""

    @property
    def reason(self) -> str:
        """Why all together found nothing; empty where they did."""

    @property
    def epsilon(self) -> float | None:
        """What it may cost a patient; None without noise."""

    @property
    def n_rounds(self) -> int:
        """Sums that were opened."""

    @property
    def n_bytes(self) -> int:
        """Of all messages."""


class HospitalSource(Protocol):
    """What the panel asks of its source; `twinlab.pipeline.joint_exploration.HospitalExploration` is one.

    `admit` may take long where `is_known` says no, and is called by one thread at a time. All else is quick.
    """

    @property
    def questions(self) -> Sequence[str]:
        """What can be asked."""

    @property
    def numbers(self) -> Sequence[int]:
        """How many hospitals there may be, from 3 on."""

    @property
    def sizes(self) -> Sequence[int]:
        """Patients that the smallest may have, fewest first."""

    @property
    def crowds(self) -> Sequence[str]:
        """Whom hospitals may see, in words."""

    @property
    def start(self) -> tuple[int, int, str]:
        """Number, size of the smallest and crowd of the hospitals that are there from the beginning."""

    def is_known(self, n_hospitals: int, n_smallest: int, crowd: str) -> bool:
        """Whether these hospitals are there."""

    def admit(
        self, n_hospitals: int, n_smallest: int, crowd: str, progress: Progress = ...
    ) -> Sequence[tuple[str, int, str]]:
        """Name, patients and whom it sees more of, a hospital each; what `progress` raises ends it."""

    def ask(
        self,
        question: str,
        n_hospitals: int,
        n_smallest: int,
        crowd: str,
        *,
        epsilon: float | None = None,
        most_colluding: int = 1,
    ) -> AskedTogether:
        """Ask hospitals that are there, with fresh shares and noise; nobody is charged."""
