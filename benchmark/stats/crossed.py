"""Estimates over images and people, both drawn from more: other images and other people would give another value.

Variances of crossed samples add: V = V_images + V_people, where V_people is what people differ by beyond the noise that
each one's answers to these images bring, which V_images holds already: V_images + V_people - V_both (Cameron, Gelbach &
Miller 2011). Drawing images and people with replacement at once counts that noise three times (Owen 2007, Annals of
Applied Statistics 1:386).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from benchmark.contracts import Array
from benchmark.stats.bootstrap import Floats
from benchmark.stats.clusters import clustered_variance


@dataclass(frozen=True)
class Variance:
    """The variance of an estimate and its degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2:110)."""

    value: float
    df: float


def crossed_variance(
    images: Floats, persons: Floats, people: Floats, factors: Sequence[Array] = ()
) -> Variance:
    """Of an estimate from n images and k people, to first order.

    images: [n] what each image adds to it, people as they are; persons: [n, k] what each image adds through each
    person, who would be drawn anew; people: [k] what each person adds, beyond the mean person. factors: what images
    share, label arrays [n] (none: nothing). With one person the variance is about images alone.
    """
    shared = list(factors) or [np.arange(len(images))]
    of_images = clustered_variance(images, shared)
    k = len(people)
    if k < 2:
        return Variance(of_images.variance, of_images.df)
    apart = persons - persons.mean(axis=1, keepdims=True)
    noise = k / (k - 1) * sum(clustered_variance(column, shared).variance for column in apart.T)
    spread = k / (k - 1) * float((people**2).sum())
    total = of_images.variance + max(0.0, spread - noise)
    # A few people who are alike by chance would feign degrees of freedom besides a small variance: these are taken at
    # a spread one standard error above the estimate.
    wide = spread * (1 + sqrt(2 / (k - 1)))
    doubt = of_images.variance**2 / of_images.df + wide**2 / (k - 1)
    at_wide = of_images.variance + max(0.0, wide - noise)
    return Variance(total, at_wide**2 / doubt if doubt else of_images.df)


def mean_of(variances: Sequence[Variance], together: float = 0.0) -> Variance:
    """The variance of a mean over estimates. together: the sum of all covariances of two of them (none: independent).

    Never below half of what independent ones would have: covariances are estimates, too.
    """
    each = [one.value / len(variances) ** 2 for one in variances]
    doubt = sum(v**2 / one.df for v, one in zip(each, variances, strict=True))
    df = sum(each) ** 2 / doubt if doubt else variances[0].df
    return Variance(max(sum(each) + together / len(variances) ** 2, sum(each) / 2), df)
