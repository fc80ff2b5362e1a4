"""Environments of their own for peers whose libraries do not fit ours, and what runs in them.

The first run that wants one makes it, from wheels only, so that nothing is compiled; later runs find it. A part is the
text of a program that has the peer and no twinlab. It reads files of one folder and prints lines of JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def find_cache() -> Path:
    """Where environments are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "twinlab"


def name_folder(peer: str) -> str:
    """The name of a peer's folder in the cache; the peer is named as pip installs it, "mbi==2.0.0"."""
    return peer.replace("==", "-")


def prepare_environment(folder: Path, peer: str, advice: str = "") -> tuple[Path | None, str]:
    """The interpreter that has the peer, or None and why not.

    Args:
      folder: of this environment; what it holds is cleared where the peer is not found in it.
      peer: as pip installs it, in one version.
      advice: the last words, where the peer cannot be installed.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    name, version = peer.split("==")
    asked = f"import importlib.metadata as m; assert m.version({name!r}) == {version!r}"

    def has_peer() -> bool:
        return (
            python.exists() and not subprocess.run([python, "-c", asked], capture_output=True, check=False).returncode
        )

    if has_peer():
        return python, ""
    print(f"making an environment with {peer} in {folder}", flush=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    install += ["--only-binary", ":all:", peer]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], [str(python), *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no word of why").splitlines()[-1]
            return None, f"{peer} could not be installed ({last[:200]}); is a package index reached?{advice}"
    return (python, "") if has_peer() else (None, f"{peer} was installed in {folder} and cannot be imported")


def start_part(python: Path, part: str, folder: Path, *words: str) -> subprocess.Popen:
    """A peer at work in a folder, whose path is its first argument; the words are those after it."""
    # what is set for our environment, such as a path of modules, is not for theirs
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    # an interpreter named from where we are is not there from where it works
    command = [str(python.absolute()), "-c", part, str(folder.absolute()), *words]
    with (folder / "told").open("w") as told, (folder / "errors").open("w") as errors:
        return subprocess.Popen(command, stdout=told, stderr=errors, env=own, cwd=folder)


def wait_for_part(process: subprocess.Popen, folder: Path) -> tuple[list[str] | None, str]:
    """The lines that a peer told when it is done, or None and its last words, which may be none."""
    if process.wait():
        last = ((folder / "errors").read_text().strip().splitlines() or [""])[-1]
        return None, last[:200]
    return (folder / "told").read_text().splitlines(), ""


def run_part(python: Path, part: str, folder: Path, *words: str) -> tuple[list[str] | None, str]:
    """Start a part and wait for it."""
    process = start_part(python, part, folder, *words)
    try:
        return wait_for_part(process, folder)
    finally:
        process.kill()
