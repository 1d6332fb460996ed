"""An upload's owner is whoever's container it lies in, whatever it says."""

import pytest

from nachet_pipeline.contract.receipt import State
from nachet_pipeline_tests.mass_import.containers import Filled, picture
from nachet_pipeline_tests.workbench import Workbench, edit

EVE = "eve@example.org"


def owners(workbench: Workbench) -> set[str]:
    """Whose all picture sets are, and who is named in them."""
    rows = workbench.query(
        "select email, picture_set->'client_data'->>'client_email' as named from picture_set"
        " join users on users.id = owner_id"
    )
    return {row["email"] for row in rows} | {row["named"] for row in rows}


@pytest.fixture
def eve(workbench: Workbench) -> Workbench:
    """Another registered user, whom others try to be."""
    return workbench.another_user(EVE)


@pytest.mark.parametrize("file", ["index.yaml", "pictures/session1/index.yaml"])
def test_an_index_that_names_another_user_is_a_finding_and_nobodys_upload(
    workbench: Workbench, eve: Workbench, file: str
) -> None:
    folder = workbench.sample()
    edit(folder / file, "clientData", clientEmail=EVE)

    outcome = workbench.run(workbench.stage(folder))

    assert outcome.receipt.state is State.REFUSED
    assert outcome.receipt.owner == workbench.user.email
    assert outcome.receipt.report
    (finding,) = outcome.receipt.report.findings
    assert (finding.code, finding.path) == ("not-the-owner", file)
    assert owners(workbench) == set()
    assert eve.contents(eve.user.user_container) == {}


def test_sessions_that_are_taken_without_the_one_that_names_another_are_their_containers_owners(
    workbench: Workbench, eve: Workbench
) -> None:
    folder = workbench.sample(sessions=2)
    edit(folder / "index.yaml", "uploadData", acceptValid="yes")
    edit(folder / "pictures/session2/index.yaml", "clientData", clientEmail=EVE)

    outcome = workbench.run(workbench.stage(folder))

    assert outcome.receipt.state is State.PARTLY_IMPORTED
    assert [one.session for one in outcome.receipt.refused_sessions] == ["pictures/session2"]
    assert owners(workbench) == {workbench.user.email}
    assert eve.contents(eve.user.user_container) == {}


def test_a_project_that_names_another_is_refused_as_a_whole_even_by_who_wants_its_good_sessions(
    workbench: Workbench, eve: Workbench
) -> None:
    folder = workbench.sample(sessions=2)
    edit(folder / "index.yaml", "uploadData", acceptValid="yes")
    edit(folder / "index.yaml", "clientData", clientEmail=EVE)

    assert workbench.run(workbench.stage(folder)).receipt.state is State.REFUSED
    assert owners(workbench) == set()


def test_a_pictures_yaml_makes_nobody_the_owner(workbench: Workbench, eve: Workbench) -> None:
    folder = workbench.sample()
    (folder / "pictures/session1/1.yaml").write_text(f"clientData: {{clientEmail: {EVE}}}\n")

    workbench.run(workbench.stage(folder))

    assert EVE not in owners(workbench)
    stored = workbench.query("select picture::text as text from pictures")
    assert not any(EVE in row["text"] for row in stored)
    assert eve.contents(eve.user.user_container) == {}


def test_who_names_nobody_is_the_owner_of_what_lies_in_their_container(workbench: Workbench) -> None:
    folder = workbench.sample()
    (session,) = (folder / "pictures").iterdir()

    outcome = workbench.run(workbench.stage(session))

    assert outcome.receipt.owner == workbench.user.email
    assert owners(workbench) <= {workbench.user.email}


def test_a_mass_import_gives_pictures_to_whom_the_operator_named_whatever_an_index_there_says(
    workbench: Workbench, eve: Workbench
) -> None:
    index = f"clientData: {{clientEmail: {EVE}}}\n".encode()
    filled = Filled.of(workbench, {"day1/1.png": picture(1), "day1/index.yaml": index, "index.yaml": index})

    outcome = filled.run()

    assert outcome.owner == workbench.user.email
    assert owners(workbench) == {workbench.user.email}
