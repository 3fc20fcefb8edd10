"""Write the list by which weights that come with a package or the program are known in any file.

    python benchmarks/state_keys.py --out registry/known_states.yaml

It holds `state_key` of each built-in card whose weights are on this machine without a download, and the card's name."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.known_states import has_own_weights, state_key
from registry.loading import load_network


def keys(place: WeightSources) -> dict[str, str]:
    """Return the key of each network -> the name of its card."""
    cards = [card for card in builtin_cards().values() if (card.weights or "").startswith(("package:", "builtin:"))]
    loaded = {card.name: load_network(card, place).module.state_dict() for card in cards if has_own_weights(card)}
    return {state_key(state): name for name, state in loaded.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    with TemporaryDirectory() as folder:
        text = yaml.safe_dump(keys(WeightSources(weights_folder=Path(folder) / "weights")), sort_keys=False)
    parser.parse_args().out.write_text(f"# Written by benchmarks/state_keys.py: state_key -> card.\n{text}")


if __name__ == "__main__":
    main()
