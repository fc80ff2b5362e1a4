"""A party of a joint question as a process of its own, on this machine: `python -m twinlab.pipeline.joint_party`.

`twinlab.pipeline.joint_run` starts one for each party and tells it what to do. A party makes its key in its own memory,
so nobody else ever has it. This module loads neither torch nor pandas.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from twinlab.protection.joint.child import PROGRESS, ParentLine, serve_parent
from twinlab.protection.joint.identity import make_identity
from twinlab.protection.joint.link import Link
from twinlab.protection.joint.party_run import Disturb, RunPhase, RunTerms, run_party

#: A certificate of one run is of no use soon after it.
_DAYS = 2


def serve_run(line: ParentLine) -> None:
    """Take part in one run.

    The parent tells the terms, this party's name, its time limit and its rows; hears this party's certificate and
    address; tells everybody's; and hears the totals, what the party received, and its sums' progress in between.
    """
    task, (rows,) = line.read()
    terms = RunTerms.read(task["terms"])
    identity = make_identity(task["name"], _DAYS)

    def report_phase(number: int, n_rounds: int, phase: RunPhase) -> None:
        if phase == task["fault"]:
            os._exit(1)
        line.say(PROGRESS, {"round": number, "of": n_rounds, "phase": phase})

    with Link(identity, time_limit_s=task["time_limit_s"]) as link:
        line.say("ready", {"certificate": identity.certificate, "address": link.address})
        others, _ = line.read()
        link.connect(others["addresses"], others["certificates"])
        found = run_party(terms, link, rows, disturb=find_disturbance(terms.noise), report_phase=report_phase)
    messages = [[each.sender, each.phase, each.round_number, each.n_bytes, each.seconds] for each in found.received]
    line.say("opened", {"n_sums": len(found.totals)}, found.totals)
    line.say("received", {"messages": messages}, [each.content for each in found.received])


def find_disturbance(noise: Mapping[str, Any] | None) -> Disturb | None:
    """What a party does to its vectors before it shares them, from plain values; nothing without any."""
    if noise is None:
        return None
    found: Disturb | None = importlib.import_module("twinlab.pipeline.joint_noise").make_disturbance(dict(noise))
    return found


if __name__ == "__main__":
    serve_parent(serve_run)
