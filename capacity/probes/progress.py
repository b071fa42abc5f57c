"""The progress of measurements, a line a part: live in a terminal and a notebook, plain lines elsewhere."""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from capacity.clock import monotonic_s
from capacity.probes.under_way import Follower, UnderWay
from capacity.system.interruption import Interrupted, deferred

LOOKS_PER_S = 2.0
PLAIN_S = 30.0  # between two plain lines: a log is read later
WIDE = 100  # columns from which a bar has room beside the share done
BAR = 16
NARROWEST = 8  # columns for what is measured; in a terminal that has less the line is cut
COLOURS = {"✓": "green", "✗": "red", "?": "yellow", "–": "yellow"}
Outcome = Callable[[], tuple[str, str]]  # a mark of COLOURS, and in words what became of a part


def measured() -> tuple[str, str]:
    """The outcome of a part of which no more is to be said."""
    return "✓", "measured"


class ProgressLines:
    """Shows the parts of a run, each with the seconds that it is expected to take (None where that is not known).

    `say` takes the plain lines that are shown where there is neither a terminal nor a notebook.
    """

    def __init__(self, expected: Mapping[str, float | None], say: Callable[[str], None]) -> None:
        self._expected, self._say = dict(expected), say
        self._width = max(map(len, self._expected), default=0)
        self._console = Console(stderr=True, highlight=False)
        self._lively = self._console.is_jupyter or self._console.is_terminal
        self._begun = self._part_begun = monotonic_s()
        self._part, self._follower = "", Follower(Path())
        self._ended: list[str] = []

    @contextlib.contextmanager
    def part(self, name: str, recording: Path, outcome: Outcome = measured) -> Iterator[None]:
        """Meanwhile a part measures into `recording` or below it; then a line says how long it took and its outcome."""
        self._part, self._part_begun, self._follower = name, monotonic_s(), Follower(recording)
        mark, said = "✗", "failed"
        try:
            with self._shown_live() if self._lively else self._shown_plainly():
                yield
            mark, said = outcome()
        except (KeyboardInterrupt, Interrupted):
            mark, said = "–", "interrupted"
            raise
        finally:
            self.end(name, mark, said, clock_text(monotonic_s() - self._part_begun))

    def end(self, name: str, mark: str, said: str, took: str = "") -> None:
        """Say what became of a part, in a line that stays."""
        self._ended.append(name)
        if self._lively:
            line = Text.assemble((mark, COLOURS[mark]), f" {name:{self._width}} {took:>7}  {said}")
            self._console.print(line, overflow="ellipsis", no_wrap=True)
        else:
            self._say(f"{name}: {', '.join(filter(None, (took, said)))}")

    @contextlib.contextmanager
    def _shown_live(self) -> Iterator[None]:
        # The ^C that a terminal writes at the end of a line must not begin another one, which nothing would clear.
        live = Live(
            console=self._console,
            get_renderable=lambda: Group(*self.lines(self._console.width - len("^C"))),
            refresh_per_second=LOOKS_PER_S,
            transient=True,
            redirect_stdout=False,  # which need not be this terminal
        )
        with contextlib.ExitStack() as shown:
            with deferred():  # one that began by half would leave its thread, or no cursor, behind
                live.start(refresh=True)
                shown.callback(live.stop)
            yield

    @contextlib.contextmanager
    def _shown_plainly(self) -> Iterator[None]:
        expected, ended = self._expected.get(self._part), threading.Event()
        self._say(f"{self._part}: under way" + (f", about {clock_text(expected)}" if expected else ""))

        def tell() -> None:
            while not ended.wait(PLAIN_S):
                with contextlib.suppress(OSError):  # nobody reads them any more
                    if line := self.plain_line():
                        self._say(line)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    def lines(self, width: int) -> list[Text]:
        """The part under way, its failures, and where there are several the whole run, in at most `width` columns."""
        seen = self._follower.look()
        left, rest = self._left(seen)
        shown = [part_line(self._part.ljust(self._width), seen, left, width)]
        if seen.failed:
            shown.append(Text(f"  {failures_text(seen)}", "red"))
        if len(self._expected) > 1:
            done = f"{len(self._ended)} of {len(self._expected)} parts in {clock_text(monotonic_s() - self._begun)}"
            shown.append(Text(f"  {done}{rest and f', {rest}'}", "dim"))
        for line in shown:
            line.truncate(width, overflow="ellipsis")
        return shown

    def plain_line(self) -> str:
        """The same in one line without a width; empty where nothing is loaded at present."""
        seen = self._follower.look()
        if seen.planned_s is None:
            return ""
        left, rest = self._left(seen)
        said = [seen.what, *figures_of(seen), failures_text(seen), left]
        said += [f"{rest} in all" if rest and len(self._expected) > 1 else ""]
        return f"{self._part}: {', '.join(filter(None, said))}"

    def _left(self, seen: UnderWay) -> tuple[str, str]:
        """The time left of the part under way, and of the whole run."""
        expected, now = self._expected.get(self._part), monotonic_s()
        here = 0.0 if seen.planned_s is None else seen.planned_s - seen.done_s
        left = max(here, (expected or 0.0) - (now - self._part_begun))
        known = expected is not None and left > here
        later = [each for name, each in self._expected.items() if name not in (*self._ended, self._part)]
        rest = left + sum(each or 0.0 for each in later)
        return left_text(left, known=known), left_text(rest, known=known and None not in later)


