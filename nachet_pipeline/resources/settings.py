"""The settings as resources."""

from nachet_pipeline.contract.limits import ContractLimits
from nachet_pipeline.contract.rule_set import RuleSet
from nachet_pipeline.pictures.decoding_pool import DecodingSettings
from nachet_pipeline.settings import Settings


def of_settings(settings: Settings) -> dict[str, object]:
    """The settings as resources: one for each concern, and what is made of several.

    Where everything is, and the secrets to it, are not among them.

    Raises:
        SettingsError: the file of severities cannot be used.
    """
    return {
        **{f"{name}_settings": getattr(settings, name) for name in settings.concerns()},
        "rule_set": RuleSet.of(settings.contract),
        "contract_limits": ContractLimits.of(settings.contract, settings.transfer),
        "decoding": DecodingSettings.of(settings.decoder, settings.picture),
    }
