"""Look-alikes are looked for among fewer pictures: by 13 longer bands instead of 16, and of whole pictures only.

Revision: 0013, after 0012.

The table's rows are written anew, in one statement: an update of every row would leave as many dead ones behind, and a
row in the audit trail for each. Nobody reads or writes pictures meanwhile.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

_BANDS, _BITS, _BAND_BITS = 13, 256, 20


def _band(band: int) -> str:
    """A band of a row's hash: its number, and every thirteenth bit; what PostgreSQL calls bit 0 is a byte's last."""
    places = range(band, _BITS, _BANDS)
    bits = (
        f"get_bit(perceptual_hash, {8 * (place // 8) + 7 - place % 8}) << {shift}"
        for place, shift in zip(places, reversed(range(len(places))), strict=True)
    )
    return f"{band} << {_BAND_BITS} | " + " | ".join(f"({bit})" for bit in bits)


BANDS = f"case when perceptual_hash is not null then array[{', '.join(map(_band, range(_BANDS)))}] end"
"""The bands of a row of pictures, in SQL."""

# A crop shows what its parent shows and is looked for by nobody; there are many for each whole picture. With
# fastupdate, what was inserted last would wait in a list that every search reads from end to end until it is emptied.
_PICTURES = f"""
drop index if exists pictures_hash_bands;
alter table pictures
    drop constraint if exists pictures_hash_bands_check,
    alter column hash_bands type integer[] using {BANDS},
    add constraint pictures_hash_bands_check check (cardinality(hash_bands) = {_BANDS});
create index pictures_hash_bands on pictures using gin (hash_bands) with (fastupdate = off)
    where parent is null;
analyze pictures (hash_bands);
"""


def upgrade() -> None:
    """Cut the hashes of stored pictures into their new bands."""
    op.execute(_PICTURES)
