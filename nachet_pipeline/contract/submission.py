"""What identifies a submission: a staged folder as its user sent it, from its listing alone."""

import hashlib
from collections.abc import Generator

from nachet_pipeline.contract.inventory import Inventory
from nachet_pipeline.support.batches import result_of

_FILES_A_STEP = 1_000


def submission_of(inventory: Inventory) -> str:
    """SHA-256 over the names, sizes and versions of a listed folder's files, and over what its markers say.

    Staging the same folder again sends nothing and gives the same submission; any change gives another.

    Args:
        inventory: a folder whose inventory was taken.
    """
    return result_of(computing_submission(inventory))


def computing_submission(inventory: Inventory) -> Generator[int, None, str]:
    """Like `submission_of`, some files at a time; yields after each step how many were handled so far."""
    digest = hashlib.sha256()
    for number, record in enumerate(inventory.digested(), start=1):
        digest.update(record)
        if number % _FILES_A_STEP == 0:
            yield number
    return digest.hexdigest()
