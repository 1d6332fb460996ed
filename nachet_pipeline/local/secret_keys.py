"""The secret keys of this machine's own pipeline, for which nobody set any."""

from pathlib import Path

from nachet_pipeline.local.files import held, write_private
from nachet_pipeline.users.encryption import new_secret_key


def own_secret_keys(home: Path) -> str:
    """The Fernet keys of a home, separated by commas, as `NACHET_SECRET_KEYS` would have them; made if there are none.

    They lie in `secret.keys` of the home, readable by its owner only.
    """
    folder = home.resolve()
    file = folder / "secret.keys"
    with held(folder / "run" / "secret-keys.lock"):
        if not file.exists():
            write_private(file, f"{new_secret_key().get_secret_value()}\n")
        return file.read_text(encoding="utf-8").strip()
