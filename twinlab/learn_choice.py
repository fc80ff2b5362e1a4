"""How the shared part of everybody's twin is learned: what can be chosen there."""

from collections.abc import Iterator
from typing import Annotated, Literal, Union

from pydantic import Field

from twinlab.choice import Choice, Unprotected

#: How many people take part, where a sum must be divided by a number that was not counted from the data.
_EXPECTED_PEOPLE = (
    "Declared number of people, what sums are divided by; never counted from the data. Simulated people's own number "
    "when left open."
)
REHEARSAL = "Noise that a seed repeats, for a lesson. It protects nobody, and the release says so."


class PersonPrivacy(Choice):
    """Private training whose unit is a person: no single person counts for much in what is learned."""

    kind: Literal["person"] = "person"
    epsilon: float = Field(1.0, ge=0.05, le=50, description="Privacy loss of a person by this training.")
    start: Literal["simulated", "constant"] = Field(
        "simulated",
        description="Where training starts: from simulated people, or from public constants; neither costs anything.",
    )
    expected_people: int | None = Field(None, ge=2, le=10_000_000, description=_EXPECTED_PEOPLE)
    clipping: Literal["automatic", "fixed", "quantile"] = Field(
        "automatic", description="How one person's gradient is bounded: brought near the bound, cut, or cut adaptively."
    )
    clip_norm: float = Field(1.0, gt=0, le=1000, description="The bound; of any size for automatic clipping.")
    noise_schedule: Literal["constant", "down", "up"] = Field(
        "constant", description="Noise over the steps, at the same cost: equal, falling or rising by 2.3."
    )
    optimizer: Literal["descent", "momentum", "adam"] = Field(
        "momentum", description="What is done with the noisy mean gradient; it costs nothing."
    )
    sampling_probability: float = Field(
        1.0, gt=0, le=1, description="With which each person takes part in a step, by a secret coin; 1 is everybody."
    )
    n_steps: int | None = Field(None, ge=1, le=5000, description="Steps; more with a larger epsilon when left open.")
    rehearsal: bool = Field(False, description=REHEARSAL)


class RecordPrivacy(Choice):
    """Private training whose unit is one training row, by Opacus. A person with many rows is protected far less."""

    kind: Literal["record"] = "record"
    epsilon: float = Field(1.0, ge=0.05, le=50, description="Privacy loss of one training row, not of a person.")
    start: Literal["simulated", "constant"] = Field(
        "simulated", description="Where training starts: from simulated people, or from public constants."
    )
    expected_people: int | None = Field(None, ge=2, le=10_000_000, description=_EXPECTED_PEOPLE)
    rows_per_person: int = Field(
        128, ge=4, le=4096, description="Most rows of a person, a public limit; the rest is left out."
    )
    clip_norm: float = Field(1.0, gt=0, le=1000, description="Bound of one row's gradient.")
    sampling_probability: float = Field(
        0.05, gt=0, le=1, description="With which each row takes part in a step, by a secret coin."
    )
    n_steps: int = Field(100, ge=1, le=5000, description="Steps.")
    rehearsal: bool = Field(False, description=REHEARSAL)


LearnPrivacy = Annotated[Union[Unprotected, PersonPrivacy, RecordPrivacy], Field(discriminator="kind")]


class CentralLearning(Choice):
    """One trainer holds everybody's readings and trains the shared backbone on them."""

    kind: Literal["central"] = "central"
    train_fraction: float = Field(
        0.7, ge=0.2, le=0.95, description="Share of each person's own time that trains; the rest, later, tests."
    )
    n_epochs: int = Field(30, ge=1, le=1000, description="How often open training passes over all people.")
    learning_rate: float = Field(0.004, gt=0, le=1, description="Step size of Adam, in open training.")
    privacy: LearnPrivacy = Field(Unprotected(), description="What keeps people out of the weights that are released.")


class FederatedPrivacy(Choice):
    """Noise on the sum of devices' updates, so that no single person counts for much in any round's model."""

    kind: Literal["person"] = "person"
    epsilon: float = Field(2.0, ge=0.05, le=50, description="Privacy loss of a person by all rounds together.")
    noise_at: Literal["server", "devices"] = Field(
        "server",
        description="Who adds the noise: the server, which is trusted to, or each device its part, under sums that "
        "hide single updates.",
    )
    expected_people: int | None = Field(None, ge=2, le=10_000_000, description=_EXPECTED_PEOPLE)
    rehearsal: bool = Field(False, description=REHEARSAL)


class PlainSum(Choice):
    """Every device sends its update as it is, and the server reads it."""

    kind: Literal["plain"] = "plain"


class SecureSum(Choice):
    """Devices mask their updates so that the server can read a group's sum and nothing else."""

    kind: Literal["secure"] = "secure"
    group_size: int = Field(
        20, ge=3, le=200, description="Devices whose updates are added under one set of masks; the server sees sums."
    )
    threshold_share: float = Field(
        0.67, gt=0.5, le=1, description="Share of a group that must stay to the end; with fewer the sum stays closed."
    )


class EncryptedSum(Choice):
    """Devices encrypt their updates; the server adds what it cannot read, and asks who holds the key for one total."""

    kind: Literal["encrypted"] = "encrypted"
    key_holder: Literal["third_party", "devices"] = Field(
        "third_party",
        description="Who opens totals: a party beside the server, or every device, and then any one of them with the "
        "server opens every update.",
    )
    threshold: bool = Field(
        False, description="Experimental: trustees hold shares of the key, and a total opens with all of them only."
    )
    n_trustees: int = Field(3, ge=2, le=20, description="Trustees among whom the key is shared, under threshold.")
    bits: int = Field(
        16, ge=8, le=32, description="Bits of a number in an encrypted update; fewer send less and round more."
    )


