"""SQL of crops and detections: which pictures are due, what was found in them, and what was cut out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row, kwargs_row, tuple_row
from psycopg.types.json import Jsonb

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.crops.detecting import Box, Region
from nachet_pipeline.database.audit import changing
from nachet_pipeline.database.connection import Connection
from nachet_pipeline.database.reading import fetch, fetch_column, fetch_value
from nachet_pipeline.picture_sets.crop_parents import follow_parents
from nachet_pipeline.picture_sets.judged_content import follow_judgements
from nachet_pipeline.picture_sets.queries import enrichment_columns
from nachet_pipeline.picture_sets.records import MODEL_VERSION, file_terms, quality_check
from nachet_pipeline.picture_sets.withdrawn_content import hold_withdrawn, wait_for_withdrawing
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.pictures.inspected import Properties
from nachet_pipeline.uploads.queries import MAX_ATTEMPTS, find_upload
from nachet_pipeline.uploads.upload import Upload

_IMPORTED = (
    "(upload.state in ('imported', 'partly_imported')"
    # Of a folder that was withdrawn after it was imported, what was imported stays.
    " or upload.state = 'withdrawn' and upload.receipt ->> 'container' is not null)"
)


@dataclass(frozen=True, slots=True)
class CropMethod:
    """How pictures are cropped; another method makes every picture due again.

    Attributes:
        detector: name of the detector.
        version: of the detector.
        margin_percent: margin around a seed, in percent of its longer side.
    """

    detector: str
    version: str
    margin_percent: int

    @property
    def found_by(self) -> str:
        """The detector with its version, as a crop's row has it."""
        return f"{self.detector} {self.version}"

    @property
    def stamp(self) -> str:
        """The whole method as one text."""
        return f"{self.found_by} margin {self.margin_percent}"


JUDGED = "judged"
"""In a crop's row, in place of its detector: people said where it is."""

Correction = tuple[list[float], list[float]]
"""A region of a picture, as sides in thousandths, and where people say that its object is, as fractions."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A whole picture that is due for cropping.

    Attributes:
        id: identifier.
        picture_set: its picture set.
        session: path of its session within the upload.
        name: its name within its session.
        container: where its file is.
        blob: its file.
        sha256: of the file, in hexadecimal.
        size: of the file, in bytes.
        picture_format: `TIFF`, `PNG` or `JPEG`.
        declared: how many seeds it shows, as its uploader declares.
        record: its stored JSON.
        corrections: where people say that objects are which a detector misplaced or missed.
    """

    id: UUID
    picture_set: UUID
    session: str
    name: str
    container: str
    blob: str
    sha256: str
    size: int
    picture_format: str
    declared: int
    record: Mapping[str, Any] = field(repr=False)
    corrections: Sequence[Correction] = ()

    @property
    def enrichment(self) -> Enrichment | None:
        """Its enrichment, if this version's code can read it."""
        stored = self.record.get("enrichment")
        try:
            return Enrichment.from_record(stored) if stored else None
        except ValueError:  # of an older version; reprocessing brings it up to date
            return None


@dataclass(frozen=True, slots=True)
class StoredCrop:
    """A crop whose file is stored.

    Attributes:
        id: identifier.
        box: where it lies in its parent.
        name: its name within its session.
        blob: its file.
        sha256: of the file, in hexadecimal.
        size: of the file, in bytes.
        properties: what decoding its file gave.
        found_by: the detector with its version, or `JUDGED`.
    """

    id: UUID
    box: Box
    name: str
    blob: str
    sha256: str
    size: int
    properties: Properties
    found_by: str


@dataclass(frozen=True, slots=True)
class CroppedPicture:
    """A picture in which seeds were found, and cut out.

    Attributes:
        parent: the picture.
        boxes: where the seeds are, without margin.
        crops: what was cut out.
        finding: about the number of seeds; None if it is as declared.
        regions: what the detector said.
    """

    parent: Parent
    boxes: tuple[Box, ...]
    crops: tuple[StoredCrop, ...]
    finding: Finding | None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionCrops:
    """What was found in a session.

    Attributes:
        session: its path within the upload.
        pictures: whole pictures that were cropped.
        declared: seeds in them, as their uploader declares.
        found: seeds in them, as the detector found.
        crops: crops of them.
        differing: pictures for which the two numbers differ.
    """

    session: str
    pictures: int
    declared: int
    found: int
    crops: int
    differing: int


