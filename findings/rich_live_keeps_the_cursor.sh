#!/usr/bin/env bash
# rich 15.0.0: an interrupt while a Live display draws for the first time leaves the terminal without its cursor.
#
# `with Live(...)` promises to put the terminal back as it was. Live.start hides the cursor, redirects stdout and stderr,
# and draws once; it undoes that where the first drawing raises an Exception. KeyboardInterrupt is none, and as start has
# not returned, __exit__ is not called either. So a ^C in the first moment of a progress display, while what is drawn is
# being computed, leaves the cursor hidden, stdout redirected, and the next Live of that console nested in the dead one.
# The same code interrupted a moment later restores everything.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rich==15.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
from importlib.metadata import version

from rich.console import Console
from rich.live import Live

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def shown(error, at):
    """What is written, and whether stdout is itself again, where drawing number `at` raises an error."""
    drawn, written, before = [], io.StringIO(), sys.stdout

    class Progress:
        def __rich__(self):
            drawn.append(1)
            if len(drawn) == at:
                raise error
            return "progress"

    console = Console(file=written, force_terminal=True)
    try:
        with Live(Progress(), console=console, auto_refresh=False) as live:
            live.refresh()
    except (ValueError, KeyboardInterrupt):
        pass
    own, sys.stdout = sys.stdout is before, before
    return written.getvalue().count(HIDE), written.getvalue().count(SHOW), own


print("rich", version("rich"))
print("(hidden, shown again, stdout is itself)")
for name, error, at, expected in [
    ("an error in the first drawing", ValueError(), 1, (1, 1, True)),
    ("an interrupt in the second drawing", KeyboardInterrupt(), 2, (1, 1, True)),
    ("an interrupt in the first drawing", KeyboardInterrupt(), 1, (1, 0, False)),
]:
    found = shown(error, at)
    print(f"{name}: {found}")
    assert found == expected, (name, found, expected)
PYTHON
