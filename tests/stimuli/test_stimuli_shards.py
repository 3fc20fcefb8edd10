"""Sets in shards, written by the libraries whose layouts these are, are the very sets that they are as folders."""

import io
import stat
import tarfile
import zipfile

import pytest
from set_checks import opened, refused, write

from benchmark.stimuli import shards
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_folder
from registry.labels import label_space

WNIDS, WORDS = label_space("imagenet1k").classes, label_space("imagenet1k").words
OUTPUTS = (2, 134, 2, 0, 517, 65)  # 134 and 517 are both a crane
NAMES = [f"ILSVRC2012_val_{i:08d}.png" for i in range(6)]


@pytest.fixture
def images(tmp_path, draw):
    return [draw(tmp_path / "drawn" / name, seed=i).read_bytes() for i, name in enumerate(NAMES)]


@pytest.fixture
def published(images, tmp_path, settings):
    """The six in class folders."""
    for name, data, output in zip(NAMES, images, OUTPUTS, strict=True):
        write(tmp_path / "plain" / WNIDS[output] / name, data)
    return open_folder(find_entry("imagenet-val", settings), tmp_path / "plain", settings)


def added(folder, settings, name="imagenet-val", columns=None, **about):
    told = []
    place, columns = shards.unpack_shards(name, folder, about.get("space"), settings, told.append, columns or {})
    return opened(name, place, settings, report=told.append, columns=columns, **about), told


