"""`nachet secrets`: the keys that secrets at rest are encrypted with."""

# ruff: noqa: PLC0415 (imports inside commands, so that help answers at once)

import typer

from nachet_pipeline.cli.terminal import open_services, write

app = typer.Typer(no_args_is_help=True, help="The keys that secrets in the database are encrypted with.")


@app.command("generate")
def generate() -> None:
    """Print a new key for NACHET_SECRET_KEYS."""
    from nachet_pipeline.users.encryption import new_secret_key

    write(new_secret_key().get_secret_value())


@app.command("rotate")
def rotate() -> None:
    """Encrypt everything that is stored with the first key of NACHET_SECRET_KEYS; the others are not needed then."""
    from nachet_pipeline.users.upload_keys import UploadKeys
    from nachet_pipeline.webhooks.queries import encrypt_anew

    with open_services() as opened:
        settings = opened.settings
        keys = UploadKeys(opened.database, opened.blobs, settings.secret_keys, settings.key)
        count = keys.encrypt_anew()
        webhooks = opened.database.call(encrypt_anew, keys.box.encrypt_anew)
    write(f"{count} keys encrypted anew" if count != 1 else "1 key encrypted anew")
    if webhooks:
        write(f"{webhooks} webhooks encrypted anew" if webhooks != 1 else "1 webhook encrypted anew")
