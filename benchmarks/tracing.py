"""How long it takes to trace a version, a prediction and a picture, with a large training set.

    .venv/bin/python -m benchmarks.tracing --members 1000000

The pictures are rows alone: photographs of 20 users in 2,000 sessions, with two crops each, which taught a champion.
One photograph in a thousand is withdrawn; of 200,000 there is a prediction.
"""

import argparse
import time
from collections.abc import Callable

from pydantic import SecretStr
from rich.console import Console

from benchmarks.own_services import memory_mib, own_services
from nachet_pipeline.database.connection import Connection, Database
from nachet_pipeline.database.reading import fetch_value
from nachet_pipeline.health.queries import tainted_champions
from nachet_pipeline.models.model import ModelDocument
from nachet_pipeline.models.registering import register_model
from nachet_pipeline.models.trace_queries import listed, trace
from nachet_pipeline.training.queries import withdraw

_VERSION = "seed-classifier@1"
_DIGEST = "ab" * 32

# Without triggers: the trail of a million invented pictures is not what is measured.
_FILL = """
set local session_replication_role = replica;
insert into users (id, email) select md5('user' || n)::uuid, n || '@example.org' from generate_series(0, 19) n;
insert into container (id, owner_id, name) select id, id, 'user-' || id from users;
insert into upload (id, owner_id, folder, state) select id, id, 'folder', 'imported' from users;
insert into picture_set (id, picture_set, owner_id, name, container_id, upload_id, session, digest)
    select md5('set' || n)::uuid, '{}', u, 's', u, u, n, 'x'
    from generate_series(0, 1999) n cross join lateral (select md5('user' || n %% 20)::uuid as u) by_whom;
insert into pictures (id, picture, picture_set_id, parent, nb_object, name, blob, sha256, size, format, width, height,
    bounding_box, detector, withdrawn_at)
    select md5(kind || n)::uuid, '{}', md5('set' || n %% 2000)::uuid, case when cut then md5('p' || n)::uuid end, 1,
    kind || n, kind || n, sha256((kind || n)::bytea), 1, 'PNG', 9, 9, case when cut then array[0, 0, 9, 9] end,
    case when cut then 'x' end, case when n %% 1000 = 0 then now() end from generate_series(1, %(members)s / 2) n
    cross join (values ('p', false), ('a', true), ('b', true)) kinds (kind, cut);
insert into picture_seed (id, picture_id, seed_id) select id, id, (select id from seeds order by name limit 1)
    from pictures;
insert into training_set (id, name, digest, container, blob, pictures, groups, recipe, notes, classes)
    select md5('t')::uuid, 'seeds', %(digest)s, 'training-seeds', 'x', %(members)s, 9, '{}', '[]',
    jsonb_agg(jsonb_build_object('label', n, 'class_index', n, 'taxon_id', id))
    from (select id, row_number() over (order by name) as n from seeds) s;
insert into training_set_member (training_set_id, picture_id, split, class_index, "group")
    select md5('t')::uuid, id, 0, 1, id from pictures where parent is not null;
insert into prediction (id, model_version_id, sha256, at, objects, candidate_object, candidate_class, candidate_score)
    select md5('said' || p.id)::uuid, v.id, p.sha256, now(), 1, '{1}', '{0}', '{1}'
    from (select * from pictures where parent is null limit 200000) p, model_version v;
insert into model_champion (model_id, model_version_id, named_by, why) select model_id, id, 'lab', 'x'
    from model_version;
analyze
"""


def _fill(database: Database, members: int) -> None:
    versions = [{"version": "1", "task": "classify", "classes": [{"label": "x"}], "training_set": _DIGEST}]
    document = {"name": "seed-classifier", "owner": "lab", "versions": versions}
    with database.connection() as connection:
        register_model(connection, ModelDocument.model_validate(document), by="benchmark")
        for statement in _FILL.split(";\n"):
            connection.execute(statement, {"members": members, "digest": _DIGEST})


def main() -> None:
    """Fill a database, trace, and print how long each took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, default=1_000_000)
    members = parser.parse_args().members
    console = Console()
    with own_services() as (_, services), Database(SecretStr(services.database_url)) as database:
        _fill(database, members)
        with database.connection() as connection:
            prediction = fetch_value(connection, "select id from prediction limit 1")
            photograph = fetch_value(
                connection, "select id from pictures where parent is null and withdrawn_at is null limit 1"
            )
        works: dict[str, Callable[[Connection], object]] = {
            "a version": lambda one: trace(one, _VERSION) and None,
            "a prediction": lambda one: trace(one, str(prediction)) and None,
            "a picture": lambda one: trace(one, str(photograph)) and None,
            "all photographs": lambda one: sum(1 for _ in listed(one, _VERSION)[1]),
            "champions that rest on what is gone": lambda one: [found.found for found in tainted_champions(one)],
            "withdrawing": lambda one: len(withdraw(one, photograph, by="lab", why="x").models),
        }
        for what, work in works.items():
            with database.connection() as connection:
                begun = time.perf_counter()
                found = work(connection)
                console.print(f"{what}: {time.perf_counter() - begun:.3f} s {'' if found is None else found}")
    console.print(f"{memory_mib():.0f} MiB at most")


if __name__ == "__main__":
    main()
