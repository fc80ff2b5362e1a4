"""No attack can import, receive or reach the truth. Each rule is run on the project and on planted violations."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import twinlab as tl
from twinlab.errors import TrustBoundaryError
from twinlab.pipeline.attacker_view import check_claims, let_attack, show_to_attacker, tell_attacker
from twinlab.pipeline.sensing import OPEN_READINGS, Sensed, record_readings
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

ROOT = Path(__file__).resolve().parents[2]
#: What an attack may import beside vocabulary and attacks: nothing that opens a file, a module or a stack.
LIBRARIES = {
    *("__future__", "abc", "collections", "dataclasses", "enum", "functools", "itertools", "math", "re"),
    *("time", "typing"),
    *("numpy", "scipy", "pandas", "torch"),
}
FORBIDDEN_CALLS = {"open", "eval", "exec", "compile", "__import__", "globals", "vars", "getattr", "input", "breakpoint"}
FORBIDDEN_METHODS = {"load", "loadtxt", "genfromtxt", "fromfile", "memmap", "read_csv", "read_parquet", "read_pickle"}
ALLOWED_DUNDERS = {"__name__", "__post_init__", "__init__"}
TRUTH_NAMES = {"truth", "labels", "answers", "solution", "true_values", "members", "is_member", "cohort", "targets"}
GIVEN = {"seen": "Sequence[Message]", "knowledge": "PublicKnowledge", "threat": "ThreatModel"}


def list_attacks(root: Path) -> Iterator[tuple[str, tuple[str, ...], ast.Module]]:
    for path in sorted((root / "twinlab" / "attacks").rglob("*.py")):
        parts = path.relative_to(root / "twinlab").with_suffix("").parts
        yield path.name, parts, ast.parse(path.read_text(encoding="utf-8"))


def list_vocabulary(root: Path) -> set[str]:
    """Modules at the package's root, but for its faces."""
    return {path.stem for path in (root / "twinlab").glob("*.py")} - {"__init__", "__main__", "course"}


