"""The law has published answers, inverses that are inverses, and says where the data do not give a peak."""

import functools
import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.analysis.limits.scalability import ScalabilityModel
from capacity.analysis.limits.scalability_fit import Noise, fit_usl

pytestmark = pytest.mark.filterwarnings("error")

# Throughput of the SPEC SDM91 benchmark by virtual users, as published with the R package usl.
USERS = np.array([1, 18, 36, 72, 108, 144, 216])
SCRIPTS_PER_HOUR = np.array([64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2])
LEVELS = np.array([1.0, 2, 4, 8, 16, 32, 64])
TRIES = 400
HELD = 0.917  # 95 %, less three standard errors of 400 tries


def law(n: Any, contention: float, coherency: float, unit: float = 100.0) -> Any:
    return unit * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


def noisy(contention: float, coherency: float, tries: int, share: float = 0.03) -> list[np.ndarray[Any, Any]]:
    """Measurements at LEVELS whose noise is `share` of the mean throughput at each of them."""
    truth, draw = law(LEVELS, contention, coherency), np.random.default_rng(11)
    return [np.abs(truth + share * truth.mean() * draw.normal(size=len(LEVELS))) for _ in range(tries)]


@functools.cache
def fits(contention: float, coherency: float) -> list[ScalabilityModel]:
    return [fit_usl(LEVELS, measured) for measured in noisy(contention, coherency, TRIES)]


def test_the_published_fit_is_found() -> None:
    model = fit_usl(USERS, SCRIPTS_PER_HOUR)
    assert model.contention == pytest.approx(0.0277285, rel=1e-3)
    assert model.coherency == pytest.approx(0.0001044, rel=1e-3)
    assert model.unit_throughput == pytest.approx(89.9952, rel=1e-3)
    errors = model.standard_errors
    assert errors.contention == pytest.approx(0.0091217, rel=1e-2)
    assert errors.coherency == pytest.approx(0.0000199, rel=1e-2)
    assert errors.unit_throughput == pytest.approx(14.2135, rel=1e-2)
    assert model.peak is not None
    assert model.peak.concurrency == pytest.approx(96.52, rel=1e-3)
    assert model.peak.throughput == pytest.approx(1884, rel=1e-3)
    assert model.problems == ()


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(0, 0.9), st.one_of(st.just(0.0), st.floats(1e-7, 0.1)), st.floats(1e-3, 1e7), st.floats(0.001, 1.0))
def test_the_inverse_is_the_inverse(contention: float, coherency: float, unit: float, part: float) -> None:
    """At any concurrency from near 0 to 99.9 % of the peak; 1e-6, since a curve that flattens hides where it is."""
    model = fit_usl(LEVELS, law(LEVELS, contention, coherency, unit))
    turn = math.sqrt((1 - model.contention) / model.coherency) if model.coherency else math.inf
    n = part * min(0.999 * turn, 1000.0)
    assert model.concurrency_at(model.throughput_at(n)) == pytest.approx(n, rel=1e-6)
    assert model.latency_at(n) * model.throughput_at(n) == pytest.approx(n, rel=1e-12)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(0, 0.9), st.floats(0, 0.1), st.floats(1e-3, 1e7))
def test_exact_data_give_their_coefficients_back(contention: float, coherency: float, unit: float) -> None:
    model = fit_usl(LEVELS, law(LEVELS, contention, coherency, unit))
    assert model.contention == pytest.approx(contention, abs=1e-6)
    assert model.coherency == pytest.approx(coherency, abs=1e-6)
    assert model.unit_throughput == pytest.approx(unit, rel=1e-6)


def test_no_grid_of_coefficients_fits_better() -> None:
    """The slow oracle: all pairs of contention and coherency on a fine grid, each with its best unit throughput."""
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 1, 150)])
    contention, coherency = (each.ravel()[:, None] for each in np.meshgrid(grid, grid))
    shape = law(LEVELS, contention, coherency, 1.0)
    for measured in [*noisy(0.05, 0.001, 10), *noisy(0.0, 0.0, 10), *noisy(0.9, 0.0, 10)]:
        unit = (shape @ measured) / (shape**2).sum(axis=1)
        best = ((unit[:, None] * shape - measured) ** 2).sum(axis=1).min()
        assert ((fit_usl(LEVELS, measured).throughput_at(LEVELS) - measured) ** 2).sum() <= best


def test_the_peak_is_the_top_of_the_curve() -> None:
    model = fit_usl(USERS, SCRIPTS_PER_HOUR)
    peak = model.peak
    assert peak is not None
    curve = model.throughput_at(np.linspace(1, 216, 21_501))
    assert peak.throughput == pytest.approx(curve.max(), rel=1e-9)
    assert model.concurrency_at(peak.throughput) == pytest.approx(peak.concurrency, rel=1e-6)
    with pytest.raises(ValueError) as refused:
        model.concurrency_at(1900)
    assert str(refused.value) == (
        "concurrency_at needs a throughput from 0 to 1,883.9, the most that this curve gives, and got 1,900; "
        "no concurrency gives it"
    )


