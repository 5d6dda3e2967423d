import dataclasses
import errno
import functools
import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets as tv
from conftest import store_images
from PIL import Image

from kdlib import catalog, data, paths
from kdlib.catalog import DATA_SETS
from kdlib.data import DataError, archives, draws, imports, inputs, readers, signals, stored

CLASSES = ["bee", "cat", "dog", "elk"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Data of the test's own; CIFAR-100 has 3 + 2 images of 4 classes there."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    for name in ("cifar10", "cifar100", "svhn"):
        resize(monkeypatch, name, names=tuple(CLASSES), counts={"train": (3,) * 4, "test": (2,) * 4})
    return tmp_path


def resize(monkeypatch, name, **changes):
    """Another data set of that name, of whose official content nothing is known."""
    monkeypatch.setitem(DATA_SETS, name, dataclasses.replace(DATA_SETS[name], **{"fingerprint": None} | changes))


def reform(monkeypatch, digests):
    """Let these be the md5s of MNIST's files."""
    resize(monkeypatch, "mnist", forms={"idx files": {"md5": tuple(digests.values())}})


def pictures(seed=0):
    """{part: [(class, image [32, 32, 3])]} in no order."""
    random = np.random.default_rng(seed)
    return {part: [(CLASSES[c], random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
                   for c in random.permutation(np.repeat(np.arange(4), n))] for part, n in (("train", 3), ("test", 2))}


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def huge_png(side):
    """A PNG that claims so many pixels a side, rightly signed."""
    raw = png(np.zeros((32, 32, 3), np.uint8))
    claim = b"IHDR" + struct.pack(">II", side, side) + raw[24:29]
    return raw[:12] + claim + struct.pack(">I", zlib.crc32(claim)) + raw[33:]


def as_files(them):
    """{path: bytes} of class folders."""
    return {f"set/{part}/{c}/{i}.png": png(image) for part, rows in them.items() for i, (c, image) in enumerate(rows)}


def as_binary(them):
    """{path: bytes} of CIFAR-100's binary version."""
    return {f"cifar-100-binary/{part}.bin": b"".join(
        bytes([7, CLASSES.index(c)]) + image.transpose(2, 0, 1).tobytes() for c, image in rows)
        for part, rows in them.items()}


def as_pickles(them):
    """{path: bytes} as Python 2 pickled CIFAR: its opcodes, written by hand."""
    def text(value):
        return b"U" + bytes([len(value)]) + value.encode()

    out = {}
    for part, rows in them.items():
        pixels = b"".join(image.transpose(2, 0, 1).tobytes() for _, image in rows)
        numbers = b"".join(b"K" + bytes([CLASSES.index(c)]) for c, _ in rows)
        out[f"cifar-100-python/{part}"] = (
            b"\x80\x02}q\x01(" + text("coarse_labels") + b"]q\x02(K\x01K\x02e"
            + text("fine_labels") + b"]q\x03(" + numbers + b"e" + text("data")
            + b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85" + text("b")
            + b"\x87Rq\x07(K\x01M" + struct.pack("<H", len(rows)) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x08" + text("u1")
            + b"K\x00K\x01\x87Rq\x09(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
            + struct.pack("<i", len(pixels)) + pixels + b"tb" + text("batch_label") + text("batch") + b"u.")
    return out


def folder(path, files):
    for name, raw in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return path


def tarred(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return path


def official(monkeypatch, name, files):
    """Let these be the files whose md5 torchvision knows."""
    for part, batches in (("train_list", ["train"]), ("test_list", ["test"])):
        monkeypatch.setattr(readers.torchvision_class(DATA_SETS[name]), part, [
            [b, hashlib.md5(files[f"cifar-100-python/{b}"]).hexdigest()] for b in batches])


def on_disk(name):
    return {part: (paths.data_dir() / name / f"{part}.npy").read_bytes() for part in stored.ARRAYS}


def test_the_same_images_are_the_same_on_disk_in_whatever_form_and_order_they_come(here, monkeypatch):
    them = pictures()
    shuffled = dict(sorted(as_files(them).items(), key=lambda item: hashlib.md5(item[1]).digest()))
    pickles = as_pickles(them)
    official(monkeypatch, "cifar100", pickles)
    sources = [folder(here / "folder", as_files(them)), zipped(here / "a.zip", shuffled),
               tarred(here / "a.tar.bz2", shuffled, "w:bz2"), tarred(here / "binary.tar.gz", as_binary(them)),
               folder(here / "root", pickles), tarred(here / "python.tar.gz", pickles)]
    expected = None
    for source in sources:
        imports.import_("cifar100", source)
        expected = expected or on_disk("cifar100")
        assert on_disk("cifar100") == expected, source
    x, y = stored.array("cifar100", "train-x"), stored.array("cifar100", "train-y")
    assert y.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 and x.shape == (12, 3, 32, 32)
    dogs = {image.tobytes() for c, image in them["train"] if c == "dog"}
    assert {image.transpose(1, 2, 0).tobytes() for image in x[6:9]} == dogs
    stored.check("cifar100")


def test_the_fingerprint_is_of_the_content_not_of_the_order(here):
    store_images("cifar10", 20, 4, (3, 32, 32))
    arrays = {part: np.array(stored.array("cifar10", part)) for part in stored.ARRAYS}
    first, order = stored.fingerprint(arrays), np.random.default_rng(1).permutation(20)
    moved = arrays | {part: arrays[part][order] for part in ("train-x", "train-y")}
    assert stored.fingerprint(moved) == first
    assert stored.fingerprint(moved | {"train-y": arrays["train-y"]}) != first  # other labels
    changed = arrays["test-x"].copy()
    changed[3, 0, 0, 0] ^= 1
    assert stored.fingerprint(arrays | {"test-x": changed}) != first


def test_the_names_of_cifar100s_classes_stand_in_the_order_of_its_labels():
    names = DATA_SETS["cifar100"].names
    assert list(names) == sorted(set(names)) and DATA_SETS["cifar100"].classes == 100


def without(them, part):
    return {p: rows[1:] if p == part else rows for p, rows in them.items()}


def relabelled(them):
    (c, image), *rest = them["train"]
    return {"train": [(CLASSES[(CLASSES.index(c) + 1) % 4], image), *rest], "test": them["test"]}


@pytest.mark.parametrize(("source", "says"), [
    (lambda at: zipped(at / "a.zip", as_files(without(pictures(), "train"))), "has 11 train examples .* has 12"),
    (lambda at: zipped(at / "a.zip", as_files(pictures() | {"test": []})), "has 0 test examples"),
    (lambda at: zipped(at / "a.zip", as_files(relabelled(pictures()))), "examples of class ., and cifar100 has 3"),
    (lambda at: zipped(at / "a.zip", as_files(pictures()) | {"set/train/fox/9.png": b""}),
     "class folder 'fox', and the classes are bee, cat, dog, elk: rename it"),
    (lambda at: zipped(at / "a.zip", {n: raw[:99] for n, raw in as_files(pictures()).items()}), "png .* is damaged"),
    (lambda at: zipped(at / "a.zip", as_files({p: [(c, i[:16, :16]) for c, i in rows]
                                               for p, rows in pictures().items()})), "\\(16, 16\\) pixels"),
    (lambda at: tarred(at / "a.tar.gz", {n: raw[:-1] for n, raw in as_binary(pictures()).items()}), "cut off"),
    (lambda at: cut(tarred(at / "a.tar.gz", as_binary(pictures()))), "damaged or cut off"),
    (lambda at: cut(zipped(at / "a.zip", as_files(pictures()))), "neither a folder nor a whole zip or tar"),
    (lambda at: tarred(at / "a.tar", as_pickles(pictures())), "not the official file \\(its md5 differs\\)"),
    (lambda at: folder(at / "f", {"cifar-100-python/train": b"x"}), "test is not in .* other files of the set are"),
    (lambda at: folder(at / "f", {"readme.txt": b"hello"}), "there is no cifar100 in .*official archive"),
    (lambda at: at / "nowhere", "does not exist"),
])
def test_a_wrong_or_partial_copy_is_named_and_what_was_stored_stays(here, source, says):
    imports.import_("cifar100", zipped(here / "good.zip", as_files(pictures(seed=1))))
    before = on_disk("cifar100")
    with pytest.raises(DataError, match=says):
        imports.import_("cifar100", source(here))
    assert on_disk("cifar100") == before
    stored.check("cifar100")


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def test_other_content_than_the_official_is_refused_though_its_counts_are_right(here, monkeypatch):
    resize(monkeypatch, "cifar100", names=tuple(CLASSES), counts={"train": (3,) * 4, "test": (2,) * 4},
           fingerprint="0" * 32)
    with pytest.raises(DataError, match="right counts but not the official content"):
        imports.import_("cifar100", zipped(here / "a.zip", as_files(pictures())))
    assert not (here / "data").exists()


def as_cifar10(them):
    """{path: bytes} of CIFAR-10's binary version: the training images in five batches."""
    rows = {part: [bytes([CLASSES.index(c)]) + image.transpose(2, 0, 1).tobytes() for c, image in some]
            for part, some in them.items()}
    return {f"cifar-10-batches-bin/data_batch_{i + 1}.bin": b"".join(rows["train"][i::5]) for i in range(5)} | {
        "cifar-10-batches-bin/test_batch.bin": b"".join(rows["test"])}


def as_mats(them):
    """{path: bytes} of SVHN's files, where class 0 is 10."""
    out = {}
    for part, rows in them.items():
        file = io.BytesIO()
        scipy.io.savemat(file, {"X": np.stack([image for _, image in rows], -1),
                                "y": np.array([[CLASSES.index(c) or 10] for c, _ in rows], np.uint8)})
        out[f"{part}_32x32.mat"] = file.getvalue()
    return out


def official_mats(monkeypatch, mats):
    monkeypatch.setattr(tv.SVHN, "split_list", {
        name.split("_")[0]: ["", name, hashlib.md5(raw).hexdigest()] for name, raw in mats.items()})


def test_the_official_forms_of_cifar10_and_of_house_numbers_have_the_fingerprint_of_their_images(here, monkeypatch):
    them = pictures()
    imports.import_("cifar10", folder(here / "folders", as_files(them)))
    of_images = stored.info("cifar10")["fingerprint"]
    imports.import_("cifar10", tarred(here / "cifar-10-binary.tar.gz", as_cifar10(them)))
    assert stored.info("cifar10")["fingerprint"] == of_images
    mats = as_mats(them)
    official_mats(monkeypatch, mats)
    imports.import_("svhn", folder(here / "mats", mats))
    assert stored.info("svhn")["fingerprint"] == of_images


def test_what_no_official_fingerprint_is_known_of_is_called_so_unless_its_files_are_the_official_ones(
        here, kdlib, monkeypatch):
    them, mats = pictures(), as_mats(pictures())
    official_mats(monkeypatch, mats)
    for source, said in ((folder(here / "folders", as_files(them)), ", not compared with the official files"),
                         (folder(here / "mats", mats), "")):
        code, out, _ = kdlib("data", "import", "svhn", source)
        fingerprint = stored.info("svhn")["fingerprint"]
        assert code == 0 and out == f"svhn is stored, fingerprint {fingerprint}{said}; licence: non-commercial use\n"
        _, out, _ = kdlib("data", "list", "--check")
        assert next(line for line in out.splitlines() if line.startswith("svhn ")).endswith(
            f", checked{said}; it only lends its images")


def test_other_content_never_takes_the_place_of_official_content_and_elsewhere_says_that_it_does(here, monkeypatch):
    other, mats = folder(here / "other", as_files(pictures(seed=1))), as_mats(pictures())
    imports.import_("svhn", folder(here / "folders", as_files(pictures())))
    before = stored.info("svhn")["fingerprint"]
    assert f"takes the place of other content, fingerprint {before}" in imports.import_("svhn", other)
    official_mats(monkeypatch, mats)
    imports.import_("svhn", folder(here / "mats", mats))
    with pytest.raises(DataError, match="svhn is here from its official files .*other has other content"):
        imports.import_("svhn", other)
    assert stored.info("svhn")["fingerprint"] == before
    imports.import_("svhn", here / "folders")  # the same content


def test_an_archive_with_the_md5_of_the_download_is_the_official_one(here, serve):
    archive = serve(zipped, as_files(pictures()))
    assert "not compared" not in imports.import_("cifar10", archive)
    assert stored.info("cifar10")["official"]


def test_class_folders_are_labelled_by_their_names(here, monkeypatch):
    resize(monkeypatch, "cifar10", names=catalog.CIFAR10_CLASSES, counts={"train": (1,) * 10, "test": (1,) * 10})
    images = {c: png(np.full((32, 32, 3), i, np.uint8)) for i, c in enumerate(catalog.CIFAR10_CLASSES)}
    called = dict(zip(catalog.CIFAR10_CLASSES, catalog.CIFAR10_CLASSES, strict=True))
    for names in (called, called | {"automobile": "car", "airplane": "plane"}):  # "bird" and "car": another order
        imports.import_("cifar10", zipped(here / "a.zip", {
            f"{part}/{names[c]}/0.png": raw for part in ("train", "test") for c, raw in images.items()}))
        assert stored.array("cifar10", "train-x")[:, 0, 0, 0].tolist() == list(range(10))
    names = called | {"automobile": "auto"}
    with pytest.raises(DataError, match="class folder 'auto', and the classes are airplane, .* truck: rename"):
        imports.import_("cifar10", zipped(here / "b.zip", {
            f"{part}/{names[c]}/0.png": raw for part in ("train", "test") for c, raw in images.items()}))


# --- parts, pools, derived sets

def letters(n=2):
    """{path: bytes} of a gzip.zip with `n` training letters of each kind and one test letter."""
    random, files = np.random.default_rng(0), {}
    for part, each in (("train", n), ("test", 1)):
        x = random.integers(0, 256, (26 * each, 28, 28), dtype=np.uint8)
        y = (np.arange(26 * each) % 26 + 1).astype(np.uint8)
        files |= {f"gzip/emnist-letters-{part}-{kind}-ubyte.gz": gzip.compress(idx(values))
                  for kind, values in (("images-idx3", x), ("labels-idx1", y))}
    return files


def test_emnist_letters_is_a_set_of_its_own_upright_and_labelled_from_0(here, monkeypatch):
    resize(monkeypatch, "emnist-letters", counts={"train": (2,) * 26, "test": (1,) * 26})
    files = letters()
    imports.import_("emnist-letters", folder(here / "root" / "EMNIST" / "raw", files).parent.parent)
    x, y = stored.array("emnist-letters", "train-x"), stored.array("emnist-letters", "train-y")
    assert y.tolist() == sorted([*range(26)] * 2)
    raw = gzip.decompress(files["gzip/emnist-letters-train-images-idx3-ubyte.gz"])
    first = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[0]  # the letter a
    assert any(np.array_equal(image[0], first.T) for image in x[:2])
    with pytest.raises(DataError, match="there is no emnist in .*official archive"):
        imports.import_("emnist", here / "root")
    few, more = data.related("emnist-letters", 9, trial=5), data.related("emnist-letters", 78, trial=5)
    assert torch.equal(few, more[:9])
    both = {(image * 255).byte().numpy().tobytes() for image in more}
    assert both == {image.tobytes() for part in ("train-x", "test-x")
                    for image in stored.array("emnist-letters", part)}
    with pytest.raises(DataError, match="emnist-letters has 78 images \\(79 asked for\\)"):
        data.related("emnist-letters", 79, trial=5)


def test_a_part_of_the_house_numbers_is_a_pool_and_no_data_set(here, kdlib, monkeypatch):
    resize(monkeypatch, "svhn-test10000", names=tuple(CLASSES), counts={"test": (2,) * 4})
    them = pictures()
    first = {"test": sorted(them["test"], key=lambda row: row[0])}  # so that its first eight have two of each class
    assert "svhn-test10000 is stored" in imports.import_(
        "svhn-test10000", zipped(here / "a.zip", as_files(first)))
    of_images = stored.info("svhn-test10000")["fingerprint"]
    mats = as_mats({"train": them["train"], "test": first["test"] + them["train"]})
    official_mats(monkeypatch, mats)
    imports.import_("svhn-test10000", folder(here / "mats", mats) / "test_32x32.mat")
    assert stored.info("svhn-test10000")["fingerprint"] == of_images
    with pytest.raises(DataError, match="is a part of a data set and has no train-x"):
        stored.array("svhn-test10000", "train-x")
    with pytest.raises(DataError, match="has 0 train examples .*; svhn-test10000 has as many"):
        imports.import_("svhn", here / "a.zip")
    code, out, _ = kdlib("data", "list", "--check")
    line = next(line for line in out.splitlines() if line.startswith("svhn-test10000"))
    assert code == 0 and "0        8        4" in line and "here, from svhn files, checked" in line
    code, out, _ = kdlib("data", "show", "svhn-test10000", "--out", here / "sheet.png")
    assert code == 0 and out.startswith(f"{here / 'sheet.png'}: stored")
    for name, side in (("cifar100", 32), ("cifar100-16", 16)):
        x = data.out_of_domain(name, 5, trial=1, pool="svhn-test10000")
        assert x.shape == (5, 3, side, side) and len(data.out_of_domain(name, 9, 1, "svhn-test10000")) == 8
    whole = (data.out_of_domain("cifar100", 8, 1, "svhn-test10000") * 255).byte().numpy()
    assert {image.tobytes() for image in whole} == {
        image.tobytes() for image in stored.array("svhn-test10000", "test-x")}
    with pytest.raises(DataError, match="the images of svhn-test10000 are not of the size of fashion-mnist's"):
        data.out_of_domain("fashion-mnist", 5, 1, "svhn-test10000")


@pytest.mark.parametrize("values", [np.zeros((1000, 40), np.float32), np.zeros((1000, 41)), np.zeros(3, np.float32)])
def test_a_kept_draw_that_is_no_draw_is_named(here, values):
    signals.drawn("mnist1d", (0, "train"), 10)
    file, = (here / "data" / "mnist1d").rglob("*.npy")
    np.save(file, values)
    with pytest.raises(DataError, match=f"{file.name} holds .* and no signals; delete it"):
        signals.drawn("mnist1d", (0, "train"), 10)


# --- archives

@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", ["../train/bee/0.png", "/train/bee/0.png", "set/train/../../../x/0.png", "..\\x.png"])
def test_an_archive_that_leads_out_of_itself_is_refused(here, make, name):
    with pytest.raises(DataError, match="leads out of it"):
        imports.import_("cifar100", make(here / "evil", as_files(pictures()) | {name: b"evil"}))
    assert sorted(path.name for path in here.iterdir()) == ["evil"]


def test_links_in_a_tar_are_not_followed(here):
    with tarfile.open(here / "a.tar", "w") as archive:
        link = tarfile.TarInfo("set/train/bee/0.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    assert archives.read(here / "a.tar", readers.IMAGE.search, 1 << 20) == {}


@pytest.mark.parametrize("make", [zipped, tarred, folder])
def test_archives_have_limits(here, monkeypatch, make):
    source = make(here / "large", as_files(pictures()))
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MEMBER_LIMIT", 5)
        with pytest.raises(DataError, match="more than 5 files in it"):
            imports.import_("cifar100", source)
    monkeypatch.setattr(imports, "SPARE", -100_000)
    with pytest.raises(DataError, match="more than 0 MB of the files that are looked for"):
        imports.import_("cifar100", source)


LITTLE = """
import resource, sys
from PIL import Image
from kdlib.data import DataError, imports
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
try:
    imports.import_("cifar100", sys.argv[1])
except DataError as error:
    print(error)
"""


def in_little_memory(source, first="") -> str:
    """What the import of `source` says in a process that has 256 MB for it, after importing `first`."""
    done = subprocess.run([sys.executable, "-c", f"import {first or 'sys'}\n{LITTLE}", source], capture_output=True,
                          text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def tar_header(kind, size, name="long"):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
                                  tarfile.XGLTYPE])
def test_a_tar_s_header_that_claims_a_gigabyte_is_not_read(here, kind):
    zeros = gzip.compress(bytes(1 << 20))
    (here / "a.tar.gz").write_bytes(gzip.compress(tar_header(kind, 1 << 30)) + zeros * 1024)
    assert "has a header of more than 1 MB: it is malformed" in in_little_memory(here / "a.tar.gz")


def test_a_zip_with_too_many_files_is_refused_before_they_are_listed(here):
    with zipfile.ZipFile(here / "a.zip", "w") as archive:
        archive.writestr("a.png", b"")
    raw, n = (here / "a.zip").read_bytes(), 700_000
    start = raw.index(b"PK\1\2")
    entry, end = raw[start : start + 51], raw[start + 51 :]
    end = end[:12] + struct.pack("<I", n * len(entry)) + end[16:]  # the count in it, 1, is as false
    (here / "a.zip").write_bytes(raw[:start] + entry * n + end)
    assert "has more than 300,000 files in it" in in_little_memory(here / "a.zip")


def test_an_image_that_claims_to_be_huge_is_not_decoded(here):
    source = zipped(here / "a.zip", {"set/train/bee/huge.png": huge_png(60_000)})
    assert "claims to have more than 100,000,000 pixels" in in_little_memory(source, "torchvision")


def test_xz_is_not_read_since_it_claims_how_much_memory_it_takes(here):
    with pytest.raises(DataError, match="a.tar.xz is packed with xz, which is not read: unpack it"):
        imports.import_("cifar100", tarred(here / "a.tar.xz", as_files(pictures()), "w:xz"))


def sparse(**headers):
    member = tarfile.TarInfo("set/train/bee/0.png")
    member.pax_headers, member.size = {f"GNU.sparse.{key}": value for key, value in headers.items()}, 512
    return member.tobuf(tarfile.PAX_FORMAT) + b"no number\n".ljust(512, b"\0") + bytes(1024)


def with_bits(raw, offset, bits):
    """A zip with the two bytes at an offset of its headers changed."""
    raw = bytearray(raw)
    for signature, place in ((b"PK\3\4", offset), (b"PK\1\2", offset + 2)):
        at = -1
        while (at := raw.find(signature, at + 1)) >= 0:
            raw[at + place : at + place + 2] = struct.pack("<H", bits)
    return bytes(raw)


def backwards(size):
    """A tar whose first file has a negative size, which leads back to where it begins."""
    header = bytearray(tar_header(tarfile.REGTYPE, 0))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", size)
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header) + bytes(1024)


@pytest.mark.parametrize(("content", "says"), [
    (lambda them: sparse(major="1", minor="0", name="a", realsize="512"), "damaged or cut off"),
    (lambda them: sparse(map="0,512,a,b", size="512"), "damaged or cut off"),
    (lambda them: sparse(map="0,512", size="much"), "damaged or cut off"),
    (lambda them: sparse(map="0,512", size="512"), "has sparse files in it .*pack it without --sparse"),
    (lambda them: backwards(-1024), "a size in it is negative"),
    (lambda them: them.replace(b"set/train/bee", b"set/train/b\xff\xff").replace(b"PK\1\2\x14\3\x14\0\0\0",
                                                                           b"PK\1\2\x14\3\x14\0\0\x08"),
     "a name that says it is UTF-8 and is not: pack it again"),
    (lambda them: with_bits(them, 6, 1), "is encrypted: unpack it and name the folder"),
    (lambda them: with_bits(them, 8, 98), "packed in a way that is not known here"),
])
def test_a_malformed_archive_is_one_sentence(here, content, says):
    (here / "a").write_bytes(content(zipped(here / "good.zip", as_files(pictures())).read_bytes()))
    with pytest.raises(DataError, match=says):
        imports.import_("cifar100", here / "a")


@pytest.mark.parametrize("make", [zipped, tarred, lambda at, files: tarred(at, files, "w"),
                                  lambda at, files: tarred(at, files, "w:bz2")])
def test_whatever_is_damaged_in_an_archive_no_other_error_comes_out(here, make):
    raw, random = make(here / "good", as_files(pictures())).read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        changed = bytearray(raw[: random.integers(len(raw))] if random.random() < 0.2 else raw)
        for place in random.integers(len(changed), size=random.integers(1, 20)):
            changed[place] = random.integers(256)
        (here / "bad").write_bytes(changed)
        try:
            imports.import_("cifar100", here / "bad")
        except DataError:
            refused += 1
    assert refused > 100


def test_what_cannot_be_read_is_not_called_damaged(here, monkeypatch):
    source = zipped(here / "a.zip", as_files(pictures()))

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(source))

    monkeypatch.setattr(archives, "_files", denied)  # since root may read everything
    with pytest.raises(DataError, match="a.zip cannot be read \\(Permission denied\\)$"):
        imports.import_("cifar100", source)


def test_a_device_or_a_pipe_is_no_copy_and_is_not_read(here):
    os.mkfifo(here / "pipe")  # reading it would never begin, and reading /dev/zero never end
    for source in (Path("/dev/null"), here / "pipe"):
        with pytest.raises(DataError, match=f"^{source} is neither a folder nor a file$"):
            imports.import_("cifar100", source)


# --- valid copies, as people have them

MACS = {"__MACOSX/set/train/bee/._0.png": b"mac", "set/train/bee/._0.png": b"mac", "set/._train": b"mac",
        "set/train/.DS_Store": b"mac", "set/train/bee/.DS_Store": b"mac"}


def linked(at, files):
    """The parts are symbolic links to other folders, beside one that leads in circles."""
    folder(at / "elsewhere", files)
    (at / "set").mkdir()
    for part in ("train", "test"):
        (at / "set" / part).symlink_to(at / "elsewhere" / "set" / part)
    (at / "set" / "again").symlink_to(at / "set")
    (at / "set" / "itself").symlink_to(at / "set" / "itself")
    return at / "set"


def cut_beside(at, files):
    """Of the official files, half are whole and have a cut .gz beside, half the other way round."""
    for i, (name, raw) in enumerate(files.items()):
        whole, packed = gzip.decompress(raw) if name.endswith(".gz") else raw, raw
        folder(at, {name.removesuffix(".gz"): whole if i % 2 else whole[:100],
                    name: packed[:100] if i % 2 else packed} if name.endswith(".gz") else {name: raw})
    return at


@pytest.mark.parametrize("copy", [
    lambda at, files: zipped(at / "a.zip", files | MACS), lambda at, files: tarred(at / "a.tar.gz", files | MACS),
    lambda at, files: folder(at / "a", files | MACS), linked,
    lambda at, files: zipped(at / "a.zip", {name.replace("/", "\\"): raw for name, raw in files.items()}),
    lambda at, files: zipped(at / "a.zip", {name.replace(".png", ".PNG"): raw for name, raw in files.items()}),
    lambda at, files: zipped(at / "a.zip", {f"./{name}": raw for name, raw in files.items()}),
    lambda at, files: zipped(at / "a.zip", {name.replace("train", "TRAIN").replace("test", "Test").replace("bee", "Bee")
                                            .replace("elk", "ELK"): raw for name, raw in files.items()}),
])
def test_a_valid_copy_of_class_folders_has_the_official_fingerprint(here, copy):
    files = as_files(pictures())
    imports.import_("cifar100", folder(here / "official", files))
    official_one = stored.info("cifar100")["fingerprint"]
    (here / "data" / "cifar100" / "info.json").unlink()
    imports.import_("cifar100", copy(here, files))
    assert stored.info("cifar100")["fingerprint"] == official_one


@pytest.mark.parametrize("copy", [
    lambda at, files: folder(at, {name.replace("-idx", ".idx"): raw for name, raw in files.items()}),
    lambda at, files: zipped(at, {name.replace("-idx", ".idx"): raw for name, raw in files.items()}),
    lambda at, files: zipped(at, files | {f"__MACOSX/{name.split('/')[-1]}": b"mac" for name in files}),
    lambda at, files: folder(at, files | {name.replace("raw/", "raw/._"): b"mac" for name in files}), cut_beside,
])
def test_a_valid_copy_of_mnist_has_the_official_fingerprint(here, monkeypatch, copy):
    files, digests, x = mnist_files(monkeypatch)
    reform(monkeypatch, digests)
    imports.import_("mnist", copy(here / "root", {name: raw for name, raw in files.items() if "Fashion" not in name}))
    assert np.array_equal(stored.array("mnist", "train-x")[:, 0], x)


def test_a_cut_gz_alone_is_named(here, monkeypatch):
    files, _, _ = mnist_files(monkeypatch)
    name = "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte.gz in .* is damaged or cut off .*: get it again"):
        imports.import_("mnist", folder(here / "root", files | {name: files[name][:20]}))


