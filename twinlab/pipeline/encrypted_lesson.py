"""What a reader tries with encrypted queries: the ways they leak when done naively, and what is left when done well.

Everything here is compared with the truth, and a difference from the truth is itself a release of it. So a lesson makes
its own people, and takes nobody else's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from twinlab.attacks.encrypted_key import Observation, recover_key
from twinlab.attacks.encrypted_model import (
    LabelThief,
    find_direction_distance,
    find_distance,
    fit_model,
    read_weights,
)
from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.pipeline.encrypted_people import FEATURES, make_days
from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
from twinlab.protection.homomorphic.envelope import open_envelope
from twinlab.protection.homomorphic.inspection import (
    find_first_prime,
    find_live_keys,
    read_all_slots,
    read_ciphertexts,
    read_first_prime,
    score_key,
    write_result,
)
from twinlab.protection.homomorphic.key_holder import KeyHolder
from twinlab.protection.homomorphic.model import LogisticModel
from twinlab.protection.homomorphic.naive import NaiveQuery
from twinlab.protection.homomorphic.planner import plan
from twinlab.protection.homomorphic.query import ask, set_up
from twinlab.protection.homomorphic.seal import SEALContext, make_context
from twinlab.protection.homomorphic.server import Server
from twinlab.protection.homomorphic.step_log import KEY_HOLDER, SERVER

#: Parameters of the naive query that answers right: ring degree, primes, scale.
USUAL = (8192, (60, 40, 60), 40)
#: Often seen in introductions: little room for noise.
SMALL = (4096, (40, 20, 40), 20)
#: The smallest ring there is, for the key. The attack works in any.
SMALLEST = (2048, (54,), 20)
_N_CLOSE_ROWS = 100
#: Much of the error is the same for all answers under one key, and may happen to be small.
_N_KEYS = 10
#: Rows count as near the line if they are at least so many tolerances from it.
_CLEAR = 2.0
#: Bits that labels are asked for of each weight.
_N_HALVINGS = 12
#: A label thief keeps some way from the bounds of what may be asked.
_REACH = 0.9
_MANY_ROWS = 4096
_N_KEY_FEATURES = 3


@dataclass(frozen=True)
class Exhibit:
    """What was tried and what came of it, about people who do not exist.

    Attributes:
      table: the numbers.
      sentence: the same in words.
      refusal: the planner's own words, where it refuses the naive way; else empty.
    """

    table: pd.DataFrame = field(repr=False)
    sentence: str
    refusal: str = ""

    def __repr__(self) -> str:
        return self.sentence


class EncryptedLesson:
    """A provider with a logistic model of 40 features, and days of people who do not exist, to ask it about.

    Attributes:
      model: the provider's.
      rows: (day, feature), private.
      people: int (day,), whose day each is.
      plan: how to ask a single question; public.
    """

    def __init__(self, seed: int = 0) -> None:
        """Make people, train the model on their days, and make a plan.

        Args:
          seed: of the people and of an attacker's choices; public. Keys and the noise of encryption are the operating
            system's.
        """
        made = make_days(seed)
        self.model, self.rows, self.people = made.model, made.rows, made.people
        self.plan = plan(self.model, self.rows)
        self._seed = seed

    @cached_property
    def _sides(self) -> tuple[KeyHolder, Server]:
        """A key holder and the provider's server."""
        holder, server, _ = set_up(self.plan, self.model)
        return holder, server

    @cached_property
    def _naive(self) -> NaiveQuery:
        return NaiveQuery(*USUAL)

    def steal_model(self) -> Exhibit:
        """Read the weights out of one answer, the naive way's and ours.

        Returns:
          A row per feature: feature, true, naive, ours (weights, of scaled features).
        """
        question, true = np.ones(len(FEATURES)), self.model.weight[0]
        naive = read_weights(self._naive.read_slots(self._naive.answer(question, true)), question)
        holder, server = self._sides
        slots = read_all_slots(holder, server.answer(holder.encrypt(question[None])))[0]
        # whichever way of looking finds more counts: slot by slot, or position by position
        looks = [slots, slots.reshape(self.plan.layout.n_positions, self.plan.layout.width)[:, 0]]
        ours = max((read_weights(each, question) for each in looks), key=lambda found: float(np.abs(found).max()))
        table = pd.DataFrame({"feature": FEATURES, "true": true, "naive": naive, "ours": ours})
        return Exhibit(
            table,
            f"One answer of the naive sum gives all {len(true)} weights, none off by more than "
            f"{np.abs(naive - true).max():.1e}; in our answer the same reader finds nothing above "
            f"{np.abs(ours).max():.1e}, where the largest weight is {np.abs(true).max():.2f}.",
        )

    def recover_key(self, share_results: Sequence[bool] = (False, True)) -> Exhibit:
        """Compute the secret key from two published results.

        Args:
          share_results: kinds of plans to attack beside the naive way: made for sharing results or not; public.

        Returns:
          A row per way: way, ring_degree, share (of the key's places that are right), seconds (of the attack and of
          making what it attacks).
        """
        draw = np.random.default_rng(self._seed)
        begin = time.perf_counter()
        rows = [("naive", *self._attack_naive_key(draw), time.perf_counter() - begin)]
        for is_shared in share_results:
            begin = time.perf_counter()
            found = self._attack_key(draw, share_results=is_shared)
            name = "plan made for sharing" if is_shared else "plan not made for sharing"
            rows.append((name, *found, time.perf_counter() - begin))
        table = pd.DataFrame(rows, columns=["way", "ring_degree", "share", "seconds"])
        words = [f"{share:.0%} for the {way}" for way, share in zip(table["way"], table["share"], strict=True)]
        words[0] = words[0].replace("the naive", "the naive way")
        return Exhibit(table, f"Two published results give away this share of the secret key: {', '.join(words)}.")

    def _attack_naive_key(self, draw: np.random.Generator) -> tuple[int, float]:
        naive = NaiveQuery(*SMALLEST)
        seen = []
        for _ in range(2):
            numbers = draw.uniform(-1, 1, SMALLEST[0] // 2)
            answer = naive.weigh(numbers, np.full(len(numbers), self.model.weight[0, 0]))
            seen.append(_observe(answer, naive.read_slots(answer), naive.context))
        return SMALLEST[0], score_key(naive, recover_key(seen[0], seen[1], find_first_prime(naive.context)))

    def _attack_key(self, draw: np.random.Generator, *, share_results: bool) -> tuple[int, float]:
        """A key holder publishes all answers of two full messages, and the server takes notes."""
        model = LogisticModel(self.model.weight[:, :_N_KEY_FEATURES], self.model.bias)
        calibration = self.rows[:, :_N_KEY_FEATURES]
        agreed = plan(model, calibration, batch=_MANY_ROWS, share_results=share_results)
        holder, server, _ = set_up(agreed, model)
        context, seen = make_context(agreed.ring), []
        for _ in range(2):
            rows = draw.choice(calibration, agreed.layout.capacity)
            answer = server.answer(holder.encrypt(rows))
            ciphertext = read_ciphertexts(holder, answer)[0]
            seen.append(_observe(ciphertext, holder.decrypt(answer)[:, 0], context))
        return agreed.ring.ring_degree, score_key(holder, recover_key(seen[0], seen[1], find_first_prime(context)))

    def drop_key(self) -> Exhibit:
        """Look for keys on servers: a naive one that dropped its key, ours, and one that has a key, as a control.

        Returns:
          A row per server: server, looked_at (objects), n_keys and keys (what among them decrypts or encrypts).
        """
        question, weights = self.rows[0], self.model.weight[0]
        naive = NaiveQuery(*USUAL)
        answer = naive.answer(question, weights)
        naive.drop_key()
        decrypts = abs(naive.read_slots(answer)[0] - question @ weights) < 1e-3
        holder, server = self._sides
        holder.decrypt(server.answer(holder.encrypt(question[None])))
        rows = []
        for name, each in (
            ("naive server, key dropped", naive),
            ("our server", server),
            ("our key holder, as a control", holder),
        ):
            keys, n_objects = find_live_keys(each)
            rows.append((name, n_objects, len(keys), ", ".join(sorted({type(key).__name__ for key in keys}))))
        table = pd.DataFrame(rows, columns=["server", "looked_at", "n_keys", "keys"])
        still = "still decrypts" if decrypts else "decrypts no more"
        return Exhibit(
            table,
            f"A server that dropped its key {still}, with what it had made of it ({rows[0][3]}); among the "
            f"{rows[1][1]} objects that can be reached from our server, {rows[1][2] or 'none'} can.",
        )

    def flip_signs(self) -> Exhibit:
        """Ask about days near the line between yes and no: with small parameters, and with the plan.

        Returns:
          A row per way and day: way, plain, answer (logits), is_flipped; and the planner's refusal of the parameters.
        """
        logits = self.model.answer_plain(self.rows)[:, 0]
        clear = np.flatnonzero(np.abs(logits) > _CLEAR * self.plan.tolerance)
        close = clear[np.argsort(np.abs(logits[clear]), kind="stable")[:_N_CLOSE_ROWS]]
        rows, plain = self.rows[close], logits[close]
        weights, bias = self.model.weight[0], self.model.bias[0]
        small = np.zeros(len(rows))
        for key in range(_N_KEYS):  # one after the other, since each holds megabytes
            naive = NaiveQuery(*SMALL)
            for place in range(key, len(rows), _N_KEYS):
                small[place] = naive.read_slots(naive.answer(rows[place], weights))[0] + bias
        answers = {"small parameters": small, "our plan": ask(self.plan, *self._sides, rows).values[:, 0]}
        table = pd.concat(
            [pd.DataFrame({"way": way, "plain": plain, "answer": found}) for way, found in answers.items()],
            ignore_index=True,
        )
        table["is_flipped"] = np.sign(table["plain"]) != np.sign(table["answer"])
        n_flipped = table.groupby("way")["is_flipped"].sum()
        return Exhibit(
            table,
            f"Of {len(rows)} days whose answer is within {np.abs(plain).max():.2f} of the line, small parameters give "
            f"{n_flipped['small parameters']} the wrong label and our plan {n_flipped['our plan']}.",
            self._refuse_small(),
        )

    def _refuse_small(self) -> str:
        """What the planner says of the small parameters."""
        ring_degree, prime_bits, scale_bits = SMALL
        try:
            plan(self.model, self.rows, ring_degree=ring_degree, prime_bits=prime_bits, scale_bits=scale_bits)
        except IncompatibleChoicesError as refused:
            return str(refused)
        return ""

    def count_questions(self, most: int = 80) -> Exhibit:
        """Steal the model by asking, which encryption does not prevent: from answers, and from labels alone.

        The attacker asks about nothing, then about each feature by itself, then about days. For labels it chooses each
        question by the answers before.

        Args:
          most: questions whose answers are used, more than features; public.

        Returns:
          A row per way and number of questions: way ("answers" or "labels only"), n_questions, error (distance of the
          stolen weights from the true ones, as a share of their length; from labels up to a factor).

        Raises:
          SpecificationError: if there are fewer questions than a model takes, or than days to ask about.
        """
        n_needed = len(FEATURES) + 1
        if not n_needed <= most <= len(self.rows):
            raise SpecificationError(f"most: expected {n_needed} to {len(self.rows)} questions, got {most}")
        draw = np.random.default_rng(self._seed)
        alone = np.diag(_REACH * self.plan.find_column_bound())
        days = draw.choice(self.rows, most - n_needed, replace=False)
        asked = np.concatenate([np.zeros_like(alone[:1]), alone, days])
        answers = ask(self.plan, *self._sides, asked).values[:, 0]
        true = np.append(self.model.weight[0], self.model.bias)
        rows = [
            ("answers", count, find_distance(fit_model(asked[:count], answers[:count]), true))
            for count in range(1, most + 1)
        ]
        rows += self._steal_from_labels(draw)
        table = pd.DataFrame(rows, columns=["way", "n_questions", "error"])
        from_answers = table[table["way"] == "answers"].set_index("n_questions")["error"]
        last = table.iloc[-1]
        return Exhibit(
            table,
            f"{n_needed} encrypted answers give the model of {len(FEATURES)} features to {from_answers[n_needed]:.1e} "
            f"of its length, {n_needed // 2} only to {from_answers[n_needed // 2]:.2f}; from labels alone it takes "
            f"{last['n_questions']} questions to come within {last['error']:.2g}.",
        )

    def _steal_from_labels(self, draw: np.random.Generator) -> list[tuple[str, int, float]]:
        """Halve each weight by chosen questions, all of them encrypted; only labels are used."""
        holder, server = self._sides

        def read_labels(rows: np.ndarray) -> np.ndarray:
            return ask(self.plan, holder, server, rows).find_labels()[:, 0]

        own = draw.choice(self.rows, 64, replace=False)
        labels = read_labels(own)
        inside, outside = own[labels][0], own[~labels][0]
        reach = _REACH * self.plan.find_column_bound() - np.maximum(np.abs(inside), np.abs(outside))
        thief = LabelThief(read_labels, inside, outside, reach, n_questions=len(own))
        thief.start()
        rows = []
        for _ in range(_N_HALVINGS):
            thief.halve()
            error = find_direction_distance(thief.read(), self.model.weight[0])
            rows.append(("labels only", thief.n_questions, error))
        return rows

    def read_traffic(self, counts: Sequence[int] = (1, 2, 32, 33)) -> Exhibit:
        """Read what the server sees all the same: how many days are asked about, sizes and times; not whose days.

        Args:
          counts: days in a question; each is asked for several people; public.

        Returns:
          A row per number of days and person: n_days (asked about), person, n_messages, seen_days (that the server
          reads on the messages), question_bytes, answer_bytes, milliseconds (of the server).
        """
        rows = [
            (count, f"person {person + 1}", *self._read_question(person, count))
            for count in counts
            for person in range(4)
        ]
        columns = ["n_days", "person", "n_messages", "seen_days", "question_bytes", "answer_bytes", "milliseconds"]
        table = pd.DataFrame(rows, columns=columns)
        sizes = (table["question_bytes"] / table["n_messages"]).round().astype(int)
        size = f"{sizes.min():,}" + (f" to {sizes.max():,}" if sizes.min() < sizes.max() else "")
        n_right = int((table["seen_days"] == table["n_days"]).sum())
        return Exhibit(
            table,
            f"On {n_right} of {len(table)} questions the server reads which key they are under and about how many days "
            f"they are, and it sees when they come. Sizes say nothing of whose: each message has {size} bytes for all "
            f"{table['person'].nunique()} people under this key, be it about {min(counts)} day or "
            f"{self.plan.layout.capacity}.",
        )

    def _read_question(self, person: int, count: int) -> tuple[int, int, int, int, float]:
        """What crosses when a person asks about so many of its days, over again where it has fewer."""
        holder, server = self._sides
        own = np.flatnonzero(self.people == np.unique(self.people)[person])
        answer = ask(self.plan, holder, server, self.rows[np.resize(own, count)])
        questions = [each.payload for each in answer.messages if each.receiver == SERVER]
        seen = sum(_open_question(each, holder.secret, self.plan) for each in questions)
        n_bytes = [
            sum(len(each.payload) for each in answer.messages if each.sender == who) for who in (KEY_HOLDER, SERVER)
        ]
        seconds = sum(step.seconds for step in answer.steps if step.who == SERVER)
        return len(questions), seen, n_bytes[0], n_bytes[1], 1000 * seconds

    def __repr__(self) -> str:
        return f"EncryptedLesson({len(self.rows)} days of people who do not exist, {self.model!r})"


def _observe(ciphertext: object, published: np.ndarray, context: SEALContext) -> Observation:
    """What an attacker has of one published result."""
    return write_result(published, ciphertext, context), *read_first_prime(ciphertext, context)


def _open_question(data: bytes, secret: bytes, agreed: EncryptionPlan) -> int:
    """Rows that the server reads on a question."""
    level, layout = agreed.question_level, agreed.layout.name
    opened = open_envelope(
        data, secret, kind="question", plan_digest=agreed.digest, layout=layout, level=level, key_id=None
    )
    return opened.n_rows
