"""Decoded chunks: in order, at most two ahead, kept on disk, and never another set's or a damaged file's pixels."""

import itertools

import numpy as np

from benchmark.contracts import CHUNK, Stimuli
from benchmark.engine import inference
from benchmark.engine.inference import decoded_chunks
from benchmark.stimuli.datasets import restrict


def stimuli(n, seen, digest="a" * 64):
    """Small images that tell their index; `seen` lists what is decoded."""

    def decode(index):
        seen.append(index)
        return np.full((2, 2, 3), index % 251, dtype=np.uint8)

    names = tuple(map(str, range(n)))
    return Stimuli(name="toy", digest=digest, space="geirhos16", ids=names, items=names, labels={}, decode=decode)


def values(chunks):
    return [[int(image[0, 0, 0]) for image in images] for images in chunks]


def test_chunks_come_in_order_and_the_second_time_from_disk(tmp_path):
    shown = stimuli(2 * CHUNK + 3, seen := [])
    first = values(decoded_chunks(shown, [0, 2], tmp_path))
    assert first == [[i % 251 for i in range(CHUNK)], [(2 * CHUNK + i) % 251 for i in range(3)]]
    seen.clear()
    assert values(decoded_chunks(shown, [0, 1, 2], tmp_path))[::2] == first
    assert sorted(seen) == list(range(CHUNK, 2 * CHUNK))


def test_a_part_is_read_from_what_is_kept_of_the_whole_and_a_damaged_file_is_decoded_anew(tmp_path):
    whole = stimuli(40, seen := [])
    assert values(decoded_chunks(whole, [0], tmp_path)) == [list(range(40))]
    kept = next(tmp_path.rglob("000038.rgb"))
    data, part = kept.read_bytes(), restrict(restrict(whole, ["38", "3", "17"]), ["17", "38"])
    for damaged in (data[:-1] + bytes([data[-1] ^ 1]), data[:-5], b""):
        kept.write_bytes(damaged)
        seen.clear()
        assert values(decoded_chunks(part, [0], tmp_path)) == [[17, 38]] and seen == [38]


def test_at_most_three_chunks_are_under_way(tmp_path):
    chunks = decoded_chunks(stimuli(6 * CHUNK, seen := []), range(6), None)
    for taken in itertools.count(1):
        if next(chunks, None) is None:
            break
        assert len(seen) <= (taken + 2) * CHUNK


def test_a_full_cache_is_emptied(tmp_path, monkeypatch):
    def show(letter):
        list(decoded_chunks(stimuli(4, [], digest=letter * 64), [0], tmp_path))
        return {place.name[0] for place in tmp_path.iterdir()}

    assert [show(letter) for letter in "ab"] == [{"a"}, {"a", "b"}]
    monkeypatch.setattr(inference, "ALL_BYTES", sum(path.stat().st_size for path in tmp_path.rglob("*.rgb")))
    assert [show(letter) for letter in "bc"] == [{"a", "b"}, {"c"}]
