"""The attacks. Each takes a `problem` (images, labels, the network) and returns a verdict for every image.

`problem` has shared parts: losses, balls, verdicts; `pgd` walks a schedule along the sweep, and has FGSM; `apgd`;
`square`; `foreign`, with attacks of other packages and perturbations made on other networks. `attack_sequence` runs the
attacks of a configuration, the cheapest first."""