def test_a_small_file_that_unpacks_to_a_large_one_is_not_read(here, monkeypatch):
    resize(monkeypatch, "mnist", counts={})
    monkeypatch.setattr(imports, "SPARE", 1 << 20)
    source = folder(here / "raw", {"train-images-idx3-ubyte.gz": gzip.compress(bytes(2 << 20))})
    with pytest.raises(DataError, match="more than 1 MB"):
        imports.import_("mnist", source)


def test_a_pickle_is_never_executed(here, monkeypatch):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {here / 'executed'}",)

    evil = {f"cifar-100-python/{part}": pickle.dumps({"fine_labels": Evil(), "data": Evil()}, 2)
            for part in ("train", "test")}
    official(monkeypatch, "cifar100", evil)  # even past the md5
    with pytest.raises(DataError, match="train in .* is not a batch of CIFAR"):
        imports.import_("cifar100", folder(here / "root", evil))
    assert not (here / "executed").exists()


def test_a_numpy_pickle_of_today_is_read_off_its_opcodes():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    for protocol in (2, 3, 4):
        raw = pickle.dumps({"filenames": ["a"], "labels": [3, 0, 2, 255], "data": pixels}, protocol)
        assert readers.read_pickled(raw, "labels") == (pixels.tobytes(), [3, 0, 2, 255])


