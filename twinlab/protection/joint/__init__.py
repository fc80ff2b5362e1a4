"""Joint computation: several parties learn the answer of all their people, and none sees another party's.

`add_secretly` is the secret sum: each party splits its vector into Shamir shares, adds up the shares it holds, and all
open the sum of the shares. A `Party` does its part with bytes in and bytes out, so it does not matter what carries
them: `secret_sum` within a process, `link` between processes over mutual TLS. `ask_jointly` puts a question about all
parties' rows, such as a `MomentQuestion` or a `LogisticQuestion`, by such sums alone; each question says what its sums
tell beyond its answer, and `noise` hides people in them by differential privacy.

What sums cannot do is computed on shares by MPyC, in child processes (`compute_jointly`): a median of which only
comparisons are opened, a regression of which only coefficients are. It protects against parties that follow the
protocol. `match_people` finds the people whom several parties have, for columns that lie at different places; it is a
construction of ours for parties that follow the protocol, and nobody else has reviewed it yet.

What is promised, and why
  With n parties, of which at most t collude, t < n / 2, over ways between two parties that nobody else reads and that
  tell who sent what:

  - The t learn of the others' vectors their sum, over at least t + 1 of them, and nothing else, even if they lie. Their
    shares of a vector are uniform and independent of it. What is opened is one polynomial, the sum of everybody's; its
    value at 0 is the sum, and its other coefficients are uniform, as those of each honest party are. A sum is over all
    parties or none, so no two sums of one session differ by one party.
  - Any t + 1 that are left after sharing open the sum; the others may vanish.
  - A share of the sum that does not fit is found for sure if m shares came, m >= t + 1 + the number of false ones; so
    always if nobody vanished. Who gave it is named if m >= 3 t + 1, as then no t liars can make another's share look
    like the false one. The sum is then used by nobody.
  - Parties compare hashes of what they opened before they use it, so liars cannot give honest parties different sums.

What is not promised
  - An answer. Any party can spoil a sum, and a liar that waits for the others' shares may read it and then spoil it.
  - True inputs. A party may add nonsense within the bound. It was bound to it before it saw anything.
  - Who dealt a bad share. A party named for its share of the sum may have been dealt one that fits nothing; the refusal
    says so. Telling the two apart takes verifiable secret sharing, which is not built.
  - A right sum where so many vanished that m <= t + the number of liars: with m = t + 1 nothing can be checked.
  - Anything with two parties: each has the other's vector by taking its own from the sum. They are refused.
  - Against t + 1 colluding parties: they open every vector.
  - What the sum itself says of people. Differential privacy is for that.
  - What two sums say together. Those who spoil a sum may have read it; if it is then made again without one party, the
    two differ by that party's vector.
  - Secrecy on the way from a `Party` alone: its messages are not encrypted; a `Link` does that. Memory is not wiped,
    and the arithmetic takes a time that may depend on values.

Sources
  Shamir, "How to share a secret", CACM 1979; Ben-Or, Goldwasser, Wigderson, "Completeness theorems for
  non-cryptographic fault-tolerant distributed computation", STOC 1988, of which this is the part that adds. Comparing
  hashes of what was opened is common practice.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.joint.distribution import HistogramQuestion, QuantileQuestion
    from twinlab.protection.joint.fixed_point import FixedPoint, choose_fixed_point
    from twinlab.protection.joint.matching import Matcher
    from twinlab.protection.joint.matching_terms import MatchingTerms
    from twinlab.protection.joint.moment import MomentQuestion
    from twinlab.protection.joint.mpyc_program import (
        CoefficientProgram,
        CompareProgram,
        MedianProgram,
        NaiveRidgeProgram,
        VerticalProgram,
    )
    from twinlab.protection.joint.mpyc_run import compute_all_jointly, compute_jointly
    from twinlab.protection.joint.noise import NoiseTerms
    from twinlab.protection.joint.party import Party
    from twinlab.protection.joint.people_match import match_naively, match_people
    from twinlab.protection.joint.regression import LogisticQuestion, RidgeQuestion
    from twinlab.protection.joint.secret_sum import SecretAdder, SecretSum, add_secretly
    from twinlab.protection.joint.statistic import Column, add_plainly, ask_jointly, measure_magnitude
    from twinlab.protection.joint.survival import SurvivalQuestion
    from twinlab.protection.joint.terms import SharingTerms

_HOMES = {
    "CoefficientProgram": "mpyc_program",
    "Column": "statistic",
    "CompareProgram": "mpyc_program",
    "FixedPoint": "fixed_point",
    "HistogramQuestion": "distribution",
    "LogisticQuestion": "regression",
    "Matcher": "matching",
    "MatchingTerms": "matching_terms",
    "MedianProgram": "mpyc_program",
    "MomentQuestion": "moment",
    "NaiveRidgeProgram": "mpyc_program",
    "NoiseTerms": "noise",
    "Party": "party",
    "QuantileQuestion": "distribution",
    "RidgeQuestion": "regression",
    "SecretAdder": "secret_sum",
    "SecretSum": "secret_sum",
    "SharingTerms": "terms",
    "SurvivalQuestion": "survival",
    "VerticalProgram": "mpyc_program",
    "add_plainly": "statistic",
    "add_secretly": "secret_sum",
    "ask_jointly": "statistic",
    "choose_fixed_point": "fixed_point",
    "compute_all_jointly": "mpyc_run",
    "compute_jointly": "mpyc_run",
    "match_naively": "people_match",
    "match_people": "people_match",
    "measure_magnitude": "statistic",
}

__all__ = [
    "CoefficientProgram",
    "Column",
    "CompareProgram",
    "FixedPoint",
    "HistogramQuestion",
    "LogisticQuestion",
    "Matcher",
    "MatchingTerms",
    "MedianProgram",
    "MomentQuestion",
    "NaiveRidgeProgram",
    "NoiseTerms",
    "Party",
    "QuantileQuestion",
    "RidgeQuestion",
    "SecretAdder",
    "SecretSum",
    "SharingTerms",
    "SurvivalQuestion",
    "VerticalProgram",
    "add_plainly",
    "add_secretly",
    "ask_jointly",
    "choose_fixed_point",
    "compute_all_jointly",
    "compute_jointly",
    "match_naively",
    "match_people",
    "measure_magnitude",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; all of them load numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
