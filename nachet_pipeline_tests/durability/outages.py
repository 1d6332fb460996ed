"""Outages of a running instance: `python -m nachet_pipeline_tests.durability.outages`.

Starts everything on this machine as `nachet up` does, with its daemon and its usual settings. For each victim in turn
six uploads are staged, the victim is killed with SIGKILL while they are on their way, and nobody does anything but,
where the supervisor itself was killed, `nachet up`. What is measured is how long it takes from the moment at which what
died is there again until all six are imported; then partitions, runs and storage are looked at.
"""

import argparse
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter
from pydantic import SecretStr

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.crops.cropping import crop_method
from nachet_pipeline.crops.queries import uploads_to_crop
from nachet_pipeline.database.connection import Database, DatabaseError
from nachet_pipeline.defs.instance import dagster_home
from nachet_pipeline.local import azurite, dagster_processes, postgres, processes
from nachet_pipeline.local.embedded import running
from nachet_pipeline.local.processes import ProcessIdentity, wait_until
from nachet_pipeline.local.sample import write_sample
from nachet_pipeline.local.services import Services
from nachet_pipeline.local.state import Running, SupervisorState, read_state
from nachet_pipeline.local.supervisor import down, up
from nachet_pipeline.reconciliation.comparing import Comparer
from nachet_pipeline.reconciliation.repairing import Repairer
from nachet_pipeline.settings import Settings
from nachet_pipeline.storage.blobs import BlobStorage
from nachet_pipeline.uploads.queries import find_upload
from nachet_pipeline.uploads.staging import mark_complete
from nachet_pipeline.uploads.upload import Upload
from nachet_pipeline.users.registering import register_user
from nachet_pipeline.users.user import User
from nachet_pipeline_tests.workbench import Uploader, process_of_run

