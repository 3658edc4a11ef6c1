"""Hostile files of every format that is packed or compared, but OpenPose's.

CASES has a function for each reader: `cases(random) -> bytes`, the bytes of one file, a function of
nothing but the `random.Random` that it gets. Most are a sound file with something spoilt, some are
sound, some are noise. The reader under test gives a valid result or InputError, within a time and
memory that go with the file's size.
"""

from __future__ import annotations

import io
import json
import pickle
import random as chance
import re
import struct
import zipfile

import numpy as np

from mgjax import protocols

# fmt: off
HUGE = [b"9" * 20, b"9" * 310, b"9" * 5000, b"1e400", b"-1e39", b"1e-320", b"nan", b"-inf", b"1_0",
        b"0x10", b"", b"-1",
        b"2147483648", b"100000000", b"0.5", b"1,5", b"\xd9\xa3", b"\xff\xfe", b"\0", b"\xa0",
        b"\x1c", b"\xe2\x80\xa8"]
# fmt: on
# fmt: off
NOISE = [b"", b"\0", b"\n" * 50, b"\xff\xfe" + b"a\0" * 9, b"PK\x03\x04", b"[" * 100_000,
         b"{" * 1000, b'"' * 999, b";" * 999,
         b"x" * 200_000, b"sep=", b"sep=;\n", b"sep=\n\n", b"a\r\rb", b"\xef\xbb\xbf",
         b"-_ .:" * 30_000, b"9" * 200_000]
# fmt: on


def spoilt(random: chance.Random, data: bytes) -> bytes:
    """Data after up to three of: a bit flipped, a part cut out, put in, or doubled, lines doubled
    or taken away, a number made huge; now and then just as it was, or noise instead."""
    if random.random() < 0.05:
        return random.choice([*NOISE, random.randbytes(random.randrange(300))])
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        ways = flipped, cut, put_in, doubled, lines_doubled, line_lost, number_spoilt
        data = random.choice(ways)(random, data)
    return data


def flipped(random, data):
    """One bit is another."""
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def cut(random, data):
    """A part is gone, perhaps all the rest."""
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice((1, 2, 10, 1000, len(data))) :]


def put_in(random, data):
    """Something is there that does not belong there."""
    at = random.randrange(len(data) + 1)
    odd = b"\0", b",", b";", b"\t", b'"', b"\n", b"[", b"-", random.randbytes(8)
    return data[:at] + random.choice(odd) + data[at:]


def doubled(random, data):
    """A part is there twice."""
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at : at + random.randrange(100)] + data[at:]


def lines_doubled(random, data):
    """A line is there up to a hundred times."""
    lines = data.splitlines(keepends=True) or [b""]
    at = random.randrange(len(lines))
    return b"".join(lines[:at] + lines[at : at + 1] * random.choice((2, 3, 100)) + lines[at + 1 :])


def line_lost(random, data):
    """A line is gone."""
    lines = data.splitlines(keepends=True) or [b""]
    del lines[random.randrange(len(lines))]
    return b"".join(lines)


def number_spoilt(random, data):
    """A number is another, or none."""
    places = list(re.finditer(rb"-?[0-9][0-9.]*", data))
    if not places:
        return data
    place = random.choice(places)
    return data[: place.start()] + random.choice(HUGE) + data[place.end() :]


def table(random, rows) -> bytes:
    """Rows of cells, separated one way or another, then spoilt."""
    separator = random.choice(",,,;;\t")
    end = random.choice(("\n", "\n", "\r\n"))
    text = "".join(separator.join(map(str, row)) + end for row in rows)
    if random.random() < 0.1:
        text = f"sep={separator}\n{text}"
    return spoilt(random, text.encode(random.choice(("utf-8",) * 9 + ("utf-16",))))


def videos(random) -> bytes:
    """A table of videos: id, subject, emotion, split_mine."""
    return table(
        random,
        [
            ["id", "subject", "emotion", "split_mine"],
            [7, 2, "positive", "train"],
            [9, "", "", "test"],
            [187, 72, "negative", ""],
        ],
    )


def frames(random) -> bytes:
    """A table of how long videos are: id, frames."""
    return table(random, [["id", "frames"], ["0007", 300], ["0187", 4000]])


