"""What if the load, its growth, the headroom or a size were another: sliders in a notebook, else text; and a table."""

from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from capacity.analysis.planning.basis import PlanBasis
from capacity.analysis.planning.catalog import Size, sizes_of
from capacity.analysis.planning.plan import make_plan, varied
from capacity.analysis.planning.plan_file import PlanFile
from capacity.display.charts_plan import limits_as_dates
from capacity.display.tables_plan import date_text, quarter_begin, summary_text, total_text

VIEW = "application/vnd.jupyter.widget-view+json"


def what_if(file: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> None:
    """Show sliders for growth, headroom, peak and the size of the first part, with the plan that follows from each.

    Where nothing draws sliders (a notebook that is executed without a page, or one without ipywidgets), the plan as it
    stands is shown as text.
    """
    now = summary_text(make_plan(file, run, catalog))
    try:
        import ipywidgets  # type: ignore[import-untyped]
    except ImportError:
        ipywidgets = None
    if ipywidgets is None or not file.parts:
        print(now)
        return
    box = _sliders(ipywidgets, file, run, catalog)
    bundle = {VIEW: {"version_major": 2, "version_minor": 0, "model_id": box.model_id}, "text/plain": now}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def scenarios_table(file: PlanFile, run: PlanBasis, catalog: Sequence[Size], peaks: Sequence[float]) -> pd.DataFrame:
    """What if: a row for each growth a month (low, as planned, high) and peak (a multiple of the projected one)."""
    rows = {}
    for growth in (file.growth.low, file.growth.value, file.growth.high):
        for peak in peaks:
            plan = make_plan(varied(file, growth=growth, headroom=file.headroom.value, peak=peak), run, catalog)
            most, middle = next(iter(plan.binds)), plan.file.quarters // 2  # of limits that are known, one at least
            rows[f"{growth:.0%} a month, peak × {peak:g}"] = {
                "first limit": date_text(plan, plan.first),
                "most likely": plan.title_of(most),
                "a month now": total_text(plan, 0),
                f"a month from {quarter_begin(plan, middle)}": total_text(plan, middle),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def _sliders(widgets: Any, file: PlanFile, run: PlanBasis, catalog: Sequence[Size]) -> Any:
    entry = file.parts[0]
    names = [size.size for size in sizes_of(catalog, entry.service, file.region)]
    wide: dict[str, Any] = {
        "continuous_update": False,
        "style": {"description_width": "11em"},
        "layout": {"width": "34em"},
    }
    controls = {
        "growth": widgets.FloatSlider(
            file.growth.value, min=0, max=0.5, step=0.01, description="growth a month", **wide
        ),
        "headroom": widgets.FloatSlider(file.headroom.value, min=0, max=0.7, step=0.05, description="headroom", **wide),
        "peak": widgets.FloatSlider(1.0, min=0.25, max=5, step=0.25, description="× the projected peak", **wide),
        "size": widgets.SelectionSlider(
            options=names, value=entry.current or names[0], description=f"{entry.name} runs on", **wide
        ),
    }
    controls["growth"].readout_format = controls["headroom"].readout_format = ".0%"

    # Not an output widget: who executes notebooks without a page waits for ever for the end of what it showed.
    text, picture = widgets.HTML(), widgets.Image(format="png", layout={"max_width": "60em"})

    drawn: Axes | None = None

    def show(_: Any = None) -> None:
        nonlocal drawn
        growth, headroom, peak, size = (each.value for each in controls.values())
        plan = make_plan(varied(file, growth=growth, headroom=headroom, peak=peak, **{entry.name: size}), run, catalog)
        text.value = f"<pre>{escape(summary_text(plan))}</pre>"
        drawn = limits_as_dates(plan, drawn)
        picture.value = _png(drawn.get_figure(root=True))

    for each in controls.values():
        each.observe(show, names="value")
    show()
    return widgets.VBox([*controls.values(), text, picture])


def _png(figure: Figure | None) -> bytes:
    """The figure as bytes; its places are found the first time alone, which takes as long as all else."""
    held = BytesIO()
    if figure is not None:
        plt.close(figure)  # no cell shows it a second time
        FigureCanvasAgg(figure).print_png(held)  # type: ignore[no-untyped-call]  # savefig draws it twice
        figure.set_layout_engine("none")
    return held.getvalue()
