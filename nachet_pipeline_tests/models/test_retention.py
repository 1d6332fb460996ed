"""Old predictions are cleared, but for those that something rests on."""

from nachet_pipeline.reconciliation.retention import Retention
from nachet_pipeline_tests.command import Nachet
from nachet_pipeline_tests.models.test_evaluating import Laboratory, content
from nachet_pipeline_tests.workbench import Workbench, settings_with


def test_old_predictions_go_unless_they_are_a_champions_judged_or_of_held_out_pictures(
    workbench: Workbench, nachet: Nachet
) -> None:
    laboratory, bench = Laboratory.of(workbench, nachet), workbench
    champion, other = laboratory.register("1.0"), laboratory.register("2.0")
    parent = laboratory.add("photograph of a held-out crop")
    laboratory.add("crop", parent=parent, box=[0, 0, 20, 20])
    laboratory.member("crop", 0, 90)
    for name in ("trained", "plain", "judged", "new"):
        laboratory.add(name)
    laboratory.member("trained", 0, 91, split=0)
    names = ("trained", "plain", "judged", "new", "photograph of a held-out crop", "crop", "not stored")
    said: dict[object, int | None] = dict.fromkeys(names, 0)
    for version in (champion, other):
        laboratory.predict(version, said | {0: 0})
    assert laboratory.evaluate(champion)["answered"] == 2
    (identifier,) = bench.query("select id from model_version where version = '1.0'")
    laboratory.execute(
        "insert into model_champion (model_id, model_version_id, named_by, why)"
        " select model_id, id, 'x', 'x' from model_version where id = %s",
        identifier["id"],
    )
    laboratory.execute(
        "insert into judgement (id, person, at, recorded_by, source, prediction_id, sha256, verdict)"
        " select gen_random_uuid(), 'ann', now(), 'x', 'x', p.id, p.sha256, 'unsure' from prediction p join"
        " model_version v on v.id = p.model_version_id where v.version = '2.0' and p.sha256 = %s",
        content("judged"),
    )
    laboratory.execute("update prediction set at = now() - interval '400 days' where sha256 <> %s", content("new"))

    def cleared(days: int) -> int:
        settings = settings_with(bench.settings, retain_predictions_days=days)
        return Retention(
            bench.database, bench.blobs, settings.retention, bench.comparer(), settings.arrival, bench.limits
        ).clear_predictions()

    assert (cleared(0), cleared(500)) == (0, 0)
    assert cleared(365) == 3
    kept = bench.query("select v.version, p.sha256 from prediction p join model_version v on v.id = p.model_version_id")
    name_of = {content(name): str(name) for name in (*said, 0)}
    left = {(row["version"], name_of[bytes(row["sha256"])]) for row in kept}
    assert {name for version, name in left if version == "1.0"} == {*map(str, said), "0"}
    assert {name for version, name in left if version == "2.0"} == {
        "photograph of a held-out crop", "crop", "judged", "new", "0",
    }  # fmt: skip
    assert cleared(365) == 0
