"""Whether an attack failed to attack: the `report` on stored trials, and what is asked of a network for it
(`gradient_probes`, `input_probes`). The report needs no torch."""
