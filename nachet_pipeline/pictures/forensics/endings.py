"""Data after the end of a picture."""

from nachet_pipeline.pictures.forensics.signatures import describe
from nachet_pipeline.pictures.issues import Issues
from nachet_pipeline.pictures.limits import PictureLimits
from nachet_pipeline.support.i18n import Bilingual

END_OF_FILE = Bilingual("the end of the file", "la fin du fichier")


def report_tail(content: bytes, end: int, limits: PictureLimits, issues: Issues) -> None:
    """Report what follows the end of a picture. Zeros hide nothing: some writers pad with them."""
    size = len(content) - end
    if size == 0:
        return
    if size <= limits.gap_bytes and content.count(0, end) == size:
        issues.add(
            "unused-bytes",
            expected=END_OF_FILE,
            found=Bilingual(f"{size} bytes, all zero", f"{size} octets, tous nuls"),
        )
        return
    what = describe(content[end : end + 512])
    issues.add(
        "trailing-data",
        expected=END_OF_FILE,
        found=Bilingual(f"{size} more bytes ({what.en})", f"{size} octets de plus ({what.fr})"),
    )