def clips(random) -> bytes:
    """An annotator's table: video, start, stop, label."""
    names = random.choices(protocols.IMIGUE_CLASSES, k=4)
    rows = [["0007", start, start + 20, name] for start, name in zip((0, 10, 40, 70), names)]
    return table(random, [["video", "start", "stop", "label"], *rows])


def labels(random) -> bytes:
    """A label file of iMiGUE: label, start, end."""
    rows = [["label", "start", "end"]] * random.choice((0, 1))
    rows += [[9, 0, 24], [99, 30, 30], [random.choice((1, "")), 31, 31]]
    return table(random, [*rows, [random.randrange(1, 33), 5, 39]])


def points(random) -> bytes:
    """Keypoints of iMiGUE as CSV, three frames."""
    rows = [[row, *(round(random.uniform(0, 700), 1) for _ in range(105))] for row in range(3)]
    if random.random() < 0.3:
        rows.insert(0, ["", *range(105)])
    return table(random, rows)


def class_names(random) -> bytes:
    """A list of class names."""
    return spoilt(random, "walk\nsit down\nwinken für zwei\n".encode())


def samples(random) -> bytes:
    """A list of NTU samples that are missing."""
    return spoilt(random, b"302 samples\n\nS001C002P005R002A008\nS001C002P006R001A008.skeleton\n")


def skeleton_file(random) -> bytes:
    """A .skeleton file of NTU RGB+D: some frames of one or two bodies."""
    lines, count = [], random.choice((0, 1, 3, 15))
    for _ in range(count):
        bodies = random.choice((0, 1, 1, 2))
        lines.append(bodies)
        for body in range(bodies):
            lines += [f"7205759403793110{body} 0 1 1 1 1 0 0.02 0.05 2", 25]
            for _ in range(25):
                numbers = [f"{random.uniform(-2, 2):.6g}" for _ in range(11)]
                lines.append(" ".join([*numbers, "2"]))
    return spoilt(random, "".join(f"{line}\r\n" for line in [count, *lines]).encode())


def nucla_file(random) -> bytes:
    """A clip of Northwestern-UCLA called a01_s01_e00_v01."""
    skeletons = [
        [[round(random.uniform(-2, 2), 3) for _ in range(3)] for _ in range(20)] for _ in range(2)
    ]
    clip = {"file_name": "a01_s01_e00_v01", "skeletons": skeletons, "label": 1}
    return spoilt(random, json.dumps(clip).encode())


def sheet(cells: bytes) -> bytes:
    """An .xlsx file of one sheet, with the least that it takes: its rows as XML."""
    schemas = "http://schemas.openxmlformats.org"
    main, package = f"{schemas}/spreadsheetml/2006/main", f"{schemas}/package/2006"
    office = f"{schemas}/officeDocument/2006/relationships"

    def relation(kind, target):
        return (
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
            f'Type="{office}/{kind}" Target="{target}"/></Relationships>'
        )

    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": relation("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relation("worksheet", "worksheets/sheet1.xml"),
    }
    before, after = f'<worksheet xmlns="{main}"><sheetData>', "</sheetData></worksheet>"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
        book.writestr("xl/worksheets/sheet1.xml", before.encode() + cells + after.encode())
    return file.getvalue()


def column(number: int) -> str:
    """A column's letters, counted from 0."""
    letters = ""
    while number >= 0:
        letters, number = chr(65 + number % 26) + letters, number // 26 - 1
    return letters


def sheet_file(random) -> bytes:
    """Keypoints of iMiGUE as .xlsx, two frames; spoilt inside or outside of the zip file."""
    rows = "".join(
        f'<row r="{row}">'
        + "".join(
            f'<c r="{column(place)}{row}"><v>{random.uniform(0, 700):.1f}</v></c>\n'
            for place in range(411)
        )
        + "</row>\n"
        for row in (1, 2)
    ).encode()
    return sheet(spoilt(random, rows)) if random.random() < 0.7 else spoilt(random, sheet(rows))