def list_imports(tree: ast.Module, parts: tuple[str, ...]) -> Iterator[str]:
    """Dotted names that are imported anywhere; `from a import b` gives `a.b`, `import a.b` gives `a`: what it names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name if alias.asname else alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = ("twinlab", *parts[: -node.level]) if node.level else ()
            yield from (".".join((*home, *filter(None, [node.module]), alias.name)) for alias in node.names)


def find_ways_out(root: Path) -> list[str]:
    """Imports, at any depth of the code, of what is neither vocabulary nor an attack nor plain arithmetic."""
    faults, own = [], list_vocabulary(root) | {"attacks"}
    for name, parts, tree in list_attacks(root):
        for target in list_imports(tree, parts):
            library, *rest = target.split(".")
            is_own = library == "twinlab" and rest and rest[0] in own
            if not is_own and library not in LIBRARIES:
                faults.append(f"{name} imports {target}")
    return faults


def find_prying(root: Path) -> list[str]:
    """Code that looks into files, modules, closures or callers."""
    faults = []
    for name, _, tree in list_attacks(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in FORBIDDEN_CALLS:
                faults.append(f"{name}:{node.lineno} {node.id}")
            if isinstance(node, ast.Attribute) and (
                node.attr in FORBIDDEN_METHODS or (node.attr.startswith("__") and node.attr not in ALLOWED_DUNDERS)
            ):
                faults.append(f"{name}:{node.lineno} .{node.attr}")
    return faults


def find_wrong_signatures(root: Path) -> list[str]:
    """Attacks that take something else than what was seen, what is known and against whom."""
    faults = []
    for name, _, tree in list_attacks(root):
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            claims = node.returns is not None and "Claims" in ast.unparse(node.returns)
            is_named_so = node.name.startswith(("attack_", "match_", "guess_"))
            told = {each.arg for each in given} & TRUTH_NAMES
            if (claims or is_named_so) and (told or node.args.vararg or node.args.kwarg):
                faults.append(f"{name}: {node.name} takes {', '.join(sorted(told)) or 'anything'}")
            if claims and not takes_what_is_given(node):
                faults.append(f"{name}: {node.name} takes {ast.unparse(node.args)}")
    return faults


def takes_what_is_given(node: ast.FunctionDef) -> bool:
    """Whether a function is (seen, knowledge, threat, options with defaults), or changes claims that were made."""
    places = [*node.args.posonlyargs, *node.args.args]
    types = [(each.arg, ast.unparse(each.annotation) if each.annotation else "") for each in places]
    if [kind for _, kind in types] == ["Claims"] and not node.args.kwonlyargs:
        return True
    n_options = len(places) - len(GIVEN)
    has_defaults = len(node.args.defaults) == n_options and None not in node.args.kw_defaults
    return types[: len(GIVEN)] == list(GIVEN.items()) and has_defaults


def find_attacks_by_hand(root: Path) -> list[str]:
    """Calls in the pipeline that hand an attack something themselves, or take out for it what a receiver saw.

    An attack that returns claims may be named there, kept and handed on, and is called by `let_attack` alone.
    """
    attacks = {
        node.name
        for _, _, tree in list_attacks(root)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and [each.arg for each in node.args.args][: len(GIVEN)] == list(GIVEN)
    }
    faults = []
    for path in sorted((root / "twinlab" / "pipeline").rglob("*.py")):
        if path.name == "attacker_view.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = attacks | list_other_names(tree, attacks) | {"attack", "seen_by"}
        own = {f"self.{node.name}" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            is_own = isinstance(node, ast.Call) and ast.unparse(node.func) in own
            if isinstance(node, ast.Call) and not is_own and find_name(node.func) in names:
                faults.append(f"{path.name}:{node.lineno} calls {find_name(node.func)}")
    return faults


def find_name(node: ast.AST) -> str:
    """What is called at last: the attribute of an object, what a table holds, what a partial fills in."""
    if isinstance(node, ast.Subscript):
        return find_name(node.value)
    if isinstance(node, ast.Call) and find_name(node.func) == "partial" and node.args:
        return find_name(node.args[0])
    return ast.unparse(node).split(".")[-1]


def list_other_names(tree: ast.Module, attacks: set[str]) -> set[str]:
    """Names that a module gives to attacks, or to tables of them: by import, assignment, loop, or a declared type."""
    found, kept = set(), attacks | {"attack"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname for alias in node.names if alias.asname and alias.name in attacks}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.For | ast.comprehension):
            value = node.iter if isinstance(node, ast.For | ast.comprehension) else node.value
            is_table = isinstance(value, ast.Dict | ast.List | ast.Tuple | ast.IfExp)
            held = ast.walk(value) if is_table else [value] if value else []
            if any(find_name(each) in kept for each in held):
                places = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {find_name(place) for place in places}
        elif isinstance(node, ast.arg) and node.annotation and find_name(node.annotation) == "Attack":
            found.add(node.arg)
    return found


_WALK = """
import importlib, json, pkgutil, sys
allowed, found = set(json.loads(sys.argv[1])), {}
import twinlab.attacks
names = [each.name for each in pkgutil.walk_packages(twinlab.attacks.__path__, "twinlab.attacks.")]
for name in names:
    for other in [each for each in sys.modules if each.split(".")[0] == "twinlab"]:
        del sys.modules[other]
    importlib.import_module(name)
    parts = [each.split(".") for each in sys.modules if each.startswith("twinlab.")]
    found[name] = sorted({each[1] for each in parts} - allowed)