# --- what is on disk

def test_an_import_that_is_cut_short_leaves_no_set_that_looks_whole(here, monkeypatch):
    store_images("cifar10", 20, 4, (3, 32, 32))
    save, calls = np.save, []

    def killed(file, values):
        calls.append(file)
        if len(calls) == 3:
            raise KeyboardInterrupt
        save(file, values)

    monkeypatch.setattr(np, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        store_images("cifar10", 24, 4, (3, 32, 32))
    with pytest.raises(DataError, match="partly here, its import did not end"):
        stored.array("cifar10", "train-x")
    monkeypatch.setattr(np, "save", save)
    store_images("cifar10", 24, 4, (3, 32, 32))
    stored.check("cifar10")


def test_a_folder_with_files_of_somebody_else_is_no_place_to_store_a_set(here, monkeypatch):
    few_photos(monkeypatch)
    there = here / "data" / "cifar100"
    there.mkdir(parents=True)
    for file in ("info.json", "train-x.npy", "train.txt"):
        (there / file).write_text('{"mine": 1}')
    with pytest.raises(DataError, match=f"{there} has files that are not kdlib's"):
        store_images("cifar100", 4, 4, (3, 32, 32))
    assert {path.name: path.read_text() for path in there.iterdir()} == dict.fromkeys(
        ("info.json", "train-x.npy", "train.txt"), '{"mine": 1}')
    (there.parent / "imagenet").mkdir()
    (there.parent / "imagenet" / "train.txt").write_text("my list")
    with pytest.raises(DataError, match="not kdlib's"):
        imports.import_("imagenet", photos(here))
    assert (there.parent / "imagenet" / "train.txt").read_text() == "my list"


def test_files_that_are_missing_or_another_s_are_noticed(here):
    store_images("cifar10", 20, 4, (3, 32, 32))
    file = here / "data" / "cifar10" / "test-x.npy"
    np.save(file, np.zeros((19, 3, 32, 32), np.uint8))
    with pytest.raises(DataError, match="test-x.npy is not the file that was stored"):
        stored.array("cifar10", "test-x")
    file.unlink()
    with pytest.raises(DataError, match="partly here, .*test-x.npy is missing"):
        stored.array("cifar10", "test-x")


def test_one_changed_pixel_is_found_by_the_check(here):
    store_images("cifar10", 20, 4, (3, 32, 32))
    file = here / "data" / "cifar10" / "train-x.npy"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    stored.array("cifar10", "train-x")  # which does not read it
    with pytest.raises(DataError, match="cifar10 on disk is not what was stored"):
        stored.check("cifar10")


@pytest.mark.parametrize("content", [
    b"[]", b"{}", b"null", b"7", b"", b"\xff", b'{"source": "a", "fingerprint": 7}',
    {"fingerprint": None}, {"counts": 7}, {"source": []}, {"arrays": {"train-x": "much"}},
    {"arrays": {"other": [[1], "|u1", 1]}},
])
def test_an_info_json_of_another_kind_is_damaged(here, kdlib, content):
    store_images("cifar10", 20, 4, (3, 32, 32))
    file = here / "data" / "cifar10" / "info.json"
    if isinstance(content, dict):
        content = json.dumps(json.loads(file.read_bytes()) | content).encode()
    file.write_bytes(content)
    with pytest.raises(DataError, match="info.json is damaged: import or fetch cifar10 again"):
        stored.array("cifar10", "train-x")
    code, out, _ = kdlib("data", "list")
    assert code == 1 and "info.json is damaged" in out


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"a": "b"}', b"[1, 2]", b'["", "?", "the", "bad"', b"\xff",
                                     b'["", "?", "the", "other"]', b"", None])
