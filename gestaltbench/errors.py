"""The errors of this program; every one is a `BenchError`, whose text is one line for a person."""

from benchmark.errors import (
    BenchError,
    CardError,
    LabelError,
    MissingStimuli,
    ModelFailure,
    PluginError,
    StimuliError,
    StoreError,
    TrialsError,
    UnknownName,
    WeightsError,
    unknown_name,
)

__all__ = [
    "BenchError", "CardError", "LabelError", "MissingStimuli", "ModelFailure", "PluginError",
    "StimuliError", "StoreError", "TrialsError", "UnknownName", "WeightsError", "unknown_name",
]  # fmt: skip
