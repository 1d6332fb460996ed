"""Columns of the tables that assets write, for the UI. Tests compare them with the database and the manifest."""

from typing import Any

from dagster import TableColumn, TableSchema

_WHEN = "timestamp with time zone"


def _columns(*columns: tuple[str, str, str]) -> dict[str, Any]:
    """Name, type and meaning of each column, as metadata of an asset's definition."""
    return {"dagster/column_schema": TableSchema([TableColumn(name, kind, said) for name, kind, said in columns])}


def _table(name: str, *columns: tuple[str, str, str]) -> dict[str, Any]:
    """The same of a table of the database."""
    return {"dagster/table_name": f"public.{name}", "dagster/storage_kind": "postgres", **_columns(*columns)}


SEEDS = _table(
    "seeds",
    ("id", "uuid", "identifier; it survives a renaming"),
    ("name", "text", "scientific name"),
    ("information", "jsonb", "the entry of the reviewed file: family, genus, species, names, codes"),
    ("upload_date", _WHEN, "when it was loaded first"),
    ("merged_into", "uuid", "the species that it is part of now"),
    ("active", "boolean", "whether pictures may still name it"),
)
USERS = _table(
    "users",
    ("id", "uuid", "identifier; it names the user's containers"),
    ("email", "text", "e-mail address; case does not count"),
    ("registration_date", _WHEN, "when the user was registered"),
    ("updated_at", _WHEN, "last change"),
    ("disabled_at", _WHEN, "since when nothing of theirs is imported"),
    ("language", "text", "the language of their mails"),
    ("notify", "text[]", "what they want to be told by e-mail"),
)
PICTURES = _table(
    "pictures",
    ("id", "uuid", "follows from picture set and bytes"),
    ("picture", "jsonb", "user data, metadata, image data, quality check"),
    ("picture_set_id", "uuid", "its row in picture_set: session, owner, container"),
    ("parent", "uuid", "the picture that a crop was cut from"),
    ("nb_object", "integer", "seeds in the picture, as declared"),
    ("verified", "boolean", "whether a person verified the label"),
    ("upload_date", _WHEN, "when it was imported"),
    ("name", "text", "its file's name in the session"),
    ("blob", "text", "where its bytes are, in the container of its picture set"),
    ("sha256", "bytea", "SHA-256 of the file"),
    ("size", "bigint", "bytes of the file"),
    ("format", "text", "TIFF, PNG or JPEG"),
    ("width", "integer", "pixels"),
    ("height", "integer", "pixels"),
    ("enrichment_version", "text", "code that measured it; another one than today's: stale"),
    ("rule_set_version", "text", "rules that judged it; others than today's: stale"),
    ("pixel_sha256", "bytea", "SHA-256 of the decoded pixels"),
    ("perceptual_hash", "bytea", "256 bits of how it looks"),
    ("hash_bands", "integer[]", "the same in 16 bands, for searching"),
    ("quality_score", "real", "0 to 1"),
    ("sharpness", "real", "higher is sharper"),
    ("captured_at", _WHEN, "when it was taken, if the file says so"),
    ("withdrawn_at", _WHEN, "since when no new training set takes it"),
    ("zoom", "double precision", "zoom of the microscope, from picture"),
    ("bounding_box", "integer[]", "of a crop: left, top, right, bottom in pixels of its parent"),
    ("detector", "text", "what found a crop's seed"),
    ("superseded_at", _WHEN, "since when a correction took it out"),
    ("sent_earlier", "boolean", "whether it was not staged any more when its session was imported last"),
    ("purged_at", _WHEN, "since when its file is gone for good"),
)
MANIFEST = _columns(
    ("picture_id", "string", "identifier of the picture"),
    ("picture_set_id", "string", "its session"),
    ("owner_id", "string", "whose it is"),
    ("parent_id", "string", "of a crop: the picture it was cut from"),
    ("split", "string", "train, validation or test"),
    ("label", "string", "class folder, such as 000 Brassica napus"),
    ("class_index", "int32", "what a trainer learns"),
    ("scientific_name", "string", "name of the species when the version was made"),
    ("taxon_id", "string", "the species; it stays when a species is renamed"),
    ("group", "string", "pictures of one group are on one side of the split"),
    ("number_of_seeds", "int32", "seeds in the picture"),
    ("zoom", "double", "zoom of the microscope"),
    ("container", "string", "where its bytes are"),
    ("blob", "string", "where its bytes are"),
    ("url", "string", "where its bytes are"),
    ("sha256", "string", "what its bytes must be"),
    ("size", "int64", "bytes"),
    ("format", "string", "TIFF, PNG or JPEG"),
    ("width", "int32", "pixels"),
    ("height", "int32", "pixels"),
    ("pixel_sha256", "string", "SHA-256 of the decoded pixels"),
    ("perceptual_hash", "string", "256 bits of how it looks"),
    ("sharpness", "float", "higher is sharper"),
    ("quality_score", "float", "0 to 1"),
    ("captured_at", "timestamp[us, tz=UTC]", "when it was taken, if the file says so"),
    ("box_left", "int32", "of a crop, in pixels of its parent"),
    ("box_top", "int32", "of a crop, in pixels of its parent"),
    ("box_right", "int32", "of a crop, in pixels of its parent"),
    ("box_bottom", "int32", "of a crop, in pixels of its parent"),
    ("photograph_sha256", "string", "of the whole picture that a crop was cut from"),
    ("photograph_pixel_sha256", "string", "of the whole picture that a crop was cut from"),
    ("labels", "list<item: string>", "of a recipe with `labels: multi` alone: all class folders; `label` is null then"),
    ("class_indices", "list<item: int32>", "likewise: what a trainer learns"),
    ("scientific_names", "list<item: string>", "likewise: names of the species"),
    ("taxon_ids", "list<item: string>", "likewise: the species"),
    ("seeds_of_class", "list<item: int32>", "likewise: seeds of each in the picture"),
)