def test_a_damaged_vocabulary_is_found(here, kdlib, monkeypatch, content):
    resize(monkeypatch, "imdb", counts={"train": (1, 1), "test": (1, 1)})
    imports.import_("imdb", folder(here / "acl", {f"{part}/{label}/0.txt": b"the bad " * 10 + label.encode()
                                                   for part in ("train", "test") for label in ("neg", "pos")}))
    assert stored.words("imdb") == ["", "?", "bad", "the"]
    file = here / "data" / "imdb" / "words.json"
    file.unlink() if content is None else file.write_bytes(content)
    code, out, _ = kdlib("data", "list", "--check")
    assert code == 1 and "not usable: " in out and "words.json" in out
    with pytest.raises(DataError, match="words.json .*import or fetch imdb again"):
        stored.words("imdb")


def test_what_is_stored_and_cannot_be_read_is_not_called_damaged(here, monkeypatch):
    store_images("cifar10", 20, 4, (3, 32, 32))

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        with pytest.raises(DataError, match="info.json cannot be read \\(Permission"):
            stored.info("cifar10")
    with monkeypatch.context() as patch:
        patch.setattr(np, "load", denied)
        with pytest.raises(DataError, match="test-x.npy cannot be read \\(Permission"):
            stored.array("cifar10", "test-x")


