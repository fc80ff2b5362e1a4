"""The server's side: any Flower strategy behind an admission, with finished rounds kept whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from twinlab.errors import BudgetExhaustedError, IncompatibleChoicesError, RoundFailedError, SpecificationError
from twinlab.protection.federated.admission import Admission, Admitted, admit_metrics, admit_replies
from twinlab.protection.federated.checkpoint import Checkpoint, RoundReport, load_checkpoint, save_checkpoint
from twinlab.protection.federated.flower import (
    ARRAYS,
    REFUSED,
    TRAIN_LOSS,
    WEIGHT,
    AggregationError,
    ArrayRecord,
    ConfigRecord,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    Grid,
    InconsistentMessageReplies,
    Krum,
    Message,
    MetricRecord,
    MultiKrum,
    Result,
    Strategy,
    count_bytes,
    pack_arrays,
    pack_content,
    run_quietly,
    unpack_arrays,
)
from twinlab.protection.federated.keyed import hash_keys
from twinlab.protection.federated.private_sum import PrivateSum, make_private_model
from twinlab.roles import Progress, report_nothing

StrategyName = Literal["fedavg", "fedavgm", "fedprox", "fedmedian", "fedtrimmedavg", "krum", "multikrum"]
#: Those that take a weighted mean, for which a sum of updates is enough.
MEANS = frozenset({"fedavg", "fedavgm", "fedprox"})
#: Called after each round with its report and the new model's arrays.
OnRound = Callable[[RoundReport, dict[str, np.ndarray]], None]


class RunStopped(Exception):
    """A callback of the caller raised. It ends the run, not the program: what is finished is returned."""


def make_strategy(
    name: StrategyName,
    *,
    n_malicious: int = 0,
    n_selected: int = 1,
    trim_share: float = 0.2,
    server_learning_rate: float = 1.0,
    server_momentum: float = 0.0,
    proximal: float = 0.0,
) -> FedAvg:
    """A strategy of Flower's that asks every node which it is shown, and does not evaluate on devices.

    Args:
      name: fedavg (weighted mean; McMahan et al., 2017), fedavgm (mean with momentum; Hsu et al., 2019), fedprox
        (devices are pulled to the model; Li et al., 2020), fedmedian and fedtrimmedavg (per coordinate; Yin et al.,
        2018), krum and multikrum (the updates nearest to others; Blanchard et al., 2017).
      n_malicious: liars that krum and multikrum reckon with.
      n_selected: updates that multikrum averages.
      trim_share: cut from each end of a coordinate by fedtrimmedavg.
      server_learning_rate, server_momentum: of fedavgm.
      proximal: of fedprox.

    Raises:
      SpecificationError: for an unknown name, or fewer than one selected update.
    """
    if name not in get_args(StrategyName):
        raise SpecificationError(f"strategy: expected one of {', '.join(get_args(StrategyName))}, got {name!r}")
    if n_selected < 1:
        raise SpecificationError(f"strategy: expected n_selected of at least 1, got {n_selected}")
    nodes: dict[str, Any] = {
        "fraction_train": 1.0, "fraction_evaluate": 0.0, "min_train_nodes": 1, "min_evaluate_nodes": 0,
        "min_available_nodes": 1, "weighted_by_key": WEIGHT,
    }  # fmt: skip
    with run_quietly():
        if name == "fedavgm":
            return FedAvgM(**nodes, server_learning_rate=server_learning_rate, server_momentum=server_momentum)
        if name == "fedprox":
            return FedProx(**nodes, proximal_mu=proximal)
        if name == "fedmedian":
            return FedMedian(**nodes)
        if name == "fedtrimmedavg":
            return FedTrimmedAvg(**nodes, beta=trim_share)
        if name == "krum":
            return Krum(**nodes, num_malicious_nodes=n_malicious)
        if name == "multikrum":
            return MultiKrum(**nodes, num_malicious_nodes=n_malicious, num_nodes_to_select=n_selected)
        return FedAvg(**nodes)


class GuardedStrategy(Strategy):
    """A Flower strategy behind an admission. It serves one run, on any of Flower's grids.

    Devices are chosen by a hash of seed, round and node, so the choice of a round depends on no other round and on no
    global generator. After `start` returns or stops, `rounds` and `arrays` hold what is finished.

    Attributes:
      rounds: reports of the finished rounds.
      arrays: the model after the last of them.
      stopped_because: why the run ended early; None while it runs and when it is complete.
    """

    def __init__(
        self,
        inner: Strategy,
        admission: Admission | None = None,
        *,
        clients_per_round: int | None = None,
        seed: int = 0,
        sums: bool = False,
        private: PrivateSum | None = None,
        on_round: OnRound | None = None,
        progress: Progress = report_nothing,
        checkpoint: Path | None = None,
        fingerprint: str = "",
        is_quiet: bool = True,
    ) -> None:
        """Wrap a strategy.

        Args:
          inner: makes a model of admitted replies.
          admission: who is let in; the default rules when None.
          clients_per_round: devices asked in a round; all when None.
          seed: of that choice; public.
          sums: whether replies are sums of many devices.
          private: bounds updates and adds noise before `inner` sees the one mean that is left.
          on_round: called after each round; raising from it stops the run.
          progress: called as progress("rounds", done, total); raising from it stops the run.
          checkpoint: written after each round, and read by `start` to go on from.
          fingerprint: of the choices that a checkpoint must share.
          is_quiet: whether Flower's log is silenced; it may hold the errors of devices that are simulated beside it.

        Raises:
          IncompatibleChoicesError: if a sum, private or not, is to feed a strategy that compares single updates.
        """
        if (sums or private) and isinstance(inner, (FedMedian, FedTrimmedAvg, Krum, MultiKrum)):
            raise IncompatibleChoicesError(
                f"strategy: {type(inner).__name__} compares single updates and cannot use their sum; take fedavg, or "
                "each reply without a private sum"
            )
        self._inner, self._admission = inner, admission or Admission()
        self._clients_per_round, self._seed, self._sums, self._private = clients_per_round, seed, sums, private
        self._on_round, self._progress = on_round, progress
        self._checkpoint, self._fingerprint, self._is_quiet = checkpoint, fingerprint, is_quiet
        self._n_resumed, self._n_rounds, self._begin = 0, 0, 0.0
        self._sent: list[Message] = []
        self._bytes_down = 0
        self._read_traffic: Callable[[], tuple[int, int]] | None = None
        self._traffic = (0, 0)
        self.rounds: list[RoundReport] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.stopped_because: str | None = None

    def summary(self) -> None:
        """Log what the wrapped strategy says of itself."""
        self._inner.summary()

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds that are not finished yet; `num_rounds` counts the finished ones of a checkpoint too.

        Returns what is finished when it ends early: interrupted, stopped by a callback, too few replies, or at the
        end of a privacy budget. Whatever else is raised passes through.
        """
        self.arrays = unpack_arrays(initial_arrays)
        self._resume()
        self._n_rounds, left = num_rounds, num_rounds - self._n_resumed
        try:
            if left > 0:
                with run_quietly() if self._is_quiet else nullcontext():
                    super().start(
                        grid, pack_arrays(self.arrays), left, timeout, train_config, evaluate_config, evaluate_fn
                    )
        except KeyboardInterrupt:
            self.stopped_because = "interrupted"
        except RunStopped as stop:
            self.stopped_because = f"stopped by a callback ({stop})"
        except (RoundFailedError, BudgetExhaustedError) as error:
            self.stopped_because = str(error)
        losses = {each.round: each.mean_loss for each in self.rounds if each.mean_loss is not None}
        metrics = {number: MetricRecord({TRAIN_LOSS: loss}) for number, loss in losses.items()}
        return Result(arrays=pack_arrays(self.arrays), train_metrics_clientapp=metrics)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Choose devices and let the wrapped strategy write to them."""
        self._begin = time.perf_counter()
        # a grid that turns a message into several phases counts them itself
        self._read_traffic = getattr(grid, "read_traffic", None)
        self._traffic = self._read_traffic() if self._read_traffic else (0, 0)
        number = server_round + self._n_resumed
        nodes = choose_nodes(list(grid.get_node_ids()), self._clients_per_round, self._seed, number)
        written = self._inner.configure_train(number, arrays, config, _Chosen(grid, nodes))
        # the strategy's own order comes from a global generator
        self._sent = sorted(written, key=lambda message: message.metadata.dst_node_id)
        contents = {id(message.content): message.content for message in self._sent}
        sizes = {key: count_bytes(content) for key, content in contents.items()}
        self._bytes_down = sum(sizes[id(message.content)] for message in self._sent)
        return self._sent

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Admit replies, let the wrapped strategy make a model of them, and keep it."""
        number, replies = server_round + self._n_resumed, list(replies)
        bytes_down, bytes_up = self._count_traffic(replies)
        admitted = admit_replies(replies, self.arrays, self._admission, expected=self._list_expected(), sums=self._sums)
        arrays = self._aggregate(number, admitted)
        if not all(np.isfinite(value).all() for value in arrays.values()):
            raise RoundFailedError(
                "round: expected a finite model, got one that is not; bound updates by max_update_norm"
            )
        report = RoundReport(
            round=number,
            n_sampled=len(self._sent),
            n_replied=admitted.n_devices,
            refused=_explain_refusals(admitted.refused, replies),
            mean_loss=None if self._private else _average(admitted),
            bytes_down=bytes_down,
            bytes_up=bytes_up,
            seconds=time.perf_counter() - self._begin,
        )
        self.arrays = arrays
        self.rounds.append(report)
        self._keep()
        if self._on_round is not None:
            call_back(self._on_round, report, arrays)
        call_back(self._progress, "rounds", number, self._n_rounds)
        metrics = MetricRecord()
        if report.mean_loss is not None:
            metrics[TRAIN_LOSS] = report.mean_loss
        return pack_arrays(arrays), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the wrapped strategy evaluate on the devices of this round; a private run asks no device."""
        if self._private is not None:
            return []
        number = server_round + self._n_resumed
        nodes = choose_nodes(list(grid.get_node_ids()), self._clients_per_round, self._seed, number)
        return self._inner.configure_evaluate(number, arrays, config, _Chosen(grid, nodes))

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Hand on well-formed declared metrics only."""
        admitted = admit_metrics(list(replies), self._admission)
        return self._inner.aggregate_evaluate(server_round + self._n_resumed, admitted) if admitted else None

    def _aggregate(self, number: int, admitted: Admitted) -> dict[str, np.ndarray]:
        """The new model of admitted replies."""
        replies = admitted.replies
        if self._private is not None:
            found = [unpack_arrays(reply.content[ARRAYS]) for reply in replies]
            noisy = make_private_model(found, admitted.sizes, self.arrays, self._private, number)
            # what follows the noise is post-processing: the strategy sees one reply that holds the noisy mean
            replies = replies[:1]
            replies[0].content = pack_content(pack_arrays(noisy), {WEIGHT: 1})
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # whether the model is finite is looked at afterwards
                arrays, _ = self._inner.aggregate_train(number, replies)
        except (AggregationError, InconsistentMessageReplies) as error:
            raise RoundFailedError(f"round: the strategy cannot use what it got ({type(error).__name__})") from error
        if arrays is None:
            raise RoundFailedError("round: expected a model from the strategy, got none")
        return {name: np.asarray(value, dtype=self.arrays[name].dtype) for name, value in unpack_arrays(arrays).items()}

    def _list_expected(self) -> Mapping[str, int] | list[int]:
        """Who was sent which message; nodes alone where a grid gives messages no numbers."""
        numbered = {message.metadata.message_id: message.metadata.dst_node_id for message in self._sent}
        return numbered if len(numbered) == len(self._sent) else list({m.metadata.dst_node_id for m in self._sent})

    def _count_traffic(self, replies: list[Message]) -> tuple[int, int]:
        """Bytes of the round, down and up."""
        if self._read_traffic is None:
            return self._bytes_down, sum(count_bytes(reply.content) for reply in replies if reply.has_content())
        down, up = self._read_traffic()
        return down - self._traffic[0], up - self._traffic[1]

    def _keep(self) -> None:
        """Write the checkpoint."""
        if self._checkpoint is not None:
            momentum = tuple(getattr(self._inner, "momentum_vector", None) or ())
            save_checkpoint(self._checkpoint, Checkpoint(self._fingerprint, tuple(self.rounds), self.arrays, momentum))

    def _resume(self) -> None:
        """Take up a checkpoint, where there is one."""
        shapes = {name: value.shape for name, value in self.arrays.items()}
        found = load_checkpoint(self._checkpoint, self._fingerprint, shapes) if self._checkpoint else None
        if found is None:
            return
        self.rounds, self.arrays, self._n_resumed = list(found.rounds), found.arrays, len(found.rounds)
        if isinstance(self._inner, FedAvgM):
            self._inner.current_arrays = pack_arrays(found.arrays)
            self._inner.momentum_vector = list(found.momentum) or None


