"""Who may do what: what the tests of this folder expect, and what docs/security.md shows, word for word."""

STORAGE = """\
| who asks with | Ada's upload container | Bo's upload container | Ada's pictures | an archive | a training set |
| --- | --- | --- | --- | --- | --- |
| Ada's key | list, read, create, overwrite | no | no | no | no |
| Bo's key | no | list, read, create, overwrite | no | no | no |
| Ada's key before its first day | no | no | no | no | no |
| Ada's key after its last day | no | no | no | no | no |
| Ada's key once revoked | no | no | no | no | no |
| Ada's key with a changed signature | no | no | no | no | no |
| Ada's key with permissions added to it | no | no | no | no | no |
| Ada's key for another policy | no | no | no | no | no |
| an https key by http | no | no | no | no | no |
| a wrong account key | no | no | no | no | no |
| a made-up token | no | no | no | no | no |
| nothing | no | no | no | no | no |
| the pipeline | all | all | all | all | all |
"""
"""`all` are all of the operations that `test_storage.py` tries."""

DELEGATED = """\
| who asks with | Ada's upload container | Bo's upload container | Ada's pictures | an archive | a training set |
| --- | --- | --- | --- | --- | --- |
| Ada's key | list, read, create, overwrite | no | no | no | no |
| Ada's key before its first day | no | no | no | no | no |
| Ada's key after its last day | no | no | no | no | no |
| Ada's key with a changed signature | no | no | no | no | no |
| Ada's key with permissions added to it | no | no | no | no | no |
| Ada's key with a later last day | no | no | no | no | no |
| a token after its last minute | no | no | no | no | no |
| a token for another service | no | no | no | no | no |
| nothing | no | no | no | no | no |
| the pipeline | all but policies | all but policies | all but policies | all but policies | all but policies |
"""
"""`all but policies` are all but read policies, set policies and make public."""

TABLES = """\
| tables | importer | reader |
| --- | --- | --- |
| `nachet_alembic_version`, `audit_trail` | select | select |
| `judgement`, `model_champion`, `model_class`, `model_version`, `training_label`, \
`training_set_member` | select, insert | select |
| `container`, `expert`, `folder_tombstone`, `mass_import`, `model`, `model_evaluation`, \
`prediction_file`, `registry_source`, `seeds`, `training_set`, `upload`, `upload_crops`, \
`users`, `withdrawn_content` | select, insert, update | select |
| `mail_cursor` | select, update | select |
| `event`, `prediction` | select, insert, delete | select |
| `upload_key` | select, insert, update | no |
| `webhook` | select, insert, update, delete | no |
| `detection`, `drift`, `duplicate_decision`, `judged`, `label_decision`, `mail`, `mass_import_finding`, \
`mass_import_folder`, `picture_seed`, `picture_set`, `picture_verdict`, `pictures`, \
`webhook_delivery` | select, insert, update, delete | select |
| a table of a later migration, unless it says otherwise | select, insert, update, delete | select |
"""

ELSEWHERE = """\
| what | importer | reader |
| --- | --- | --- |
| change what was noted in `audit_trail` | no | no |
| choose the time or the login of what is noted in `audit_trail` | no | no |
| note something in `audit_trail` through its function, under its own login | yes | no |
| make a table among ours | no | no |
| change or remove a table, its triggers or its rights | no | no |
| make a schema | no | no |
| make a temporary table | yes | no |
| read, make and change Dagster's tables | yes | no |
| switch triggers off for its session | no | no |
| make a login, or give rights to one | no | no |
| become the owner of the tables | no | no |
| become the other of the two | no | no |
| read how passwords are stored | no | no |
| read files of the server | no | no |
| connect to another database of the server | no | no |
"""


def rows_of(table: str) -> list[dict[str, str]]:
    """The rows of a table, by the names of its columns."""
    names, _line, *rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]
    return [dict(zip(names, row, strict=True)) for row in rows]


def words_of(cell: str) -> set[str]:
    """What a cell lists."""
    return set() if cell == "no" else {word.strip(" `") for word in cell.split(",")}