@dataclass(frozen=True, slots=True)
class Detected:
    """A picture with what was found in it; see `Parent` and `CroppedPicture`."""

    parent: Parent
    found: int
    boxes: tuple[Box, ...]
    finding: Finding | None


Findings = Callable[[Parent, int], Finding | None]
"""Returns the finding about a picture in which so many seeds were found."""

_SESSION = "coalesce(s.picture_set -> 'audit_trail' ->> 'session', '') as session"
_PARENT = (
    f"p.id, p.picture_set_id as picture_set, {_SESSION}, p.name, c.name as container, p.blob,"
    " encode(p.sha256, 'hex') as sha256, p.size, p.format as picture_format, p.nb_object as declared,"
    " p.picture as record"
)
_CORRECTIONS = (
    "(select coalesce(jsonb_agg(jsonb_build_array(string_to_array(j.region, ',')::real[], j.box) order by j.box),"
    " '[]') from judged j where j.sha256 = p.sha256 and j.region <> '' and j.box is not null"
    " and j.outcome not in ('not_a_seed', 'unusable')) as corrections"
)
_PARENTS = "from pictures p join picture_set s on s.id = p.picture_set_id join container c on c.id = s.container_id"
_WHOLE = (
    "s.upload_id = %(upload)s and p.parent is null and p.superseded_at is null and p.withdrawn_at is null"
    " and s.deleted_at is null"
)
_CURRENT = "d.current and d.detector = %(detector)s and d.version = %(version)s and d.margin_percent = %(margin)s"
_DETECTED = (
    f"select {_PARENT}, d.found, d.boxes, d.finding {_PARENTS} join detection d on d.picture_id = p.id and {_CURRENT}"
    f" where {_WHOLE}"
)


def _of(method: CropMethod) -> dict[str, Any]:
    return {"detector": method.detector, "version": method.version, "margin": method.margin_percent}


def _detected(found: int, boxes: list[list[int]], finding: object, **parent: Any) -> Detected:
    return Detected(
        Parent(**parent),
        found,
        tuple(Box(*corners) for corners in boxes),
        Finding.model_validate(finding) if finding else None,
    )


def count_due(connection: Connection, upload: UUID, method: CropMethod) -> int:
    """Count the whole pictures of an upload that were not cropped by this method yet."""
    counted = fetch_value(
        connection,
        f"select count(*) {_PARENTS} where {_WHOLE}"
        f" and not exists (select from detection d where d.picture_id = p.id and {_CURRENT})",
        {"upload": upload, **_of(method)},
    )
    return int(counted or 0)


def due_pictures(connection: Connection, upload: UUID, method: CropMethod, *, after: UUID, most: int) -> list[Parent]:
    """The next whole pictures of an upload that were not cropped by this method yet, by identifier."""
    return fetch(
        connection,
        class_row(Parent),
        f"select {_PARENT}, {_CORRECTIONS} {_PARENTS} where {_WHOLE} and p.id > %(after)s"
        f" and not exists (select from detection d where d.picture_id = p.id and {_CURRENT})"
        " order by p.id limit %(most)s",
        {"upload": upload, "after": after, "most": most, **_of(method)},
    )


