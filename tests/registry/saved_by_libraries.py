"""Tiny models with random weights, saved by the libraries that the field uses; imported by slow tests alone."""

import io

import sentencepiece
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
VISION = {**TINY, "image_size": 32, "patch_size": 8}


def save_clip(folder):
    """CLIP of transformers with its processor: a shorter side of 37 pixels, 32 of them cropped."""
    chars = sorted(ByteLevel.alphabet())
    vocabulary = [*chars, *(f"{c}</w>" for c in chars), "<|startoftext|>", "<|endoftext|>"]
    ids = {token: i for i, token in enumerate(vocabulary)}
    ends = {"bos_token_id": len(ids) - 2, "eos_token_id": len(ids) - 1, "pad_token_id": len(ids) - 1}
    config = transformers.CLIPConfig(
        text_config={**TINY, "vocab_size": len(ids), "max_position_embeddings": 77, **ends}, vision_config=VISION,
        projection_dim=12,
    )  # fmt: skip
    return _save(folder, transformers.CLIPModel, config, transformers.CLIPProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 37}, crop_size=32),
        transformers.CLIPTokenizer(vocab=ids, merges=[]),
    ))  # fmt: skip


def save_siglip(folder):
    """SigLIP of transformers with its processor and a tokenizer of sentencepiece."""
    folder.mkdir(parents=True, exist_ok=True)
    texts, model = ["a photo of the thing", "abcdefghijklmnopqrstuvwxyz."] * 20, io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    config = transformers.SiglipConfig(
        text_config={**TINY, "vocab_size": 64, "max_position_embeddings": 64, **ends}, vision_config=VISION
    )
    return _save(folder, transformers.SiglipModel, config, transformers.SiglipProcessor(
        transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
        transformers.SiglipTokenizer(vocab_file=str(folder / "spiece.model"), model_max_length=64),
    ))  # fmt: skip


def _save(folder, kind, config, processor):
    torch.manual_seed(0)
    network = kind(config).eval()
    with torch.no_grad():  # logits that differ: nothing of a network that starts training does
        for weights in network.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.3)
        network.logit_scale.fill_(3.0)
        if hasattr(network, "logit_bias"):
            network.logit_bias.fill_(-2.0)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
