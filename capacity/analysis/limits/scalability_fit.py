"""The Universal Scalability Law fitted to measured levels, and what speaks against the fit."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from capacity.analysis.limits.scalability import Coefficients, Floats, ScalabilityModel
from capacity.analysis.measured.validity.problems import Problem
from capacity.analysis.statistics.conventions import CHANCE

COEFFICIENTS = 3
ROUNDING = 1e-9  # of the highest throughput: smaller residuals are the solver's own, so the noise is not below this
RISE = 1.05  # a curve that gains less from the lowest level to its best has no rising branch to fit
SUPERLINEAR = 1.1  # throughput per unit of concurrency, beside the lowest level's; noise of a few percent stays below
STEADY = 1.05  # the same, of levels that all say it

Noise = Literal["constant", "proportional"]


def fit_usl(concurrency: npt.ArrayLike, throughput: npt.ArrayLike, noise: Noise = "constant") -> ScalabilityModel:
    """The Universal Scalability Law fitted by least squares to the throughput measured at levels of concurrency.

    Contention and coherency are kept from 0 to 1; above, either would put the peak below one user. Standard errors are
    from s²(JᵀJ)⁻¹: J is the Jacobian at the solution, s² the squared residuals over n − 3. Doubts are in `problems`.

    Parameters
    ----------
    concurrency, throughput : array_like
        One throughput for each concurrency, all above 0. A level may be measured repeatedly.
    noise : "constant" or "proportional"
        Whether it is as large at all levels (as published fits take it) or grows with the throughput.

    Returns
    -------
    ScalabilityModel

    Raises
    ------
    ValueError
        For fewer than 3 levels, series of unlike length, and numbers that are not finite and above 0.

    References
    ----------
    Gunther, arXiv:0808.1431 (2008). The example is the data set specsdm91 of the R package usl.

    Examples
    --------
    >>> from capacity import fit_usl
    >>> users, scripts = [1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2]
    >>> model = fit_usl(users, scripts)
    >>> round(model.contention, 7), round(model.peak.concurrency, 2), round(model.peak.throughput)
    (0.0277285, 96.52, 1884)
    """
    levels, measured = _checked(concurrency, throughput, noise)
    (sigma, kappa, gamma), covariance = _least_squares(levels, measured, noise == "proportional")
    errors = Coefficients(*(np.sqrt(np.diag(covariance)) * [1, 1, gamma]).tolist())
    ends, degrees = (float(levels.min()), float(levels.max())), len(levels) - COEFFICIENTS
    model = ScalabilityModel(sigma, kappa, gamma, errors, *ends, degrees, covariance)
    return replace(model, problems=tuple(_problems(model, levels, measured)))


def _checked(concurrency: npt.ArrayLike, throughput: npt.ArrayLike, noise: Noise) -> tuple[Floats, Floats]:
    if noise not in get_args(Noise):
        raise ValueError(f"the noise {noise!r} is unknown; accepted are {', '.join(get_args(Noise))}")
    levels, measured = np.asarray(concurrency, dtype=float), np.asarray(throughput, dtype=float)
    if levels.shape != measured.shape or levels.ndim != 1:
        raise ValueError(
            f"fit_usl needs one throughput for each concurrency and got {measured.size} for {levels.size}; "
            "give two series of the same length"
        )
    for name, values in (("concurrency", levels), ("throughput", measured)):
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            raise ValueError(
                f"fit_usl needs every {name} to be a number above 0 and got {values[wrong[0]]:g} in row {wrong[0]}; "
                "leave out levels that were not measured or where nothing was completed"
            )
    distinct = np.unique(levels)
    if len(distinct) < COEFFICIENTS:
        named = f" ({', '.join(f'{level:g}' for level in distinct)})" if len(distinct) else ""
        raise ValueError(
            f"fit_usl needs at least 3 distinct load levels and got {len(distinct)}{named}; "
            "add steps to the workload's shape"
        )
    return levels, measured


def _least_squares(levels: Floats, measured: Floats, proportional: bool) -> tuple[list[float], Floats]:
    """σ, κ (exactly on a bound where they are on one) and γ; and the covariance of σ, κ and ln γ."""
    # In parts of the largest, coefficients of 1e-9 and throughputs of 1e6 are all of order 1 to the solver.
    widest, top = float(levels.max()), float(measured.max())
    beyond = np.column_stack([levels - 1, levels * (levels - 1)])
    span = np.abs(beyond).max(axis=0)
    part, parts, target = levels / widest, beyond / span, measured / top
    size: Floats = target if proportional else np.ones(len(target))

    def residuals(t: Floats) -> Floats:
        values: Floats = t[2] * part / (1 + parts @ t[:2])
        return (values - target) / size

    def jacobian(t: Floats) -> Floats:
        slowdown: Floats = 1 + parts @ t[:2]
        by_unit = part / slowdown / size
        return np.column_stack([-(t[2] * by_unit / slowdown)[:, None] * parts, by_unit])

    bounds = ([0.0, 0.0, ROUNDING], [*span, np.inf])
    tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), 1e-15)
    start = np.clip(_guess(part, parts, target), *bounds)
    found = optimize.least_squares(
        residuals, start, jacobian, bounds=bounds, method="dogbox", x_scale="jac", **tolerances
    )
    coefficients: list[float] = (found.x / [*span, widest / top]).tolist()
    degrees = len(levels) - COEFFICIENTS
    if not degrees:
        return coefficients, np.full((COEFFICIENTS, COEFFICIENTS), np.inf)
    variance = max(2 * found.cost / degrees, ROUNDING**2)
    root = np.linalg.pinv(found.jac) / np.array([*span, found.x[2]])[:, None]
    return coefficients, variance * root @ root.T


def _guess(part: Floats, parts: Floats, target: Floats) -> Floats:
    """N / X is linear in 1/γ, σ/γ and κ/γ; weighted by X²/N, its residuals are about those of X."""
    weight = target**2 / part
    columns = np.column_stack([parts, np.ones(len(part))]) * weight[:, None]
    *slopes, base = np.linalg.lstsq(columns, target)[0].tolist()
    best = float((target / part).max())
    return np.array([slopes[0] / base, slopes[1] / base, 1 / base] if base > 0 else [0.0, 0.0, best])


def superlinear(levels: Floats, measured: Floats) -> bool:
    """Whether throughput per unit of concurrency rises above the lowest level's, which no curve of the law does.

    By a tenth, whatever the other levels; or by a twentieth where it rises from level to level more than chance lets it
    in 1 of 20 fits: Kendall's rank correlation, Biometrika 30 (1938), which 4 levels that all rise already show.
    """
    each = measured / levels
    gain = float(each.max() / each[levels == levels.min()].mean())
    rises = gain > STEADY and stats.kendalltau(levels, each, alternative="greater").pvalue < CHANCE
    return gain > SUPERLINEAR or bool(rises)


def _problems(model: ScalabilityModel, levels: Floats, measured: Floats) -> Iterator[Problem]:
    each = measured / levels
    first, best = float(each[levels == model.lowest].mean()), int(each.argmax())
    if superlinear(levels, measured):
        yield Problem(
            f"throughput per unit of concurrency rises, from {first:,.4g} at {model.lowest:g} to {each[best]:,.4g} at "
            f"{levels[best]:g}",
            "the law has no such gain, so the curve misses it; cold caches or too short a lowest level look like this",
            "warm the system up, and measure the lowest levels longer",
        )
    gain = float(model.throughput_at(levels).max()) / model.throughput_at(model.lowest)
    if gain < RISE:
        yield Problem(
            f"throughput gains only {gain - 1:.1%} above the lowest level, {model.lowest:g}",
            "the system was saturated from there on, so what one user alone gets done is a guess",
            "add lower levels to the workload's shape",
        )
    if not model.degrees:
        yield Problem(
            "there are as many coefficients as measurements, 3",
            "nothing is left to judge the fit by, so its errors are unbounded and no peak follows",
            "add steps to the workload's shape, or repeat these",
        )
    peak = model.peak
    if peak is not None and peak.concurrency > model.highest:
        yield Problem(
            f"the peak at {peak.concurrency:,.4g} lies beyond the highest level measured, {model.highest:,.4g}",
            "a part that saturates in between is not in the curve, and the true peak is then lower",
            "add steps up to that level",
        )
