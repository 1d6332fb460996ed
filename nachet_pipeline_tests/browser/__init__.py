"""A browser for tests of the UI: the system's Chromium, or one from npm, installed once as Azurite is.

The one from npm brings the libraries that a bare Debian lacks, so tests need no root and no system packages.
"""

import os
import secrets
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from nachet_pipeline.local.azurite import install_package, node_root
from nachet_pipeline.local.files import held

ARGUMENTS = (
    "--no-sandbox",  # root may run the tests, and nothing but our own pages is shown
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PACKED = Path("node_modules/@sparticuz/chromium/bin")
_UNPACK = """
const fs = require("fs"), zlib = require("zlib"), [from, to] = process.argv.slice(1);
for (const name of ["chromium", "al2023.tar", "fonts.tar"])
  fs.writeFileSync(`${to}/${name}`, zlib.brotliDecompressSync(fs.readFileSync(`${from}/${name}.br`)));
"""


_FONTS = "<fontconfig><dir>{folder}</dir><cachedir>{cache}</cachedir></fontconfig>"


@dataclass(frozen=True)
class Chromium:
    """A browser on this machine.

    Attributes:
        executable: its program.
        environment: variables that it needs, besides ours.
    """

    executable: Path
    environment: dict[str, str] = field(default_factory=dict)


def chromium(tools: Path) -> Chromium:
    """The system's browser, or the one that is installed under the folder."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return Chromium(Path(found)) if found else packaged_chromium(tools)


def packaged_chromium(tools: Path) -> Chromium:
    """The browser from npm, with its libraries and a font."""
    installation = install_package("Browser", Path(__file__).parent, tools)
    unpacked = installation / "unpacked"
    with held(installation / "unpack.lock"):
        if not unpacked.exists():
            fresh = installation / f".unpacking-{secrets.token_hex(4)}"
            fresh.mkdir()
            node = node_root() / "bin" / "node"
            subprocess.run([node, "-e", _UNPACK, installation / _PACKED, fresh], check=True)
            for archive in ("al2023.tar", "fonts.tar"):
                with tarfile.open(fresh / archive) as packed:
                    packed.extractall(fresh, filter="data")
            (fresh / "chromium").chmod(0o755)
            # The one that comes with it names other folders; without a font, a page with a form ends the browser.
            (fresh / "fonts.conf").write_text(_FONTS.format(folder=unpacked / "fonts", cache=unpacked / "cache"))
            fresh.rename(unpacked)
    libraries = os.pathsep.join(filter(None, (str(unpacked / "lib"), os.environ.get("LD_LIBRARY_PATH"))))
    return Chromium(unpacked / "chromium", {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_PATH": str(unpacked)})
