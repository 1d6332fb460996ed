"""Tell an upload's user what was counted: the receipt and the report page are written again once crops exist."""

from collections.abc import Sequence
from uuid import UUID

from nachet_pipeline.contract.findings import Finding
from nachet_pipeline.contract.receipt import RECEIPT_VERSION, Receipt
from nachet_pipeline.contract.report_page import PAGE_BYTES, CountedPicture, shown_on
from nachet_pipeline.contract.understood import SeedCount, UnderstoodSession
from nachet_pipeline.crops.queries import Detected, SessionCrops
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.identifiers import receipt_blob, report_blob
from nachet_pipeline.storage.blobs import BlobStorage, StorageError
from nachet_pipeline.support.files import FileChangedError
from nachet_pipeline.uploads.importing import write_page, write_receipt
from nachet_pipeline.uploads.queries import lock_receipt, record_receipt
from nachet_pipeline.uploads.upload import Upload

_CODE = "seed-count-differs"


def report_counts(
    database: Database,
    blobs: BlobStorage,
    upload: Upload,
    sessions: Sequence[SessionCrops],
    differing: Sequence[Detected],
    counted: Sequence[CountedPicture],
) -> None:
    """Write the seed counts into the receipt, in the database and beside the folder, and onto the report page.

    A repeated call writes the same. Nothing is written beside a folder that was cleared, whose receipt is gone.

    Args:
        database: where the receipt is.
        blobs: where the staged folder is.
        upload: the upload; the caller holds its lock.
        sessions: what was found in each of its sessions.
        differing: the first pictures with another number of seeds than declared.
        counted: pictures with their boxes, for the page.

    Raises:
        DatabaseError: the database does not answer.
        StorageError: storage does not answer.
    """
    receipt = database.call(_record, upload.id, sessions, [one.finding for one in differing if one.finding])
    if receipt is None or not blobs.properties_of(upload.staging_container, receipt_blob(upload.folder)):
        return
    write_page(blobs, upload, receipt, _thumbnails(blobs, upload), counted)
    write_receipt(blobs, upload, receipt)


def _record(
    connection: Connection, upload: UUID, sessions: Sequence[SessionCrops], findings: Sequence[Finding]
) -> Receipt | None:
    before = lock_receipt(connection, upload)
    if before is None:
        return None
    receipt = with_counts(before, sessions, findings)
    if receipt != before:
        record_receipt(connection, receipt)
    return receipt


def with_counts(receipt: Receipt, sessions: Sequence[SessionCrops], findings: Sequence[Finding]) -> Receipt:
    """A receipt with the seeds that were counted, and a finding where they are not as many as declared."""
    # A receipt of an older version does not describe its sessions.
    known = receipt.sessions or [
        UnderstoodSession(session=one.session, species=one.seed, pictures=one.pictures, size=one.size, imported=True)
        for one in receipt.picture_sets
    ]
    seeds = {
        one.session: SeedCount(
            pictures=one.pictures, declared=one.declared, found=one.found, crops=one.crops, differing=one.differing
        )
        for one in sessions
        if one.pictures
    }
    differing = {path: one.differing for path, one in seeds.items() if one.differing}
    return receipt.model_copy(
        update={
            "receipt_version": RECEIPT_VERSION,
            "sessions": [
                one.model_copy(
                    update={
                        "seeds": seeds.get(one.session),
                        "findings": _with_number(one.findings, differing.get(one.session, 0)),
                    }
                )
                for one in known
            ],
            "number_of_sessions": receipt.number_of_sessions or len(known),
            "report": receipt.report.with_code(_CODE, findings, sum(differing.values())) if receipt.report else None,
            "report_page": report_blob(receipt.folder),
        }
    )


def _with_number(findings: dict[str, int], differing: int) -> dict[str, int]:
    others = {code: count for code, count in findings.items() if code != _CODE}
    return dict(sorted({**others, **({_CODE: differing} if differing else {})}.items()))


def _thumbnails(blobs: BlobStorage, upload: Upload) -> dict[str, bytes]:
    """The thumbnails of the page that the import wrote; none if there is no such page."""
    try:
        return shown_on(blobs.read(upload.staging_container, report_blob(upload.folder), limit=PAGE_BYTES))
    except (FileChangedError, StorageError):
        return {}