def choose_nodes(nodes: Sequence[int], n_wanted: int | None, seed: int, round_number: int) -> list[int]:
    """Devices of a round, without replacement, each equally likely, in ascending order; public.

    >>> choose_nodes([5, 6, 7, 8], 2, 0, 1) == choose_nodes([8, 7, 6, 5], 2, 0, 1)
    True
    """
    if n_wanted is None or n_wanted >= len(nodes):
        return sorted(nodes)
    ranks = hash_keys(seed, round_number, list(nodes))
    return sorted(nodes[place] for place in np.argsort(ranks, kind="stable")[:n_wanted].tolist())


def call_back(callback: Callable[..., Any], *arguments: Any) -> None:
    """Call the caller's own function; what it raises ends the run and says so."""
    try:
        callback(*arguments)
    except Exception as error:
        raise RunStopped(type(error).__name__) from error


def _average(admitted: Admitted) -> float | None:
    """Mean training loss over devices, where they told it."""
    losses = admitted.metrics.get(TRAIN_LOSS)
    return None if losses is None else float(np.average(losses, weights=admitted.sizes))


def _explain_refusals(refused: list[tuple[int, str]], replies: list[Message]) -> tuple[tuple[int, str], ...]:
    """Who was refused and why, in the words of devices that themselves refused to go on with a secure sum."""
    told = {
        reply.metadata.src_node_id: reply.error.reason or "it refused"
        for reply in replies
        if reply.has_error() and reply.error.code == REFUSED
    }
    return tuple((node, told.get(node, reason)) for node, reason in refused)


class _Chosen(Grid):
    """A grid on which only some nodes can be seen, so that a strategy's own draw has nothing to decide."""

    def __init__(self, grid: Grid, nodes: list[int]) -> None:
        self._grid, self._nodes = grid, nodes

    def get_node_ids(self) -> list[int]:
        return self._nodes

    def set_run(self, run: Any) -> None:
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        return self._grid.run

    def create_message(self, *arguments: Any, **named: Any) -> Message:
        return self._grid.create_message(*arguments, **named)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return self._grid.pull_messages(message_ids)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self._grid.send_and_receive(messages, timeout=timeout)