def test_a_check_finds_what_is_not_the_official_content(here, monkeypatch):
    store_images("cifar10", 20, 4, (3, 32, 32))
    stored.check("cifar10")
    resize(monkeypatch, "cifar10", fingerprint="0" * 32)
    with pytest.raises(DataError, match="cifar10 on disk is not the official cifar10"):
        stored.check("cifar10")


# --- MNIST and its kind, house numbers, reviews

def idx(values):
    return b"\0\0\x08" + bytes([values.ndim]) + b"".join(struct.pack(">I", n) for n in values.shape) + values.tobytes()


def grey(n, classes):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (n, 28, 28), dtype=np.uint8), (np.arange(n) % classes).astype(np.uint8)


def mnist_files(monkeypatch, n=20):
    """{path: bytes} in torchvision's layout, beside another set's files of the same names; `n` of each part."""
    x, y = grey(n, 10)
    files, digests = {}, {}
    for part, (name,) in readers._idx_names(DATA_SETS["mnist"]).items():
        raw = idx(x if "images" in name else y)
        files[f"MNIST/raw/{name}.gz"] = gzip.compress(raw)
        files[f"FashionMNIST/raw/{name}"] = b"not digits"
        digests[part] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    resize(monkeypatch, "mnist", counts={"train": (n // 10,) * 10, "test": (n // 10,) * 10})
    return files, digests, x


def test_mnist_is_checked_on_import_and_keeps_its_order(here, monkeypatch):
    files, digests, x = mnist_files(monkeypatch)
    source = folder(here / "root", files)
    with pytest.raises(DataError, match="not the official file"):
        imports.import_("mnist", source)
    assert not (here / "data").exists()
    reform(monkeypatch, digests)
    imports.import_("mnist", source)
    assert np.array_equal(stored.array("mnist", "test-x")[:, 0], x)
    (source / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is not in .*root, other files"):
        imports.import_("mnist", source)


def test_emnist_stands_upright(here, monkeypatch):
    x, y = grey(62, 62)
    resize(monkeypatch, "emnist", counts={"train": 62, "test": 62})
    source = zipped(here / "gzip.zip", {f"gzip/emnist-{split}-{part}-{kind}-ubyte.gz": gzip.compress(idx(values))
                    for part in ("train", "test") for kind, values in (("images-idx3", x), ("labels-idx1", y))
                    for split in ("byclass", "letters")})
    imports.import_("emnist", source)
    assert np.array_equal(stored.array("emnist", "train-x")[:, 0], x.transpose(0, 2, 1))


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: b"\0\0\x0d" + raw[3:],
                                    lambda raw: b"", lambda raw: raw[:3] + b"\xff" + raw[4:]])
def test_a_damaged_file_of_mnist_s_format_is_named(here, change):
    x, y = grey(62, 62)
    files = {f"emnist-byclass-{part}-{kind}-ubyte": idx(values) for part in ("train", "test")
             for kind, values in (("images-idx3", x), ("labels-idx1", y))}
    name = "emnist-byclass-train-images-idx3-ubyte"
    with pytest.raises(DataError, match=f"{name} in .* is damaged or cut off"):
        imports.import_("emnist", folder(here / "raw", files | {name: change(files[name])}))


def test_the_digit_0_of_house_numbers_is_class_0(here, monkeypatch):
    x, y = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 10), dtype=np.uint8), np.arange(1, 11)[:, None]
    file = io.BytesIO()
    scipy.io.savemat(file, {"X": x, "y": y.astype(np.uint8)}, do_compression=True)
    resize(monkeypatch, "svhn", names=catalog.DIGITS, counts={"train": (1,) * 10, "test": (1,) * 10})
    source = folder(here / "svhn", {f"{part}_32x32.mat": file.getvalue() for part in ("train", "test")})
    with pytest.raises(DataError, match="train_32x32.mat .* not the official file"):
        imports.import_("svhn", source)
    md5 = hashlib.md5(file.getvalue()).hexdigest()
    monkeypatch.setattr(tv.SVHN, "split_list", {part: ["", f"{part}_32x32.mat", md5] for part in ("train", "test")})
    imports.import_("svhn", source)
    assert np.array_equal(stored.array("svhn", "train-x")[0], x[..., 9].transpose(2, 0, 1))
    assert stored.array("svhn", "train-y").tolist() == list(range(10))


