import bz2
import gzip
import io
import lzma
import tarfile

import pytest
from set_checks import refused

from benchmark.stimuli.fetch import unpack


def packed(path, *entries, mode="w:gz"):
    """An archive; a text stands for a plain file that holds its own name."""
    with tarfile.open(path, mode) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            data = info.name.encode() if info.isreg() else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_only_the_wanted_folder_is_unpacked(tmp_path):
    names = ("top/stimuli/edges/cat/1.png", "top/stimuli/edges-2/x.png", "top/README", "./top/stimuli/edges/LICENSE")
    archive = packed(tmp_path / "a.tar.gz", *names, link("top/elsewhere", "/etc/passwd"))
    assert unpack(archive, "stimuli/edges", tmp_path / "out") == 2
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert found == {"cat", "cat/1.png", "LICENSE"}


LINKS = ("/etc/passwd", tarfile.SYMTYPE), ("top/set/good", tarfile.LNKTYPE), ("", tarfile.FIFOTYPE)


@pytest.mark.parametrize("hostile", [
    "top/set/../../evil", "../evil", "/evil", "top/set/..\\evil", *(link("top/set/a", *how) for how in LINKS)
], ids=lambda entry: getattr(entry, "linkname", entry) or "a pipe")  # fmt: skip
def test_hostile_entries_are_refused(tmp_path, hostile):
    archive = packed(tmp_path / "a.tar.gz", "top/set/good", hostile)
    refused("refused", unpack, archive, "set", tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("evil"))


def plain(path, names, end=bytes(1024)):
    """A tar archive as bytes, uncompressed, with this after its last entry; each has a block of name and of content."""
    return packed(path, *names, mode="w").read_bytes()[: 1024 * len(names)] + end


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
@pytest.mark.parametrize("damage", ["header", "checksum", "more", "short end"])
def test_damage_that_tarfile_does_not_see_is_found(tmp_path, kind, damage):
    names = [f"top/set/{i}" for i in range(9)]
    archive = tmp_path / f"a.tar.{kind}"
    ends = {"more": bytes(1024) + b"x" * 512, "short end": b""}
    data = bytearray(plain(tmp_path / "plain", names, ends.get(damage, bytes(1024))))
    if damage == "header":
        data[5 * 1024] ^= 1  # the sixth of nine: tarfile stops here without a word
    packed_data = bytearray({"gz": gzip, "xz": lzma, "bz2": bz2}[kind].compress(bytes(data)))
    if damage == "checksum":
        packed_data[-6 if kind == "gz" else -20 if kind == "xz" else -4] ^= 1
    archive.write_bytes(packed_data if damage != "short end" else packed_data[:-9])
    refused("damaged or cut short", unpack, archive, "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_much_is_refused_wherever_it_is(tmp_path):
    """Files and zeros that nobody asked for, and zeros after the end."""
    archive, out = tmp_path / "a.tar.gz", tmp_path / "out"
    for names, end in ((["top/set/a", "top/other/" + "b" * 80], 1024), (["top/set/a"], 4096)):
        archive.write_bytes(gzip.compress(plain(tmp_path / "p", names, bytes(end))))
        refused(r"more than 20 bytes|something follows", unpack, archive, "set", out, most_bytes=20)
    packed(archive, "top/set/a", *(f"top/other/{i}" for i in range(9)))
    refused("or 5 files", unpack, archive, "set", out, most_files=5)
    refused("more than 20 bytes", unpack, archive, "set", out, most_bytes=20)
    assert unpack(archive, "", tmp_path / "all") == 10


@pytest.mark.parametrize("size", [-512, 2**40])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_sizes_that_nobody_packs_are_refused(tmp_path, size, kind):
    """A negative size would be read for ever, words of a terabyte into memory."""
    info = tarfile.TarInfo("top/set/a")
    info.type, info.size = kind, size
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    refused(r"damaged or cut short|more than", unpack, archive, "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()
