"""A card file, to be filled in with a name and further fields."""

CARD = """
name: {name}
source: file
arch: timm:resnet18
weights: net.pt
preprocess: {{size: 224, resize: 256}}
{more}
"""