def record_cropped(connection: Connection, cropped: Sequence[CroppedPicture], method: CropMethod, *, rules: str) -> int:
    """Record what was found in pictures and what was cut out of them, in the caller's transaction.

    Crops that an earlier detection cut and this one does not are superseded. They stay: training sets may use them.

    Args:
        connection: in whose transaction all is written.
        cropped: the pictures.
        method: how they were cropped.
        rules: the stamp of the rule set that crops satisfy.

    Returns:
        Number of crops that are new, or cut again after they were superseded.
    """
    parents = sorted((one.parent.id for one in cropped), key=lambda identifier: identifier.bytes)
    picture_sets = sorted({one.parent.picture_set for one in cropped}, key=lambda identifier: identifier.bytes)
    wait_for_withdrawing(connection)
    # The pictures of a folder that was deleted or archived meanwhile are elsewhere, or nowhere.
    connection.execute("select from picture_set where id = any(%s) order by id for share", (picture_sets,))
    # In the order in which importing and reprocessing lock them; a picture that is gone is left out.
    rows = fetch(
        connection,
        dict_row,
        f"select p.id, c.name as container, {_CORRECTIONS} {_PARENTS} where p.id = any(%s) and p.superseded_at is null"
        " and s.deleted_at is null order by p.id for no key update of p",
        (parents,),
    )
    # What was judged meanwhile is cut next time: without a detection the picture stays due.
    there = {(row["id"], row["container"]): [box for _, box in row["corrections"]] for row in rows}
    present = [
        one
        for one in cropped
        if there.get((one.parent.id, one.parent.container)) == [box for _, box in one.parent.corrections]
    ]
    crops = sorted(((one, crop) for one in present for crop in one.crops), key=lambda pair: pair[1].id.bytes)
    with changing(connection, actor=method.found_by, action="superseded"):
        connection.execute(
            "update pictures set superseded_at = now() where parent = any(%s) and detector is not null"
            " and superseded_at is null and id <> all(%s)",
            ([one.parent.id for one in present], [crop.id for _, crop in crops]),
        )
    with changing(connection, actor=method.found_by, action="cropped"):
        new = sum(_insert_crop(connection, one.parent, crop, rules) for one, crop in crops)
        hold_withdrawn(connection, "p.id = any(%(crops)s)", {"crops": [crop.id for _, crop in crops]})
        follow_judgements(connection, "p.id = any(%(crops)s)", {"crops": [crop.id for _, crop in crops]})
    _record_detections(connection, present, method)
    with changing(connection, actor=method.found_by):
        follow_parents(connection, picture_sets)
    return new


_CROP_COLUMNS = (
    "id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width, height, bounding_box,"
    " detector, rule_set_version, enrichment_version, pixel_sha256, perceptual_hash, hash_bands, quality_score,"
    " sharpness, captured_at"
)
_CROP_VALUES = ", ".join(f"%({name})s" for name in _CROP_COLUMNS.split(", "))


def _insert_crop(connection: Connection, parent: Parent, crop: StoredCrop, rules: str) -> int:
    properties = crop.properties
    return connection.execute(
        f"insert into pictures ({_CROP_COLUMNS}) values ({_CROP_VALUES})"
        # The record of a crop whose folder was purged was emptied.
        " on conflict (id) do update set superseded_at = null, purged_at = null, sha256 = excluded.sha256,"
        " size = excluded.size, picture = excluded.picture"
        " where pictures.superseded_at is not null or pictures.sha256 <> excluded.sha256",
        {
            "id": crop.id,
            "picture": Jsonb(crop_record(parent, crop)),
            "picture_set_id": parent.picture_set,
            "parent": parent.id,
            "nb_object": 1,
            "name": crop.name,
            "blob": crop.blob,
            "sha256": bytes.fromhex(crop.sha256),
            "size": crop.size,
            "format": properties.picture_format,
            "width": properties.width,
            "height": properties.height,
            "bounding_box": crop.box.corners,
            "detector": crop.found_by,
            "rule_set_version": rules,
            **enrichment_columns(properties.enrichment),
        },
    ).rowcount


def crop_record(parent: Parent, crop: StoredCrop) -> dict[str, Any]:
    """The JSON of a crop: what its uploader declared of the whole picture, and what its own file gave."""
    stored, properties = parent.record, crop.properties
    enrichment = properties.enrichment
    terms = {name: value for name, value in stored.get("terms", {}).items() if name.startswith("dwc:")}
    return {
        "model_version": MODEL_VERSION,
        "user_data": {**stored.get("user_data", {}), "number_of_seeds": 1},
        "metadata": stored.get("metadata", {"sources": {}}),
        "image_data": {
            "format": properties.picture_format,
            "width": properties.width,
            "height": properties.height,
            "mode": properties.mode,
            "resolution": list(properties.resolution) if properties.resolution else None,
            "source": stored.get("image_data", {}).get("source", parent.name),
        },
        "quality_check": quality_check(crop.sha256, enrichment).model_dump(),
        "enrichment": enrichment.as_record() if enrichment else None,
        "terms": {
            **terms,
            "dcterms:title": crop.name,
            "dcterms:source": str(parent.id),
            **file_terms(crop.sha256, properties.width, properties.height, enrichment),
        },
    }