print(json.dumps(found))
"""


def find_reached_stages(root: Path) -> list[str]:
    """What is loaded, by whatever way, once an attack is: each is imported with nothing of the package there before."""
    allowed = json.dumps(sorted(list_vocabulary(root) | {"attacks"}))
    done = subprocess.run(
        [sys.executable, "-c", _WALK, allowed], cwd=root, capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    assert found, "no attack was imported"
    return [f"{name} reaches {', '.join(stages)}" for name, stages in found.items() if stages]


RULES = {
    "imports": find_ways_out,
    "prying": find_prying,
    "signatures": find_wrong_signatures,
    "reach": find_reached_stages,
    "by hand": find_attacks_by_hand,
}
_HEAD = "def attack_x(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel"
VIOLATIONS = {
    "an import of scores": ("imports", "from twinlab.evaluation import membership\n"),
    "an import within a function": ("imports", "def f():\n    from twinlab.cohorts.cohort import Cohort\n"),
    "the whole package": ("imports", "import twinlab as tl\n"),
    "a public name of the package": ("imports", "from twinlab import load_cohort\n"),
    "a relative import": ("imports", "from ..twins import person\n"),
    "a way to any module": ("imports", "import importlib\n"),
    "a way to callers' variables": ("imports", "import inspect\n"),
    "a file": ("prying", "def f():\n    return open('data/people.csv').read()\n"),
    "a file of arrays": ("prying", "import numpy as np\nx = np.load('truth.npy')\n"),
    "a closure": ("prying", "def f(measure):\n    return measure.__closure__[0].cell_contents\n"),
    "an object behind a method": ("prying", "def f(measure):\n    return getattr(measure, 'x')\n"),
    "truth as an option": ("signatures", f"{_HEAD}, *, truth: object = None) -> Claims: ...\n"),
    "one thing more": ("signatures", f"{_HEAD}, extra: int) -> Claims: ...\n"),
    "anything more": ("signatures", f"{_HEAD}, **more: object) -> Claims: ...\n"),
    "a transcript whole": ("signatures", _HEAD.replace("Sequence[Message]", "Transcript") + ") -> Claims: ...\n"),
    "another order": ("signatures", "def f(knowledge: PublicKnowledge, seen: Sequence[Message]) -> Claims: ...\n"),
    "labels without claims": ("signatures", "def guess_x(rows: int, labels: int) -> int: ...\n"),
    "an import by its name": ("reach", "__import__('twinlab.cohorts')\n"),
    "an import over a detour": ("reach", "import twinlab.roles as r\n"),
    "the package beside a module": ("imports", "import twinlab.threat\n"),
}
_CALL = "attack_x(seen, knowledge, threat)\n"
CALLS_BY_HAND = {
    "its name": f"from twinlab.attacks.x import attack_x\n{_CALL}",
    "its module": f"from twinlab.attacks import x\nx.{_CALL}",
    "another name": f"from twinlab.attacks.x import attack_x as go\n{_CALL.replace('attack_x', 'go')}",
    "a variable": f"from twinlab.attacks.x import attack_x\ngo = attack_x\n{_CALL.replace('attack_x', 'go')}",
    "an argument": f"def f(go: Attack, seen, knowledge, threat):\n    return {_CALL.replace('attack_x', 'go')}",
    "a partial": f"from twinlab.attacks.x import attack_x\npartial(attack_x, k=2){_CALL.removeprefix('attack_x')}",
    "a kept partial": f"go = partial(attack_x, k=2)\n{_CALL.replace('attack_x', 'go')}",
    "a table": f"WAYS = {{'x': attack_x}}\n{_CALL.replace('attack_x', 'WAYS[by]')}",
    "a loop": f"for go in (attack_x, attack_y):\n    {_CALL.replace('attack_x', 'go')}",
    "a choice": f"go = attack_x if fast else attack_y\n{_CALL.replace('attack_x', 'go')}",
    "a record of evidence": f"def f(evidence, seen, knowledge, threat):\n    evidence.{_CALL.replace('_x', '')}",
    "what a receiver saw": "def f(run, transcript):\n    return run(transcript.seen_by('public'))\n",
}


@pytest.mark.parametrize("name", RULES)
def test_no_attack_breaks_the_rule(name):
    assert RULES[name](ROOT) == []


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_planted_violation_is_found(name, tmp_path):
    rule, source = VIOLATIONS[name]
    files = {
        **{f"twinlab/{each}.py": "" for each in ("__init__", "attacks/__init__", "cohorts/__init__", "threat")},
        "twinlab/roles.py": "import twinlab.cohorts\n",  # vocabulary that is no longer innocent
        "twinlab/attacks/planted.py": source,
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (fault,) = RULES[rule](tmp_path)
    assert "planted" in fault


@pytest.mark.parametrize("by", CALLS_BY_HAND)
def test_an_attack_that_is_called_by_hand_is_found(by, tmp_path):
    write_laboratory(tmp_path, CALLS_BY_HAND[by])
    (fault,) = find_attacks_by_hand(tmp_path)
    assert "planted" in fault


def test_an_attack_may_be_named_and_handed_to_the_one_who_runs_it(tmp_path):
    source = "from twinlab.attacks.x import attack_x\nlet_attack(attack_x, transcript, knowledge, threat)\n"
    own = "class Mirror:\n    def attack(self, n): ...\n    def show(self):\n        self.attack(2)\n"
    write_laboratory(tmp_path, f"{source}kept = Evidence(attack_x)\nassign_one_to_one(claims)\n{own}")
    assert find_attacks_by_hand(tmp_path) == []


def write_laboratory(root, source):
    """A pipeline with one module of this source, and an attack."""
    for path, text in {"attacks/x.py": f"{_HEAD}) -> Claims: ...\n", "pipeline/planted.py": source}.items():
        (root / "twinlab" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "twinlab" / path).write_text(text)


def test_a_right_attack_breaks_no_rule(tmp_path):
    source = "from __future__ import annotations\nimport numpy as np\nfrom twinlab.threat import Claims\n"
    files = {"__init__": "", "attacks/__init__": "", "threat": "class Claims: ...\n"}
    files["attacks/right"] = f"{source}{_HEAD}, *, k: int = 1) -> Claims: ...\n"
    (tmp_path / "twinlab" / "attacks").mkdir(parents=True)
    for path, text in files.items():
        (tmp_path / "twinlab" / f"{path}.py").write_text(text)
    assert [fault for rule in RULES.values() for fault in rule(tmp_path)] == []


# What is handed over at run time.


@pytest.fixture(scope="module")
def cohort():
    return tl.load_cohort(tl.Experiment().with_({"cohort.n_people": 4, "cohort.n_days": 3}))


def show(payload):
    transcript = Transcript()
    transcript.record(Message("trainer", "public", "table", 8, 0.1, payload, NoGuarantee("open")))
    return show_to_attacker(transcript, "public")[0].payload


def test_the_attacker_gets_copies_that_lead_nowhere_and_cannot_be_written_to():
    truth = np.arange(12.0).reshape(3, 4)
    view = truth[1:]
    assert view.base is not None, "what a careless laboratory hands over leads to the rest"
    shown = show({"arrays": [view]})["arrays"][0]
    assert shown.base is None
    assert np.array_equal(shown, view)
    with pytest.raises(ValueError, match="read-only"):
        shown[0, 0] = 1
    weights = torch.ones(3)
    show(weights).zero_()
    assert weights.sum() == 3
    table = pd.DataFrame({"value": [1.0, 2.0]})
    table.attrs["people"] = truth
    copied = show(table)
    copied.loc[0, "value"] = 9.0
    assert table.value.tolist() == [1.0, 2.0]
    assert not copied.attrs


def test_only_the_named_receivers_messages_are_shown():
    transcript = Transcript()
    for receiver in ("server", "public", "server"):
        transcript.record(Message("device", receiver, "x", 1, 0.1, receiver, NoGuarantee("open")))
    assert [message.payload for message in show_to_attacker(transcript, "server")] == ["server"] * 2


def test_an_attack_is_run_on_what_it_may_have_and_nothing_else():
    truth, given = np.arange(6.0), []
    transcript = Transcript()
    for receiver, payload in (("server", truth[:2]), ("public", truth[2:4])):
        transcript.record(Message("device", receiver, "x", 16, 0.1, payload, NoGuarantee("open")))

    def attack(seen, knowledge, threat):
        given.append((seen, knowledge, threat))
        return Claims("membership", seen[0].payload[None], method="copies")

    threat = ThreatModel("membership", "public", "nothing")
    claims = let_attack(attack, transcript, PublicKnowledge(facts={"known": truth[4:]}), threat)
    assert claims.scores.tolist() == [[2.0, 3.0]]
    ((seen, knowledge, against),) = given
    assert [message.receiver for message in seen] == ["public"]
    assert against is threat
    assert seen[0].payload.base is None
    assert knowledge.find("known").base is None
    with pytest.raises(TrustBoundaryError, match="claims: expected"):
        let_attack(lambda *given: Claims("membership", given), transcript, PublicKnowledge(), threat)


def test_of_a_cohort_its_receiver_saw_readings_alone(cohort):
    assert len(cohort.attributes.columns) > 0, "these people have something to hide"
    transcript = Transcript()
    record_readings(transcript, Sensed(cohort, OPEN_READINGS), 0.1)
    (recorded,) = transcript
    assert recorded.payload.attributes.empty
    (shown,) = show_to_attacker(transcript, "trainer")
    assert set(shown.payload) == {"signals", "start", "values"}
    assert np.array_equal(shown.payload["values"], cohort.values, equal_nan=True)
    assert shown.payload["values"].base is None


class _Laboratory:
    """A careless one, whose methods lead to all that it has."""

    def __init__(self, people):
        self.people = people

    def measure(self, weights):
        return weights.sum()


def _close_over(people):
    return lambda weights: weights.sum() * people.n_people


def _wrap(function):
    return lambda weights: function(weights)


def _default_to(people):
    def measure(weights, people=people):
        return weights.sum() * people.n_people

    return measure


def _call_with(people, weights):
    return weights.sum() * people.n_people


HIDDEN = {
    "the cohort": lambda cohort: cohort,
    "in a list": lambda cohort: [cohort],
    "in a mapping": lambda cohort: {"a": {"b": cohort}},
    "in a table": lambda cohort: pd.DataFrame({"a": [cohort]}),
    "in an array of objects": lambda cohort: np.array([cohort, None], dtype=object),
    "in an object": _Laboratory,
    "behind a method": lambda cohort: _Laboratory(cohort).measure,
    "in a closure": _close_over,
    "in a closure's closure": lambda cohort: _wrap(_close_over(cohort)),
    "in a closure's mapping": lambda cohort: _wrap({"people": [cohort]}),
    "in a closure's object": lambda cohort: _wrap(_Laboratory(cohort)),
    "behind a closure's method": lambda cohort: _wrap(_Laboratory(cohort).measure),
    "in a partial": lambda cohort: partial(_call_with, cohort),
    "in a default": _default_to,
}


@pytest.mark.parametrize("where", HIDDEN)
def test_the_truth_is_refused_wherever_it_hides(cohort, where):
    with pytest.raises(TrustBoundaryError, match=r"knowledge 'known': expected .* truth may lie") as refused:
        tell_attacker(PublicKnowledge(facts={"known": HIDDEN[where](cohort)}))
    assert not [person for person in cohort.person_ids if person in str(refused.value)]


def test_payloads_choices_and_claims_hide_nothing_either(cohort):
    with pytest.raises(TrustBoundaryError, match="payload: expected"):
        show({"people": _Laboratory(cohort)})
    with pytest.raises(TrustBoundaryError, match="choices: expected"):
        tell_attacker(PublicKnowledge(choices=cohort))
    with pytest.raises(TrustBoundaryError, match="claims: expected"):
        check_claims(Claims("attribute", np.zeros(1), np.array([cohort], dtype=object)))


def test_what_is_public_passes(cohort):
    experiment, scale = tl.Experiment(), 2.0
    facts = {
        "method": "lira", "n": 3, "named": cohort.values[:2], "times": cohort.start, "nothing": None,
        "measure": lambda weights: scale * weights.sum(), "answers": pd.DataFrame({"label": ["a"], "value": [1.0]}),
    }  # fmt: skip
    told = tell_attacker(PublicKnowledge(experiment, facts))
    assert told.choices == experiment
    assert told.find("method") == "lira"
    assert told.find("measure")(np.ones(2)) == 4
    assert told.find("named").base is None
    claims = check_claims(Claims("attribute", np.ones((2, 3)), np.array(["a", "b"], dtype=object), "guesses"))
    assert claims.values.tolist() == ["a", "b"]
    assert claims.method == "guesses"
