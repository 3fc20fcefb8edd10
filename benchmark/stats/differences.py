"""Tests of a difference that give their interval by inversion: `p` is below 1 - level where the interval leaves out
0."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, inf, sqrt
from typing import Protocol

import numpy as np

from benchmark.contracts import Array
from benchmark.stats.clusters import overlaps
from benchmark.stats.intervals import Floats, normal_quantile, paired_difference, t_quantile

Interval = tuple[float | None, float | None]


class Test(Protocol):
    """A difference that can be tested and bounded at any level."""

    @property
    def p(self) -> float:
        """Two-sided p of no difference."""

    def interval(self, level: float) -> Interval:
        """Return (low, high) of the differences that the same test does not reject; None: unbounded on that side."""


@dataclass(frozen=True, kw_only=True)
class Discordant:
    """Right or wrong on the same n trials: b that only one got right, c that only the other did. McNemar's score test
    (1947, Psychometrika 12:153) and Tango's interval (1998), which is its inversion."""

    # Without continuity correction: its size is .05 within a few thousandths, the exact test's well below (Fagerland,
    # Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91).

    b: float
    c: float
    n: int

    @property
    def p(self) -> float:
        """Is 1 if the two never differ."""
        differ = self.b + self.c
        return normal_tail((self.b - self.c) / sqrt(differ)) if differ else 1.0

    def interval(self, level: float) -> Interval:
        """Return Tango's interval, within [-1, 1]."""
        return paired_difference(self.b, self.c, self.n, level)


@dataclass(frozen=True, kw_only=True)
class Quadratic:
    """The variance of an estimate if the true difference were x: `at_zero` + 2 `cross` x + `square` x^2."""

    at_zero: float
    cross: float
    square: float

    def __call__(self, x: float) -> float:
        """Return the variance at x."""
        return self.at_zero + 2 * self.cross * x + self.square * x * x


@dataclass(frozen=True, kw_only=True)
class Restricted:
    """A score test: (difference - x)^2 / variance(x) against a normal distribution, with the variance under the
    difference x that is tested, not at the estimate. The interval solves this quadratic equation for x."""

    difference: float
    variance: Quadratic
    limit: float = inf  # the largest difference that the metric allows

    @property
    def p(self) -> float:
        """Is 1 if nothing differs."""
        spread = self.variance(0.0)
        return normal_tail(self.difference / sqrt(spread)) if spread > 0 else 1.0

    def interval(self, level: float) -> Interval:
        """Return None on both sides if nothing differs, or if so few clusters bound nothing."""
        z2 = normal_quantile(level) ** 2
        lead = 1 - z2 * self.variance.square
        half = self.difference + z2 * self.variance.cross
        inside = half**2 - lead * (self.difference**2 - z2 * self.variance.at_zero)
        if self.variance(0.0) <= 0 or lead <= 0 or inside < 0:
            return None, None
        ends = (half - sqrt(inside)) / lead, (half + sqrt(inside)) / lead
        return max(ends[0], -self.limit), min(ends[1], self.limit)


@dataclass(frozen=True, kw_only=True)
class Studentised:
    """An estimate over its standard error, against Student's t with `df` > 0 degrees of freedom (fractions allowed)."""

    difference: float
    se: float  # standard error
    df: float  # degrees of freedom
    limit: float = inf  # the largest difference that is possible
    people: float = 0.0  # a part of the variance, as of `clusters.Variance`
    crossed: float = 0.0  # another part

    @property
    def p(self) -> float:
        """Is 1 if nothing varies; accurate far out."""
        from scipy.special import stdtr

        return 2 * float(stdtr(self.df, -abs(self.difference / self.se))) if self.se > 0 else 1.0

    def interval(self, level: float) -> Interval:
        """Return None on both sides if nothing varies."""
        if self.se <= 0:
            return None, None
        half = t_quantile(level, self.df) * self.se
        return max(self.difference - half, -self.limit), min(self.difference + half, self.limit)


