"""Whether an attack failed to attack: the `report` on stored trials, which needs no torch, and the `probes`, which ask
the network."""