@pytest.mark.parametrize(("coherency", "least", "most"), [(0.0, 0.0, 0.05), (0.0005, 0.95, 1.0)])
def test_a_peak_is_given_where_there_is_one(coherency: float, least: float, most: float) -> None:
    found = [model.peak for model in fits(0.03, coherency)]
    assert least <= np.mean([peak is not None for peak in found]) <= most


def test_the_interval_of_the_peak_holds_it() -> None:
    peaks = [model.peak for model in fits(0.03, 0.0005)]
    truth = math.sqrt(0.97 / 0.0005)
    held = [peak is not None and peak.concurrency_low <= truth <= peak.concurrency_high for peak in peaks]
    assert np.mean(held) > HELD
    top = law(truth, 0.03, 0.0005)
    assert np.mean([peak is not None and peak.throughput_low <= top <= peak.throughput_high for peak in peaks]) > HELD


@pytest.mark.parametrize(("contention", "coherency"), [(0.03, 0.0005), (0.2, 0.0), (0.0, 0.0)])
def test_the_band_holds_the_curve_95_times_in_100(contention: float, coherency: float) -> None:
    """Within the levels and at four times the highest; where a coefficient is on its bound it holds more."""
    at = np.array([1.0, 8, 32, 64, 256])
    bands = [model.band(at) for model in fits(contention, coherency)]
    truth = law(at, contention, coherency)
    held = np.mean([(band["low"] <= truth) & (truth <= band["high"]) for band in bands], axis=0)
    assert held.min() > HELD


def test_noise_that_grows_with_throughput_has_its_own_band() -> None:
    """Of noise in proportion to X, the constant kind holds the curve at 16 times the highest level too rarely."""
    draw, at = np.random.default_rng(5), 1024.0
    held: dict[Noise, list[bool]] = {"constant": [], "proportional": []}
    for _ in range(200):
        measured = law(LEVELS, 0.03, 0.0005) * (1 + 0.03 * draw.normal(size=len(LEVELS)))
        for noise in get_args(Noise):
            row = fit_usl(LEVELS, measured, noise).band(at).iloc[0]
            held[noise].append(row["low"] <= law(at, 0.03, 0.0005) <= row["high"])
    assert np.mean(held["proportional"]) > HELD
    assert np.mean(held["constant"]) <= 0.85


def test_the_band_widens_beyond_the_levels() -> None:
    band = fit_usl(USERS, SCRIPTS_PER_HOUR).band([100, 216, 432, 2160])
    assert (np.diff(band["high"] / band["low"]) > 0).all()
    assert band["throughput"].between(band["low"], band["high"]).all()


def test_repeated_levels_narrow_the_band() -> None:
    one = fit_usl(USERS, SCRIPTS_PER_HOUR)
    four = fit_usl(np.tile(USERS, 4), np.tile(SCRIPTS_PER_HOUR, 4))
    assert four.contention == pytest.approx(one.contention, rel=1e-6)
    assert four.standard_errors.contention < one.standard_errors.contention / 2


def seen(model: ScalabilityModel) -> list[str]:
    return [problem.seen for problem in model.problems]


def test_linear_data_have_no_peak() -> None:
    model = fit_usl([1, 2, 4, 8], [100, 200, 400, 800])
    assert (model.peak, model.problems) == (None, ())
    assert model.concurrency_at(1e5) == pytest.approx(1000, rel=1e-6)


def test_a_curve_that_only_flattens_has_a_ceiling_and_no_peak() -> None:
    model = fit_usl([1, 2, 4, 8], law(np.array([1, 2, 4, 8]), 0.25, 0.0))
    assert model.peak is None
    assert model.concurrency_at(200) == pytest.approx(3, rel=1e-6)
    with pytest.raises(ValueError, match="needs a throughput from 0 to 400, the most that this curve gives"):
        model.concurrency_at(400.001)


def test_superlinear_data_are_flagged() -> None:
    model = fit_usl([1, 2, 4, 8], [10, 25, 60, 150])
    assert (model.contention, model.coherency, model.peak) == (0.0, 0.0, None)
    assert seen(model) == ["throughput per unit of concurrency rises, from 10 at 1 to 18.75 at 8"]


def test_a_small_gain_is_flagged_where_all_levels_rise() -> None:
    """One that chance may be is not: noise of a few percent rises from each of four levels to the next in 1 of 24."""
    model = fit_usl([1, 2, 4, 8], [100, 210, 430, 880])
    assert seen(model) == ["throughput per unit of concurrency rises, from 100 at 1 to 110 at 8"]
    assert seen(fit_usl([1, 2, 4, 8], [100, 210, 416, 872])) == []
    assert seen(fit_usl([1, 2, 4, 8], [100, 202, 408, 824])) == []


