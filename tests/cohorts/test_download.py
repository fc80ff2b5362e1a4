"""Fetching, from a server on this machine: whole or not at all."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from twinlab.cohorts.download import FITBIT, Source, fetch, find_cache, list_missing
from twinlab.errors import DataContractError, SpecificationError

CONTENT = {"one.zip": b"Id,ActivityHour,StepTotal\n1,4/12/2016 1:00:00 AM,5\n", "two.zip": b"Id,Date\n1,4/12/2016\n"}
NAMES = {"one.zip": "Fitabase Data/hourlySteps_merged.csv", "two.zip": "More/weightLogInfo_merged.csv"}


class _Handler(BaseHTTPRequestHandler):
    served: dict[str, bytes]
    asked: list[str]
    cut: set[str]

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.asked.append(name)
        if name not in self.served:
            self.send_error(404)
            return
        body = self.served[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if name in self.cut else body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[type[_Handler]]:
    handler = type("Handler", (_Handler,), {"served": {}, "asked": [], "cut": set(), "url": ""})
    for archive, content in CONTENT.items():
        with zipfile.ZipFile(tmp_path / archive, "w") as bundle:
            bundle.writestr(NAMES[archive], content)
            bundle.writestr("readme.txt", "not needed")
        handler.served[archive] = (tmp_path / archive).read_bytes()
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    handler.url = f"http://127.0.0.1:{running.server_port}/files"
    yield handler
    running.shutdown()
    running.server_close()
    thread.join()


def source(url: str, **changes: object) -> Source:
    digests = {NAMES[archive]: hashlib.sha256(content).hexdigest() for archive, content in CONTENT.items()}
    fields: dict = {"name": "tiny", "base_url": url, "archives": tuple(CONTENT), "sha256": digests, "citation": "None."}
    return Source(**(fields | changes))


def test_the_whole_set_arrives_once(server: type[_Handler], tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    folder = fetch("tiny", tmp_path / "there", lambda *told: heard.append(told), source(server.url))
    assert sorted(file.name for file in folder.rglob("*.*")) == ["hourlySteps_merged.csv", "weightLogInfo_merged.csv"]
    assert {told[0] for told in heard} == {"download one.zip", "download two.zip"}
    assert not (tmp_path / "there.parts").exists()
    assert fetch("tiny", tmp_path / "there", source=source(server.url)) == folder
    assert server.asked == ["one.zip", "two.zip"], "the second call asks nobody"


def test_the_cache_is_where_the_variable_says(
    server: type[_Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINLAB_CACHE", str(tmp_path / "cache"))
    assert find_cache() == tmp_path / "cache"
    assert fetch("tiny", source=source(server.url)) == tmp_path / "cache" / "tiny"
    monkeypatch.delenv("TWINLAB_CACHE")
    assert "twinlab" in find_cache().parts[-1]


def test_offline_says_what_to_do_by_hand(tmp_path: Path) -> None:
    with pytest.raises(
        DataContractError, match=r"one\.zip.*could not be fetched.*By hand: download one\.zip and two\.zip"
    ):
        fetch("tiny", tmp_path / "there", source=source("http://127.0.0.1:9/files"))
    assert not (tmp_path / "there").exists()


def test_a_broken_connection_keeps_what_arrived_whole(server: type[_Handler], tmp_path: Path) -> None:
    server.cut.add("two.zip")
    with pytest.raises(DataContractError, match="could not be fetched"):
        fetch("tiny", tmp_path / "there", source=source(server.url))
    assert not (tmp_path / "there").exists()
    assert [file.name for file in (tmp_path / "there.parts").iterdir()] == ["one.zip"]
    server.cut.clear()
    fetch("tiny", tmp_path / "there", source=source(server.url))
    assert server.asked == ["one.zip", "two.zip", "two.zip"]


def test_altered_files_are_not_kept(server: type[_Handler], tmp_path: Path) -> None:
    wrong = source(server.url, sha256={"hourlySteps": "0" * 64})
    with pytest.raises(DataContractError, match=r"1 of 1 files are not what was published \(hourlySteps"):
        fetch("tiny", tmp_path / "there", source=wrong)
    assert not (tmp_path / "there").exists()
    assert not list((tmp_path / "there.parts").iterdir())


def test_something_else_than_a_zip_file_is_removed(server: type[_Handler], tmp_path: Path) -> None:
    server.served["one.zip"] = b"<html>please log in</html>"
    with pytest.raises(DataContractError, match="expected a zip file"):
        fetch("tiny", tmp_path / "there", source=source(server.url))
    assert not (tmp_path / "there").exists()
    assert not (tmp_path / "there.parts" / "one.zip").exists()


def test_a_missing_archive_is_told(server: type[_Handler], tmp_path: Path) -> None:
    del server.served["two.zip"]
    with pytest.raises(DataContractError, match="could not be fetched"):
        fetch("tiny", tmp_path / "there", source=source(server.url))


@pytest.mark.parametrize("name", ["../outside.csv", "/outside.csv", "..\\outside.csv", "C:/outside.csv"])
def test_nothing_is_written_outside_of_the_folder(server: type[_Handler], tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as bundle:
        bundle.writestr(name, "a,b\n")
    server.served["one.zip"] = (tmp_path / "evil.zip").read_bytes()
    with pytest.raises(DataContractError, match="outside its folder"):
        fetch("tiny", tmp_path / "a" / "there", source=source(server.url))
    assert not list(tmp_path.rglob("outside.csv"))


def test_a_folder_with_something_else_is_left_alone(server: type[_Handler], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("keep me")
    with pytest.raises(DataContractError, match="2 of 2 files are missing or altered"):
        fetch("tiny", tmp_path / "there", source=source(server.url))
    assert (tmp_path / "there" / "mine.txt").read_text() == "keep me"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SpecificationError, match="expected one of fitbit, got 'fitbits'"):
        fetch("fitbits")


def test_the_real_export_is_the_one_whose_checksums_we_know(fitbit_folder: Path) -> None:
    assert list_missing(fitbit_folder, FITBIT) == []
