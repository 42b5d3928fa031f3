"""Files are found, downloaded, verified and kept; every error is explained and leaves no file.

Downloads come from a local server of archives like UCI's, with made-up numbers.
"""

import io
import sys
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from sklearn_emma.datasets import fetch, fetch_htru2, fetch_mfeat
from sklearn_emma.datasets.retrieve import retrieve


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def make_htru2_zip(n_pulsars=1_639, first="1.5"):
    rows = [f"{first},2,3,4,5,6,7,8,0"] * (17_898 - n_pulsars) + ["8,7,6,5,4,3,2,1,1"] * n_pulsars
    return make_zip({"Readme.txt": "made up", "HTRU_2.csv": "\n".join(rows)})


def make_mfeat_zip():
    widths = {"fac": 216, "fou": 76, "kar": 64, "mor": 6, "pix": 240, "zer": 47}
    return make_zip(
        {
            f"mfeat/mfeat-{name}": ("  ".join([str(width)] * width) + "\n") * 2_000
            for name, width in widths.items()
        }
    )


GOOD = make_htru2_zip()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.n_requests += 1
        status, body, promised = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Be silent."""


@pytest.fixture
def server(monkeypatch):
    """A server on this machine; both data sets are looked for there and nowhere else."""
    pytest.importorskip("pooch")
    monkeypatch.delenv("SKLEARN_EMMA_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.n_requests = 0
        for name in ("HTRU2", "MFEAT"):
            source = getattr(fetch, name)
            url = f"http://127.0.0.1:{server.server_port}/{source.archive}"
            monkeypatch.setattr(fetch, name, replace(source, url=url))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def serve(server, body, status=200, promised=None):
    server.answer = status, body, len(body) if promised is None else promised


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_download_is_read_and_kept(server, tmp_path):
    serve(server, GOOD)
    pulsars = fetch_htru2(data_home=tmp_path)
    assert pulsars.data.iloc[0].tolist() == [1.5, 2, 3, 4, 5, 6, 7, 8]
    assert pulsars.target.sum() == 1_639
    assert files_below(tmp_path) == ["htru2.zip"]

    again = fetch_htru2(data_home=tmp_path, download_if_missing=False)
    assert again.data.equals(pulsars.data)
    assert server.n_requests == 1


def test_mfeat_archive_puts_the_modalities_in_order(server, tmp_path):
    serve(server, make_mfeat_zip())
    digits = fetch_mfeat(data_home=tmp_path)
    assert digits.target.tolist() == np.repeat(np.arange(10), 200).tolist()
    for name, width in {"fou": 76, "fac": 216, "kar": 64, "pix": 240, "zer": 47, "mor": 6}.items():
        assert (digits.data[digits.modalities[name]] == width).to_numpy().all()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>We have moved.</html>", r"it is no zip archive, and its SHA-256 is"),
        (b"", r"it is no zip archive"),
        (GOOD[:300] + b"\xff" * 20 + GOOD[320:], r"the archive cannot be unpacked"),
        (
            make_zip({"HTRU_2.csv": "1,2,3\n"}),
            r"expected 17898 samples and 9 columns, found 1 and 3",
        ),
        (make_zip({"other.csv": "1,2,3\n"}), r"there is no HTRU_2.csv in it"),
        (make_htru2_zip(n_pulsars=9), r"expected \[16259, 1639\] samples of classes 0 to 1"),
        (make_htru2_zip(first=""), r"some of its values are missing"),
        (make_htru2_zip(first="many"), r"could not convert"),
    ],
    ids=["page", "empty", "bytes", "size", "member", "classes", "missing", "words"],
)
def test_altered_download_is_refused_and_not_kept(server, tmp_path, body, reason):
    serve(server, body)
    with pytest.raises(ValueError, match=rf"HTRU2 data set, and was not kept: .*({reason})"):
        fetch_htru2(data_home=tmp_path)
    assert files_below(tmp_path) == []


def test_not_found_says_what_to_do(server, tmp_path):
    serve(server, b"gone", status=404)
    with pytest.raises(OSError, match=r"HTRU2 from http://.* failed: 404 .*as path, or"):
        fetch_htru2(data_home=tmp_path)
    assert files_below(tmp_path) == []


def test_truncated_connection_leaves_no_half_file(server, tmp_path):
    serve(server, GOOD[: len(GOOD) // 2], promised=len(GOOD))
    with pytest.raises(OSError, match=r"Downloading HTRU2 from http://.* failed"):
        fetch_htru2(data_home=tmp_path)
    assert files_below(tmp_path) == []

    serve(server, GOOD)
    assert fetch_htru2(data_home=tmp_path).target.sum() == 1_639


def test_no_server(server, monkeypatch, tmp_path):
    nowhere = replace(fetch.HTRU2, url="http://127.0.0.1:9/htru2.zip")
    monkeypatch.setattr(fetch, "HTRU2", nowhere)
    with pytest.raises(OSError, match=r"Downloading HTRU2 .* failed"):
        fetch_htru2(data_home=tmp_path)


def test_damaged_cache_is_noticed_and_named(server, tmp_path):
    serve(server, GOOD)
    cached = fetch_htru2(data_home=tmp_path).filename
    with open(cached, "wb") as stream:
        stream.write(GOOD[: len(GOOD) // 2])
    with pytest.raises(ValueError, match=r"htru2.zip is damaged.*delete it"):
        fetch_htru2(data_home=tmp_path)


def test_download_not_allowed(server, tmp_path):
    with pytest.raises(OSError, match=r"HTRU2 is not at .*download_if_missing is False"):
        fetch_htru2(data_home=tmp_path, download_if_missing=False)
    assert server.n_requests == 0


def test_missing_pooch_names_the_extra(server, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn_emma\[data\]'.*as path"):
        fetch_htru2(data_home=tmp_path)


def test_path_goes_before_environment_and_download(server, monkeypatch, tmp_path):
    (tmp_path / "mine.zip").write_bytes(make_htru2_zip(first="42"))
    (tmp_path / "htru2.zip").write_bytes(GOOD)
    monkeypatch.setenv("SKLEARN_EMMA_DATA", str(tmp_path))
    assert fetch_htru2(path=tmp_path / "mine.zip").data.iloc[0, 0] == 42
    assert fetch_htru2(path=str(tmp_path)).data.iloc[0, 0] == 1.5
    assert fetch_htru2().data.iloc[0, 0] == 1.5
    assert server.n_requests == 0


def test_environment_without_the_file_falls_back_to_download(server, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SKLEARN_EMMA_DATA", str(tmp_path / "empty"))
    serve(server, GOOD)
    assert fetch_htru2(data_home=tmp_path).filename.endswith("htru2.zip")
    assert server.n_requests == 1


def test_environment_that_is_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SKLEARN_EMMA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"SKLEARN_EMMA_DATA=.* is not a folder"):
        fetch_htru2()


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere.csv"])
def test_path_without_the_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"has no copy of HTRU2. Expected htru2.csv or"):
        fetch_htru2(path=tmp_path / name)


def test_csv_is_checked_by_its_bytes(tmp_path):
    altered = tmp_path / "htru2.csv"
    altered.write_text("a,b\n1,2\n")
    with pytest.raises(
        ValueError, match=r"htru2.csv is damaged.*SHA-256 is .* where htru2.csv has"
    ):
        retrieve(fetch.HTRU2, altered)