@pytest.mark.parametrize("measured", [[100, 100, 100, 100], [100, 99, 101, 100], [100, 90, 70, 30]])
def test_data_without_a_rising_branch_are_flagged(measured: list[float]) -> None:
    model = fit_usl([1, 2, 4, 8], measured)
    assert model.peak is None
    assert len(model.problems) == 1
    assert seen(model)[0].startswith("throughput gains only 0.")


def test_a_saturated_curve_has_no_inverse() -> None:
    model = fit_usl([1, 2, 4, 8, 16], [100, 10, 1, 0.1, 0.01])
    with pytest.raises(ValueError) as refused:
        model.concurrency_at(50)
    assert str(refused.value) == (
        "concurrency_at needs a curve that rises, and this one was saturated from its lowest level on; "
        "add lower levels to the workload's shape"
    )


def test_three_measurements_are_fitted_and_not_judged() -> None:
    model = fit_usl([1, 8, 64], law(np.array([1, 8, 64]), 0.03, 0.001))
    assert model.coherency == pytest.approx(0.001, rel=1e-6)
    assert model.peak is None
    assert model.standard_errors.coherency == math.inf
    assert model.band([8])[["low", "high"]].to_numpy().tolist() == [[0.0, math.inf]]
    assert seen(model) == ["there are as many coefficients as measurements, 3"]


def test_a_peak_beyond_the_levels_is_flagged() -> None:
    model = fit_usl([1, 2, 4, 8], law(np.array([1, 2, 4, 8]), 0.0, 0.0001))
    assert model.peak is not None
    assert model.peak.concurrency == pytest.approx(100, rel=1e-4)
    assert seen(model) == ["the peak at 100 lies beyond the highest level measured, 8"]


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.dictionaries(st.integers(1, 10_000), st.floats(1e-3, 1e9), min_size=3, max_size=10),
    st.sampled_from(get_args(Noise)),
)
def test_whatever_was_measured_is_fitted_without_a_warning(measured: dict[int, float], noise: Noise) -> None:
    model = fit_usl(list(measured), list(measured.values()), noise)
    assert 0 <= model.contention <= 1 and 0 <= model.coherency <= 1 and model.unit_throughput > 0
    band = model.band([1, *measured, 1e6])
    assert (band["low"] <= band["throughput"]).all() and (band["throughput"] <= band["high"]).all()
    assert model.peak is None or model.peak.concurrency > model.lowest


LEAVE_OUT = "leave out levels that were not measured or where nothing was completed"


@pytest.mark.parametrize(
    ("concurrency", "throughput", "message"),
    [
        ([1, 4, 4], [1, 2, 2], "fit_usl needs at least 3 distinct load levels and got 2 (1, 4); add steps"),
        ([8], [1], "fit_usl needs at least 3 distinct load levels and got 1 (8); add steps"),
        ([], [], "fit_usl needs at least 3 distinct load levels and got 0; add steps"),
        ([1, 2, 3], [1, 2], "fit_usl needs one throughput for each concurrency and got 2 for 3; give two series"),
        (
            [1, 2, 3],
            [1, 0, 2],
            f"fit_usl needs every throughput to be a number above 0 and got 0 in row 1; {LEAVE_OUT}",
        ),
        ([1, 2, 3], [1, math.nan, 2], "fit_usl needs every throughput to be a number above 0 and got nan in row 1"),
        ([1, 2, math.inf], [1, 2, 2], "fit_usl needs every concurrency to be a number above 0 and got inf in row 2"),
        ([0, 2, 3], [1, 2, 2], "fit_usl needs every concurrency to be a number above 0 and got 0 in row 0"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused_in_one_sentence(
    concurrency: list[float], throughput: list[float], message: str
) -> None:
    with pytest.raises(ValueError) as refused:
        fit_usl(concurrency, throughput)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_an_unknown_kind_of_noise_is_refused() -> None:
    with pytest.raises(ValueError) as refused:
        fit_usl(USERS, SCRIPTS_PER_HOUR, "even")  # type: ignore[arg-type]
    assert str(refused.value) == "the noise 'even' is unknown; accepted are constant, proportional"


@pytest.mark.parametrize("level", [0, -1.0, math.nan, math.inf])
def test_the_curve_is_asked_at_a_concurrency_above_0(level: float) -> None:
    with pytest.raises(ValueError) as refused:
        fit_usl(USERS, SCRIPTS_PER_HOUR).throughput_at(level)
    assert str(refused.value) == f"the concurrency must be a number above 0 and is {level}"
