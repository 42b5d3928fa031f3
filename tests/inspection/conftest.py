"""A check that pictures are legible, and a browser to click in, without any driver."""

import json
import os
import shutil
import subprocess
import time
from itertools import pairwise

import pytest


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="session")
def legible():
    """Draw a Display, and check that labels do not overlap and nothing is outside the figure."""

    def check(display):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure = display.figure_
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer, frame = canvas.get_renderer(), figure.bbox.padded(1)
        for ax in figure.axes:
            for axis, low, high in ((ax.xaxis, "x0", "x1"), (ax.yaxis, "y0", "y1")):
                shown = [label for label in axis.get_ticklabels() if label.get_text()]
                upright = [label for label in shown if label.get_rotation() == 0]
                boxes = [label.get_window_extent(renderer) for label in upright]
                boxes = [box for box in boxes if ax.get_window_extent().padded(60).overlaps(box)]
                boxes.sort(key=lambda box: getattr(box, low))
                for one, two in pairwise(boxes):
                    assert getattr(one, high) <= getattr(two, low) + 1, f"{axis} is crowded"
            legend = ax.get_legend()
            if legend is not None:
                box = legend.get_window_extent(renderer)
                assert frame.x0 <= box.x0
                assert box.x1 <= frame.x1
                assert box.y1 <= frame.y1
        return display

    return check


class Page:
    """A page in headless Chromium, by its debugging protocol over a pair of pipes."""

    def __init__(self, executable, profile):
        to_browser, self._commands = os.pipe()
        self._answers, from_browser = os.pipe()
        os.set_blocking(self._answers, False)
        flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
        flags += f" --remote-debugging-pipe --user-data-dir={profile}"
        # the protocol is spoken on descriptors 3 and 4
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", executable, *flags.split(), "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self._session, self.events = b"", 0, None, []
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _receive(self):
        deadline = time.monotonic() + 60
        while b"\0" not in self._buffer:
            try:
                part = os.read(self._answers, 1 << 20)
                assert part, "the browser has ended"
                self._buffer += part
            except BlockingIOError:
                assert time.monotonic() < deadline, "the browser does not answer"
                time.sleep(0.01)
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        """Go to a page and wait until it is there."""
        self.events.clear()
        self.send("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def evaluate(self, expression):
        """Evaluate JavaScript."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector):
        """Click with the mouse in the middle of the first element that matches."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            x, y = box
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text):
        """Type into what has the focus."""
        self.send("Input.insertText", text=text)

    def close(self):
        """End the browser."""
        os.close(self._commands)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A page in headless Chromium; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None or shutil.which("bash") is None:
        pytest.skip("there is no Chromium to click in")
    page = Page(executable, tmp_path_factory.mktemp("profile"))
    yield page
    page.close()
