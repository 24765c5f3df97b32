"""Where this user's files are kept, beside those that are named on a command line."""

from __future__ import annotations

from pathlib import Path

import platformdirs

APPLICATION = "valle-lab"


def data() -> Path:
    """What is to last: voices, models, calibrations."""
    return platformdirs.user_data_path(APPLICATION)


def cache() -> Path:
    """What can be made again."""
    return platformdirs.user_cache_path(APPLICATION)


def config() -> Path:
    """The user's own settings."""
    return platformdirs.user_config_path(APPLICATION)


def log() -> Path:
    """What went wrong, for whoever looks into it."""
    return platformdirs.user_log_path(APPLICATION)