def figures_of(seen: UnderWay) -> list[str]:
    """How far a part is, and of its last second the successes, the p95 and the failures; empty what is not known."""
    if seen.planned_s is None:
        return ["", "", "", ""]
    failing = seen.failing or 0.0
    errors = "0 errors" if not failing else "<1% err" if failing < 0.01 else f"{failing:.0%} err"
    rate = "" if seen.rate_per_s is None else f"{seen.rate_per_s:,.0f}/s"
    return [f"{seen.done_s / seen.planned_s:.0%}", rate, milliseconds_text(seen.p95_ms), errors]


def failures_text(seen: UnderWay) -> str:
    """How many operations failed so far, and why most of those in the last second; empty where none did."""
    if not seen.failed:
        return ""
    return f"{seen.failed:,} of {seen.count:,} failed so far" + (f", now for: {seen.reason}" if seen.reason else "")


def part_line(name: str, seen: UnderWay, left: str, width: int) -> Text:
    """A part that is measured in `width` columns: what, how far, successes a second, p95 and failures, time left."""
    bar = ""
    if seen.planned_s is not None and width >= WIDE:
        filled = round(seen.done_s / seen.planned_s * BAR)
        bar = f"{'━' * filled}{'─' * (BAR - filled)} "
    widths = (4, 9, 10, 8)
    end = " ".join(f"{each:>{size}}" for each, size in zip(figures_of(seen), widths, strict=True)) + f" {left:>10}"
    room = max(NARROWEST, width - len(name) - len(bar) - len(end) - 4)
    what = seen.what if len(seen.what) <= room else f"{seen.what[: room - 1]}…"
    return Text.assemble(("▸", "cyan"), f" {name} {what:{room}} ", (bar, "cyan"), end)


def milliseconds_text(p95_ms: float | None) -> str:
    """A p95 in at most ten columns; empty where it is not given, and infinite where it timed out."""
    if p95_ms is None:
        return ""
    if math.isinf(p95_ms):
        return "p95 ∞"
    if p95_ms >= 1000:
        return f"p95 {p95_ms / 1000:.1f} s"
    return f"p95 {p95_ms:.1f} ms" if p95_ms < 10 else f"p95 {p95_ms:.0f} ms"


def left_text(seconds: float, *, known: bool) -> str:
    """The time left, as `1:20 left`; as `≥1:20 left` where more may follow that is not known, or nothing."""
    text = f"{clock_text(seconds)} left"
    return text if known else f"≥{text}" if seconds >= 1 else ""


def clock_text(seconds: float) -> str:
    """Seconds as `1:05`, from an hour on as `1:01:05`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
