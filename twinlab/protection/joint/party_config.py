"""What a party on a machine of its own is told by a TOML file: who takes part, where, what is asked, and its own key.

All of it but `[party]` is the same for every party. Names in the file are sorted, so their order does not matter.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinlab.errors import SpecificationError
from twinlab.protection.joint.identity import Identity, read_certificate, read_identity
from twinlab.protection.joint.link import LOOPBACK, split_address
from twinlab.protection.joint.party_run import RunTerms
from twinlab.protection.joint.question_file import read_question

_TEXTS: dict[str, tuple[str, ...]] = {"party": ("name", "key", "listen"), "parties": ("name", "address", "certificate")}
#: Each with what it must be below, and an example.
_PRIVACY = {"epsilon": (1000.0, 1.0), "delta": (1e-2, 1e-7)}
_NUMBERS = {"most_colluding": 1, "most_rows": 100_000, "time_limit_s": 60.0, "wait_s": 600.0}


@dataclass(frozen=True)
class PartyConfig:
    """A party's configuration.

    Attributes:
      terms: what all parties agree on; public.
      identity: of this party; its key is private.
      listen: where it listens, "host:port".
      addresses, certificates: of the others, by name; public.
      time_limit_s: how long an exchange may take.
      wait_s: how long to wait until all parties are there.
      epsilon, delta: what the answer may cost a person, and the probability with which that fails; None for exact
        sums.
    """

    terms: RunTerms
    identity: Identity
    listen: str
    addresses: Mapping[str, str]
    certificates: Mapping[str, str] = field(repr=False)
    time_limit_s: float
    wait_s: float
    epsilon: float | None = None
    delta: float | None = None


def load_party_config(path: Path) -> PartyConfig:
    """Read a party's TOML file and the key and certificates that it names, whose paths begin at the file's folder.

    Raises:
      SpecificationError: for a file that cannot be read, and for every unknown, missing or wrong field.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecificationError(
            f"{path}: expected a party's configuration in TOML, got none ({type(error).__name__}); see `party guide`"
        ) from None
    _check_fields(values)
    party, entries = values["party"], {entry["name"]: entry for entry in values["parties"]}
    numbers = {name: values.get(name, default) for name, default in _NUMBERS.items()}
    terms = RunTerms(
        names=tuple(sorted(entries)),
        question=read_question(values["question"]),
        most_colluding=numbers["most_colluding"],
        most_rows=numbers["most_rows"],
    )
    privacy = values.get("privacy")
    folder = path.resolve().parent
    others = {name: entry for name, entry in entries.items() if name != party["name"]}
    return PartyConfig(
        terms=terms,
        identity=read_identity(party["name"], folder / party["key"], folder / entries[party["name"]]["certificate"]),
        listen=party["listen"],
        addresses={name: entry["address"] for name, entry in others.items()},
        certificates={name: read_certificate(folder / entry["certificate"]) for name, entry in others.items()},
        time_limit_s=float(numbers["time_limit_s"]),
        wait_s=float(numbers["wait_s"]),
        epsilon=None if privacy is None else float(privacy["epsilon"]),
        delta=None if privacy is None else float(privacy["delta"]),
    )


def write_example(names: tuple[str, ...] = ("north", "south", "east")) -> str:
    """A file to begin with, that of the first party."""
    parties = "\n".join(
        f'[[parties]]\nname = "{name}"\naddress = "{name}.example.org:7461"\ncertificate = "{name}.pem"\n'
        for name in names
    )
    return f"""\
# The same for all parties.
most_colluding = {_NUMBERS["most_colluding"]}     # how many may pool what they saw and still learn only the totals
most_rows = {_NUMBERS["most_rows"]}     # the most rows a party may have; choose it before anybody counts
time_limit_s = {_NUMBERS["time_limit_s"]:g}      # for each exchange
wait_s = {_NUMBERS["wait_s"]:g}           # until all parties are there

[question]
kind = "moments"
columns = [
  {{ name = "age", lower = 18, upper = 98, unit = "years" }},
  {{ name = "resting_heart_rate_bpm", lower = 30, upper = 130, unit = "bpm" }},
]

[privacy]  # leave it out to open exact sums, which tell of people where they are few
epsilon = 1.0   # what the answer may cost a person
delta = 1e-7    # with which probability that may fail; far below one over all people

{parties}
# This party's own.
[party]
name = "{names[0]}"
key = "{names[0]}.key"
listen = "0.0.0.0:7461"  # {LOOPBACK} for parties on one machine
"""


def _check_fields(values: Mapping[str, Any]) -> None:
    """All faults of the file's own fields at once; those of the question are for `read_question`."""
    known = (*_TEXTS, "question", "privacy", *_NUMBERS)
    faults = [
        f"{name}: expected one of {', '.join(known)}, got this; leave it out" for name in values.keys() - {*known}
    ]
    for name in ("question", "privacy"):
        if not isinstance(values.get(name, {}), Mapping) or (name == "question" and name not in values):
            faults.append(f"{name}: expected a table, got {type(values.get(name)).__name__}; see `party guide`")
    if isinstance(values.get("privacy"), Mapping):
        faults += _find_privacy_faults(values["privacy"])
    for name, default in _NUMBERS.items():
        value, kinds = values.get(name, default), int if isinstance(default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 1e9:
            faults.append(f"{name}: expected a number above 0, such as {default:g}, got something else; change it")
    entries = values.get("parties")
    entries = entries if isinstance(entries, list) else []
    faults += _find_text_faults(values.get("party"), "party")
    faults += [fault for at, entry in enumerate(entries) for fault in _find_text_faults(entry, "parties", at)]
    if not faults:
        names = [entry["name"] for entry in entries]
        if len(set(names)) < len(names) or values["party"]["name"] not in names:
            faults.append(
                "parties: expected an entry for every party, this one too, each name once, got "
                f"{', '.join(names) or 'none'} for {values['party']['name']}; correct the names"
            )
    if faults:
        raise SpecificationError("\n".join(sorted(faults)))
    for where in (values["party"]["listen"], *(entry["address"] for entry in entries)):
        split_address(where)


def _find_privacy_faults(table: Mapping[str, Any]) -> list[str]:
    """What is wrong with the table of epsilon and delta."""
    faults = [f"privacy.{name}: expected epsilon and delta, got this; leave it out" for name in table.keys() - _PRIVACY]
    for name, (most, example) in _PRIVACY.items():
        value = table.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < most:
            faults.append(
                f"privacy.{name}: expected above 0 and below {most:g}, such as {example:g}, got something else"
            )
    return faults


def _find_text_faults(table: Any, kind: str, at: int | None = None) -> list[str]:
    """What is wrong with a table of texts."""
    where = kind if at is None else f"{kind}[{at}]"
    if not isinstance(table, Mapping):
        return [f"{where}: expected a table with {', '.join(_TEXTS[kind])}, got {type(table).__name__}; add it"]
    wrong = [name for name in _TEXTS[kind] if not (isinstance(table.get(name), str) and table[name])]
    faults = [f"{where}.{name}: expected a text, got {type(table.get(name)).__name__}; add it" for name in wrong]
    unknown = table.keys() - set(_TEXTS[kind])
    return faults + [f"{where}.{name}: expected {', '.join(_TEXTS[kind])}, got this; leave it out" for name in unknown]
