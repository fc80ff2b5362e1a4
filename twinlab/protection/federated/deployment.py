"""Flower's own launchers as child processes: a SuperLink with SuperNodes, or one that simulates them with Ray.

Everything listens on loopback, over TLS, and only devices whose key is registered may answer. Nothing is downloaded and
nobody is counted. Whatever was started is stopped when the block ends, however it ends. For devices elsewhere the same
launchers run by hand; the page that an exported app brings has the commands.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import ssl
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

from twinlab.errors import MissingDependencyError, ProtocolError, SpecificationError
from twinlab.protection.federated.certificate import Certificates, make_certificates, make_node_key

HOST = "127.0.0.1"
#: The name under which Flower's command line finds the link in its own settings.
_LINK = "twinlab"
#: A port that was free may be taken before the child listens on it; then another one is tried.
_TRIES = 3
_SECONDS_TO_STOP, _SECONDS_BETWEEN_LOOKS = 10.0, 0.1
Setting = str | int | float | bool


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    Attributes:
      run_id: as Flower numbers it.
      status: Flower's own words, such as `finished:completed`.
      details: why it failed, where it did.
    """

    run_id: int
    status: str
    details: str

    @property
    def is_complete(self) -> bool:
        """Whether the server app came to its end."""
        return self.status == "finished:completed"


@dataclass
class Node:
    """A SuperNode in a process of its own.

    Attributes:
      name: of its key and its log.
      process: the launcher.
      log: file with all that it and its apps say; it may hold what a device knows, so it is private.
    """

    name: str
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path