def annotations(random) -> dict:
    """The content of a sound pickle of pyskl."""
    joints, dimensions = random.choice(((17, 2), (25, 3)))
    numbers = np.random.default_rng(random.getrandbits(32))
    found = []
    for number, frames in enumerate((3, 1, 2)):
        shape = random.choice((1, 1, 2)), frames, joints
        found.append(
            {
                "frame_dir": f"v{number}",
                "label": number,
                "total_frames": frames,
                "img_shape": (720, 1280),
                "keypoint": numbers.uniform(1, 700, (*shape, dimensions)).astype(
                    random.choice("efd")
                ),
                **(
                    {"keypoint_score": numbers.uniform(0.1, 1, shape).astype("f")}
                    if dimensions == 2
                    else {}
                ),
            }
        )
    return {"split": {"x_train": ["v0", "v1"], "x_val": ["v2"]}, "annotations": found}


def odd_value(random):
    """What hardly belongs into a pickle of pyskl."""
    pile = [0]
    for _ in range(60):
        pile = [pile, pile]
    good = np.zeros((1, 3, 17, 2))
    return random.choice(
        (
            None,
            True,
            -1,
            10**8,
            10**30,
            float("nan"),
            1j,
            "",
            "a\0",
            "\ud800",
            "x" * 5000,
            b"x",
            [],
            [[1], [1, 2]],
            {},
            {"a": 1},
            {1},
            range(9),
            slice(1),
            pile,
            tuple(pile),
            np.float32(1),
            np.float16([1]),
            np.zeros(()),
            np.zeros((1,) * 20),
            good[:0],
            good[:, :0],
            good[:, :, :0],
            good.astype("U3"),
            good.astype("M8[s]"),
            good.astype(object),
            good.astype(bool),
            good + np.nan,
            good + 1e300,
            np.ma.zeros(3),
            np.random.default_rng,
        )
    )


def operations(random) -> bytes:
    """A program of operations at random, with names that the reader knows among them."""
    known = [
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        ("os", "system"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("collections", "OrderedDict"),
        *(("builtins", name) for name in ("bytearray", "list", "set", "bytes")),
    ]
    codes = b"(.0120NI\x88\x89]})lt\x85\x86\x87dsuaeRbo\x81\x92\x93\x94\x8f\x90\x91Qi"
    pieces = [bytes([code]) for code in codes]
    pieces += [f"c{module}\n{name}\n".encode() for module, name in known]
    pieces += [b"K" + bytes([number]) for number in range(5)]
    pieces += [b"J" + struct.pack("<i", number) for number in (-1, 10**7, 2**31 - 1)]
    pieces += [
        b"X\2\0\0\0f4",
        b"X\1\0\0\0C",
        b"C\4abcd",
        b"U\2ab",
        b"V\xc3\xa4\n",
        b"S'a'\n",
        b"q\0",
        b"h\0",
        b"h\1",
        b"p7\n",
        b"g7\n",
        b"r\xff\xff\xff\xff",
        b"I12\n",
        b"L5L\n",
        b"F1e9\n",
        b"G?\xf0\0\0\0\0\0\0",
        b"B\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8a\x09" + b"\xff" * 9,
        b"\x95" + b"\xff" * 8,
        b"\x8e" + b"\x7f" * 8,
        b"\x96" + b"\x7f" * 8,
    ]
    return b"\x80\4" + b"".join(random.choices(pieces, k=random.randrange(60))) + b"."


def pyskl_file(random) -> bytes:
    """A pickle of pyskl: spoilt as bytes or in its content, or a program at random."""
    content = annotations(random)
    way = random.randrange(6)
    if way == 0:
        return operations(random)
    if way < 4:
        where = random.choice(("split", "annotations", "list", "field", "field", "field"))
        if where in content:
            content[where] = odd_value(random)
        elif where == "list":
            content["split"]["x_train"] = odd_value(random)
        else:
            one = random.choice(content["annotations"])
            one[random.choice(list(one))] = odd_value(random)
    data = pickle.dumps(content, random.randrange(1, 6))
    return spoilt(random, data) if way > 2 else data


CASES = {
    "videos": videos,
    "frames": frames,
    "clips": clips,
    "labels": labels,
    "points": points,
    "class_names": class_names,
    "samples": samples,
    "skeleton": skeleton_file,
    "nucla": nucla_file,
    "sheet": sheet_file,
    "pyskl": pyskl_file,
}