PROJECT = Path(__file__).resolve().parents[2]
UPLOADS, PICTURES = 6, 40
_WITHIN_SECONDS = 120.0
_PATIENCE_SECONDS = 480.0
_OK = 200
# What Azurite acknowledged in the last five seconds before it was killed is lost with it.
_SAVED_SECONDS = 6.0
_UNDER_WAY = [
    status
    for status in DagsterRunStatus
    if status not in {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
]


class Victim(StrEnum):
    """What is killed."""

    POSTGRESQL = "PostgreSQL"
    AZURITE = "Azurite"
    DAEMON = "Dagster's daemon"
    CODE_SERVER = "Dagster's code server"
    WEB_SERVER = "Dagster's web server"
    RUN = "a run's process"
    DATABASE_AND_RUN = "PostgreSQL, and a run's process before it is back"
    SUPERVISOR = "the supervisor"
    POWER = "everything at once"


@dataclass
class Outcome:
    """What became of six uploads.

    Attributes:
        victim: what was killed.
        done_when_killed: how many were imported by then.
        back_after: seconds until what died was there again.
        imported_after: seconds from then until all were imported; None: they were not.
        freed_after: seconds from then until no run that was under way at the kill was any more; None: one still was.
        runs: how the runs that were begun meanwhile ended.
        not_materialized: partitions that Dagster does not show as materialized.
        drift: what the reconciliation found.
        repaired: how much of it a repair put right, where storage had lost what it had acknowledged.
    """

    victim: Victim
    done_when_killed: int = 0
    back_after: float | None = None
    imported_after: float | None = None
    freed_after: float | None = None
    runs: dict[str, int] = field(default_factory=dict)
    not_materialized: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    repaired: int = 0

    @property
    def well(self) -> bool:
        """Whether all came out as promised."""
        in_time = self.imported_after is not None and self.imported_after <= _WITHIN_SECONDS
        return (
            in_time and self.freed_after is not None and not self.not_materialized and len(self.drift) == self.repaired
        )


@dataclass
class Machine(Uploader):
    """A pipeline that runs on this machine, and what looks at it from outside."""

    home: Path
    tools: Path
    found: Running
    services: Services
    database: Database
    blobs: BlobStorage
    instance: DagsterInstance
    user: User

    def stage_sample(self, name: str, *, pictures: int, seed: int) -> Upload:
        """Stage a folder that is not marked as complete."""
        folder = write_sample(
            self.home / "staged" / name,
            pictures=pictures,
            picture_format="png",
            seed=seed,
            email=self.user.email,
            width=320,
            height=240,
        )
        return self.stage(folder, complete=False)

    def complete(self, upload: Upload) -> None:
        mark_complete(self.blobs, upload.staging_container, upload.folder)

    def known(self, uploads: list[Upload]) -> list[Upload]:
        """The uploads as the database knows them; nothing while it is away."""
        try:
            with self.database.connection() as connection:
                found = [find_upload(connection, upload.id) for upload in uploads]
        except DatabaseError:
            return []
        return [upload for upload in found if upload is not None]

    def states(self, uploads: list[Upload]) -> list[str]:
        return [upload.state.value for upload in self.known(uploads)]

    def all_imported(self, uploads: list[Upload]) -> bool:
        states = self.states(uploads)
        return len(states) == len(uploads) and set(states) == {"imported"}

    def state(self) -> SupervisorState:
        state = read_state(self.home)
        if state is None:
            raise LookupError("there is no supervisor")
        return state

    def running_run(self, uploads: list[Upload]) -> str | None:
        return next((upload.run_id for upload in self.known(uploads) if upload.state == "importing"), None)

    def under_way(self, job: str | None = None) -> set[str]:
        """The runs that hold a place or wait for one."""
        wanted = RunsFilter(job_name=job, statuses=_UNDER_WAY)
        return {record.dagster_run.run_id for record in self.instance.get_run_records(wanted)}

    def kill(self, victim: Victim, uploads: list[Upload]) -> None:
        """End it, and do not wait for anything but its end; what might note the end of others ends first."""
        killed: list[ProcessIdentity] = []
        if victim in {Victim.SUPERVISOR, Victim.POWER}:
            killed.append(self.state().supervisor)
        if victim is Victim.POWER:
            killed += dagster_processes.running(self.home)
            killed += postgres.sessions(self.home / "postgres")
        run_id = self.running_run(uploads)
        pid = process_of_run(self.database, run_id) if run_id else None
        worker = ProcessIdentity.of(pid) if pid else None
        database = postgres.running(self.home / "postgres")
        if victim in {Victim.POSTGRESQL, Victim.DATABASE_AND_RUN} and database:
            killed.append(database.process)
        if victim in {Victim.RUN, Victim.DATABASE_AND_RUN} and worker:
            killed.append(worker)
        if victim in {Victim.AZURITE, Victim.POWER} and (storage := azurite.running(self.home / "blobs")):
            killed.append(storage.process)
        if victim.value in self.state().dagster:
            killed.append(self.state().dagster[victim.value])
        if not killed:
            raise LookupError(f"there is nothing to kill: {victim}")
        for process in killed:
            processes.send(process, signal.SIGKILL)
        for process in killed:
            processes.wait_gone(process, 20)

    def is_back(self) -> bool:
        """Whether everything runs: the services, Dagster's processes, and the page answers."""
        state = self.state()
        if not state.alive or running(self.home) is None or any(one.find() is None for one in state.dagster.values()):
            return False
        address = urlsplit(self.found.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            connection.request("GET", "/server_info")
            return connection.getresponse().status == _OK
        except OSError:
            return False
        finally:
            connection.close()

    def come_back(self, victim: Victim) -> None:
        """Wait until what died is there again; whoever starts the machine again says `nachet up`."""
        if victim in {Victim.SUPERVISOR, Victim.POWER}:
            self.found = up(self.home, instance=dagster_home(self.home, PROJECT), tools=self.tools)
        if not wait_until(self.is_back, _PATIENCE_SECONDS):
            raise TimeoutError(f"after {victim} was killed, not everything runs again")

    def runs_since(self, moment: float) -> dict[str, int]:
        """How many runs begun since ended how."""
        counts: dict[str, int] = {}
        for record in self.instance.get_run_records(limit=200):
            if record.create_timestamp.timestamp() >= moment:
                run = record.dagster_run
                counts[f"{run.job_name} {run.status.value}"] = counts.get(f"{run.job_name} {run.status.value}", 0) + 1
        return dict(sorted(counts.items()))

    def not_materialized(self, uploads: list[Upload]) -> list[str]:
        from nachet_pipeline.defs.partitions import uploads as partitions  # noqa: PLC0415 (after the environment)

        keys = [upload.partition for upload in uploads]
        missing = []
        for asset in ("validated_manifest", "stored_pictures", "picture_metadata"):
            statuses = self.instance.get_status_by_partition(AssetKey(asset), keys, partitions) or {}
            for key in keys:
                status = statuses.get(key)
                if status is None or status.value != "MATERIALIZED":
                    missing.append(f"{asset} {key}: {status.value if status else 'missing'}")
        return missing

    def reconcile(self, *, repair: bool) -> list[str]:
        settings = Settings()
        comparer = Comparer(self.database, self.blobs, settings.reconciliation, settings.transfer)
        users = comparer.compare().users
        repairer = Repairer(self.database, self.blobs, comparer, settings.arrival, ContractLimits())
        found = repairer.repair(users) if repair else repairer.plan(users)
        return [f"{one.drift.kind} {one.drift.container}/{one.drift.name}: {one.remedy.why}" for one in found]

    def settled(self, uploads: list[Upload]) -> bool:
        """Whether all is imported, all is cropped, and nobody works; a crop run that died leaves blobs to the next."""
        if not self.all_imported(uploads) or self.under_way():
            return False
        with self.database.connection() as connection:
            return not list(uploads_to_crop(connection, crop_method(Settings().crop), most=1))


@contextmanager
def machine(home: Path, tools: Path) -> Iterator[Machine]:
    """A running pipeline of its own; stopped at the end."""
    found = up(home, instance=dagster_home(home, PROJECT), tools=tools)
    try:
        services = running(home)
        if services is None:
            raise LookupError("the services ended right after they started")
        os.environ.update(dagster_processes.environment(home, dagster_home(home, PROJECT), services))
        del os.environ["SUPERVISED_HOME"]  # or we would count as one of Dagster's processes
        with (
            Database(SecretStr(services.importer_url), pauses=()) as database,
            BlobStorage.connect(services.blob_account_url, SecretStr(services.blob_key)) as blobs,
            DagsterInstance.get() as instance,
        ):
            user = register_user(database, blobs, "outages@example.org")
            yield Machine(home, tools, found, services, database, blobs, instance, user)
    finally:
        down(home)


def kill_while_importing(machine: Machine, victim: Victim, chance: random.Random, number: int) -> Outcome:
    """Stage six uploads, kill the victim while they are on their way, and see what becomes of them."""
    began = time.time()
    names = [f"outage{number}-{one}" for one in range(UPLOADS)]
    uploads = [machine.stage_sample(name, pictures=PICTURES, seed=number * 100 + i) for i, name in enumerate(names)]
    if victim in {Victim.AZURITE, Victim.POWER}:
        time.sleep(_SAVED_SECONDS)
    for upload in uploads:
        machine.complete(upload)
    # By what is done and not by the clock: an idle machine imports all six within a few seconds.
    done = chance.randrange(UPLOADS)

    def under_way_and_done() -> bool:
        states = machine.states(uploads)
        return "importing" in states and states.count("imported") >= done

    if not wait_until(under_way_and_done, _PATIENCE_SECONDS):
        raise TimeoutError("no upload is being imported")
    outcome = Outcome(victim, done_when_killed=machine.states(uploads).count("imported"))
    under_way = machine.under_way()
    killed = time.monotonic()
    machine.kill(victim, uploads)
    machine.come_back(victim)
    back = time.monotonic()
    outcome.back_after = round(back - killed, 1)
    if wait_until(lambda: machine.all_imported(uploads), _PATIENCE_SECONDS):
        outcome.imported_after = round(time.monotonic() - back, 1)
    if wait_until(lambda: not under_way & machine.under_way(), _PATIENCE_SECONDS):
        outcome.freed_after = round(time.monotonic() - back, 1)
    # Dagster is told of an import after the database has it, by another run if the first died between the two.
    wait_until(lambda: not machine.not_materialized(uploads), _WITHIN_SECONDS)
    outcome.not_materialized = machine.not_materialized(uploads)
    wait_until(lambda: machine.settled(uploads), _PATIENCE_SECONDS)
    outcome.drift = machine.reconcile(repair=False)
    if outcome.drift and victim in {Victim.AZURITE, Victim.POWER}:
        outcome.repaired = len(machine.reconcile(repair=True))
        wait_until(lambda: machine.settled(uploads), _PATIENCE_SECONDS)
        left = machine.reconcile(repair=False)
        if left:
            outcome.drift, outcome.repaired = left, 0
    outcome.runs = machine.runs_since(began)
    return outcome


def main(arguments: list[str] | None = None) -> int:
    """Kill each victim in turn; the exit code is 1 if one outage did not end as promised."""
    parser = argparse.ArgumentParser(prog="python -m nachet_pipeline_tests.durability.outages", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="where chance begins")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is killed")
    parser.add_argument(
        "--victims",
        nargs="*",
        default=list(Victim),
        type=Victim,
        metavar="NAME",
        help=", ".join(map(repr, map(str, Victim))),
    )
    parser.add_argument("--keep", type=Path, help="folder of the home, kept afterwards")
    wanted = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    tools = Path(os.environ.get("NACHET_HOME") or PROJECT / ".nachet").resolve()
    chance = random.Random(wanted.seed)
    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="nachet-") as folder,
        machine((wanted.keep or Path(folder)).resolve(), tools) as running_machine,
    ):
        for number, victim in enumerate(wanted.victims * wanted.rounds, start=1):
            outcome = kill_while_importing(running_machine, victim, chance, number)
            sys.stdout.write(json.dumps({**asdict(outcome), "well": outcome.well}) + "\n")
            sys.stdout.flush()
            outcomes.append(outcome)
    return 0 if all(outcome.well for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