class SuperLink:
    """A Flower SuperLink on loopback and the devices around it, for as long as a `with` block lasts.

    The link has a certificate that nobody else's is taken for, made for this run; a device proves by an ECDSA key
    (P-384) that it is registered. Flower authenticates the server by TLS and devices by their keys.
    """

    def __init__(
        self,
        folder: Path,
        *,
        simulates: bool = False,
        cluster: str | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> None:
        """Prepare; nothing runs before the block begins.

        Args:
          folder: an empty one for keys, logs and Flower's own files; the server app's working folder, too.
          simulates: devices are simulated with Ray instead of being nodes of their own.
          cluster: address of a Ray cluster that simulates; `RAY_ADDRESS` of the environment when None, and without
            one a Ray of this machine's own.
          environment: variables of the children beside this process's own.
          seconds: that a child may take to be ready, and a command to answer.

        Raises:
          MissingDependencyError: if Ray is wanted and not installed.
          SpecificationError: if the folder is not empty.
        """
        if simulates and importlib.util.find_spec("ray") is None:
            raise MissingDependencyError(
                "Ray is needed to simulate devices on several cores or machines: pip install 'twinlab[ray]'. Without "
                "it `tl.run` simulates a thousand devices in this process"
            )
        if folder.exists() and any(folder.iterdir()):
            raise SpecificationError("SuperLink: expected an empty folder, got one with files; choose another")
        self.folder, self._simulates, self._seconds = folder.resolve(), simulates, seconds
        self._environment = make_environment(self.folder / "flower", {**(environment or {})})
        if cluster is not None:
            self._environment["RAY_ADDRESS"] = cluster
        self._certificates: Certificates | None = None
        self._port = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def home(self) -> Path:
        """Flower's own folder; by it everything is found that the link has started."""
        return Path(self._environment["FLWR_HOME"])

    @property
    def address(self) -> str:
        """Where the link listens."""
        return f"{HOST}:{self._port}"

    def __enter__(self) -> Self:
        """Make certificates, start the link and wait until it answers.

        Raises:
          ProtocolError: if it does not.
        """
        (self.folder / "flower").mkdir(parents=True, exist_ok=True)
        try:
            self._certificates = make_certificates(self.folder / "certificates", HOST)
            self._start_link()
            self._write_connection()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything that was started, and what that has started."""
        stop_family(self._environment["FLWR_HOME"])
        for process in self._processes:
            process.wait(timeout=_SECONDS_TO_STOP)
        self._processes.clear()

    def start_node(self, node_config: Mapping[str, Setting], *, is_registered: bool = True, n_retries: int = 0) -> Node:
        """Start a device as a SuperNode of its own; it connects while the caller goes on.

        Args:
          node_config: the node's own settings, such as {"partition-id": 0}.
          is_registered: whether its key is made known to the link before.
          n_retries: how often it tries to connect before its process ends; for ever when 0.

        Raises:
          ProtocolError: if its key cannot be registered.
        """
        name = f"node{len(self._processes)}"
        private, public = make_node_key(self.folder / "keys", name)
        if is_registered:
            self.ask_flower("supernode", "register", str(public), _LINK)
        words = [
            *("--superlink", self.address, "--root-certificates", str(self._trusted().root)),
            *("--auth-supernode-private-key", str(private), "--host", HOST, "--port", str(find_free_port())),
            *self._encrypt(),  # what a node says to its own apps
            *("--node-config", " ".join(f"{key}={json.dumps(value)}" for key, value in node_config.items())),
            *(("--max-retries", str(n_retries)) if n_retries else ()),
        ]
        log = self.folder / f"{name}.log"
        return Node(name, self._start("flower-supernode", words, log), log)

    def list_nodes(self) -> list[dict[str, Any]]:
        """The registered devices: their number, and whether they are online."""
        return self.ask_flower("supernode", "list", _LINK)["nodes"]

    def run(
        self, app: Path, run_config: Mapping[str, Setting] | None = None, n_devices: int = 0, seconds: float = 600.0
    ) -> RunEnd:
        """Run an app folder and wait for its end.

        Args:
          app: with its pyproject.toml.
          run_config: overrides some of its run configuration.
          n_devices: to simulate; their nodes are told where there are any.
          seconds: that the run may take.

        Raises:
          ProtocolError: if the run does not start, or does not end in time.
        """
        words = ["run", str(app), _LINK]
        for key, value in (run_config or {}).items():
            words += ["--run-config", f"{key}={json.dumps(value)}"]
        if self._simulates:
            sizes = f"num-supernodes={n_devices} client-resources-num-cpus=1"
            if "RAY_ADDRESS" not in self._environment:  # a cluster has its own number of cores
                sizes += f" init-args-num-cpus={os.cpu_count() or 1}"
            words += ["--federation-config", sizes]
        run_id = int(self.ask_flower(*words)["run-id"])
        with (self.folder / "run.log").open("ab") as log:
            try:
                self._call(["log", str(run_id), _LINK], stdout=log, seconds=seconds)
            except subprocess.TimeoutExpired:
                raise ProtocolError(
                    f"run: expected its end within {seconds:g} s; see the logs in {self.folder}"
                ) from None
        return self._await_end(run_id)

    def ask_flower(self, *words: str) -> dict[str, Any]:
        """Ask Flower's command line and read its JSON.

        Raises:
          ProtocolError: if it refuses or does not answer.
        """
        try:
            done = self._call([*words, "--format", "json"], stdout=subprocess.PIPE, seconds=self._seconds)
            answer = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            answer = {}
        if not answer.get("success"):
            reason = answer.get("error-message") or f"see the logs in {self.folder}"
            raise ProtocolError(f"flwr {' '.join(words[:2])}: expected success, got none: {reason}")
        return answer

    def _await_end(self, run_id: int) -> RunEnd:
        """The log ends a moment before the run's state does."""
        deadline = time.monotonic() + self._seconds
        while True:
            found = self.ask_flower("list", _LINK, "--run-id", str(run_id))["runs"][0]
            if found["status"].startswith("finished") or time.monotonic() > deadline:
                return RunEnd(run_id, found["status"], found["status-details"])
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _start_link(self) -> None:
        trusted = self._trusted()
        words = [
            *self._encrypt(),
            *("--host", HOST, "--disable-runtime-dependency-installation"),
            "--simulation" if self._simulates else "--enable-supernode-auth",
        ]
        context = ssl.create_default_context(cafile=str(trusted.root))
        for _ in range(_TRIES):
            self._port = find_free_port()
            process = self._start("flower-superlink", [*words, "--port", str(self._port)], self.folder / "link.log")
            if wait_until(lambda: self._is_healthy(context), self._seconds, process):
                return
            self.close()
        raise ProtocolError(
            f"SuperLink: expected an answer within {self._seconds:g} s, got none; see link.log in {self.folder}"
        )

    def _is_healthy(self, context: ssl.SSLContext) -> bool:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"https://{self.address}/health", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _write_connection(self) -> None:
        """Flower's command line reads where the link is from a file in its own folder."""
        text = (
            f'[superlink]\ndefault = "{_LINK}"\n\n[superlink.{_LINK}]\naddress = "{self.address}"\n'
            f"root-certificates = {json.dumps(str(self._trusted().root))}\n"
        )
        (self.folder / "flower" / "config.toml").write_text(text, encoding="utf-8")

    def _trusted(self) -> Certificates:
        if self._certificates is None:
            raise ProtocolError("SuperLink: expected to run, got a link that was not started; use it in a with block")
        return self._certificates

    def _encrypt(self) -> list[str]:
        """Words that let a launcher serve over TLS."""
        files = self._trusted()
        words = ["--ssl-certfile", files.certificate, "--ssl-keyfile", files.key, "--ssl-ca-certfile", files.root]
        return [str(word) for word in words]

    def _start(self, name: str, words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            process = subprocess.Popen(
                [find_launcher(name), *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,  # an interrupt at the keyboard is ours to handle
            )
        self._processes.append(process)
        return process

    def _call(self, words: Sequence[str], *, stdout: Any, seconds: float) -> subprocess.CompletedProcess[bytes]:
        with (self.folder / "flwr.log").open("ab") as log:
            return subprocess.run(
                [find_launcher("flwr"), *words],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                cwd=self.folder,
                env=self._environment,
                timeout=seconds,
                check=False,
            )


def make_environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Variables of Flower's launchers: their own home, no telemetry, no update check, nothing installed at run time."""
    # Flower starts its helpers by name
    search = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST, "localhost"]))
    fixed = {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",  # it ends devices for a neighbour's memory, and nobody is told
        "PATH": search,
        "NO_PROXY": direct,
        "no_proxy": direct,
    }
    return {"OMP_NUM_THREADS": "1", **os.environ, **fixed, **more}


def find_launcher(name: str) -> str:
    """Path of one of Flower's commands, first beside this Python.

    Raises:
      MissingDependencyError: if there is none.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise MissingDependencyError(f"{name} is needed to run Flower's own launchers: pip install flwr")
    return found


def find_free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until(is_true: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes]) -> bool:
    """Whether something comes true while a process lives, within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if is_true():
            return True
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return False


def list_family(home: str) -> list[psutil.Process]:
    """Everything alive that was started with this folder as Flower's home, orphans and daemons included."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLWR_HOME") == home:
                found.append(process)
        except (psutil.Error, OSError):  # somebody else's, or gone
            continue
    return found


def stop_family(home: str) -> None:
    """End all of a family: politely, then not."""
    for is_polite in (True, False):
        family = list_family(home)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate() if is_polite else process.kill()
        psutil.wait_procs(family, timeout=_SECONDS_TO_STOP)
