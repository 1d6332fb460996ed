"""What follows the end of a picture."""

from nachet_pipeline.phrases import Phrase
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.pictures.remarks import Remarks
from nachet_pipeline.pictures.signatures import describe

END_OF_FILE = Phrase("the end of the file", "la fin du fichier")


def note_tail(content: bytes, end: int, limits: PictureLimits, remarks: Remarks) -> None:
    """Note what follows the end of a picture; zeros alone hide nothing, some writers pad with them."""
    size = len(content) - end
    if size == 0:
        return
    if size <= limits.gap_bytes and content.count(0, end) == size:
        remarks.add(
            "unused-bytes",
            expected=END_OF_FILE,
            found=Phrase(f"{size} bytes, all zero", f"{size} octets, tous nuls"),
        )
        return
    what = describe(content[end : end + 512])
    remarks.add(
        "trailing-data",
        expected=END_OF_FILE,
        found=Phrase(f"{size} more bytes ({what.en})", f"{size} octets de plus ({what.fr})"),
    )
