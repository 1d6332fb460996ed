"""The JSON that is stored with a picture set and with a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from nachet_pipeline.contract.inventory import PictureRecord
from nachet_pipeline.contract.manifest import ManifestSession, picture_name
from nachet_pipeline.contract.metadata import Value
from nachet_pipeline.contract.sessions import Owner, guess_of
from nachet_pipeline.contract.shown import ShownSpecies
from nachet_pipeline.identifiers import user_container
from nachet_pipeline.pictures.enrichment import Enrichment
from nachet_pipeline.registry.seeds import Seed

MODEL_VERSION = "3"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Origin:
    """What brings picture sets: an upload, or a mass import.

    Attributes:
        owner: the user whose they become.
        container: where the pictures were found.
        folder: the staged folder in it; empty if the pictures' paths are those of their blobs.
        upload: the upload, None if a mass import brings them.
        mass_import: the mass import, None if an upload brings them.
        in_place: whether the pictures stay where they were found; else they are copied into their owner's container.
    """

    owner: Owner
    container: str
    folder: str = ""
    upload: UUID | None = None
    mass_import: UUID | None = None
    in_place: bool = False

    @property
    def owner_container(self) -> str:
        """Where the owner's imported pictures are, with all manifests."""
        return user_container(self.owner.id)

    @property
    def final_container(self) -> str:
        """Where these pictures are afterwards."""
        return self.container if self.in_place else self.owner_container


class ClientDataRecord(_Stored):
    """Who took the pictures."""

    client_email: str | None
    client_expertise: str | None


class SetImageDataRecord(_Stored):
    """How many pictures the set holds."""

    number_of_images: int


class SeedDataRecord(_Stored):
    """What the set shows: one registered seed, or in `shows` seeds of several species or of an unknown one."""

    seed_id: UUID | None
    seed_family: str | None
    seed_genus: str | None
    seed_species: str | None
    shows: tuple[ShownSpecies, ...] = Field((), description="empty in version 2, which knew one species")


class AuditTrailRecord(_Stored):
    """Where the set comes from: an upload, or a mass import, whose `folder` is the container."""

    upload: UUID | None
    mass_import: UUID | None = None
    split: str | None = Field(None, description="the side that an earlier training had the pictures on")
    folder: str
    session: str
    manifest: str
    rule_set_version: str


class PictureSetRecord(_Stored):
    """`picture_set.picture_set`."""

    model_version: str = MODEL_VERSION
    client_data: ClientDataRecord
    image_data: SetImageDataRecord
    seed_data: SeedDataRecord
    audit_trail: AuditTrailRecord
    terms: dict[str, Any] = Field(description="Darwin Core terms, for programs that know no more than those")


@dataclass(frozen=True, slots=True)
class RecordedSet:
    """A picture set to record: the manifest's session with the JSON that is stored for it."""

    session: ManifestSession
    record: PictureSetRecord


class UserDataRecord(_Stored):
    """How the picture was taken, as its user says."""

    description: str | None
    number_of_seeds: int
    zoom: float


class MetadataRecord(_Stored):
    """Where each value comes from: file and line within the upload."""

    sources: dict[str, str]


class ImageDataRecord(_Stored):
    """What the file itself tells."""

    format: str
    width: int
    height: int
    mode: str
    resolution: tuple[float, float] | None = Field(description="pixels per inch, horizontal and vertical")
    source: str = Field(description="the file's path within the upload")


class QualityCheckRecord(_Stored):
    """What was checked before the picture was stored."""

    image_checksum: str = Field(description="SHA-256 of the file's bytes, in hexadecimal")
    upload_check: bool
    valid_data: bool
    error_type: str | None
    quality_score: float | None


class StoredPictureRecord(_Stored):
    """`pictures.picture`."""

    model_version: str = MODEL_VERSION
    user_data: UserDataRecord
    metadata: MetadataRecord
    image_data: ImageDataRecord
    quality_check: QualityCheckRecord
    enrichment: Enrichment | None = None
    terms: dict[str, Any] = Field(description="Darwin Core, Audubon Core, Exif and OME terms")


def _value(values: dict[str, Value], name: str) -> Any:
    found = values.get(name)
    return found.value if found else None


def _place(value: Value) -> str:
    return value.source if value.line is None else f"{value.source}:{value.line}"


def _seed_terms(seed: Seed | None, values: dict[str, Value]) -> dict[str, Any]:
    """One species as Darwin Core names it, or what unknown seeds are guessed to be; several have no such terms."""
    if seed is None:
        guess, rank = guess_of(values)
        guessed = {"dwc:verbatimIdentification": guess, "dwc:verbatimTaxonRank": rank}
        return {name: value for name, value in guessed.items() if value is not None}
    terms = {
        "dwc:scientificName": seed.scientific_name,
        "dwc:family": seed.family,
        "dwc:genus": seed.genus,
        "dwc:specificEpithet": seed.specific_epithet,
        "dwc:infraspecificEpithet": seed.infraspecific_epithet,
        "dwc:taxonRank": None if seed.taxon_rank == "species" else seed.taxon_rank,
    }
    return {name: value for name, value in terms.items() if value is not None}


