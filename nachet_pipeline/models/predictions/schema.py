"""What an answer of a model looks like in a file, as Arrow types; JSON Lines and Parquet have the same keys."""

import pyarrow as pa

_NUMBERS = pa.list_(pa.float32())

CANDIDATE = pa.struct([("label", pa.string()), ("index", pa.int32()), ("score", pa.float32())])
"""A class that an object may be of, by its label or by its index."""

OBJECT = pa.struct(
    [
        ("box", _NUMBERS),
        ("score", pa.float32()),
        ("candidates", pa.list_(CANDIDATE)),
        ("probabilities", _NUMBERS),
        ("embedding", _NUMBERS),
    ]
)
"""Something that was found: left, top, right and bottom as fractions of width and height, and what it may be."""

ANSWER = pa.schema(
    [
        ("sha256", pa.string()),
        ("picture", pa.string()),
        ("at", pa.string()),
        ("boxes", pa.list_(OBJECT)),
        ("candidates", pa.list_(CANDIDATE)),
        ("probabilities", _NUMBERS),
        ("embedding", _NUMBERS),
    ]
)
"""An answer about one content: `boxes`, or what the whole picture may show."""

MOST_CANDIDATES = 10
MOST_OBJECTS = 10_000
LONGEST_EMBEDDING = 8_192
