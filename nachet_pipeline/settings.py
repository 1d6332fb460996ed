"""Every setting of the project, read from the environment once and checked at start."""

import base64
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast, get_args
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from nachet_pipeline.errors import UsageError

PREFIX = "NACHET_"
ENV_FILE = Path(".env")
_TAKEN = ("NACHET_", "DAGSTER_HOME", "AZURE_")
PICTURES_INDEX = "index.yaml"
"""The file that makes a folder one of pictures, which somebody else may have sent."""
BUILT_IN_DETECTOR = "built-in"
"""The value of the setting `detector` that names the detector that needs no endpoint."""
PACKAGED_SPECIES = Path("packaged")
"""What the setting `species_file` calls the registry that the package carries."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""This machine, as addresses name it: what is sent there needs no encryption."""

_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class SettingsError(UsageError, ValueError):
    """A setting that cannot be used; the message is one line that names it."""


def read_env_file() -> str | None:
    """Put the settings that the file `.env` of this folder has into the environment: as for Dagster, the file counts.

    Who looks at a folder that somebody sent must not get that person's settings: they name programs' data, and
    addresses that are sent credentials. So the file of a folder of pictures is not read, nor one of another user; and
    nothing but settings is taken from any, such as LD_PRELOAD.

    Returns:
        Why the file is not read, if there is one and it is not.

    Raises:
        SettingsError: the file cannot be read.
    """
    if not ENV_FILE.is_file():
        return None
    if os.path.lexists(PICTURES_INDEX):
        return f"{ENV_FILE.resolve()} is not read, because this is a folder of pictures"
    if ENV_FILE.stat().st_uid not in {0, os.geteuid()}:
        return f"{ENV_FILE.resolve()} is not read, because it belongs to another user"
    from dotenv import dotenv_values  # noqa: PLC0415 (most folders have no such file)

    try:
        found = dotenv_values(ENV_FILE).items()
        os.environ.update({name: value for name, value in found if value is not None and name.startswith(_TAKEN)})
    except (OSError, ValueError) as error:  # of decoding, or of a zero byte
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SettingsError(f"{ENV_FILE.resolve()}: cannot be read: {reason}") from None
    return None


