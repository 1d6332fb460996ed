"""A backend: a form that hands a folder over, and where that folder stands.

    .venv/bin/uvicorn examples.backend:app

It needs the settings of the pipeline in its environment. A real one takes the owner from the login, not from the form.
"""
# ruff: noqa: D103 (FastAPI publishes docstrings; these functions need none)

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from nachet_pipeline.client import AsyncClient, RefusedError, SubmissionStatus, UnavailableError, UsageError

FORM = """<!doctype html><title>Send a folder</title>
<form action="/folders" method="post" enctype="multipart/form-data">
  <input name="owner" type="email" placeholder="E-mail address" required>
  <input name="name" placeholder="Name of the folder" required>
  <input name="files" type="file" webkitdirectory multiple required> <button>Send</button>
</form>"""
STATUS = {RefusedError: 409, UsageError: 422, UnavailableError: 503}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, AsyncClient]]:
    async with AsyncClient.from_environment(by="example of a backend") as nachet:
        yield {"nachet": nachet}  # the state of every request


async def put_right(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, next(code for kind, code in STATUS.items() if isinstance(error, kind)))


app = FastAPI(lifespan=lifespan, exception_handlers=dict.fromkeys(STATUS, put_right))


@app.get("/")
async def form() -> HTMLResponse:
    return HTMLResponse(FORM)


@app.post("/folders")
async def send(
    request: Request, owner: Annotated[str, Form()], name: Annotated[str, Form()], files: list[UploadFile]
) -> RedirectResponse:
    # A browser names each file with its path, which begins with the folder that was chosen.
    streams = {(file.filename or "").partition("/")[2] or str(file.filename): file.file for file in files}
    await request.state.nachet.submit(streams, name=name, owner=owner)
    return RedirectResponse(f"/folders/{quote(owner)}/{quote(name)}", status_code=303)


@app.get("/folders/{owner}/{name}")
async def status(request: Request, owner: str, name: str) -> SubmissionStatus:
    nachet: AsyncClient = request.state.nachet
    return await nachet.status(name, owner=owner)