def test_reviews_become_their_first_hundred_tokens(here, monkeypatch):
    resize(monkeypatch, "imdb", counts={"train": (2, 2), "test": (1, 1)})
    texts = {"train/neg/0_1.txt": "The film's <br /><br />END.  the" + " the bad" * 10, "train/neg/1_2.txt": "it isn't",
             "train/pos/0_9.txt": "Café café " * 5 + "the " * 200, "train/pos/1_8.txt": "rare " * 9,
             "test/neg/0_1.txt": "THE  bad-Café film's", "test/pos/0_7.txt": "unseen the", "train/unsup/0_0.txt": "the"}
    files = {f"aclImdb/{name}": text.encode() for name, text in texts.items()}
    imports.import_("imdb", tarred(here / "aclImdb.tar.gz", files))
    assert stored.words("imdb") == ["", "?", "the", "bad", "café"]  # by frequency, then by letter; not the nine "rare"
    x, y = stored.array("imdb", "test-x"), stored.array("imdb", "test-y")
    assert x.shape == (2, 100) and y.tolist() == [0, 1]
    assert x[0].tolist() == [2, 3, 4, 1] + [0] * 96 and x[1].tolist() == [1, 2] + [0] * 98
    train = {tuple(row) for row in stored.array("imdb", "train-x").tolist()}
    assert (4,) * 10 + (2,) * 90 in train and (2, 1, 1, 2, *(2, 3) * 10, *(0,) * 76) in train
    splits = data.load("imdb", trial=0, train=2, test=2)
    assert splits.train_x.dtype == torch.int64 and splits.train_y.tolist() in ([0, 1], [1, 0])
    before = stored.info("imdb")["fingerprint"]
    macs = {f"{name.rpartition('/')[0]}/._{name.rpartition('/')[2]}": b"mac" for name in files}
    imports.import_("imdb", zipped(here / "mac.zip", files | macs | {f"__MACOSX/{name}": b"mac" for name in files}))
    assert stored.info("imdb")["fingerprint"] == before
    del files["aclImdb/test/pos/0_7.txt"]
    with pytest.raises(DataError, match="has 1 test examples and 1 labels, and imdb has 2"):
        imports.import_("imdb", tarred(here / "part.tar.gz", files))


# --- ImageNet

