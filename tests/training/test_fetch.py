"""Published weights: fetched in pieces, refused when they are not what was wanted or would do harm, and never half there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rtqc.heart import load_model
from rtqc.training.download import DownloadError, check_url, download
from rtqc.training.published import PUBLISHED, Published, fetch
from rtqc.training.unpack import unpack
from tests.cli.run import rtqc
from tests.training.bundle_server import serving

CONTENT = os.urandom(3_000_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


def no_pause(seconds: float) -> None:
    """Tests do not wait."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RTQC_CACHE", str(folder))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(tmp_path: Path) -> None:
    with serving(CONTENT) as served:
        served.drop_after = [1_000_000, 500_000]
        assert download(served.url, tmp_path / "f.zip", sha256=SHA, pause=no_pause) == SHA
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert served.asked == [None, "bytes=1000000-", "bytes=1500000-"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.zip"]


def test_a_run_that_was_stopped_is_gone_on_with_by_the_next(tmp_path: Path) -> None:
    with serving(CONTENT) as served:
        served.drop_after = [700_000, 0, 0, 0]
        with pytest.raises(DownloadError, match="goes on where it stopped"):
            download(served.url, tmp_path / "f.zip", pause=no_pause)
        assert not (tmp_path / "f.zip").exists()
        assert download(served.url, tmp_path / "f.zip", pause=no_pause) == SHA
    assert served.asked[-1] == "bytes=700000-"


@pytest.mark.parametrize("change", ["tag", "ranges"])
def test_a_part_of_another_file_is_not_gone_on_with(tmp_path: Path, change: str) -> None:
    with serving(CONTENT) as served:
        served.drop_after = [700_000, 0, 0, 0]
        with pytest.raises(DownloadError):
            download(served.url, tmp_path / "f.zip", pause=no_pause)
        if change == "tag":
            served.content, served.tag = CONTENT[::-1], '"two"'
        else:
            served.ranges = False
        assert download(served.url, tmp_path / "f.zip", pause=no_pause) == hashlib.sha256(served.content).hexdigest()


def test_another_file_than_was_wanted_is_not_kept(tmp_path: Path) -> None:
    with serving(CONTENT) as served:
        with pytest.raises(DownloadError, match="Nothing was kept"):
            download(served.url, tmp_path / "f.zip", sha256="0" * 64, pause=no_pause)
        with pytest.raises(DownloadError, match="not the file that was wanted"):
            download(served.url, tmp_path / "f.zip", size=12, pause=no_pause)
        with pytest.raises(DownloadError, match="404"):
            download(served.url.replace("bundle", "other") + "x", tmp_path / "f.zip", pause=no_pause)
        assert list(tmp_path.glob("f*")) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://example.org/a.zip", "not encrypted"), ("file:///etc/passwd", "no address"), ("ftp://a/b.zip", "no address"), ("weights.zip", "no address")],
)  # fmt: skip
def test_addresses_that_anybody_could_change_are_refused(url: str, words: str) -> None:
    with pytest.raises(DownloadError, match=words):
        check_url(url)
    check_url("http://example.org/a.zip", "0" * 64)
    check_url("http://127.0.0.1:80/a.zip")
    with pytest.raises(DownloadError, match="no SHA-256"):
        check_url("https://example.org/a.zip", "12")


def test_the_environments_proxy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("no_proxy", "")
    try:
        download("http://weights.invalid/a.zip", tmp_path / "f.zip", sha256=SHA, pause=no_pause)
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["http://weights.invalid/a.zip"]


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def link() -> bytes:
    buffer = io.BytesIO()
    entry = zipfile.ZipInfo("model/here")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, "/etc")
        archive.writestr("model/here/passwd", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped(**{"../../outside.txt": b"x"}), "outside its folder"), (zipped(**{"/outside.txt": b"x"}), "outside its folder"),
        (zipped(**{"a/..\\..\\b": b"x"}), "outside its folder"), (zipped(**{"C:/b": b"x"}), "outside its folder"), (link(), "link"),
        (zipped(bomb=bytes(64 << 20)), "would grow"), (b"no archive at all", "no ZIP file"), (zipped(a=b"x" * 5000)[:-40], "no ZIP file"),
    ],
    # An archive holds the time at which it was made: as names of tests they would differ between processes.
    ids=["above", "from the root", "backslashes", "a drive", "a link", "a bomb", "no archive", "cut off"],
)  # fmt: skip
def test_archives_that_would_do_harm_leave_nothing(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match=words):
        unpack(tmp_path / "a.zip", tmp_path / "in" / "model")
    left = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["a.zip"]
    assert not (tmp_path / "in" / "model").exists()