def _record_detections(connection: Connection, cropped: Sequence[CroppedPicture], method: CropMethod) -> None:
    connection.execute(
        "update detection set current = false where current and picture_id = any(%s) and detector <> %s",
        ([one.parent.id for one in cropped], method.detector),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into detection (picture_id, detector, version, margin_percent, found, declared, boxes, finding)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (picture_id, detector) do update set version = excluded.version,"
            " margin_percent = excluded.margin_percent, found = excluded.found, declared = excluded.declared,"
            " boxes = excluded.boxes, finding = excluded.finding, current = true, detected_at = excluded.detected_at",
            [
                (
                    one.parent.id,
                    method.detector,
                    method.version,
                    method.margin_percent,
                    len(one.boxes),
                    one.parent.declared,
                    Jsonb([box.corners for box in one.boxes]),
                    Jsonb(one.finding.model_dump(mode="json")) if one.finding else None,
                )
                for one in cropped
            ],
        )


def is_superseded(connection: Connection, picture: UUID) -> bool | None:
    """Whether the current detection would not cut this crop; None if the picture is no crop."""
    query = "select superseded_at is not null from pictures where id = %s and detector is not null"
    superseded: bool | None = fetch_value(connection, query, (picture,))
    return superseded


def cut_again(connection: Connection, picture: UUID) -> bool:
    """Make the picture that a crop was cut from due again, for the next cropping of its upload.

    Returns:
        False if it is no crop, or not one of an upload.
    """
    upload = connection.execute(
        "delete from detection using pictures crop, picture_set s where crop.id = %s and crop.detector is not null"
        " and s.id = crop.picture_set_id and s.upload_id is not null and detection.picture_id = crop.parent"
        " returning s.upload_id",
        (picture,),
    ).fetchone()
    # Another crop of the same picture may have made it due already.
    row = (
        upload
        or connection.execute(
            "select s.upload_id from pictures crop join picture_set s on s.id = crop.picture_set_id"
            " where crop.id = %s and crop.detector is not null and s.upload_id is not null",
            (picture,),
        ).fetchone()
    )
    if row is None:
        return False
    connection.execute("update upload_crops set stamp = '' where upload_id = %s", (row["upload_id"],))
    return True


def corrected_boxes(connection: Connection, contents: Sequence[bytes]) -> set[tuple[bytes, tuple[float, ...]]]:
    """Where people say that objects are in these contents, by content."""
    rows = fetch(
        connection,
        tuple_row,
        "select p.sha256, one -> 1 from (select distinct sha256 from judged where sha256 = any(%s)) p"
        f" cross join lateral (select {_CORRECTIONS}) found cross join jsonb_array_elements(found.corrections) one",
        (list(contents),),
    )
    return {(bytes(sha256), tuple(box)) for sha256, box in rows}


def crop_again(connection: Connection, contents: Sequence[bytes]) -> None:
    """Make pictures due again that were cropped, for the next cropping of their uploads."""
    connection.execute(
        "with gone as (delete from detection d using pictures p where p.id = d.picture_id"
        "  and p.sha256 = any(%(contents)s))"
        " update upload_crops k set stamp = '' from pictures p join picture_set s on s.id = p.picture_set_id"
        " where p.sha256 = any(%(contents)s) and p.parent is null and k.upload_id = s.upload_id",
        {"contents": list(contents)},
    )


def sessions_of(connection: Connection, upload: UUID, method: CropMethod) -> list[SessionCrops]:
    """What this method found in an upload, by session, compared with what its uploader declares now."""
    return fetch(
        connection,
        class_row(SessionCrops),
        f"select {_SESSION}, count(d.picture_id) as pictures,"
        " coalesce(sum(p.nb_object) filter (where d.picture_id is not null), 0)::bigint as declared,"
        " coalesce(sum(d.found), 0)::bigint as found, count(*) filter (where d.found <> p.nb_object) as differing,"
        " coalesce(sum((select count(*) from pictures crop where crop.parent = p.id and crop.detector is not null"
        "  and crop.superseded_at is null)), 0)::bigint as crops"
        f" {_PARENTS} left join detection d on d.picture_id = p.id and {_CURRENT}"
        f" where {_WHOLE} group by s.id order by 1, s.id",
        {"upload": upload, **_of(method)},
    )