def few_photos(monkeypatch, classes=2, n=4):
    resize(monkeypatch, "imagenet", names=tuple(map(str, range(classes))), counts={"train": n, "test": n})


def photos(at, n=2):
    return folder(at / "imagenet", {f"{part}/{wnid}/{wnid}_{i}.JPEG": b"jpeg" * (i + 1) for part in ("train", "val")
                                    for wnid in ("n02", "n01") for i in range(n)})


def test_imagenet_is_a_list_of_files_and_stays_where_it_is(here, monkeypatch):
    few_photos(monkeypatch)
    source = photos(here)
    imports.import_("imagenet", source)
    files, labels = stored.photo_files("imagenet", "test"), stored.array("imagenet", "test-y")
    assert [path.name for path in files] == ["n01_0.JPEG", "n01_1.JPEG", "n02_0.JPEG", "n02_1.JPEG"]
    assert labels.tolist() == [0, 0, 1, 1] and all(path.parent.parent == source / "val" for path in files)
    stored.check("imagenet")
    (source / "val" / "n01" / "n01_0.JPEG").write_bytes(b"other")
    with pytest.raises(DataError, match="not those that were imported"):
        stored.check("imagenet")
    source.rename(here / "moved")
    with pytest.raises(DataError, match="is gone: import imagenet again"):
        stored.photo_files("imagenet", "train")


def test_other_photographs_are_a_set_of_their_own(here, monkeypatch):
    few_photos(monkeypatch)
    monkeypatch.setitem(DATA_SETS, "places", DATA_SETS["imagenet"])
    imports.import_("imagenet", photos(here))
    with pytest.raises(DataError, match="places is not here: run `kdlib data import places PATH`"):
        draws._inputs("places", "train", [0])
    imports.import_("places", photos(here / "elsewhere"))
    for name, folder_of in (("imagenet", here), ("places", here / "elsewhere")):
        assert draws._inputs(name, "train", [0]).files[0].startswith(str(folder_of / "imagenet"))


@pytest.mark.parametrize(("change", "says"), [
    (lambda at: None, "has 4 train examples and 4 labels, and imagenet has 1,281,167"),
    (lambda at: (at / "val" / "n01").rename(at / "val" / "n03"), "val has 2 class folders.*n01 is only in one part"),
    (lambda at: (at / "train" / "n01" / "n01_1.JPEG").unlink(), "has 3 train examples .* imagenet has 4"),
    (lambda at: (at / "train" / "n01" / "n01_1.JPEG").write_bytes(b""), "n01_1.JPEG is empty"),
    (lambda at: (at / "val").rename(at / "valley"), "there is no folder val"),
])
def test_a_part_of_imagenet_is_not_taken_for_it(here, monkeypatch, change, says):
    source = photos(here)
    change(source)
    if "1,281" not in says:
        few_photos(monkeypatch)
    with pytest.raises(DataError, match=says):
        imports.import_("imagenet", source)
    assert not (here / "data").exists()


@pytest.mark.parametrize("change", [
    lambda x: x[:-1], lambda x: np.append(x, x[:1]), lambda x: np.char.replace(x, b"n01/", b"n07/"),
    lambda x: np.char.replace(x, b"_0.JPEG", b"_5.JPEG"), lambda x: np.char.replace(x, b"\t4", b"\t5"), None])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_damaged_list_of_imagenet_is_found(here, kdlib, monkeypatch, change, part):
    few_photos(monkeypatch)
    imports.import_("imagenet", photos(here))
    assert kdlib("data", "list", "--check")[0] == 0
    file = here / "data" / "imagenet" / f"{part}-x.npy"
    np.save(file, change(np.load(file))) if change else file.unlink()
    code, out, _ = kdlib("data", "list", "--check")
    assert code == 1 and "import imagenet again" in out


def test_what_a_mac_or_a_link_adds_to_imagenet_is_not_of_it(here, monkeypatch):
    few_photos(monkeypatch)
    source = photos(here)
    imports.import_("imagenet", source)
    before = stored.info("imagenet")["fingerprint"]
    for part in ("train", "val"):
        for name in (f"{part}/n01/._n01_0.JPEG", f"{part}/._n01", f"{part}/__MACOSX/n01/._n01_0.JPEG",
                     f"{part}/n01/.DS_Store"):
            folder(source, {name: b"mac"})
        (source / part).rename(here / part)
        (source / part).symlink_to(here / part)
    imports.import_("imagenet", source)
    assert stored.info("imagenet")["fingerprint"] == before
    stored.check("imagenet")


