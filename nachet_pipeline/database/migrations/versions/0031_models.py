"""Models and their versions, what they predict, what people judge of it, and how versions were evaluated.

Revision: 0031, after 0030.

What was predicted and judged goes by content: `sha256` is that of a stored picture or crop, and no row of it is
referred to, so that none need be kept for it.
"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# weights: where they are; they are never read. training_set_digest: of the manifest that the version was trained on,
# whether it is one of ours or not. digest: of all that was registered.
_MODELS = """
create table model (
    id uuid primary key,
    name text not null unique,
    description text not null default '',
    owner text not null,
    facts jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table model_version (
    id uuid primary key,
    model_id uuid not null references model,
    version text not null,
    task text not null check (task in ('detect', 'classify', 'both')),
    weights text,
    training_set_digest text,
    trained_at timestamptz,
    facts jsonb not null default '{}',
    digest text not null,
    registered_at timestamptz not null default now(),
    registered_by text not null,
    unique (model_id, version)
);
create index model_version_training_set on model_version (training_set_digest);

create table model_class (
    model_version_id uuid not null references model_version,
    class_index integer not null check (class_index >= 0),
    label text not null,
    seed_id uuid references seeds,
    primary key (model_version_id, class_index),
    unique (model_version_id, label)
);
create index model_class_seed on model_class (seed_id) where seed_id is not null;
comment on column model_class.seed_id is 'null: the class is no taxon, such as background';
"""

# file_id, objects and the arrays: see models/predictions. A file is read once, whoever puts it again.
_PREDICTIONS = """
create table prediction_file (
    id uuid primary key,
    model_version_id uuid not null references model_version,
    place text not null,
    sha256 bytea not null check (length(sha256) = 32),
    size bigint not null check (size >= 0),
    state text not null check (state in ('recorded', 'refused')),
    lines bigint not null default 0,
    predictions bigint not null default 0,
    new bigint not null default 0,
    unknown_pictures bigint not null default 0,
    on_trained bigint not null default 0,
    findings jsonb not null default '[]',
    recorded_at timestamptz not null default now(),
    recorded_by text not null
);
create index prediction_file_version on prediction_file (model_version_id, recorded_at desc);

create table prediction (
    id uuid primary key,
    model_version_id uuid not null references model_version,
    sha256 bytea not null check (length(sha256) = 32),
    picture_id uuid,
    file_id uuid references prediction_file,
    at timestamptz not null,
    recorded_at timestamptz not null default now(),
    objects smallint not null check (objects >= 0),
    boxes real[] not null default '{}',
    box_scores real[] not null default '{}',
    candidate_object smallint[] not null default '{}',
    candidate_class integer[] not null default '{}',
    candidate_score real[] not null default '{}',
    probabilities real[],
    embedding real[],
    check (cardinality(boxes) in (0, 4 * objects)),
    check (cardinality(box_scores) in (0, objects)),
    check (cardinality(candidate_object) = cardinality(candidate_class)),
    check (cardinality(candidate_object) = cardinality(candidate_score))
);
create index prediction_content on prediction (sha256);
create index prediction_of_version on prediction (model_version_id, at);
comment on column prediction.objects is '0: nothing was found; without boxes, 1 is the picture as a whole';
comment on column prediction.boxes is 'left, top, right, bottom of each object, as fractions of width and height';
comment on column prediction.candidate_object is 'the object, from 1, of each candidate, the best of each object first';
comment on column prediction.picture_id is 'the picture that was named, if one was; the content is what counts';

create view predicted_object as
select p.id as prediction_id, p.model_version_id, m.name as model, v.version, p.sha256, p.picture_id, p.at,
    o.object, case when cardinality(p.boxes) > 0 then p.boxes[4 * o.object - 3 : 4 * o.object] end as box,
    p.box_scores[o.object] as box_score, best.class_index, c.label,
    coalesce(s.merged_into, s.id) as seed_id, best.score
from prediction p
    join model_version v on v.id = p.model_version_id join model m on m.id = v.model_id
    cross join lateral generate_series(1, p.objects) o(object)
    left join lateral (
        select n.class_index, n.score
        from unnest(p.candidate_object, p.candidate_class, p.candidate_score)
            with ordinality n(object, class_index, score, place)
        where n.object = o.object order by n.place limit 1
    ) best on true
    left join model_class c on c.model_version_id = p.model_version_id and c.class_index = best.class_index
    left join seeds s on s.id = c.seed_id;
comment on view predicted_object is 'Every object that a version predicted, with its best candidate.';
"""

# sha256: of what was judged, a picture or a crop; box: the region of it, null for the whole. A judgement that takes
# another back says so in `withdraws`.
_JUDGEMENTS = """
create table judgement (
    id uuid primary key,
    person text not null check (person <> ''),
    at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    recorded_by text not null,
    source text not null,
    prediction_id uuid,
    object smallint check (object > 0),
    sha256 bytea not null check (length(sha256) = 32),
    box real[] check (cardinality(box) = 4),
    verdict text not null check (verdict in (
        'right', 'wrong', 'taxon', 'box', 'missed', 'not_a_seed', 'unusable', 'unsure', 'withdrawn'
    )),
    seed_id uuid references seeds,
    corrected_box real[] check (cardinality(corrected_box) = 4),
    sure real check (sure between 0 and 1),
    note text,
    facts jsonb not null default '{}',
    withdraws uuid references judgement,
    check ((verdict = 'withdrawn') = (withdraws is not null)),
    check (verdict <> 'taxon' or seed_id is not null),
    check (verdict not in ('box', 'missed') or corrected_box is not null)
);
create index judgement_content on judgement (sha256);
create index judgement_at on judgement (at, id);
create index judgement_prediction on judgement (prediction_id) where prediction_id is not null;
create index judgement_withdraws on judgement (withdraws) where withdraws is not null;

create table expert (
    email text primary key check (email = lower(email) and email <> ''),
    named_by text not null,
    why text not null,
    named_at timestamptz not null default now(),
    ended_at timestamptz
);

create table judged (
    sha256 bytea not null check (length(sha256) = 32),
    region text not null default '',
    pixel_sha256 bytea check (length(pixel_sha256) = 32),
    outcome text not null check (outcome in ('taxon', 'not_a_seed', 'unusable', 'disputed', 'open')),
    seed_id uuid references seeds,
    box real[] check (cardinality(box) = 4),
    agreement real not null check (agreement between 0 and 1),
    persons integer not null,
    experts integer not null,
    policy text not null,
    decided_at timestamptz not null default now(),
    primary key (sha256, region),
    check ((outcome = 'taxon') = (seed_id is not null))
);
create index judged_pixels on judged (pixel_sha256) where pixel_sha256 is not null;
comment on table judged is 'What the judgements of a content, or of a region of it, come to by the policy; made from'
    ' them, and made anew when one is added.';

create function region_overlap(one real[], other real[]) returns real language sql immutable parallel safe
begin atomic
    select case when wide > 0 and high > 0 then wide * high / (
        (one[3] - one[1]) * (one[4] - one[2]) + (other[3] - other[1]) * (other[4] - other[2]) - wide * high
    ) else 0 end
    from (select least(one[3], other[3]) - greatest(one[1], other[1]) as wide,
        least(one[4], other[4]) - greatest(one[2], other[2]) as high) shared;
end;
comment on function region_overlap is 'Intersection over union of two boxes: left, top, right, bottom.';

create view judged_crop as
select c.id as picture_id, c.parent, j.sha256, j.region, box.overlap
from judged j join pictures p on p.sha256 = j.sha256 join pictures c on c.parent = p.id and c.bounding_box is not null
    cross join lateral (select array[
        1000.0 * c.bounding_box[1] / p.width, 1000.0 * c.bounding_box[2] / p.height,
        1000.0 * c.bounding_box[3] / p.width, 1000.0 * c.bounding_box[4] / p.height]::real[] as sides) cut
    cross join lateral (select greatest(region_overlap(string_to_array(j.region, ',')::real[], cut.sides),
        region_overlap(array[1000 * j.box[1], 1000 * j.box[2], 1000 * j.box[3], 1000 * j.box[4]]::real[], cut.sides))
        as overlap) box
where j.region <> '' and box.overlap >= 0.5;
comment on view judged_crop is 'Crops that were cut from a region of which people judged, or from where they say that'
    ' it is; overlap: of both, as intersection over union.';

create view judged_picture as
select distinct on (found.picture_id) found.picture_id, j.outcome, coalesce(s.merged_into, s.id) as seed_id,
    j.agreement, j.persons, j.experts
from (
    select p.id as picture_id, j.sha256, j.region, 0 as far from judged j join pictures p on p.sha256 = j.sha256
        where j.region = ''
    union all
    select p.id, j.sha256, j.region, 1 from judged j join pictures p on p.pixel_sha256 = j.pixel_sha256
        where j.region = ''
    union all
    select picture_id, sha256, region, 3 - overlap from judged_crop
) found join judged j using (sha256, region) left join seeds s on s.id = j.seed_id
order by found.picture_id, found.far, found.sha256, found.region;
comment on view judged_picture is 'Pictures of which people judged, by content: the whole of each, or of a crop the'
    ' region that it was cut from.';

alter table label_decision add column from_judgements boolean not null default false;
comment on column label_decision.from_judgements is 'whether it follows from judgements, and goes when they do';
"""

_EVALUATIONS = """
create table model_evaluation (
    id uuid primary key,
    model_version_id uuid not null references model_version,
    training_set_id uuid not null references training_set,
    inputs_digest text not null,
    metrics jsonb not null,
    verdicts jsonb not null,
    evaluated_at timestamptz not null default now()
);
create index model_evaluation_version on model_evaluation (model_version_id, evaluated_at desc);

create table model_champion (
    number bigint generated always as identity primary key,
    model_id uuid not null references model,
    model_version_id uuid references model_version,
    evaluation_id uuid references model_evaluation,
    named_by text not null,
    why text not null,
    named_at timestamptz not null default now()
);
create index model_champion_model on model_champion (model_id, number desc);
comment on column model_champion.model_version_id is 'null: the model has no champion since';
"""

# What taught a version: the side `train` of the training set that it was trained on. The first eight tables of `taught`
# are joined in whichever order is best, from a version's many pictures or from the few that are gone.
_ELSEWHERE = """not exists (
        select from (
            select e.* from pictures e where e.sha256 = g.sha256
            union all
            select e.* from pictures e where e.pixel_sha256 = g.pixel_sha256
        ) e join picture_set es on es.id = e.picture_set_id
        where e.id <> g.id and e.superseded_at is null and e.withdrawn_at is null and es.deleted_at is null
    )"""
_TRACING = f"""
create index pictures_purged on pictures (picture_set_id) where purged_at is not null;

create view gone_picture as
select id as picture_id, 'withdrawn' as why from pictures where withdrawn_at is not null
union all
select g.id, 'deleted' from picture_set s join pictures g on g.picture_set_id = s.id
    where s.deleted_at is not null and g.withdrawn_at is null and {_ELSEWHERE}
union all
select g.id, 'deleted' from pictures g join picture_set s on s.id = g.picture_set_id
    where g.purged_at is not null and s.deleted_at is null and g.withdrawn_at is null and {_ELSEWHERE};
comment on view gone_picture is 'Pictures that nobody may use any more: withdrawn, or deleted while nothing else'
    ' has the same content.';

create view champion as
select model_id, model_version_id, named_at as since, named_by from (
    select distinct on (model_id) model_id, model_version_id, named_at, named_by from model_champion
    order by model_id, number desc
) latest where model_version_id is not null;
comment on view champion is 'The version of each model that a person named champion last.';

create view taught as
select v.id as model_version_id, n.name as model, v.version, t.id as training_set_id, t.name as training_set, t.digest,
    m.picture_id, p.sha256, coalesce(q.parent, p.parent, p.id) as photograph_id, s.id as picture_set_id,
    s.name as folder, u.email as uploader, gone.why as gone
from training_set_member m
    left join gone_picture gone on gone.picture_id = m.picture_id
    join training_set t on t.id = m.training_set_id
    join model_version v on v.training_set_digest = t.digest
    join model n on n.id = v.model_id
    join pictures p on p.id = m.picture_id
    left join pictures q on q.id = p.parent
    join picture_set s on s.id = p.picture_set_id
    join users u on u.id = s.owner_id
where m.split = 0;
comment on view taught is 'Pictures that versions of models were trained on, with the photographs that they are or were'
    ' cut from. gone: withdrawn or deleted since, else null.';

alter table folder_tombstone add column models text[] not null default '{{}}';
"""

_RIGHTS = """
revoke all on model, model_version, model_class, prediction_file, prediction, predicted_object, judgement, expert,
    judged, judged_crop, judged_picture, model_evaluation, model_champion, gone_picture, champion, taught
    from public, nachet_importer, nachet_reader;
revoke all on function region_overlap(real[], real[]) from public;
grant execute on function region_overlap(real[], real[]) to nachet_importer, nachet_reader;
grant select, insert, update on model, prediction_file, expert, model_evaluation to nachet_importer;
grant select, insert on model_version, model_class, judgement, model_champion to nachet_importer;
grant select, insert, delete on prediction to nachet_importer;
grant select, insert, update, delete on judged to nachet_importer;
grant select on predicted_object, judged_crop, judged_picture, gone_picture, champion, taught to nachet_importer;
grant select on model, model_version, model_class, prediction_file, prediction, predicted_object, judgement, expert,
    judged, judged_crop, judged_picture, model_evaluation, model_champion, gone_picture, champion, taught
    to nachet_reader;
"""


def upgrade() -> None:
    """Keep models, predictions, judgements and evaluations."""
    for step in (_MODELS, _PREDICTIONS, _JUDGEMENTS, _EVALUATIONS, _TRACING, _RIGHTS):
        op.execute(step)
