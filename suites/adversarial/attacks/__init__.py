"""The attacks. Each takes a `Problem` (images, labels, the network) and returns a verdict for every image;
`attack_sequence` runs those of a configuration, the cheapest first."""
