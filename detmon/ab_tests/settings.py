"""`[ab]`: the constants of comparisons."""

from __future__ import annotations

from dataclasses import dataclass, fields

from detmon.config import Config
from detmon.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """`alpha` of a test, `srm_alpha` of the sample ratio, `min_units` (images) and `min_clusters` (other units) of an
    arm, and the share of the selected items that must be reviewed before their verdicts are tested."""

    alpha: float = 0.05
    srm_alpha: float = 0.001
    min_units: int = 30
    min_clusters: int = 6
    review_complete: float = 0.90

    def least(self, unit: str) -> int:
        """The units that an arm needs."""
        return self.min_units if unit == "image_id" else self.min_clusters


def settings(config: Config) -> Settings:
    """The `[ab]` table; raises ConfigError for a value that cannot be."""
    table = config.table("ab")
    for field in fields(Settings):
        value = table.get(field.name, field.default)
        whole = field.name.startswith("min_")
        kind = int if whole else (int, float)
        good = isinstance(value, kind) and not isinstance(value, bool) and (value >= 2 if whole else 0 < value < 1)
        if not good:
            wanted = "a whole number from 2 on" if whole else "a number between 0 and 1"
            raise ConfigError(f"[ab] {field.name} = {value!r}", wanted)
    return Settings(**table)