def normal_tail(z: float) -> float:
    """Return P(|Z| >= |z|), accurate far out."""
    return erfc(abs(z) / sqrt(2))


def quadratic(u: Floats, v: Floats, factors: Sequence[Array]) -> Quadratic:
    """Return the cluster-robust variance of the sum of u + x v as a function of x. u, v: [n]; factors: labels [n]."""
    at_zero = cross = square = 0.0
    for sign, codes in overlaps(factors):
        of_u, of_v = np.bincount(codes, u), np.bincount(codes, v)
        at_zero += sign * float(of_u @ of_u)
        cross += sign * float(of_u @ of_v)
        square += sign * float(of_v @ of_v)
    return Quadratic(at_zero=at_zero, cross=cross, square=square)


# The number of images, and people, that a paired comparison needs follows from the variances of its interval. With
# `times` as many images (and as many more of the shapes and textures that they share) they are divided by `times`.

MANY, FAR = 300.0, 30.0  # degrees of freedom, and standard errors, that are as good as any
LEVEL = 0.95  # of the test that is planned
LEAST, MOST = 0.01, 1e6  # times as many images; fewer and more are not looked for


def power_of(test: Test, detect: float, *, times: float = 1.0, people: float = 1.0) -> float:
    """Return the probability of finding a true difference of `detect` with so many times as many images and people."""
    from scipy.special import ndtr
    from scipy.stats import nct  # loaded by what asks for power, not by a ranked table

    detect = abs(detect)
    match test:
        case Discordant(b=b, c=c, n=n):
            # Under the hypothesis the variance is the share of images that only one gets right, under the alternative
            # that share less `detect` squared (Connor 1987, Biometrics 43:207).
            share = max((b + c) / n, detect)
            tested, true = share / n, (share - detect**2) / n
        case Restricted(difference=difference, variance=variance):
            tested, true = variance(difference - detect), variance(difference)
        case Studentised(se=se, df=df, people=of_people, crossed=crossed):
            of_images = max(0.0, se**2 - of_people - crossed)
            spread = sqrt(of_images / times + crossed / (times * people) + of_people / people)
            # Few people have few degrees of freedom, and the smaller their share the less it matters.
            df *= people**2 if of_people else times
            if spread <= 0:
                return 0.0
            centre = detect / spread
            bound = t_quantile(LEVEL, df)
            if df > MANY or centre > FAR:  # there the noncentral t is not computed, and need not be
                return float(ndtr(centre - bound) + ndtr(-centre - bound))
            # Upper tails alone, by symmetry: the distribution function is NaN at many df and centres.
            return float(nct.sf(bound, df, centre) + nct.sf(bound, df, -centre))
        case _:
            raise TypeError(f"no power is known of a {type(test).__name__}")
    if tested <= 0:
        return 0.0
    tested, true = sqrt(tested / times), sqrt(max(true, 1e-12 * tested) / times)
    bound = normal_quantile(LEVEL) * tested
    return float(ndtr((detect - bound) / true) + ndtr((-detect - bound) / true))


def needed(test: Test, detect: float, power: float, *, of: str = "images") -> float | None:
    """Return how many times as many images (or people) detect `detect` with this probability; None: no number does."""
    from scipy.optimize import brentq

    def lacking(times: float) -> float:
        return power_of(test, detect, **{"times" if of == "images" else "people": times}) - power

    if of == "people" and not (isinstance(test, Studentised) and test.people + test.crossed):
        return None
    if lacking(MOST) < 0:
        return None
    return LEAST if lacking(LEAST) > 0 else float(brentq(lacking, LEAST, MOST, rtol=1e-6))


def detectable(test: Test, power: float) -> float | None:
    """Return the smallest difference that the test finds with this probability; None if it finds none."""
    from scipy.optimize import brentq

    limit = min(getattr(test, "limit", 1.0), 1e3)
    found = power_of(test, limit) >= power
    return float(brentq(lambda detect: power_of(test, detect) - power, 1e-9, limit, rtol=1e-6)) if found else None
