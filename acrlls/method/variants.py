"""The heads that are compared (Section IV-D)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """A head: which calibration layers it has, its dense widths and the dropout rate after each."""

    title: str
    acr: bool
    lls: bool
    dense: tuple[int, ...] = (256, 128)
    dropout: tuple[float, ...] = (0.4, 0.3)


# Baseline, Single Dense and Proposed are the paper's (Section IV-D); the rest its ablation omits.
VARIANTS = {
    "baseline": Variant("Baseline", acr=False, lls=False),
    "single_dense": Variant("Single Dense", acr=False, lls=False, dense=(256,), dropout=(0.4,)),
    "proposed": Variant("Proposed", acr=True, lls=True),
    "acr_only": Variant("ACR alone", acr=True, lls=False),
    "lls_only": Variant("LLS alone", acr=False, lls=True),
    "single_dense_acr_lls": Variant(
        "Single Dense + ACR + LLS", acr=True, lls=True, dense=(256,), dropout=(0.4,)
    ),
}