FederatedPrivacyChoice = Annotated[Union[Unprotected, FederatedPrivacy], Field(discriminator="kind")]
SumChoice = Annotated[Union[PlainSum, SecureSum, EncryptedSum], Field(discriminator="kind")]


class FederatedLearning(Choice):
    """Readings stay on people's devices, which train on them and send updates of the shared part."""

    kind: Literal["federated"] = "federated"
    train_fraction: float = Field(
        0.7, ge=0.2, le=0.95, description="Share of each person's own time that trains; the rest, later, tests."
    )
    start: Literal["simulated", "constant"] = Field(
        "constant", description="Where training starts: from simulated people, or from public constants."
    )
    n_rounds: int = Field(20, ge=1, le=1000, description="How often devices are asked.")
    clients_per_round: int | None = Field(
        None, ge=2, le=1_000_000, description="Devices asked in a round, drawn by lot; all when left open."
    )
    n_epochs: int = Field(5, ge=1, le=100, description="How often a device passes over its own rows in a round.")
    batch_rows: int | None = Field(None, ge=1, le=4096, description="Rows of a step; all at once when left open.")
    learning_rate: float = Field(0.1, gt=0, le=10, description="Size of a device's step.")
    rows_per_person: int = Field(160, ge=8, le=4096, description="Most rows that a device trains on.")
    clip_norm: float | None = Field(
        None, gt=0, le=1000, description="Longest update that a device sends, over all weights; by rule when left open."
    )
    strategy: Literal["fedavg", "fedavgm", "fedprox", "fedmedian", "fedtrimmedavg", "krum", "multikrum"] = Field(
        "fedavg", description="How updates become a model; the last four bear liars, and need to see each update."
    )
    n_malicious: int = Field(0, ge=0, le=10_000, description="Liars that a robust strategy shall bear.")
    quorum_share: float = Field(
        0.5, ge=0, le=1, description="Share of the devices asked whose answers must be usable; a round needs that many."
    )
    aggregation: SumChoice = Field(PlainSum(), description="How updates are added.")
    privacy: FederatedPrivacyChoice = Field(
        Unprotected(), description="What keeps people out of the weights that are released."
    )
    dropout: float = Field(0.0, ge=0, le=0.95, description="With which probability a device vanishes in a round.")
    n_attackers: int = Field(0, ge=0, le=10_000, description="Devices that lie in every round, for a lesson.")
    attack: Literal["sign_flip", "nan", "huge_weight", "wrong_shape", "missing_key"] = Field(
        "sign_flip", description="How they lie."
    )


LearnChoice = Annotated[Union[CentralLearning, FederatedLearning], Field(discriminator="kind")]

#: Strategies that make a mean of updates; the others compare single ones.
MEANS = ("fedavg", "fedavgm", "fedprox")


def hides_updates(learn: FederatedLearning) -> bool:
    """Whether the server reads sums alone."""
    return not isinstance(learn.aggregation, PlainSum)


def find_federated_conflicts(learn: FederatedLearning, expected_people: int | None) -> Iterator[str]:
    """What excludes each other in a federation, and the valid neighbour; `expected_people` where it is declared."""
    compares = learn.strategy not in MEANS
    n_asked = learn.clients_per_round or expected_people
    hides = hides_updates(learn)
    if compares and hides:
        yield (
            f"learn.strategy with learn.aggregation: {learn.strategy} compares single updates, and "
            f"{learn.aggregation.kind} sums hide them; choose strategy = 'fedavg', or aggregation = 'plain'"
        )
    if compares and isinstance(learn.privacy, FederatedPrivacy):
        yield (
            f"learn.strategy with learn.privacy: noise is made for a mean, not for {learn.strategy}; choose strategy = "
            "'fedavg', or privacy = 'unprotected'"
        )
    if learn.strategy in ("krum", "multikrum") and n_asked is not None and n_asked < 2 * learn.n_malicious + 3:
        yield (
            f"learn.n_malicious with learn.strategy: {learn.strategy} bears at most {max(0, (n_asked - 3) // 2)} liars "
            f"among the {n_asked} devices of a round, got {learn.n_malicious}"
        )
    asks_devices = isinstance(learn.privacy, FederatedPrivacy) and learn.privacy.noise_at == "devices"
    if asks_devices and not hides:
        yield (
            "learn.privacy.noise_at with learn.aggregation: a device's part of the noise hides nobody alone, and the "
            "server would see it alone; choose aggregation = 'secure' or 'encrypted', or noise_at = 'server'"
        )
    if hides and n_asked is not None and n_asked < 3:
        yield (
            f"learn.aggregation with learn.clients_per_round: the {learn.aggregation.kind} sum of fewer than 3 devices "
            "gives them away; choose clients_per_round = 3 or more"
        )
    addition = learn.aggregation
    if isinstance(addition, EncryptedSum) and addition.threshold and addition.key_holder == "devices":
        yield (
            "learn.aggregation.threshold with learn.aggregation.key_holder: trustees share a key that no device has; "
            "choose key_holder = 'third_party', or threshold = False"
        )