def _split(url: str, expected: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # Python's own message may repeat the address with the password in it.
        raise ValueError(expected) from None


def _database_url(value: SecretStr) -> SecretStr:
    parts = _split(value.get_secret_value(), "expected postgresql://[user[:password]@]host[:port]/database")
    if parts.scheme != "postgresql":
        raise ValueError("expected postgresql://[user[:password]@]host[:port]/database")
    if not parts.path.strip("/"):
        raise ValueError("expected a database name, postgresql://host/DATABASE")
    return value


def _account_url(value: str) -> str:
    expected = "expected https://ACCOUNT.blob.core.windows.net, or the address of an emulator"
    parts = _split(value, expected)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(expected)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("expected an account URL without user or query; keys go into NACHET_BLOB_KEY")
    return value.rstrip("/")


def _secret_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for place, key in enumerate(value, start=1):
        if not _FERNET_KEY.fullmatch(key.get_secret_value()):
            raise ValueError(f"key {place} is not a Fernet key (44 characters of URL-safe base64)")
    return value


def _detector(value: str) -> str:
    if value == BUILT_IN_DETECTOR:
        return value
    expected = f"expected {BUILT_IN_DETECTOR}, or the https:// address of a detector's endpoint"
    parts = _split(value, expected)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    # The token must not travel where others can read it.
    if not parts.hostname or (parts.scheme != "https" and not local):
        raise ValueError(expected)
    if parts.username or parts.password or parts.fragment:
        raise ValueError("expected an address without user; the token goes into NACHET_DETECTOR_TOKEN")
    return value


def _header_value(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError("expected a token of printable ASCII without spaces")
    return value


ENCODED_WORD = "=?"
"""What begins an encoded word in a header of a mail (RFC 2047): what follows is not what it says, but may be anything,
ends of lines and other headers too."""

# Whatever else may name a mailbox (comments, quotes, other alphabets) is read in different ways by different programs.
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(
    rf"(?=.{{1,64}}@)(?!.*{re.escape(ENCODED_WORD)}){_WORD}(?:\.{_WORD})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)

Notice = Literal["refused", "imported", "failed", "key"]
"""What a user may be told by e-mail."""
NOTICES: tuple[Notice, ...] = get_args(Notice)


def notices(text: str) -> tuple[Notice, ...]:
    """What somebody wants to be told: some of `NOTICES`, separated by commas; `all` of them, or `none`.

    Raises:
        ValueError: it is something else.
    """
    words = [word.strip().casefold() for word in text.split(",") if word.strip()]
    if words in (["none"], ["all"]):
        return NOTICES if words == ["all"] else ()
    if not words or not set(words) <= set(NOTICES):
        raise ValueError(f"expected all, none, or some of {', '.join(NOTICES)}; found {text[:80]!r}")
    return tuple(cast("Notice", word) for word in dict.fromkeys(words))


def mailable(address: str) -> bool:
    """Whether mails can be sent to an address: it is written so that every program understands the same by it."""
    return bool(_MAILBOX.fullmatch(address))


def _addresses(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """E-mail addresses, separated by commas."""
    listed = [one.strip() for one in value.split(",")] if isinstance(value, str) else list(value)
    if wrong := [one for one in listed if not mailable(one)]:
        raise ValueError(f"expected e-mail addresses, separated by commas; found {wrong[0][:80]!r}")
    return tuple(listed)


def sender_of(value: str) -> tuple[str, str]:
    """The name and the address of a sender: `nachet@example.org`, `Nachet <nachet@example.org>`.

    Raises:
        ValueError: it is something else, or might be understood as another sender.
    """
    name, _, address = value[:-1].rpartition("<") if value.endswith(">") else ("", "", value)
    name = name.strip()
    name = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name
    if not value.isprintable() or not mailable(address) or re.search(rf'[<>@"\\]|{re.escape(ENCODED_WORD)}', name):
        raise ValueError("expected an e-mail address, such as nachet@example.org or Nachet <nachet@example.org>")
    return name, address


def _sender(value: str) -> str:
    sender_of(value)
    return value


def _smtp_url(value: SecretStr) -> SecretStr:
    expected = "expected smtp://[user:password@]host[:port], or smtps://… for TLS from the start"
    parts = _split(value.get_secret_value(), expected)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or port == 0:
        raise ValueError(expected)
    if parts.path.strip("/") or parts.query or parts.fragment or (parts.username is None) != (parts.password is None):
        raise ValueError(f"{expected}, with %, /, @, #, ? and : of user and password written as %25, %2F, …")
    if not unquote((parts.username or "") + (parts.password or "")).isascii():
        raise ValueError("expected a user and a password of ASCII characters; no other can be sent")
    return value


def _acs_endpoint(value: str) -> str:
    expected = "expected https://RESOURCE.communication.azure.com"
    parts = _split(value, expected)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password or parts.query:
        raise ValueError(expected)
    return value.rstrip("/")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor what it is in
        return False


def _acs_connection_string(value: SecretStr) -> SecretStr:
    expected = "expected endpoint=https://RESOURCE.communication.azure.com/;accesskey=KEY"
    parts = [part.partition("=") for part in value.get_secret_value().split(";") if part.strip()]
    given = {name.strip().casefold(): said.strip() for name, _, said in parts}
    if given.keys() != {"endpoint", "accesskey"}:
        raise ValueError(expected)
    try:
        _acs_endpoint(given["endpoint"])
        key = base64.b64decode(given["accesskey"], validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(expected)
    return value


Verification = Literal["service", "read"]
"""How a stored picture is verified: by the checksum that the storage service compares, or read again and hashed."""


class Concern(BaseModel):
    """Settings that are read together; every field is a `NACHET_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SensorSettings(Concern):
    """How often sensors look, and how much one run gets."""

    # Dagster's daemon looks every five seconds which sensors are due, and begins a tick some tenths after it looked.
    # With five seconds here, every second look would come too early.
    sensor_interval_seconds: int = Field(
        4, ge=1, le=3600, description="seconds between two looks at staging; the daemon rounds them up to fives"
    )
    batch_size: int = Field(125, ge=1, le=250, description="uploads in one run, at most")


class ArrivalSettings(Concern):
    """When a staged folder is complete."""

    settle_seconds: int = Field(
        15,
        ge=0,
        le=3600,
        description="a folder whose declared pictures are all there waits this long unchanged",
    )
    quiet_seconds: int = Field(
        900, ge=1, le=7 * 86400, description="a folder unchanged for this long is taken as it is"
    )


class TransferSettings(Concern):
    """How pictures are read and stored."""

    transfer_concurrency: int = Field(4, ge=1, le=64, description="pictures read or stored at a time")
    pictures_in_memory_mib: int = Field(
        1024, ge=16, le=1_048_576, description="bytes of pictures held at a time, in MiB; a larger one waits alone"
    )
    verify_stored: Verification = Field(
        "service",
        description="how stored pictures are verified: the `service` compares checksums, or they are `read` again",
    )

    @property
    def memory_bytes(self) -> int:
        """Bytes of pictures held at a time."""
        return self.pictures_in_memory_mib * 1024**2


class DecoderSettings(Concern):
    """The processes that decode pictures."""

    decode_workers: int = Field(
        default_factory=lambda: max(1, min(os.cpu_count() or 1, 16)),
        ge=1,
        le=64,
        description="processes that decode pictures",
    )
    decode_seconds: int = Field(10, ge=1, le=600, description="a picture that takes longer to decode is refused")
    decode_memory_mib: int = Field(
        2048, ge=512, le=65536, description="address space of a decoding process, beside OpenCV's own, in MiB"
    )
    decode_pictures: int = Field(5000, ge=1, le=1_000_000, description="pictures after which a process is replaced")


class PictureSettings(Concern):
    """What no picture may exceed."""

    max_picture_mib: int = Field(200, ge=1, le=256, description="largest picture file, in MiB")
    max_megapixels: int = Field(100, ge=1, le=1000, description="largest picture, in millions of pixels")
    max_side_pixels: int = Field(30_000, ge=16, le=100_000, description="longest side of a picture, in pixels")
    max_jpeg_scans: int = Field(32, ge=1, le=10_000, description="scans of a JPEG")
    max_png_chunks: int = Field(20_000, ge=3, le=10_000_000, description="chunks of a PNG")
    max_tiff_directories: int = Field(64, ge=1, le=10_000, description="directories of a TIFF")
    max_tiff_tags: int = Field(512, ge=16, le=65_535, description="tags of a directory of a TIFF")
    max_tiff_strips: int = Field(200_000, ge=1, le=100_000_000, description="strips or tiles of a TIFF")
    max_tiff_overlap_kib: int = Field(4, ge=0, le=1024, description="bytes of a TIFF that two parts share, in KiB")
    max_tiff_gap_kib: int = Field(64, ge=0, le=262_144, description="bytes of a picture that no part claims, in KiB")
    max_metadata_mib: int = Field(4, ge=1, le=256, description="one metadata value of a picture, in MiB")


class ContractSettings(Concern):
    """How a folder is judged, beside its pictures."""

    severities_file: Path | None = Field(
        None, description="YAML file of findings that weigh something else than the catalogue says"
    )
    max_yaml_kib: int = Field(1024, ge=1, le=65_536, description="largest YAML file, in KiB")
    max_yaml_depth: int = Field(20, ge=2, le=1000, description="nesting of a YAML file")
    max_yaml_events: int = Field(20_000, ge=100, le=10_000_000, description="keys, values and brackets of a YAML file")
    max_checksums_mib: int = Field(64, ge=1, le=1024, description="largest SHA256SUMS file, in MiB")
    max_name_bytes: int = Field(200, ge=16, le=1024, description="longest name of a file or folder, in bytes")


class ReprocessingSettings(Concern):
    """How much one night looks at again."""

    reprocess_per_night: int = Field(
        20_000, ge=1, le=100_000_000, description="stored pictures that one night's reprocessing looks at, at most"
    )
    reprocess_runs: int = Field(
        1, ge=1, le=64, description="runs that one night's reprocessing is cut into, at most, a thousand pictures each"
    )
    reprocess_seconds: int = Field(10_800, ge=1, le=18_000, description="reprocessing begins no picture after so long")


class ReconciliationSettings(Concern):
    """How long storage and rows may disagree."""

    orphan_grace_days: int = Field(
        14, ge=1, le=3650, description="days after which a repair removes a stored blob that no row points at"
    )
    reconcile_patience_hours: int = Field(
        24,
        ge=1,
        le=8760,
        description="hours that an upload may wait for a run or its receipt before it counts as drift",
    )


class RetentionSettings(Concern):
    """How long imports leave traces in staging and in Dagster."""

    retain_staged_days: int = Field(
        30, ge=1, le=36500, description="days after an import that its staged folder is kept"
    )
    retain_partitions_days: int = Field(
        90, ge=1, le=36500, description="days after an import that its partition is kept, if its folder is cleared"
    )
    retain_runs_days: int = Field(
        365, ge=7, le=36500, description="days that a run and its events are kept, unless a partition needs them"
    )
    retain_events_days: int = Field(30, ge=7, le=36500, description="days that an event of the outbox is kept")
    retain_predictions_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="days that a prediction is kept which nobody judged, of no champion and of no held-out picture;"
        " 0: for ever",
    )


class HealthSettings(Concern):
    """What the page on the pipeline's health looks at, and when it alerts."""

    health_days: int = Field(7, ge=1, le=365, description="days back that refusals and failed runs are listed")
    health_failed_uploads: int = Field(0, ge=0, le=1_000_000, description="uploads that may be failed without an alert")
    health_waiting_minutes: int = Field(
        120, ge=1, le=100_000, description="minutes that an upload may wait for its import or be in it"
    )
    health_drift: int = Field(
        0, ge=0, le=1_000_000, description="disagreements of storage and database that are no alert"
    )
    health_silent_minutes: int = Field(
        10, ge=1, le=10_000, description="minutes, at least, without a tick after which a sensor or schedule is dead"
    )
    health_event_log_gib: int = Field(20, ge=1, le=100_000, description="size that Dagster's events may have, in GiB")
    health_key_days: int = Field(
        7, ge=1, le=60, description="an upload key that ends so soon should have been rotated already"
    )
    health_free_disk_gib: int = Field(
        5, ge=1, le=100_000, description="free space that a machine that runs imports needs, in GiB"
    )


class FolderSettings(Concern):
    """What users do with their folders."""

    undo_days: int = Field(30, ge=1, le=3650, description="days in which deleting or archiving a folder can be undone")


class MassImportSettings(Concern):
    """Which containers are mass-imported, and how."""

    mass_import_list: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        None, description="YAML file of the reviewed containers that a sensor mass-imports"
    )
    mass_import_pictures_per_run: int = Field(
        50_000,
        ge=1,
        le=100_000_000,
        description="a container with more new pictures is mass-imported by several runs with about so many each",
    )


class CropSettings(Concern):
    """What finds seeds, and how they are cut out."""

    detector: Annotated[str, AfterValidator(_detector)] = Field(
        BUILT_IN_DETECTOR, description="what finds seeds in pictures: built-in, or the address of an endpoint"
    )
    detector_token: Annotated[SecretStr | None, AfterValidator(_header_value)] = Field(
        None, description="the endpoint's bearer token"
    )
    detector_version: str = Field(
        "1",
        pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,40}$",
        description="version of the model behind the endpoint; another one lets every picture be looked at again",
    )
    detector_model: str | None = Field(
        None,
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="registered version of a model, as NAME@VERSION, under which the endpoint's answers are recorded",
    )
    detector_seconds: int = Field(30, ge=1, le=600, description="how long an answer of the endpoint may take")
    detector_attempts: int = Field(3, ge=1, le=10, description="how often the endpoint is asked about a picture")
    crop_margin_percent: int = Field(
        5, ge=0, le=100, description="margin of a crop around its seed, in percent of the seed's longer side"
    )


class TrainingSettings(Concern):
    """Where the recipes of training sets are, and the files of models."""

    recipes_folder: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        None, description="folder of the recipes of training sets; without it, those of the package"
    )
    models_folder: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        None, description="folder of YAML files of models that a sensor registers"
    )


class JudgingSettings(Concern):
    """When what people judge counts."""

    verified_by_experts: int = Field(
        1, ge=0, le=100, description="experts who must say the same of a picture for it to count; 0: never by experts"
    )
    verified_by_persons: int = Field(
        2, ge=0, le=100, description="people who must say the same of a picture for it to count; 0: never by people"
    )


def _paths(value: Any) -> Any:
    """Paths of a text that has commas between them."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _absolute_species(value: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path if path == PACKAGED_SPECIES else path.absolute() for path in value)


class EvaluationSettings(Concern):
    """When a version of a model is good enough to be named champion."""

    evaluation_pictures: int = Field(
        20, ge=1, le=1_000_000, description="pictures of each class in the test split, at least, to judge a model by"
    )
    evaluation_groups: int = Field(
        3, ge=1, le=1_000_000, description="groups that those of each class come from, at least"
    )
    evaluation_answered_percent: int = Field(
        95, ge=0, le=100, description="share of the test split, at least, that the model was asked about, in percent"
    )
    evaluation_recall_percent: int = Field(
        50, ge=0, le=100, description="recall of the worst class, at least, in percent"
    )
    evaluation_slice_percent: int = Field(
        10,
        ge=0,
        le=100,
        description="by how many percent of pictures those of one owner, device, month, … may be worse than the rest",
    )
    evaluation_calibration_percent: int = Field(
        10, ge=0, le=100, description="expected calibration error, at most, beyond what chance makes, in percent"
    )


class SpeciesSettings(Concern):
    """Which species are registered."""

    species_file: Annotated[tuple[Path, ...], BeforeValidator(_paths), AfterValidator(_absolute_species)] = Field(
        (),
        description="files of the registered species, or folders of such files, with commas between them; `packaged`"
        " stands for the package's own, which is meant without the setting",
    )


class UserSettings(Concern):
    """Who may upload."""

    users_file: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        None, description="YAML file of the reviewed users that a sensor applies"
    )


class MailSettings(Concern):
    """What is told by e-mail, to whom, and by which service it is sent."""

    notify: Annotated[
        tuple[Notice, ...], BeforeValidator(lambda value: notices(value) if isinstance(value, str) else value)
    ] = Field((), description="what users are told by e-mail who never said what they want to be told")
    notify_operators: Annotated[tuple[str, ...], BeforeValidator(_addresses)] = Field(
        (), description="who is told by e-mail when a check of the pipeline's health turns"
    )
    mail_from: Annotated[str | None, AfterValidator(lambda value: value and _sender(value))] = Field(
        None, description="the sender of mails; what cannot be delivered comes back there"
    )
    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] | None = Field(
        None, description="the server that mails are sent by, with user and password"
    )
    smtp_starttls: Literal["required", "off"] | None = Field(
        None, description="whether smtp:// is encrypted before anything is sent; required, but not on this machine"
    )
    acs_endpoint: Annotated[str, AfterValidator(_acs_endpoint)] | None = Field(
        None, description="the resource of Azure Communication Services that mails are sent by"
    )
    acs_connection_string: Annotated[SecretStr, AfterValidator(_acs_connection_string)] | None = Field(
        None, description="the same, with its key, where there is no identity"
    )

    @model_validator(mode="after")
    def _one_way_to_send(self) -> Self:
        ways = [
            f"{PREFIX}{name}"
            for name in ("SMTP_URL", "ACS_ENDPOINT", "ACS_CONNECTION_STRING")
            if getattr(self, name.lower()) is not None
        ]
        if len(ways) > 1:
            raise ValueError(f"{ways[1]}: is set beside {ways[0]}; set one of them")
        if ways and self.smtp_url is None and not _installed("azure.communication.email"):
            raise ValueError(f"{ways[0]}: needs `pip install 'nachet_pipeline[communication-services]'`")
        if ways and self.mail_from is None:
            raise ValueError(f"{PREFIX}MAIL_FROM: is not set while {ways[0]} is")
        if not ways and (self.notify or self.notify_operators):
            name = "NOTIFY" if self.notify else "NOTIFY_OPERATORS"
            raise ValueError(f"{PREFIX}{name}: there is nothing to send mails by; set {PREFIX}SMTP_URL")
        if self.smtp_url and self.smtp_starttls == "off":
            parts = urlsplit(self.smtp_url.get_secret_value())
            if parts.password and parts.scheme == "smtp" and parts.hostname not in LOOPBACK:
                raise ValueError(f"{PREFIX}SMTP_STARTTLS: is off, so the password of {PREFIX}SMTP_URL could be read")
        return self

    @property
    def starttls(self) -> bool:
        """Whether smtp:// is encrypted before anything is sent."""
        if self.smtp_starttls is None and self.smtp_url:
            return urlsplit(self.smtp_url.get_secret_value()).hostname not in LOOPBACK
        return self.smtp_starttls == "required"

    @property
    def on(self) -> bool:
        """Whether there is anything to send mails by."""
        return self.mail_from is not None and any((self.smtp_url, self.acs_endpoint, self.acs_connection_string))


class KeySettings(Concern):
    """How long upload keys live."""

    key_days: int = Field(60, ge=30, le=90, description="days that an upload key is valid")
    key_overlap_days: int = Field(
        14, ge=0, le=29, description="days that an upload key works on after another took its place"
    )
    key_rotate_before_days: int = Field(
        14, ge=1, le=29, description="days before its end that an upload key is rotated by itself"
    )


class WebhookSettings(Concern):
    """Where webhooks may lead."""

    webhook_private_addresses: bool = Field(
        False, description="whether webhooks may lead to private addresses, by http too"
    )


class Settings(BaseModel):
    """Where everything is. Secrets never show in a repr, a log or an error.

    Attributes:
        database_url: PostgreSQL, as `postgresql://…`; absent: the embedded services are meant.
        database_reader_url: the same database for a login that may only read; absent: `database_url`.
        database_owner_url: the same database for the login that owns its tables; absent: `database_url`.
        blob_account_url: the storage account, or an emulator's address.
        blob_key: the account's key; absent: DefaultAzureCredential (managed identity, `az login`, …).
        secret_keys: Fernet keys for secrets at rest; the first encrypts, all decrypt.
        home: folder of everything that is kept on this machine.

    The other attributes are the settings of one concern each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    database_reader_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    database_owner_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    blob_account_url: Annotated[str, AfterValidator(_account_url)] | None = None
    blob_key: SecretStr | None = None
    secret_keys: Annotated[tuple[SecretStr, ...], AfterValidator(_secret_keys)] = ()
    home: Path = Path(".nachet")
    sensor: SensorSettings = SensorSettings()
    arrival: ArrivalSettings = ArrivalSettings()
    transfer: TransferSettings = TransferSettings()
    decoder: DecoderSettings = DecoderSettings()
    picture: PictureSettings = PictureSettings()
    contract: ContractSettings = ContractSettings()
    reprocessing: ReprocessingSettings = ReprocessingSettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    retention: RetentionSettings = RetentionSettings()
    health: HealthSettings = HealthSettings()
    folder: FolderSettings = FolderSettings()
    mass_import: MassImportSettings = MassImportSettings()
    crop: CropSettings = CropSettings()
    training: TrainingSettings = TrainingSettings()
    judging: JudgingSettings = JudgingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    species: SpeciesSettings = SpeciesSettings()
    user: UserSettings = UserSettings()
    key: KeySettings = KeySettings()
    webhook: WebhookSettings = WebhookSettings()
    mail: MailSettings = MailSettings()

    @model_validator(mode="after")
    def _services_come_together(self) -> Self:
        if (self.database_url is None) != (self.blob_account_url is None):
            missing = "NACHET_DATABASE_URL" if self.database_url is None else "NACHET_BLOB_ACCOUNT_URL"
            raise ValueError(f"{missing}: is not set while its companion is; set both, or neither")
        if self.database_url is None and (self.database_reader_url or self.database_owner_url):
            raise ValueError("NACHET_DATABASE_URL: is not set while the address of its reader or owner is")
        if self.blob_account_url is None and self.blob_key:
            raise ValueError("NACHET_BLOB_ACCOUNT_URL: is not set while the key of its account is")
        return self

    @property
    def embedded(self) -> bool:
        """Whether the services of this machine are meant, because none is named."""
        return self.database_url is None

    def of_services(self) -> dict[str, str]:
        """What names the services and opens them, as environment variables; several of them are secrets."""
        values = {
            "database_url": self.database_url,
            "database_reader_url": self.database_reader_url,
            "blob_account_url": self.blob_account_url,
            "blob_key": self.blob_key,
            "secret_keys": ",".join(key.get_secret_value() for key in self.secret_keys),
        }
        return {
            f"{PREFIX}{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in values.items()
            if value
        }

    @classmethod
    def concerns(cls) -> dict[str, type[Concern]]:
        """The models of the concerns by field."""
        found = ((name, field.annotation) for name, field in cls.model_fields.items())
        return {name: kind for name, kind in found if isinstance(kind, type) and issubclass(kind, Concern)}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Args:
            environment: variables to read; those of the process if not given. An empty value counts as absent.

        Raises:
            SettingsError: a setting is unknown or wrong; the message names it and never shows a secret.
        """
        found = {
            name[len(PREFIX) :].lower(): value.strip()
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith(PREFIX) and value.strip()
        }
        values: dict[str, Any] = {
            name: {field: found.pop(field) for field in concern.model_fields if field in found}
            for name, concern in cls.concerns().items()
        }
        own = cls.model_fields.keys() - values.keys()
        if unknown := [name for name in found if name not in own]:
            known = own.union(*(concern.model_fields for concern in cls.concerns().values()))
            names = ", ".join(f"{PREFIX}{field.upper()}" for field in sorted(known))
            raise SettingsError(f"{PREFIX}{unknown[0].upper()}: there is no such setting; the settings are {names}")
        keys = [key.strip() for key in found.pop("secret_keys", "").split(",")]
        try:
            return cls.model_validate({**values, **found, "secret_keys": tuple(filter(None, keys))})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = [part for part in first["loc"] if part not in values]
            message = first["msg"].removeprefix("Value error, ")
            name = f"{PREFIX}{str(where[0]).upper()}: " if where else ""
            raise SettingsError(f"{name}{message}") from None