def test_a_damaged_entry_leaves_nothing(tmp_path: Path) -> None:
    content = bytearray(zipped(a=os.urandom(20_000), b=b"y"))
    content[5_000] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match="no ZIP file that can be read"):
        unpack(tmp_path / "a.zip", tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_what_comes_later_from_an_address_must_be_what_came_first(cache: Path) -> None:
    with serving(zipped(LICENSE=b"Apache License\n", x=b"1")) as served:
        first = fetch(served.url)
        assert first.licence == "Apache License"
        (next((cache / "downloads").glob("*.zip"))).unlink()
        served.content, served.tag = zipped(x=b"2"), '"two"'
        with pytest.raises(DownloadError, match="not the file that was wanted"):
            fetch(served.url)
        # Who knows the new hash says it.
        assert fetch(served.url, hashlib.sha256(served.content).hexdigest()).licence == ""
    with pytest.raises(DownloadError, match="totalsegmentator"):
        fetch("totalsegmentato")


@pytest.fixture(scope="session")
def published_zip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small network as TotalSegmentator's releases lay theirs out: one folder, the result folder in it."""
    pytest.importorskip("torch")
    pytest.importorskip("dynamic_network_architectures")
    from tests.training.nnunet_results import network, write_results

    root = tmp_path_factory.mktemp("published")
    write_results(root, [network().state_dict()], (3.0, 3.0, 3.0))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(root))
    return buffer.getvalue()


def test_a_published_model_is_one_command_away(published_zip: bytes, cache: Path, tmp_path: Path) -> None:
    with serving(published_zip) as served:
        refused = rtqc("model", "fetch", served.url, "--name", "theirs")
        assert refused.status == 2
        assert "--accept-licence" in refused.err
        assert not (cache / "models").exists()
        done = rtqc("model", "fetch", served.url, "--name", "theirs", "--accept-licence")
        assert done.status == 0, done.err
        assert len(served.asked) == 1  # the file was in the cache already
        again = rtqc("model", "fetch", served.url, "--name", "theirs", "--accept-licence")
        assert again.status == 2
        assert "there already" in again.err
    assert load_model("theirs").manifest.channels == (2,)
    assert sorted(p.name for p in (cache / "models").iterdir()) == ["theirs"]
    assert rtqc("model", "show", "theirs", "--json").status == 0


def test_a_network_that_cannot_be_imported_is_not_half_installed(published_zip: bytes, cache: Path) -> None:
    with serving(published_zip) as served:
        done = rtqc("model", "fetch", served.url, "--name", "theirs", "--accept-licence", "--label", "spleen")
    assert done.status == 2
    assert "no label 'spleen'" in done.err
    assert list((cache / "models").glob("*")) + list((cache / "models").glob(".*")) == []
    assert "Traceback" not in done.err


def test_the_known_model_says_its_licence_first_and_has_its_size(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    known = PUBLISHED["totalsegmentator"]
    assert known.url.startswith("https://")
    assert "Apache-2.0" in known.licence
    with serving(b"x" * 100) as served:
        monkeypatch.setitem(PUBLISHED, "small", Published(served.url, 99, "", (), "ours", "small"))  # type: ignore[arg-type]
        with pytest.raises(DownloadError, match="100 bytes"):
            fetch("small")
    refused = rtqc("model", "fetch", "totalsegmentator")
    assert refused.status == 2
    assert "Apache-2.0" in refused.err
    assert not (cache / "downloads").exists() or list((cache / "downloads").glob("*.zip")) == []
    assert json.loads(json.dumps(dict(known.__dict__)))["size"] == known.size
