"""What the storage matrices try: operations, and the containers that they are tried on."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient, PublicAccess

from nachet_pipeline.identifiers import training_container, upload_container, user_container
from nachet_pipeline.storage.blobs import CLIENT_OPTIONS

BLOB, CONTENT = "there/1.tiff", b"a picture"
REFUSED = {401, 403}

OPERATIONS: dict[str, Callable[[ContainerClient], Any]] = {
    "list": lambda container: list(container.list_blob_names()),
    "read": lambda container: container.get_blob_client(BLOB).download_blob().readall(),
    "create": lambda container: container.upload_blob(f"new/{uuid4()}", CONTENT, overwrite=False),
    "overwrite": lambda container: container.upload_blob(BLOB, b"another", overwrite=True),
    "delete": lambda container: container.delete_blob(BLOB),
    "read policies": lambda container: container.get_container_access_policy(),
    "set policies": lambda container: container.set_container_access_policy({}),
    "make public": lambda container: container.set_container_access_policy({}, public_access=PublicAccess.CONTAINER),
    "delete container": lambda container: container.delete_container(),
}
OF_POLICIES = ["read policies", "set policies", "make public"]


def new_places(names: Mapping[str, str]) -> dict[str, str]:
    """Fresh names of containers, by the names of a table's columns."""
    ada, bo = uuid4(), uuid4()
    containers = (
        upload_container(ada),
        upload_container(bo),
        user_container(ada),
        f"archive-{ada}",
        training_container(ada.hex),
    )
    return dict(zip(names, containers, strict=True))


def may(operation: Callable[[ContainerClient], Any], container: ContainerClient) -> bool:
    """Whether an operation is allowed; an answer that is neither yes nor no is an error."""
    try:
        operation(container)
    except HttpResponseError as error:
        if error.status_code in REFUSED:
            return False
        raise
    return True


def changed(sas: str, **values: str) -> str:
    """A SAS with other values than it was signed for."""
    return urlencode(dict(parse_qsl(sas)) | values)


def client(url: str, credential: object, **options: Any) -> BlobServiceClient:
    """A client that takes the first answer."""
    quick = {name: value for name, value in CLIENT_OPTIONS.items() if name != "retry_policy"}
    return BlobServiceClient(url, credential, **{**quick, "retry_total": 0, **options})


def found_in(
    service: BlobServiceClient,
    places: Mapping[str, str],
    *,
    state: Callable[[str], object],
    restore: Callable[[str], None],
) -> dict[str, str]:
    """What a client may do where, as the cells of a table; what is refused has changed nothing."""
    cells = {}
    for place, name in places.items():
        allowed = []
        before = state(name)
        for operation, attempt in OPERATIONS.items():
            if may(attempt, service.get_container_client(name)):
                allowed.append(operation)
                restore(name)
                before = state(name)
        assert state(name) == before, place
        cells[place] = _said(allowed)
    return cells


def _said(allowed: list[str]) -> str:
    left_out = [name for name in OPERATIONS if name not in allowed]
    if not left_out:
        return "all"
    return "all but policies" if left_out == OF_POLICIES else ", ".join(allowed) or "no"
