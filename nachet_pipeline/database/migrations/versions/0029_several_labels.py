"""A member of a training set may have several labels.

Revision: 0029, after 0028.

`class_index` stays what it is where a picture has one label, so that nobody takes one of two for all.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_MEMBERS = """
alter table training_set_member alter column class_index drop not null;
alter table training_set_member add column class_indices integer[] check (cardinality(class_indices) > 0);
alter table training_set_member add constraint training_set_member_labels
    check (num_nonnulls(class_index, class_indices) = 1);
comment on column training_set_member.class_index is 'null where the recipe says labels: multi';
comment on column training_set_member.class_indices is 'ascending, where the recipe says labels: multi';
"""


def upgrade() -> None:
    """Let members have several labels."""
    op.execute(_MEMBERS)
