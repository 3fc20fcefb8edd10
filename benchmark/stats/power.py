"""How many images, and people, a paired comparison needs: from the same variances as its interval.

A test of stored trials knows how much the two observers' difference varies over images like these. With `times` as
many images (and as many more of the shapes and textures that they share) that variance is divided by `times`."""

from collections.abc import Callable
from functools import partial
from math import sqrt

from benchmark.stats.differences import Discordant, Restricted, Studentised, Test
from benchmark.stats.intervals import normal_quantile, t_quantile

MANY, FAR = 300.0, 30.0  # degrees of freedom, and standard errors, that are as good as any
LEAST, MOST = 0.01, 1e6  # times as many images; fewer and more are not looked for


def power_of(test: Test, detect: float, *, times: float = 1.0, people: float = 1.0, level: float = 0.95) -> float:
    """The chance that the test finds a true difference of `detect`, at two-sided 1 - level.

    times, people: how many times as many images, and people, as the test was made of. Right or wrong on the same
    images: McNemar's test, whose variance under the hypothesis is the share of images that only one gets right, and the
    alternative's that share less `detect` squared (Connor 1987, Biometrics 43:207). 0 where nothing varies."""
    from scipy.stats import nct, norm  # loaded by what asks for power, not by a ranked table

    detect = abs(detect)
    match test:
        case Discordant(b=b, c=c, n=n):
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
            normal = df > MANY or centre > FAR  # there the noncentral t is not computed, and need not be
            below = partial(norm.cdf, loc=centre) if normal else partial(nct.cdf, df=df, nc=centre)
            return _tails(below, t_quantile(level, df))
        case _:
            raise TypeError(f"no power is known of a {type(test).__name__}")
    if tested <= 0:
        return 0.0
    tested, true = sqrt(tested / times), sqrt(max(true, 1e-12 * tested) / times)
    return _tails(lambda bound: norm.cdf((bound * tested - detect) / true), normal_quantile(level))


def assumed(share: float) -> Discordant:
    """The test of two observers of which nothing is stored: one image, which only one of the two gets right with the
    chance `share`; images share nothing."""
    return Discordant(share / 2, share / 2, 1)


def _tails(below: Callable[[float], float], bound: float) -> float:
    """Beyond +-bound: of a statistic that is below x with the chance below(x)."""
    return float(1 - below(bound) + below(-bound))


def needed(test: Test, detect: float, power: float, *, of: str = "images", level: float = 0.95) -> float | None:
    """How many times as many images, or people where `of` is "people", find a difference of `detect` with this chance.
    None: no number of them does, as the others bound what can be seen, or nothing varies."""
    from scipy.optimize import brentq

    def lacking(times: float) -> float:
        return power_of(test, detect, level=level, **{"times" if of == "images" else "people": times}) - power

    if of == "people" and not (isinstance(test, Studentised) and test.people + test.crossed):
        return None
    if lacking(MOST) < 0:
        return None
    return LEAST if lacking(LEAST) > 0 else float(brentq(lacking, LEAST, MOST, rtol=1e-6))


def detectable(test: Test, power: float, *, level: float = 0.95) -> float | None:
    """The smallest difference that the test, as it is, finds with this chance; None where it finds none."""
    from scipy.optimize import brentq

    limit = min(getattr(test, "limit", 1.0), 1e3)

    def lacking(detect: float) -> float:
        return power_of(test, detect, level=level) - power

    return None if lacking(limit) < 0 else float(brentq(lacking, 1e-9, limit, rtol=1e-6))
