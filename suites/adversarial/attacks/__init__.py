"""The attacks. Each takes a `problem` (images, labels, the network) and says what came of every image.

`problem` has what they share: losses, balls, verdicts; `pgd` walks a schedule along the sweep, and has FGSM; `apgd`;
`square`; `surrogates`, with perturbations made on other networks; `foreign`, with those of other packages.
`attack_sequence` runs what a configuration asks for, the cheapest first."""
