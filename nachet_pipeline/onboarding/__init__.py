"""Users: registered with their containers, given upload keys, disabled."""

from nachet_pipeline.onboarding.registering import register_user

__all__ = ["register_user"]
