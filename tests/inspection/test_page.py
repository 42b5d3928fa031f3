"""The page of a report: one file, to be sorted and filtered in a browser."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest

from sklearn_emma.inspection import modality_report
from sklearn_emma.model_selection import failure_mode_analysis


@pytest.fixture(scope="module")
def report(trained, wide, add_noise):
    X = wide[2][:60]
    table = pd.concat([X, add_noise(X, "modality1", 8)], ignore_index=True)
    return modality_report(trained, table, n_worst=70)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def test_written_to_a_path_a_buffer_or_a_string(report, tmp_path):
    page = report.to_html(title="Monday")
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Monday</title>" in page
    assert report.to_html(tmp_path / "page.html", title="Monday") is None
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    buffer = io.StringIO()
    report.to_html(buffer, title="Monday")
    assert buffer.getvalue() == page


def test_needs_no_other_file(report):
    page = report.to_html()
    urls = set(re.findall(r"\w+://[^\s\"'<]+", page))
    assert urls == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"<(link|img|iframe)|\bsrc=|@import|\burl\(|\bfetch\(", page)
    assert "default-src 'none'" in page


def test_holds_what_the_report_holds(report):
    data = data_of(report.to_html())
    assert data["names"] == ["modality0", "modality1", "modality2"]
    assert data["n_samples"] == 120
    assert len(data["worst"]) == 70
    assert data["capacity"] == report.gate["capacity"]
    first = data["worst"][0]
    assert first["total_energy"] == report.worst["total_energy"].iloc[0]
    assert first["sample"] == str(report.worst.index[0])
    overview = np.array(data["overview"]["failing"])
    assert overview.shape == (3, 120)
    assert overview[1, 60:].mean() > 0.95


def test_overview_of_many_samples_averages_them(trained, wide):
    X = pd.concat([wide[2]] * 2, ignore_index=True)[:701]
    report = modality_report(trained, X, n_worst=0)
    overview = data_of(report.to_html())["overview"]
    assert len(overview["start"]) == 141
    assert overview["stop"][-1] == 701
    expected = report["modality2", "attention"].iloc[5:10].mean()
    assert overview["attention"][2][1] == pytest.approx(expected, abs=1e-4)


def test_names_that_look_like_html_stay_names(table, quick):
    X, y = table
    evil = "</script><script>document.title='evil'</script>{{data}}"
    clf = quick(modalities={evil: slice(0, 5), "b": slice(5, 9)}, max_epochs=1).fit(X, y)
    page = modality_report(clf, X, n_worst=5).to_html(title=evil)
    assert page.count("<script") == 2
    assert data_of(page)["names"] == [evil, "b"]


def test_shows_what_can_be_lost(report, trained, wide):
    failures = failure_mode_analysis(trained, *wide[2:], failures={}, n_bootstrap=5, random_state=0)
    page = report.to_html(failures=failures)
    assert "Which modality can be absent" in page
    assert "Which modality can be absent" not in report.to_html()
    assert data_of(page) == data_of(report.to_html())


def texts(browser, column):
    rows = "[...document.querySelectorAll('#rows tbody tr')]"
    return browser.evaluate(f"{rows}.map(row => row.cells[{column}].textContent)")


@pytest.fixture
def page(browser, report, tmp_path):
    report.to_html(tmp_path / "page.html")
    browser.open((tmp_path / "page.html").as_uri())
    return browser


def test_browser_shows_everything_without_network_or_errors(page, tmp_path):
    asked = [event for event in page.events if event["method"] == "Network.requestWillBeSent"]
    urls = [event["params"]["request"]["url"] for event in asked]
    assert urls == [(tmp_path / "page.html").as_uri()]
    troubles = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
    assert [event for event in page.events if event["method"] in troubles] == []
    assert page.evaluate("document.querySelectorAll('#overview svg').length") == 3
    assert page.evaluate("document.querySelectorAll('#summary tbody tr').length") == 3
    assert page.evaluate("document.querySelectorAll('#coupling td').length") == 9
    assert "120 samples" in page.evaluate("document.getElementById('lead').textContent")
    assert "capacity" in page.evaluate("document.getElementById('gate').textContent")


def test_clicks_on_a_heading_sort_one_way_and_the_other(page):
    energies = [float(text) for text in texts(page, 2)]
    assert len(energies) == 70
    assert energies == sorted(energies, reverse=True)
    page.click("#rows th:nth-child(3) button")
    assert [float(text) for text in texts(page, 2)] == sorted(energies)
    assert page.evaluate("document.querySelectorAll('#rows th')[2].ariaSort") == "ascending"
    page.click("#rows th:nth-child(1) button")
    rows = [int(text) for text in texts(page, 0)]
    assert rows == sorted(rows)  # as numbers, not as text
    page.click("#rows th:nth-child(1) button")
    assert [int(text) for text in texts(page, 0)] == rows[::-1]


def test_filters_by_words_modality_and_failure(page, report):
    page.click("#search")
    page.type("modality1__2 unusual")
    shown = texts(page, 5)
    assert 0 < len(shown) < 70
    assert all("modality1__2" in text for text in shown)
    page.evaluate("document.getElementById('search').value = ''")
    page.click("#failing")
    failing = report.xs("failing", axis=1, level=1).any(axis=1).to_numpy()
    expected = int(failing[report.worst_positions].sum())
    assert len(texts(page, 0)) == expected < 70
    count = page.evaluate("document.getElementById('count').textContent")
    assert count == f"{expected} of 70 samples"
    page.click("#failing")
    page.evaluate(
        "const s = document.getElementById('modality'); s.value = 'modality2';"
        "s.dispatchEvent(new Event('input'))"
    )
    assert set(texts(page, 3)) <= {"modality2"}
    assert len(texts(page, 3)) == (report.worst["modality"] == "modality2").sum()
