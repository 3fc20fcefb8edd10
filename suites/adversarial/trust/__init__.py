"""Whether an attack failed: the `report` on stored trials, without torch, and the `probes`, which ask the network."""
