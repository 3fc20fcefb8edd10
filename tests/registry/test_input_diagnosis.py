"""Gross faults of how a network is fed are named by 64 photographs, and a network that is fed right raises none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from registry import input_diagnosis as diagnosis
from registry.input_diagnosis import NORMALISATIONS, diagnose, divergence_of, norm_divergence, solve_input
