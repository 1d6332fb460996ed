"""deploy/ is true: what it names exists, its instances open, its launchers start runs."""

from nachet_pipeline_tests.deployment import PROJECT

DEPLOY = PROJECT / "deploy"
PLATFORMS = ("azure-container-apps", "kubernetes")
IMAGE = "account.azurecr.io/nachet-pipeline:1"
