"""Models beyond plain checkpoints: heads on frozen backbones, image-text models, transformers, detectors."""