def detected_pictures(
    connection: Connection, upload: UUID, method: CropMethod, *, differing: bool, most: int
) -> list[Detected]:
    """The first pictures of an upload with what was found in them, by session and name.

    Args:
        connection: where to look.
        upload: the upload.
        method: how they were cropped.
        differing: whether to return those with another number of seeds than declared, or the others.
        most: how many at most.
    """
    return fetch(
        connection,
        kwargs_row(_detected),
        f"{_DETECTED} and d.found {'<>' if differing else '='} p.nb_object order by 3, p.name, p.id limit %(most)s",
        {"upload": upload, "most": most, **_of(method)},
    )


def declare_again(connection: Connection, upload: UUID, method: CropMethod, findings: Findings) -> None:
    """Renew the findings about pictures whose declared number of seeds was corrected since."""
    pictures = fetch(
        connection,
        kwargs_row(_detected),
        f"{_DETECTED} and d.declared <> p.nb_object order by p.id",
        {"upload": upload, **_of(method)},
    )
    for picture in pictures:
        parent = picture.parent
        finding = findings(parent, picture.found)
        connection.execute(
            "update detection set declared = %s, finding = %s where picture_id = %s and detector = %s",
            (
                parent.declared,
                Jsonb(finding.model_dump(mode="json")) if finding else None,
                parent.id,
                method.detector,
            ),
        )


def uploads_to_crop(connection: Connection, method: CropMethod, *, most: int) -> list[Upload]:
    """The imported uploads that this method did not crop since they last changed; longest waiting first.

    One that failed is due again after a pause that doubles with each attempt, up to `MAX_ATTEMPTS` attempts.
    """
    due = fetch_column(
        connection,
        "select upload.id from upload left join upload_crops k on k.upload_id = upload.id"
        f" where {_IMPORTED} and (k.upload_id is null or k.stamp <> %(stamp)s or k.upload_changed <> upload.updated_at"
        " or (k.finished_at is null and k.attempts < %(attempts)s"
        " and k.begun_at < now() - interval '1 minute' * power(2, k.attempts)))"
        " order by upload.updated_at, upload.id limit %(most)s",
        {"stamp": method.stamp, "attempts": MAX_ATTEMPTS, "most": most},
    )
    found = [find_upload(connection, identifier) for identifier in due]
    return [upload for upload in found if upload]


def since_change(connection: Connection, upload: UUID) -> timedelta:
    """How long ago an upload last changed."""
    found: timedelta = fetch_value(connection, "select now() - updated_at from upload where id = %s", (upload,))
    return found


def begin_cropping(connection: Connection, upload: UUID, method: CropMethod) -> bool:
    """Record that cropping of an upload begins.

    Returns:
        False if there is nothing to crop, because it is not imported.
    """
    return bool(
        connection.execute(
            "insert into upload_crops as k (upload_id, stamp, upload_changed, attempts)"
            " select upload.id, %(stamp)s, upload.updated_at, 1 from upload"
            f" where upload.id = %(upload)s and {_IMPORTED}"
            " on conflict (upload_id) do update set stamp = excluded.stamp, upload_changed = excluded.upload_changed,"
            " attempts = case when (k.stamp, k.upload_changed) = (excluded.stamp, excluded.upload_changed)"
            " then k.attempts + 1 else 1 end, begun_at = now(), finished_at = null, failure = null",
            {"stamp": method.stamp, "upload": upload},
        ).rowcount
    )


def end_cropping(connection: Connection, upload: UUID, *, failure: str | None = None) -> None:
    """Record that an upload was cropped, or why it was not cropped completely."""
    connection.execute(
        "update upload_crops set failure = %(failure)s,"
        " finished_at = case when %(failure)s::text is null then now() end,"
        " attempts = case when %(failure)s::text is null then 0 else attempts end where upload_id = %(upload)s",
        {"failure": failure, "upload": upload},
    )
