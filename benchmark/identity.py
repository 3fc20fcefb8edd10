"""What a stored answer depends on, as digests.

A cache keyed by names hands back the answers of code and weights that no longer exist. So an observation's key
holds content: weights, preprocessing, stimuli, configuration, and all code between the image and the answer
(`registry.code`; what is guaranteed, and how: docs/identity.md).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from benchmark.contracts import CHUNK, Block, Policy, Stimuli, Suite
from registry.code.digests import Codes, code_digest

__all__ = ["Codes", "block_key", "code_digest", "digest", "observation_key", "score_code"]


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value` (dataclasses as dicts, tuples as lists). Hex, 64 characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be part of a key: use plain data")


def block_key(block: Block, codes: Codes | None = None) -> str:
    """Identity of what is shown: equal blocks are walked once. The role is the suite's own word and not in it."""
    return digest(_block(block, codes or Codes()))


def _block(block: Block, codes: Codes) -> dict[str, Any]:
    transform = block.transform
    return {
        "stimuli": [block.stimuli.digest, _reading(block.stimuli, codes)],
        "condition": block.condition,
        "presentation": block.presentation,
        "transform": transform
        and {
            "name": transform.name,
            "params": transform.params,
            "stored": transform.stored,
            "code": codes.of(transform.apply),
        },
        **({"networks": sorted(one.identity for one in block.networks)} if block.networks else {}),
    }


def _reading(stimuli: Stimuli, codes: Codes) -> str:
    """The code that makes pixels and masks of what the set's digest names."""
    reading = (stimuli.decode, stimuli.mask, stimuli.ignored, stimuli.importance)
    return codes.of(*reading, data=False)


def observation_key(
    identity: str, block: Block, suite: Suite, policy: Policy, codes: Codes | None = None
) -> str:
    """Key of one observer's answers to one block under one suite. No name, path, host, batch size or worker count.

    codes: digests of code that are made already; without it they are made anew.
    """
    codes = codes or Codes()
    return digest(
        {
            "observer": identity,
            "block": _block(block, codes),
            "suite": [suite.name, suite.version, block.role],
            "code": codes.of(suite.plan, suite.observe, *_stopping(suite)),
            "answers": codes.component("answers"),
            "config": suite.config,
            "policy": policy,
            "chunk": CHUNK,
        }
    )


def _stopping(suite: Suite) -> list[Any]:
    """The rule that says how many trials there are, where a suite has one."""
    rule = suite.stopping.settled if suite.stopping else None
    return [] if rule is None else [rule]


def score_code(suite: Suite, codes: Codes | None = None) -> str:
    """Digest of what turns trials into scores: rescoring is due when it changes."""
    codes = codes or Codes()
    ratios = [metric.ratio for metric in suite.metrics if metric.ratio is not None]
    against = (suite.against.scores, suite.against.group) if suite.against else ()
    return digest(
        {
            "code": codes.of(suite.score, *against, *ratios),
            "metrics": [(one.name, one.role) for one in suite.metrics if one.ratio is not None],
            "config": suite.config,
            "scoring": codes.component("scoring"),
        }
    )