def picture_set_record(
    session: ManifestSession, origin: Origin, *, split: str | None, manifest: str, rule_set_version: str
) -> PictureSetRecord:
    """What is stored with a session's picture set.

    Raises:
        ValueError: nobody knows what the session shows; only importable manifests can be stored.
    """
    if not session.shows:
        raise ValueError(f"nobody knows what session {session.path!r} shows")
    seed = session.seed
    email = _value(session.values, "clientData.clientEmail") or origin.owner.email
    return PictureSetRecord(
        client_data=ClientDataRecord(
            client_email=email, client_expertise=_value(session.values, "clientData.clientExpertise")
        ),
        image_data=SetImageDataRecord(number_of_images=session.pictures),
        seed_data=SeedDataRecord(
            seed_id=seed.id if seed else None,
            seed_family=seed.family if seed else None,
            seed_genus=seed.genus if seed else None,
            seed_species=seed.specific_epithet if seed else None,
            shows=session.shows,
        ),
        audit_trail=AuditTrailRecord(
            upload=origin.upload,
            mass_import=origin.mass_import,
            split=split,
            folder=origin.folder or origin.container,
            session=session.path,
            manifest=manifest,
            rule_set_version=rule_set_version,
        ),
        terms={**_seed_terms(seed, session.values), "dwc:identifiedBy": email},
    )


def picture_record(picture: PictureRecord, seeds: Mapping[UUID, Seed]) -> StoredPictureRecord:
    """What is stored with a picture.

    Args:
        picture: the picture.
        seeds: the registered seeds, by their identifiers.
    """
    # Of a picture with several species the links say all.
    seed = seeds[only] if len(picture.shows) == 1 and (only := picture.shows[0].seed) else None
    return StoredPictureRecord(
        user_data=UserDataRecord(
            description=_value(picture.values, "userData.description"),
            number_of_seeds=_value(picture.values, "userData.numberOfSeeds"),
            zoom=_value(picture.values, "userData.zoom"),
        ),
        metadata=MetadataRecord(sources={name: _place(value) for name, value in sorted(picture.values.items())}),
        image_data=ImageDataRecord(
            format=picture.picture_format,
            width=picture.width,
            height=picture.height,
            mode=picture.mode,
            resolution=picture.resolution,
            source=picture.path,
        ),
        quality_check=quality_check(picture.sha256, picture.enrichment),
        enrichment=picture.enrichment,
        terms={
            **_seed_terms(seed, picture.values),
            "dcterms:title": picture_name(picture),
            **file_terms(picture.sha256, picture.width, picture.height, picture.enrichment),
        },
    )


def quality_check(sha256: str, enrichment: Enrichment | None) -> QualityCheckRecord:
    """What is stored of the checks of a file that passed them."""
    return QualityCheckRecord(
        image_checksum=sha256,
        upload_check=True,
        valid_data=True,
        error_type=None,
        quality_score=enrichment.quality_score if enrichment else None,
    )


def file_terms(sha256: str, width: int, height: int, enrichment: Enrichment | None) -> dict[str, Any]:
    """What Audubon Core, Exif and OME call what is known of a file."""
    return {
        "ac:hashFunction": "SHA-256",
        "ac:hashValue": sha256,
        "exif:PixelXDimension": width,
        "exif:PixelYDimension": height,
        **(enrichment_terms(enrichment) if enrichment else {}),
    }


_RESOLUTION_UNITS = {"inch": 2, "centimetre": 3}
_CENTIMETRES = 100


def enrichment_terms(enrichment: Enrichment) -> dict[str, Any]:
    """What a picture tells about itself, as Exif, Audubon Core and OME call it; what it does not tell is left out."""
    terms: dict[str, Any] = {"exif:BitsPerSample": enrichment.bit_depth}
    if resolution := enrichment.resolution:
        by = _CENTIMETRES if resolution.unit == "metre" else 1  # Exif knows no metre
        terms["exif:XResolution"], terms["exif:YResolution"] = resolution.x / by, resolution.y / by
        terms["exif:ResolutionUnit"] = _RESOLUTION_UNITS.get(resolution.unit, 3)
    if size := enrichment.pixel_size:
        terms["ome:PhysicalSizeX"], terms["ome:PhysicalSizeY"] = size.x, size.y
        terms["ome:PhysicalSizeXUnit"] = terms["ome:PhysicalSizeYUnit"] = "µm"
    if enrichment.channel:
        terms["ome:ChannelName"] = enrichment.channel
    if captured := enrichment.captured:
        terms[f"exif:{captured.source}" if captured.source != "AcquisitionDate" else "ome:AcquisitionDate"] = (
            captured.at.isoformat()
        )
    if device := enrichment.device:
        named = " ".join(part for part in (device.make, device.model) if part)
        stated = {
            "ac:captureDevice": named,
            "exif:Make": device.make,
            "exif:Model": device.model,
            "exif:Software": device.software,
        }
        terms |= {name: value for name, value in stated.items() if value}
    return terms
