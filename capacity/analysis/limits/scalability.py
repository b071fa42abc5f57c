"""How throughput grows with concurrency: the Universal Scalability Law, where it peaks, and how sure that is."""

import math
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.measured.validity.problems import Problem
from capacity.analysis.statistics.estimates import student

WIDEST = 700.0  # exp of more is no float; an interval as wide says that nothing is known

Floats = npt.NDArray[np.float64]
Level = TypeVar("Level", float, Floats)


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

    Attributes
    ----------
    contention, coherency, unit_throughput : float
        σ, the share of the work that only one can do at a time; κ, what each pair costs to keep in agreement; and γ,
        what one alone gets done.
    standard_errors : Coefficients
        The same three names, all infinite where three measurements leave nothing to judge the fit by.
    problems : tuple of Problem
        What speaks against the fit.

    References
    ----------
    Gunther, A General Theory of Computational Scalability Based on Rational Functions, arXiv:0808.1431 (2008).

    Examples
    --------
    >>> from capacity import fit_usl
    >>> model = fit_usl([1, 2, 4, 8], [10, 20, 40, 80])
    >>> round(model.throughput_at(16.0), 6), round(model.latency_at(16.0), 6), round(model.concurrency_at(160.0), 6)
    (160.0, 0.1, 16.0)
    >>> model.peak is None, model.band([16])["throughput"].round(6).tolist()
    (True, [160.0])
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
        """Throughput at a concurrency.

        Parameters
        ----------
        concurrency : float or array
            Above 0.

        Returns
        -------
        float or array
            In the unit that was fitted.

        Raises
        ------
        ValueError
            For a concurrency that is not above 0 and finite.
        """
        return self.unit_throughput * concurrency / self._slowdown(concurrency)

    def latency_at(self, concurrency: Level) -> Level:
        """How long an operation takes at a concurrency: N / X(N) by Little's law.

        It holds all that a user of the N does between two operations, so thinking counts where N counts who think.

        Parameters
        ----------
        concurrency : float or array
            Above 0.

        Returns
        -------
        float or array
            Seconds, where operations per second were fitted.

        Raises
        ------
        ValueError
            For a concurrency that is not above 0 and finite.
        """
        return self._slowdown(concurrency) / self.unit_throughput

    def concurrency_at(self, throughput: float) -> float:
        """The lowest concurrency that gives a throughput: the inverse of `throughput_at` up to the peak.

        The smaller root of κxN² − (γ − σx + κx)N + (1 − σ)x = 0, in the form without cancellation.

        Parameters
        ----------
        throughput : float
            From 0, in the unit that was fitted.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            Past the peak, at and past the ceiling that a curve without a peak nears, and for one that does not rise.
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
        """Where throughput is highest, N = √((1 − σ) / κ).

        Returns
        -------
        Peak or None
            concurrency and throughput, each with its interval. None where no finite peak follows from the data:
            where coherency is on its bound 0, where its interval (by Student's t) reaches 0, so that a curve which only
            flattens explains the data too, and where the peak is not above the lowest level measured.
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
        """The curve with its interval.

        It bounds the mean throughput, not a single measurement, and widens away from the levels measured. Delta
        method on the logarithm of X, which keeps it above 0, with Student's t. Not a parametric bootstrap, which takes
        the noise guessed from a handful of levels for certain: from 7 levels its 95 % band held the curve 79 to 87
        times in 100, this one 94 to 98 times.

        Parameters
        ----------
        concurrency : array_like
            Above 0.

        Returns
        -------
        DataFrame
            A row for each concurrency: concurrency, throughput, low, high.

        Raises
        ------
        ValueError
            For a concurrency that is not above 0 and finite.

        References
        ----------
        Seber and Wild, Nonlinear Regression (1989), 5.1.
        """
        levels = np.atleast_1d(np.asarray(concurrency, dtype=float))
        rows = []
        for level in levels.tolist():
            value, slowdown, beyond = self.throughput_at(level), self._slowdown(level), level - 1
            toward = np.array([-beyond / slowdown, -level * beyond / slowdown, 1.0])
            rows.append((level, value, *self._interval(value, toward)))
        return pd.DataFrame(rows, columns=["concurrency", "throughput", "low", "high"])

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