def tar(path, members):
    """A tar of (name, bytes), or (name, type, target) of what is no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as out:
        for name, data, *target in members:
            info = tarfile.TarInfo(name)
            if target:
                info.type, info.linkname, data = data, *target, b""
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path.parent


def parquet(path, images, labels, names=None, image_column="image"):
    """A shard as `datasets` writes it (the metadata are its own)."""
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    label = datasets.ClassLabel(names=list(names)) if names else datasets.Value("int64")
    features = datasets.Features({image_column: datasets.Image(), "label": label})
    rows = {image_column: [{"bytes": data, "path": name} for name, data in images], "label": list(labels)}
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    return path.parent


@pytest.mark.slow
def test_parquet_of_hugging_face_with_the_words_of_imagenet(images, published, tmp_path, settings):
    names = [f"{words} {i}" if words == "crane" else words for i, words in enumerate(WORDS)]  # must be unique there
    pairs, folder = list(zip(NAMES, images, strict=True)), tmp_path / "hub/data"
    for part in (slice(0, 4), slice(4, 6)):
        parquet(folder / f"validation-{part.start:05d}-of-00002.parquet", pairs[part], OUTPUTS[part], names)
    parquet(folder / "test-00000-of-00001.parquet", pairs[:1], [-1], names)
    parquet(folder / "train-00000-of-00001.parquet", pairs[:1], [7], names)
    stimuli, told = added(folder.parent, settings)
    assert (stimuli.digest, stimuli.ids) == (published.digest, published.ids)
    assert told[0] == "imagenet-val: of the splits test, train, validation that of 'validation' is read"
    assert "2 shards, unpacked into class folders" in told[1]
    before = (settings.home / "unpacked/imagenet-val/shards.json").stat().st_mtime_ns
    assert added(folder.parent, settings)[0].digest == published.digest  # not unpacked again
    assert (settings.home / "unpacked/imagenet-val/shards.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_parquet_with_own_classes_numbers_or_nameless_images(images, tmp_path, settings):
    pairs = [("", data) for data in images[:2]]
    folder = parquet(tmp_path / "own/a.parquet", pairs, [1, 0], ["desk", "tench"], "img")
    own, _ = added(folder, settings, "mine", space="my")
    assert own.ids == ("00000001.png", "00000000.png") and own.labels["category"].tolist() == ["desk", "tench"]
    numbered, _ = added(parquet(tmp_path / "numbered/a.parquet", pairs, [7, 900]), settings)
    assert numbered.labels["category"].tolist() == [WNIDS[7], WNIDS[900]]
    test = parquet(tmp_path / "test/a.parquet", pairs, [0, -1], ["a", "b"])
    refused("has no label", added, test, settings, "test", space="my")
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.read_table(folder / "a.parquet")
    whole = (folder / "a.parquet").read_bytes()
    for lost, message in (("img", "it has: label"), ("label", "it has: img")):
        pyarrow.write_table(table.drop([lost]), folder / "a.parquet")
        refused(message, added, folder, settings, "bad", space="my")
    (folder / "a.parquet").write_bytes(whole[:300])
    refused(r"shard .*a.parquet cannot be read", added, folder, settings, "bad", space="my")


@pytest.mark.slow
@pytest.mark.parametrize(("most", "times"), [((500, 9), 1), ((2**30, 3), 1), (shards.MOST, 50)])
def test_parquet_that_grows_beyond_the_most(most, times, images, tmp_path, settings, monkeypatch):
    """By bytes, by images, and beside its own size: images of 1 MB that are one and the same fifty times."""
    pairs = [("a.png", images[0] + bytes(2**20))] * times if times > 1 else zip(NAMES, images, strict=True)
    folder = parquet(tmp_path / "hub/a.parquet", pairs, OUTPUTS[:1] * times if times > 1 else OUTPUTS)
    library = pytest.importorskip("pyarrow.parquet")
    library.write_table(library.read_table(folder / "a.parquet"), folder / "a.parquet", compression="zstd")
    assert (folder / "a.parquet").stat().st_size < 2**20
    monkeypatch.setattr(shards, "MOST", most)
    refused("images; refused", added, folder, settings)
    assert not list(settings.home.rglob("*.png"))


@pytest.mark.slow
def test_a_webdataset_as_its_library_writes_it(images, published, tmp_path, settings):
    writer = pytest.importorskip("webdataset").TarWriter
    for name, label in (("cls", int), ("json", lambda output: {"label": output, "words": WORDS[output]})):
        (tmp_path / name).mkdir()
        with writer(str(tmp_path / name / "imagenet1k-validation-00.tar")) as out:
            for key, data, output in zip(NAMES, images, OUTPUTS, strict=True):
                out.write({"__key__": key[:-4], "png": data, name: label(output)})
        (tmp_path / name / "classnames.txt").write_text("kept beside the shards")
        assert added(tmp_path / name, settings)[0].digest == published.digest


@pytest.mark.slow
def test_folders_of_save_to_disk_and_labels_that_are_named(images, published, tmp_path, settings):
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    classes, coarse = datasets.ClassLabel(names=[WNIDS[i] for i in sorted(set(OUTPUTS))]), datasets.ClassLabel(2)
    rows = {"picture": [{"bytes": data, "path": name} for data, name in zip(images, NAMES, strict=True)]}
    rows |= {"fine": [WNIDS[i] for i in OUTPUTS], "coarse": [0, 1] * 3}
    features = datasets.Features({"picture": datasets.Image(), "fine": classes, "coarse": coarse})
    table = datasets.Dataset.from_dict(rows, features=features).select([5, 4, 3, 2, 1, 0])
    splits = datasets.DatasetDict({"train": table.select([0]), "validation": table})
    splits.save_to_disk(tmp_path / "saved")
    table.remove_columns("coarse").save_to_disk(tmp_path / "one", num_shards=2)
    line = rf"fine, coarse could .*`bench data add imagenet-val {tmp_path}/saved --columns label=fine`"
    refused(line, added, tmp_path / "saved", settings)
    assert added(tmp_path / "saved", settings, columns={"label": "fine"})[0].digest == published.digest
    assert added(tmp_path / "one", settings)[0].digest == published.digest


def zipped(path, members, mode=0o100644):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            out.writestr(info, data)
    return path


def test_zips_with_class_folders_or_a_list(images, published, tmp_path, settings):
    rows = "".join(f"{name}\t{output}\n" for name, output in zip(NAMES, OUTPUTS, strict=True))
    plain = list(zip(NAMES, images, strict=True))
    in_classes = [(f"top/{WNIDS[i]}/{name}", data) for (name, data), i in zip(plain, OUTPUTS, strict=True)]
    listed = [("set/labels.tsv", rows), *((f"set/images/{name}", data) for name, data in plain)]
    zipped(tmp_path / "swin/val.zip", plain)
    zipped(tmp_path / "swin/train.zip", plain[:1])
    (tmp_path / "swin/val_map.txt").write_text(rows)
    (tmp_path / "swin/train_map.txt").write_text(f"{NAMES[0]}\t7\n")
    a, b = zipped(tmp_path / "a/x.zip", in_classes), zipped(tmp_path / "b/x.zip", listed).parent
    for place in (a, b, tmp_path / "swin"):
        assert added(place, settings)[0].digest == published.digest
    own = zipped(tmp_path / "c/x.zip", [(f"top/{name}/1.png", images[0]) for name in ("cats", "dogs")])
    assert added(own, settings, "own", space="own")[0].labels["category"].tolist() == ["cats", "dogs"]


def test_labels_of_a_tar_in_text_files_or_class_folders(images, published, tmp_path, settings):
    words, captions, folders = [], [], [("val/LICENSE", b"")]
    for name, data, i in zip(NAMES, images, OUTPUTS, strict=True):
        words += [(name, data), (f"{name[:-4]}.txt", WNIDS[i].encode())]
        captions += [(f"{WNIDS[i]}/{name}", data), (f"{WNIDS[i]}/{name[:-4]}.txt", b"a caption")]
        folders.append((f"val/{WNIDS[i]}/{name}", data))
    for kind, members in (("words", words), ("captions", captions), ("folders", folders)):
        assert added(tar(tmp_path / kind / "0.tar", members), settings)[0].digest == published.digest
    # Names with dots in front are one sample each, as ImageNet-A's: 0.000116_digital clock.png.
    dotted = tar(tmp_path / "dotted/0.tar", [(f"n07768694/0.{i}_x.png", data) for i, data in enumerate(images)])
    assert added(dotted, settings, "imagenet-a")[0].ids == tuple(f"0.{i}_x.png" for i in range(6))


HOSTILE = {
    "a path that leads out": ([("../a.png", b"x")], 0o100644, "leads out of the archive; refused"),
    "an absolute path": ([("/tmp/a.png", b"x")], 0o100644, "leads out"),
    "an escape": ([("c/\x1b[2J.png", b"x")], 0o100644, "leads out"),
    "a link": ([("c/a.png", b"/etc/passwd")], stat.S_IFLNK | 0o777, "is not a plain file; refused"),
    "a bomb": ([(f"c/{i}.png", bytes(2**24)) for i in range(2)], 0o100644, "more than 17.* bytes .* refused"),
    "one name twice as file and folder": ([("c/a.png", b"x"), ("c/a.png/b.png", b"x")], 0o100644, "cannot be read"),
    "no zip": ((), 0, "File is not a zip file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_zip_that_is_refused_leaves_nothing(kind, tmp_path, settings):
    members, mode, message = HOSTILE[kind]
    zipped(tmp_path / "x.zip", members, mode)
    if kind == "no zip":
        (tmp_path / "x.zip").write_bytes(b"PK\x03\x04" + bytes(99))
    refused(message, added, tmp_path / "x.zip", settings, "mine", space="own")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.zip"]
    (tmp_path / "b.zip").symlink_to(tmp_path / "nowhere.zip")
    refused("archives in .*No such file", added, tmp_path / "b.zip", settings, "mine", space="own")


PNG = b"\x89PNG"
BAD = {
    "a path that leads out": ([("../a.png", PNG), ("../a.cls", b"1")], "leads out of the archive; refused"),
    "an absolute path": ([("/tmp/a.png", PNG), ("/tmp/a.cls", b"1")], "leads out"),
    "a link": ([("a.png", tarfile.SYMTYPE, "/etc/passwd"), ("a.cls", b"1")], "is not a plain file; refused"),
    "a device": ([("a.png", tarfile.CHRTYPE, "")], "is not a plain file; refused"),
    "a class that leads out": ([("a.png", PNG), ("a.cls", b"../../x")], "'../../x' cannot name a file"),
    "no label": ([("a.png", PNG), ("b.cls", b"1")], "'a.png' has no label"),
    "two images for a label": ([("a.png", PNG), ("a.jpg", PNG), ("a.cls", b"1")], "several images for one label: a"),
    "no image": ([("a.png", b"GIF89a"), ("a.cls", b"1")], "'a.png' is not a JPEG, PNG or WebP"),
    "an endless label": ([("a.cls", b"1" * (2**20 + 1))], "has 1048577 bytes; refused"),
    "no sample": ([("a.txt", b"words")], "neither images nor tables|no images"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_tar_that_is_refused_leaves_nothing(kind, tmp_path, settings):
    members, message = BAD[kind]
    good = [("n01440764/good.png", PNG)] * (kind != "no sample")
    refused(message, added, tar(tmp_path / "shards/0.tar", [*good, *members]), settings)
    rest = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert rest == ["0.tar"] or kind == "no sample"


def test_cut_short_or_too_much(images, tmp_path, settings, monkeypatch):
    members = [(f"n01440764/{name}", data) for name, data in zip(NAMES, images, strict=True)]
    folder = tar(tmp_path / "shards/0.tar", members)
    whole = (folder / "0.tar").read_bytes()
    for cut in (whole[:700], whole[: 512 * 5 + 100], whole[:1024] + b"\1" * 600):
        (folder / "0.tar").write_bytes(cut)
        refused(r"shard .*0.tar cannot be read", added, folder, settings)
    (folder / "0.tar").write_bytes(whole)
    for most in ((2**30, 3), (500, 9)):
        monkeypatch.setattr(shards, "MOST", most)
        refused("refused", added, folder, settings)
    assert not list(settings.home.rglob("*.png"))


def test_without_pyarrow_the_extra_is_named(tmp_path, settings, monkeypatch):
    folder = write(tmp_path / "hub/a.parquet", b"PAR1").parent
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    refused(r"pip install 'gestaltbench\[parquet\]'", added, folder, settings)
