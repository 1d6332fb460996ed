"""The audit trail is written by PostgreSQL's functions alone, names the login that acted, and covers picture_seed.

Revision: 0014, after 0013.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

# Of what was noted before, nobody knows the login: the default is given to the column after its rows are there. Both
# functions that write the trail leave time and login to the columns' defaults; session_user is the login, whatever
# role it acts as and whoever's the function is.
_LOGIN = """
alter table audit_trail add column login text;
alter table audit_trail alter column login set default session_user;
"""

# As its owner, and with a path on which nobody's temporary table can stand in for the trail. Nobody else may insert.
_NOTING = """
create function audit_note(
    actor text, action text, subject text, subject_id uuid, before jsonb, after jsonb
) returns void language sql security definer as $$
    insert into audit_trail (actor, action, subject, subject_id, before, after) values ($1, $2, $3, $4, $5, $6)
$$;

do $$ begin
    execute format('alter function audit_note(text, text, text, uuid, jsonb, jsonb) set search_path = %I, pg_temp',
        current_schema());
end $$;
revoke all on function audit_note(text, text, text, uuid, jsonb, jsonb) from public;
grant execute on function audit_note(text, text, text, uuid, jsonb, jsonb) to nachet_importer;
revoke all on audit_trail from nachet_importer;
grant select on audit_trail to nachet_importer;
"""

_WATCHED = """
call audit_watch('picture_seed', 'picture seed', array['picture_id', 'seed_id']);
"""


def upgrade() -> None:
    """Take the trail out of the importer's hands, and let links of pictures and seeds be noted too."""
    op.execute(_LOGIN)
    op.execute(_NOTING)
    op.execute(_WATCHED)
