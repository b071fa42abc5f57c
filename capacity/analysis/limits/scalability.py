"""How throughput grows with concurrency: the Universal Scalability Law, where it peaks, and how sure that is."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from capacity.analysis.measured.quality import Problem
from capacity.analysis.statistics.estimates import student

COEFFICIENTS = 3
ROUNDING = 1e-9  # of the highest throughput: smaller residuals are the solver's own, so the noise is not below this
RISE = 1.05  # a curve that gains less from the lowest level to its best has no rising branch to fit
SUPERLINEAR = 1.1  # throughput per unit of concurrency, beside the lowest level's; noise of a few percent stays below
WIDEST = 700.0  # exp of more is no float; an interval as wide says that nothing is known

Floats = npt.NDArray[np.float64]
Level = TypeVar("Level", float, Floats)
Noise = Literal["constant", "proportional"]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One number for each coefficient of the law."""

    contention: float
    coherency: float
    unit_throughput: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest throughput and the concurrency that gives it, each with its interval."""

    concurrency: float
    concurrency_low: float
    concurrency_high: float
    throughput: float
    throughput_low: float
    throughput_high: float


@dataclass(frozen=True, slots=True)
class ScalabilityModel:
    """X(N) = γN / (1 + σ(N − 1) + κN(N − 1)), fitted to levels from `lowest` to `highest`.

    `contention` σ is the share of the work that only one can do at a time, `coherency` κ what each pair costs to keep
    in agreement, `unit_throughput` γ what one alone gets done. `standard_errors` has the same three names, all infinite
    where three measurements leave nothing to judge the fit by. `problems` is what speaks against it.
    Source: Gunther, A General Theory of Computational Scalability Based on Rational Functions, arXiv:0808.1431 (2008).
    """

    contention: float
    coherency: float
    unit_throughput: float
    standard_errors: Coefficients
    lowest: float
    highest: float
    degrees: int
    covariance: Floats = field(repr=False, compare=False)  # of σ, κ and ln γ
    problems: tuple[Problem, ...] = ()

    def throughput_at(self, concurrency: Level) -> Level:
        """Throughput at a concurrency above 0, a number or an array, in the unit that was fitted."""
        return self.unit_throughput * concurrency / self._slowdown(concurrency)

    def latency_at(self, concurrency: Level) -> Level:
        """How long an operation takes at a concurrency: N / X(N) by Little's law, in seconds for operations per second.

        It holds all that a user of the N does between two operations, so thinking counts where N counts who think.
        """
        return self._slowdown(concurrency) / self.unit_throughput

    def concurrency_at(self, throughput: float) -> float:
        """The lowest concurrency that gives this throughput: the inverse of `throughput_at` up to the peak.

        The smaller root of κxN² − (γ − σx + κx)N + (1 − σ)x = 0, in the form without cancellation.
        Raises ValueError below 0 and past the peak, or at and past the ceiling that a curve without a peak nears, and
        for a curve without a rising branch.
        """
        if self.contention >= 1:
            raise ValueError(
                "concurrency_at needs a curve that rises, and this one was saturated from its lowest level on; "
                "add lower levels to the workload's shape"
            )
        sigma, kappa, most = self.contention, self.coherency, self._most()
        reached = throughput <= most if kappa else throughput < most
        if not (throughput >= 0 and reached):
            raise ValueError(
                f"concurrency_at needs a throughput from 0 to {most:,.6g}, the most that this curve gives, "
                f"and got {throughput:,.6g}; no concurrency gives it"
            )
        middle = self.unit_throughput - throughput * (sigma - kappa)
        width = 2 * throughput * math.sqrt(kappa * (1 - sigma))
        # At the peak itself the two are equal, but for rounding.
        return 2 * throughput * (1 - sigma) / (middle + math.sqrt(max(0.0, (middle - width) * (middle + width))))

    @property
    def peak(self) -> Peak | None:
        """Where throughput is highest, N = √((1 − σ) / κ); None where no finite peak follows from the data.

        That is where coherency is on its bound 0, where its interval (by Student's t) reaches 0, so that a curve
        which only flattens explains the data too, and where the peak is not above the lowest level measured.
        """
        error = self.standard_errors.coherency
        shows = bool(self.degrees) and self.coherency > student(self.degrees) * error
        if not shows or self._turn() <= self.lowest:
            return None
        turn = self._turn()
        low, high = self._interval(turn, np.array([-0.5 / (1 - self.contention), -0.5 / self.coherency, 0.0]))
        top = self.band(turn).iloc[0]
        return Peak(turn, low, high, float(top["throughput"]), float(top["low"]), float(top["high"]))

    def band(self, concurrency: npt.ArrayLike) -> pd.DataFrame:
        """The curve with its interval, a row for each concurrency: concurrency, throughput, low, high.

        It bounds the mean throughput, not a single measurement, and widens away from the levels measured. Delta method
        on the logarithm of X, which keeps it above 0, with Student's t. Not a parametric bootstrap, which takes the
        noise guessed from a handful of levels for certain: from 7 levels its 95 % band held the curve 79 to 87 times in
        100, this one 94 to 98 times. Source: Seber and Wild, Nonlinear Regression (1989), 5.1.
        """
        levels = np.atleast_1d(np.asarray(concurrency, dtype=float))
        rows = [(level, self.throughput_at(level), *self._bounds(level)) for level in levels.tolist()]
        return pd.DataFrame(rows, columns=["concurrency", "throughput", "low", "high"])

    def _bounds(self, level: float) -> tuple[float, float]:
        slowdown, beyond = self._slowdown(level), level - 1
        toward = np.array([-beyond / slowdown, -level * beyond / slowdown, 1.0])
        return self._interval(self.throughput_at(level), toward)

    def _interval(self, value: float, toward: Floats) -> tuple[float, float]:
        """Around a value above 0, given the gradient of its logarithm by the coefficients."""
        if not self.degrees:
            return 0.0, math.inf
        error = math.sqrt(max(0.0, float(toward @ self.covariance @ toward)))
        factor = math.exp(min(WIDEST, student(self.degrees) * error))
        return value / factor, value * factor

    def _slowdown(self, concurrency: Level) -> Level:
        """1 + σ(N − 1) + κN(N − 1): above 0 for every N above 0, because neither coefficient exceeds 1."""
        if not (np.all(np.greater(concurrency, 0)) and np.all(np.isfinite(concurrency))):
            raise ValueError(f"the concurrency must be a number above 0 and is {concurrency}")
        beyond = concurrency - 1
        return 1 + self.contention * beyond + self.coherency * concurrency * beyond

    def _turn(self) -> float:
        """The concurrency from which on more of it gives less."""
        if self.contention >= 1:
            return 0.0
        return math.sqrt((1 - self.contention) / self.coherency) if self.coherency else math.inf

    def _most(self) -> float:
        """The throughput at the peak, or that which a curve without one nears."""
        divisor = 2 * math.sqrt(self.coherency * (1 - self.contention)) + self.contention - self.coherency
        return self.unit_throughput / divisor if divisor > 0 else math.inf


def fit_usl(concurrency: npt.ArrayLike, throughput: npt.ArrayLike, noise: Noise = "constant") -> ScalabilityModel:
    """The Universal Scalability Law fitted by least squares to the throughput measured at levels of concurrency.

    A level may be measured repeatedly. `noise` "constant" takes it to be as large at all levels (as published fits do),
    "proportional" to grow with the throughput. Contention and coherency are kept from 0 to 1; above, either would put
    the peak below one user. Standard errors are from s²(JᵀJ)⁻¹, with J the Jacobian at the solution and s² the sum of
    squared residuals over n − 3. What is doubtful about a fit is in its `problems`.
    Raises ValueError for fewer than 3 levels, series of unlike length, and numbers that are not finite and above 0.
    """
    if noise not in get_args(Noise):
        raise ValueError(f"the noise {noise!r} is unknown; accepted are {', '.join(get_args(Noise))}")
    levels, measured = _checked(concurrency, throughput)
    coefficients, covariance = _least_squares(levels, measured, noise == "proportional")
    sigma, kappa, gamma = coefficients.tolist()
    errors = Coefficients(*(np.sqrt(np.diag(covariance)) * [1, 1, gamma]).tolist())
    lowest, highest = float(levels.min()), float(levels.max())
    model = ScalabilityModel(sigma, kappa, gamma, errors, lowest, highest, len(levels) - COEFFICIENTS, covariance)
    return replace(model, problems=tuple(_problems(model, levels, measured)))


def _checked(concurrency: npt.ArrayLike, throughput: npt.ArrayLike) -> tuple[Floats, Floats]:
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


def _least_squares(levels: Floats, measured: Floats, proportional: bool) -> tuple[Floats, Floats]:
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
    coefficients: Floats = found.x / [*span, widest / top]
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


def _problems(model: ScalabilityModel, levels: Floats, measured: Floats) -> Iterator[Problem]:
    each = measured / levels
    first, best = float(each[levels == model.lowest].mean()), int(each.argmax())
    if each[best] > SUPERLINEAR * first:
        yield Problem(
            f"throughput per unit of concurrency rises, from {first:,.4g} at {model.lowest:g} to {each[best]:,.4g} at "
            f"{levels[best]:g}",
            "the law has no such gain, so the curve misses it; cold caches or too short a lowest level look like this",
            "warm the system up, and measure the lowest levels longer",
            void=False,
        )
    gain = float(model.throughput_at(levels).max()) / model.throughput_at(model.lowest)
    if gain < RISE:
        yield Problem(
            f"throughput gains only {gain - 1:.1%} above the lowest level, {model.lowest:g}",
            "the system was saturated from there on, so what one user alone gets done is a guess",
            "add lower levels to the workload's shape",
            void=False,
        )
    if not model.degrees:
        yield Problem(
            "there are as many coefficients as measurements, 3",
            "nothing is left to judge the fit by, so its errors are unbounded and no peak follows",
            "add steps to the workload's shape, or repeat these",
            void=False,
        )
    peak = model.peak
    if peak is not None and peak.concurrency > model.highest:
        yield Problem(
            f"the peak at {peak.concurrency:,.4g} lies beyond the highest level measured, {model.highest:,.4g}",
            "a part that saturates in between is not in the curve, and the true peak is then lower",
            "add steps up to that level",
            void=False,
        )
