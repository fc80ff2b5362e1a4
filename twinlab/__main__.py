"""The command line: `python -m twinlab COMMAND`. It works where there is no make."""

import argparse
import ast
import importlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import twinlab
from twinlab.errors import SpecificationError, TwinlabError

_EXAMPLES = """examples:
  python -m twinlab lab
  python -m twinlab doctor
  python -m twinlab notebook 01 -p n_people 30 --set twin.process_noise=0.02
  python -m twinlab run experiment.toml --set cohort.n_people=30 --json
  python -m twinlab sweep --grid learn.privacy.epsilon=0.5,1,2 --grid seed=0,1 --set learn.privacy=person
  python -m twinlab federated export my-federation --set cohort=shipped
  python -m twinlab party guide
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after `python -m twinlab`; those of this process when None.

    Returns:
      The exit status: 0 when all went well, 1 when something failed, 2 when the words were wrong.
    """
    parser = _build_parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and not options.takes_more:
        parser.error(f"unknown words: {' '.join(rest)}; see python -m twinlab {options.command} --help")
    try:
        return options.act(options, [word for word in rest if word != "--"])
    except SpecificationError as error:
        print(error, file=sys.stderr)
        return 2
    except TwinlabError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m twinlab",
        description=(twinlab.__doc__ or "").splitlines()[0],
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"twinlab {twinlab.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, act: Any, text: str, takes_more: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(act=act, takes_more=takes_more)
        return command

    add("lab", _open_lab, "open JupyterLab on the welcome notebook; further words go to JupyterLab", takes_more=True)
    add("test", _run_suite, "lint, types and every test; further words go to pytest alone", takes_more=True)
    add("doctor", _examine, "what works on this machine, and what to do about the rest")
    show = add("show", _show, "the table of everything an experiment can choose")
    _add_changes(show)
    run = add("run", _run, "run experiments from TOML files; without any, every notebook headless into runs/")
    run.add_argument("experiment", nargs="*", help="TOML files")
    run.add_argument("--json", action="store_true", help="print the findings as JSON")
    run.add_argument("--output", type=Path, default=Path("runs"), help="folder for executed notebooks")
    _add_changes(run)
    _add_frontier(add("frontier", _trace_frontier, "the curve of privacy against utility of an experiment, as a table"))
    _add_sweep(add("sweep", _sweep, "measure every combination of some choices, each once, as a table"))
    notebook = add("notebook", _run_notebook, "run one notebook headless, strictly")
    notebook.add_argument("name", help="its path, its name, or its number")
    notebook.add_argument("-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    notebook.add_argument("--output", type=Path, default=Path("runs"), help="folder for the executed notebook")
    notebook.add_argument("--seconds", type=float, default=600, help="time limit")
    notebook.add_argument("--memory-mb", type=float, default=4096, help="memory limit")
    _add_changes(notebook)
    _add_party(add("party", _take_part, "a party of a joint question on its own machine: `new`, `run`, `guide`"))
    _add_federated(add("federated", _federate, "a federation as a Flower app: `export` it, or `run` an exported one"))
    return parser


def _add_federated(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "write the app folder for `flwr run`, with a page that says how"
    export = actions.add_parser("export", help=text, description=text, allow_abbrev=False)
    export.add_argument("folder", type=Path, help="empty, or not there yet")
    export.add_argument("--experiment", help="a TOML file; the default experiment without one")
    _add_changes(export)
    text = "run an exported app on this machine: a SuperLink and SuperNodes over TLS, or Ray"
    run = actions.add_parser("run", help=text, description=text, allow_abbrev=False)
    run.add_argument("folder", type=Path, help="of the app")
    run.add_argument("--devices", type=int, default=2, help="how many; each SuperNode takes some 750 MB")
    run.add_argument("--output", type=Path, default=Path("runs/federated"), help="empty folder for results and logs")
    run.add_argument("--ray", action="store_true", help="simulate the devices with Ray")
    run.add_argument("--cluster", help="address of a Ray cluster; RAY_ADDRESS, or this machine alone, when left out")


def _add_party(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "make a key, a certificate and an example configuration"
    new = actions.add_parser("new", help=text, description=text, allow_abbrev=False)
    new.add_argument("name", help="of the party, as the others will know it")
    new.add_argument("--folder", type=Path, default=Path("."), help="where the files go")
    text = "take part in a joint question with the other machines, and print the answer"
    run = actions.add_parser("run", help=text, description=text, allow_abbrev=False)
    run.add_argument("config", type=Path, help="the configuration, a TOML file")
    run.add_argument("--rows", type=Path, required=True, help="CSV with the columns of the question; it stays here")
    run.add_argument("--json", action="store_true", help="print the answer as JSON")
    run.add_argument("--ledger", type=Path, help="of this party's people; the user's own when left out")
    run.add_argument("--budget", type=float, default=10.0, help="epsilon that these people may lose in all")
    text = "how several machines ask together"
    actions.add_parser("guide", help=text, description=text, allow_abbrev=False)


def _add_frontier(command: argparse.ArgumentParser) -> None:
    command.add_argument("experiment", nargs="?", help="a TOML file; the default experiment without one")
    command.add_argument("--signal", default="", help="whose error; the first that is forecast when left out")
    command.add_argument("--start", default="constant", choices=("constant", "simulated"), help="where training starts")
    command.add_argument("--json", action="store_true", help="print the table as JSON")
    command.add_argument("--yes", action="store_true", help="spend real people's budget on it; the price is said first")
    _add_changes(command)


def _add_sweep(command: argparse.ArgumentParser) -> None:
    command.add_argument("experiment", nargs="?", help="a TOML file; the default experiment without one")
    text = "a field and its values, such as seed=0,1; once for each field"
    command.add_argument("--grid", action="append", required=True, metavar="FIELD=VALUE,VALUE", help=text)
    command.add_argument("--store", type=Path, help="folder of what was measured before; the user's own without one")
    command.add_argument("--processes", type=int, default=1, help="how many experiments run at once, a core each")
    command.add_argument("--out", type=Path, help="write the table to this file too, .csv or .parquet")
    command.add_argument("--json", action="store_true", help="print the table as JSON")
    command.add_argument("--yes", action="store_true", help="spend real people's budget on it; asked for before")
    _add_changes(command)


def _add_changes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of the experiment",
    )


def parse_changes(words: Sequence[str]) -> dict[str, Any]:
    """`["twin.process_noise=0.02"]` as a dictionary with typed values.

    Raises:
      SpecificationError: if a word has no `=`.

    >>> parse_changes(["cohort.n_people=30", "cohort=shipped"])
    {'cohort.n_people': 30, 'cohort': 'shipped'}
    """
    faults = [word for word in words if "=" not in word]
    if faults:
        raise SpecificationError(f"--set: expected FIELD=VALUE, got {', '.join(map(repr, faults))}")
    return {name.strip(): _parse_value(value) for name, _, value in (word.partition("=") for word in words)}


def parse_grid(words: Sequence[str]) -> dict[str, list[Any]]:
    """`["seed=0,1"]` as a dictionary of typed values; commas inside brackets or quotes belong to a value.

    Raises:
      SpecificationError: if a word has no `=`, or a field comes twice.

    >>> parse_grid(["seed=0,1", "twin.targets=none,['steps', 'sleep_min']"])
    {'seed': [0, 1], 'twin.targets': [None, ['steps', 'sleep_min']]}
    """
    parts = [word.partition("=") for word in words]
    names = [name.strip() for name, _, _ in parts]
    wrong = [word for word, (_, sign, _) in zip(words, parts, strict=True) if not sign]
    wrong += [f"{name} twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if wrong:
        raise SpecificationError(f"--grid: expected FIELD=VALUE,VALUE once for each field, got {', '.join(wrong)}")
    values = [re.findall(r"(?:\[[^\]]*\]|\{[^}]*\}|'[^']*'|\"[^\"]*\"|[^,])+", text) for _, _, text in parts]
    return {name: [_parse_value(each.strip()) for each in own] for name, own in zip(names, values, strict=True)}


def _parse_value(text: str) -> Any:
    """A number, a list, true, false or none where it reads as one; the text itself otherwise."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _open_lab(_: argparse.Namespace, rest: Sequence[str]) -> int:
    return importlib.import_module("twinlab.commands.lab").open_lab(rest)


def _run_suite(_: argparse.Namespace, rest: Sequence[str]) -> int:
    return importlib.import_module("twinlab.commands.suite").run_suite(rest)


def _examine(_: argparse.Namespace, __: Sequence[str]) -> int:
    examination = importlib.import_module("twinlab.commands.doctor").examine_machine()
    print(examination)
    return 0 if examination.is_ok else 1


def _show(options: argparse.Namespace, _: Sequence[str]) -> int:
    experiment = twinlab.Experiment().with_(parse_changes(options.changes))
    rows = experiment.rows()
    columns = ("field", "value", "unit", "limits")
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in columns}
    print("  ".join(f"{name:<{widths[name]}}" for name in columns) + "  meaning")
    for row in rows:
        print("  ".join(f"{row[name]!s:<{widths[name]}}" for name in columns) + f"  {row['meaning']}")
    print(f"fingerprint {experiment.fingerprint}")
    return 0


def _run(options: argparse.Namespace, _: Sequence[str]) -> int:
    if not options.experiment:
        if options.changes or options.json:
            raise SpecificationError("run: --set and --json need an experiment, a TOML file")
        return _run_all_notebooks(options.output)
    changes = parse_changes(options.changes)
    experiments = [twinlab.Experiment.from_toml(path).with_(changes) for path in options.experiment]
    for experiment in experiments:
        result = twinlab.run(experiment, progress=None if options.json else _report)
        if options.json:
            print(json.dumps(result.summary(), default=str))
        else:
            print(f"\nexperiment {experiment.fingerprint}")
            for said in (*result.findings, *result.answers_in_words(), *result.badges, *result.receipts):
                print(f"  {said}")
    return 0


def _trace_frontier(options: argparse.Namespace, _: Sequence[str]) -> int:
    changes = parse_changes(options.changes)
    chosen = twinlab.Experiment.from_toml(options.experiment) if options.experiment else twinlab.Experiment()
    report = None if options.json else _report
    exploration = twinlab.explore_privacy(chosen.with_(changes), progress=report)
    scenario = twinlab.Scenario(start=options.start)
    signal = options.signal or exploration.signals[0]
    if not (exploration.is_free or options.yes):
        print(f"{exploration.describe_cost(scenario)} Nothing was spent. Say --yes to spend it.", file=sys.stderr)
        return 1
    for _step in exploration.trace(scenario, report or _stay_silent):
        pass
    table = exploration.table(scenario, signal)
    if options.json:
        print(table.to_json(orient="records"))
    else:
        print(f"\n{table.round(3).to_string(index=False)}\n{exploration.finding(scenario, signal)}")
    return 0


def _sweep(options: argparse.Namespace, _: Sequence[str]) -> int:
    chosen = twinlab.Experiment.from_toml(options.experiment) if options.experiment else twinlab.Experiment()
    return importlib.import_module("twinlab.commands.sweep").run_sweep(
        chosen.with_(parse_changes(options.changes)),
        parse_grid(options.grid),
        store=options.store,
        n_processes=options.processes,
        out=options.out,
        prints_json=options.json,
        may_spend=options.yes,
    )


def _take_part(options: argparse.Namespace, _: list[str]) -> int:
    """The party of a joint question on this machine."""
    party = importlib.import_module("twinlab.commands.party")
    if options.action == "new":
        return int(party.print_new_party(options.name, options.folder))
    if options.action == "run":
        chosen = {"prints_json": options.json, "ledger": options.ledger, "budget": options.budget}
        return int(party.print_joint_answer(options.config, options.rows, **chosen))
    return int(party.print_guide())


def _federate(options: argparse.Namespace, _: Sequence[str]) -> int:
    command = importlib.import_module("twinlab.commands.federated")
    if options.action == "run":
        found = command.run_app(
            options.folder, options.output, options.devices, with_ray=options.ray, cluster=options.cluster
        )
        print(f"weights: {found.final_weights}\nreports: {found.round_reports}\nlogs, private: {found.logs}")
        return 0
    chosen = twinlab.Experiment.from_toml(options.experiment) if options.experiment else twinlab.Experiment()
    if chosen.learn.kind != "federated":
        chosen = chosen.with_({"learn": "federated"})
    for path in command.export_app(chosen.with_(parse_changes(options.changes)), options.folder):
        print(path)
    return 0


def _stay_silent(what: str, done: int, total: int) -> None:
    """Progress for a reader who is a program."""


def _report(what: str, done: int, total: int) -> None:
    """Progress on one line of standard error."""
    end = "\n" if done >= total else ""
    print(f"\r{what}: {done} of {total}   ", end=end, file=sys.stderr, flush=True)


def _run_all_notebooks(output: Path) -> int:
    workspace = importlib.import_module("twinlab.commands.workspace")
    runner = importlib.import_module("twinlab.commands.notebook")
    runs = []
    paths = workspace.list_notebooks()
    for number, path in enumerate(paths, 1):
        print(f"[{number}/{len(paths)}] {path.stem}", flush=True)
        runs.append(runner.run_notebook(path, output / path.name, shows_progress=sys.stderr.isatty()))
    runner.print_table(runs)
    print(f"executed notebooks and HTML pages are in {output}")
    return 0 if all(run.is_ok for run in runs) else 1


def _run_notebook(options: argparse.Namespace, _: Sequence[str]) -> int:
    workspace = importlib.import_module("twinlab.commands.workspace")
    runner = importlib.import_module("twinlab.commands.notebook")
    path = workspace.find_notebook(options.name)
    values: dict[str, Any] = {name: _parse_value(value) for name, value in options.parameters}
    changes = parse_changes(options.changes)
    twinlab.Experiment().with_(changes)  # a wrong key is said now, not after minutes
    if changes:
        values["changes"] = changes
    run = runner.run_notebook(
        path,
        options.output / path.name,
        values,
        time_limit_seconds=options.seconds,
        memory_limit_mb=options.memory_mb,
        shows_progress=sys.stderr.isatty(),
    )
    runner.print_table([run])
    return 0 if run.is_ok else 1


if __name__ == "__main__":
    sys.exit(main())
