"""Standard errors over images and people by leaving them out one by one, and over few clusters by loops."""

import numpy as np


def spread(values):
    """Variance of an estimate from its values [n] without each of n."""
    return (len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum()


def crossed(value, n, people):
    """(standard error, degrees of freedom) of value(kept images [n], people): what people add is less by what images
    explain of it; degrees of freedom at one standard error more of it."""
    k, everything = len(people), np.arange(n)
    without = [everything != i for i in everything]
    images = np.array([value(keep, people) for keep in without])
    fewer = [[*people[:p], *people[p + 1 :]] for p in range(k)]
    persons = spread(np.array([value(everything >= 0, rest) for rest in fewer]))
    both = np.array([[value(keep, rest) for keep in without] for rest in fewer])  # [k, n]
    noise = sum(spread(row) for row in both - both.mean(axis=0)) * (k - 1) / k
    total, wide = spread(images) + max(0.0, persons - noise), persons * (1 + (2 / (k - 1)) ** 0.5)
    doubt = spread(images) ** 2 / (n - 1) + wide**2 / (k - 1)
    return total**0.5, (spread(images) + max(0.0, wide - noise)) ** 2 / doubt


def few_clusters(adds, *factors):
    """(variance, degrees of freedom) of a sum of adds [n] over single trials plus the addition of each factor [n]."""

    def one_way(labels):
        """Cameron, Gelbach & Miller's variance of one factor, and its degrees of freedom."""
        sums = np.array([sum(x for x, own in zip(adds, labels, strict=True) if own == one) for one in set(labels)])
        return (sums**2).sum() * len(sums) / (len(sums) - 1), len(sums) - 1

    single, each = one_way(list(zip(*factors, strict=True)))[0], [one_way(labels.tolist()) for labels in factors]
    wide = [(v * (1 + (2 / df) ** 0.5), df) for v, df in each]
    variance, at_wide = (single + sum(max(0, v - single) for v, _ in part) for part in (each, wide))
    return variance, max(min(df for _, df in each), at_wide**2 / sum(v**2 / df for v, df in wide))