def test_names_of_imagenet_s_files_that_are_no_utf_8_are_kept(here, monkeypatch):
    few_photos(monkeypatch)
    source = photos(here)
    for part in ("train", "val"):
        os.rename(source / part / "n01" / "n01_0.JPEG", os.fsencode(source / part / "n01") + b"/\xff.JPEG")
    imports.import_("imagenet", source)
    stored.check("imagenet")
    assert all(path.exists() for path in stored.photo_files("imagenet", "train"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_photograph_that_claims_to_be_huge_is_not_decoded(here):
    for side in (13_000, 60_000):
        (here / "huge.JPEG").write_bytes(huge_png(side))
        with pytest.raises(DataError, match="huge.JPEG claims to have more than 100,000,000 pixels"):
            inputs.Photos([here / "huge.JPEG"]).pixels()


# --- downloads, from a server of the test's own

@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serve a folder and let one file of it be the official archive of every set."""
    at = folder(tmp_path / "served", {"readme": b""})
    handler = functools.partial(SimpleHTTPRequestHandler, directory=at)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def offer(make, files, md5=None):
        path, address = make(at / "cifar.zip", files), f"http://127.0.0.1:{server.server_port}/"
        md5 = md5 or hashlib.md5(path.read_bytes()).hexdigest()
        addresses = [address + "gone", address + path.name]
        monkeypatch.setattr(imports, "_downloads", lambda known: [(addresses, path.name, md5)])
        return path

    yield offer
    server.shutdown()
    server.server_close()


def test_a_download_is_checked_stored_and_cleared_away(here, serve):
    archive = serve(zipped, as_files(pictures()))
    partial = here / "data" / "download" / "cifar100" / "cifar.zip"  # what an interrupted one left
    folder(partial.parent, {"cifar.zip": archive.read_bytes()[:1000]})
    imports.fetch("cifar100")
    stored.check("cifar100")
    assert not partial.parent.exists()
    archive.unlink()
    imports.fetch("cifar100")  # it is here: nothing is downloaded


class Ranges(SimpleHTTPRequestHandler):
    """Serves one file from where it is asked to, writes down from where, and breaks off after `limit` bytes."""

    content, asked, limit = b"", [], None

    def log_message(self, *_):
        pass

    def do_GET(self):
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.asked.append(start)
        if start >= len(self.content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start:][: self.limit])


def test_of_the_folder_of_downloads_only_what_was_downloaded_is_cleared_away(here, serve):
    serve(zipped, as_files(pictures()))
    other = here / "data" / "download" / "cifar100" / "notes.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    imports.fetch("cifar100")
    assert [path.name for path in other.parent.iterdir()] == ["notes.txt"] and other.read_text() == "mine"


@pytest.fixture
def ranges(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(Ranges, "content", bytes(range(256)) * 40)
    monkeypatch.setattr(Ranges, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    server.server_close()


def test_a_download_that_broke_off_goes_on_from_there(tmp_path, ranges, monkeypatch):
    path, md5 = tmp_path / "file", hashlib.md5(Ranges.content).hexdigest()
    monkeypatch.setattr(Ranges, "limit", 3000)
    with pytest.raises(OSError, match="broke off"):
        imports._download(ranges, path, md5)
    monkeypatch.setattr(Ranges, "limit", None)
    imports._download(ranges, path, md5)
    assert path.read_bytes() == Ranges.content and Ranges.asked == [0, 3000]
    imports._download(ranges, path, md5)  # it is here: nobody is asked
    assert Ranges.asked == [0, 3000]


def test_a_part_that_is_not_of_the_file_does_not_stay_in_the_way(tmp_path, ranges):
    path, md5 = tmp_path / "file", hashlib.md5(Ranges.content).hexdigest()
    path.write_bytes(bytes(100))  # as long as a part, and another file's
    with pytest.raises(OSError, match="md5 differs"):
        imports._download(ranges, path, md5)
    assert not path.exists()
    path.write_bytes(bytes(len(Ranges.content)))  # as long as all of it
    imports._download(ranges, path, md5)
    assert path.read_bytes() == Ranges.content


def test_a_download_with_another_checksum_is_not_stored(here, serve):
    serve(zipped, as_files(pictures()), md5="0" * 32)
    with pytest.raises(DataError, match="cifar.zip of cifar100 could not be downloaded .*corrupted"):
        imports.fetch("cifar100")
    assert not (here / "data" / "cifar100").exists()


@pytest.mark.parametrize("name", [
    name for name, known in DATA_SETS.items() if known.torchvision or known.download])
def test_offline_one_sentence_says_what_to_do(here, monkeypatch, name):
    def offline(*_):
        raise URLError("no network")

    monkeypatch.setattr(imports, "urlopen", offline)
    with pytest.raises(DataError, match=f"could not be .*no network.* offline `kdlib data import {name} PATH`"):
        imports.fetch(name)
    assert not (here / "data" / name).exists()


@pytest.mark.parametrize(("name", "says"), [
    ("mnist1d", "is generated"), ("cifar100-16", "made from cifar100"), ("imagenet", "an account of your own"),
    ("cifar1000", "there is no data set 'cifar1000'; there are mnist1d")])
def test_what_cannot_be_fetched_says_why(here, name, says):
    with pytest.raises(DataError, match=says):
        imports.fetch(name)


# --- the command line

def test_the_list_says_what_is_here_and_a_check_finds_damage(here, kdlib):
    store_images("cifar10", 20, 4, (3, 32, 32))
    code, out, _ = kdlib("data", "list", "--check")
    lines = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert code == 0 and lines["cifar10"].endswith(
        "here, from random numbers, checked, not compared with the official files")
    assert "697,932  116,323       62" in lines["emnist"] and "kdlib data fetch emnist" in lines["emnist"]
    assert "1,281,167   50,000    1,000" in lines["imagenet"] and lines["mnist1d"].endswith("generated")
    (here / "data" / "cifar10" / "test-y.npy").unlink()
    code, out, _ = kdlib("data", "list")
    assert code == 1 and "not usable: cifar10 is only partly here" in out


def test_import_prints_the_fingerprint(here, kdlib):
    code, out, _ = kdlib("data", "import", "cifar100", zipped(here / "a.zip", as_files(pictures())))
    assert code == 0 and stored.info("cifar100")["fingerprint"] in out


@pytest.mark.parametrize(("name", "rows"), [
    ("mnist1d", "baseline, shift, scale, jitter, combined, mixup, noise, ood, fresh\n"),
    ("cifar10", "stored, baseline, rotation, vflip, colour, combined, mixup, noise, fresh; without ood (svhn is not"),
    ("mnist", "baseline\n"), ("svhn", "stored\n")])
def test_a_contact_sheet_has_a_row_per_policy(here, kdlib, name, rows):
    if name != "mnist1d":
        store_images(name, 20, 4, (1, 28, 28) if name == "mnist" else (3, 32, 32))
    code, out, _ = kdlib("data", "show", name, "--out", here / "sheet.png")
    assert code == 0 and out.startswith(f"{here / 'sheet.png'}: {rows}")
    width, height = Image.open(here / "sheet.png").size
    assert width == 9 * 200 and height == 200 * len(out.split(": ")[1].split(";")[0].split(","))


def test_a_picture_that_is_there_is_overwritten_only_where_it_is_named(here, kdlib, monkeypatch):
    monkeypatch.chdir(here)
    Path("mnist1d.png").write_bytes(b"mine")
    code, _, error = kdlib("data", "show", "mnist1d", "--policy", "shift")
    assert code == 2 and "mnist1d.png is there already" in error and Path("mnist1d.png").read_bytes() == b"mine"
    assert kdlib("data", "show", "mnist1d", "--policy", "shift", "--out", "mnist1d.png")[0] == 0


def test_one_policy_is_shown_beside_the_baseline_and_an_unknown_one_named(here, kdlib):
    code, out, _ = kdlib("data", "show", "mnist1d", "--policy", "mixup", "--out", here / "sheet.png")
    assert code == 0 and out.endswith(": baseline, mixup\n")
    code, _, error = kdlib("data", "show", "mnist1d", "--policy", "vflip")
    assert code == 2 and "mnist1d has no policy 'vflip'; there are baseline, shift" in error


def test_five_reviews_are_shown_as_the_net_sees_them(here, kdlib, monkeypatch):
    resize(monkeypatch, "imdb", counts={"train": (5, 5), "test": (5, 5)})
    files = {f"{part}/{label}/{i}.txt": f"Great FILM {i}".encode() for part in ("train", "test")
             for label in ("neg", "pos") for i in range(5)}
    imports.import_("imdb", folder(here / "acl", files))
    code, out, _ = kdlib("data", "show", "imdb")
    assert code == 0 and out.count("] film great ?") + out.count("] great film ?") == 5


def test_imagenet_is_shown_from_its_files(here, kdlib, monkeypatch):
    few_photos(monkeypatch, classes=4, n=12)
    file = io.BytesIO()
    Image.fromarray(np.zeros((300, 400, 3), np.uint8)).save(file, "jpeg")
    source = folder(here / "imagenet", {f"{part}/n{c:02}/{i}.JPEG": file.getvalue() for part in ("train", "val")
                                        for c in range(4) for i in range(3)})
    imports.import_("imagenet", source)
    code, out, _ = kdlib("data", "show", "imagenet", "--out", here / "sheet.png")
    assert code == 0 and Path(here / "sheet.png").exists() and out.endswith(": stored, baseline\n")
