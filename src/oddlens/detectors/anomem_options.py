"""Options of AnoMem. Defaults named AM-Un are our choice; see the method's page."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from oddlens.networks.pretrained import encoder_names, is_pretrained
from oddlens.options import DetectorOptions, Preset
from oddlens.pretext.augmentation import Flips
from oddlens.pretext.turned import distinct_turns

FROZEN_DEFAULTS: dict[str, Any] = {
    "image_size": 256,
    "slots": 512,
    "beta": 50.0,
    "pooling": "peak",
    "smoothing": 4.0,
    "batch_size": 16,
    "epochs": 3,
    "variance_weight": 0.0,
    "distance_epochs": 5,
}
"""With a frozen encoder; chosen by defects pasted on held-out training images."""
WHOLE_DEFAULTS: dict[str, Any] = {
    **FROZEN_DEFAULTS,
    "image_size": 128,
    "slots": 64,
    "scales": 1,
    "pooling": "mean",
    "smoothing": 0.0,
    "batch_size": 32,
}
"""With ``subject=kind``; chosen on training images of one class among those of others."""
MOST_IMAGES = 200
"""Training images that k-means on a frozen encoder starts from, and that tell spreads and places,
at most: each has many places."""


Statistic = Literal["metric", "spread", "place"]
"""Of normal deviations on a frozen encoder."""
Kind = Literal["memory", "kmeans", "features"]
"""Evidence that has maps."""


class AnoMemOptions(DetectorOptions):
    """Options of ``AnoMem``."""

    image_size: int = Field(32, ge=16, le=1024, description="side of the images, in pixels")
    encoder: str = Field(
        "compact",
        description="compact: for CPUs; resnet18: as CSI and DROC have it (AM-U1); "
        "efficientnet_lite0, timm:<model> or one that you registered: pretrained and frozen, with "
        "defaults of their own",
    )
    locality: int = Field(
        3, ge=1, le=15, description="frozen encoder: side over which features are averaged, odd"
    )
    scaled_by: tuple[Statistic, ...] | None = Field(
        None,
        description="frozen encoder: statistics of normal deviations that say how unusual one is, "
        "of metric, spread and place; null: metric and place, for a surface spread and place, for "
        "a kind metric, the only one that it has",
    )
    mirrored: bool = Field(
        False,
        description="frozen encoder: look at each image in a mirror as well and take the mean, for "
        "twice the time: for things that may as well stand the other way round",
    )
    judged_by: Literal["deepest", "mean"] = Field(
        "deepest",
        description="frozen encoder: the scales that the score is read from; the map shows the "
        "mean of all in any case",
    )
    subject: Literal["object", "surface", "kind"] = Field(
        "object",
        description="frozen encoder: what the images show; object: a part, odd at some place; "
        "surface: an irregular texture that differs as a whole from image to image, is evened in "
        "light and grain, and its map is what exceeds the image's own median; kind: things of one "
        "class or style, each judged as a whole, with defaults of its own",
    )
    widths: tuple[PositiveInt, ...] = Field(
        (32, 64, 128), min_length=1, description="compact: channels of the encoder's stages"
    )
    stem: Literal[1, 2, 4] = Field(2, description="compact: stride of the encoder's first layer")
    scales: int = Field(
        3, ge=1, le=8, description="how many of the last stages have a memory (AM-U2)"
    )
    slots: int = Field(64, ge=1, le=4096, description="prototypes of each scale (AM-U6)")
    beta: float = Field(8.0, gt=0, description="inverse temperature of recall (AM-U5)")
    memory: bool = Field(
        True,
        description="contrast through the memories; false is SimCLR with unused memories, and with "
        "a frozen encoder k-means alone",
    )
    evidence: tuple[Literal["memory", "distance", "kmeans", "features", "mahalanobis"], ...] = (
        Field(
            ("memory", "distance"),
            min_length=1,
            description="cues: memory: the deviation from what is recalled, one a scale (frozen "
            "encoder: one in all); distance: learned from labelled anomalies, if there are any. "
            "Baselines on the same encoder: kmeans: as memory, with prototypes found by k-means; "
            "features: as memory, with nothing recalled (trained encoder, measure=spread); "
            "mahalanobis: of the last scale's mean feature (SSD)",
        )
    )
    distance_weight: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto",
        description="share of the learned distance in the score, beside all other cues fused; "
        "auto: 1 with at least 20 labelled anomalies, else 0.5",
    )
    statistics_images: int = Field(
        2000,
        ge=2,
        description="training images that statistics come from, at most; of a kind k-means as well",
    )
    measure: Literal["spread", "length"] = Field(
        "spread",
        description="trained encoder: how a deviation is measured: within those of normal images "
        "at its place, of at most 8 x 8, or by its length",
    )
    pooling: Literal["mean", "top", "peak"] = Field(
        "mean",
        description="over positions; top: the largest tenth, for local defects; peak: the largest "
        "hundredth, for small ones; a kind has a single one",
    )
    smoothing: float = Field(
        0.0, ge=0, description="frozen encoder: sigma of the Gaussian that smooths maps, in pixels"
    )
    temperature: float = Field(0.2, gt=0, description="of contrast (AM-U12)")
    scale_weights: tuple[float, ...] = Field(
        (0.25, 0.5, 1.0), description="of the scales in training, shallow to deep (AM-U11)"
    )
    variance_weight: float = Field(
        1.0, ge=0, description="of the term that keeps recalls apart (AM-U11)"
    )
    collapse: Literal["refuse", "tell"] = Field(
        "refuse",
        description="what to do where a memory has collapsed; tell: warn, and keep the detector, "
        "which only an ablation can want",
    )
    smallest_crop: float = Field(
        0.2, gt=0, le=1, description="views: least share of an image's area that a crop shows"
    )
    flips: Flips = Field("none", description="views: random mirroring")
    turned: bool = Field(
        True,
        description="contrast images with their quarter turns, which memory never learns; with "
        "flips=both a single one, since the others look like mirrored images",
    )
    learning_rate: float = Field(
        0.06, gt=0, description="base learning rate, for 256 images a step, turns among them"
    )
    weight_decay: float = Field(3e-4, ge=0, description="not of memories, norms and biases")
    batch_size: int = Field(
        32, ge=2, description="images a step, each in two views, and its turns beside it"
    )
    anomalies_a_step: int = Field(
        16, ge=1, description="labelled anomalies beside the images of a step, where there are some"
    )
    distance_share: float = Field(
        0.15, gt=0, lt=1, description="of a budget of time, for the learned distance"
    )
    distance_epochs: int = Field(
        50, ge=1, description="passes for the learned distance, unless epochs or minutes are given"
    )
    epochs: int = Field(
        200, ge=1, description="passes over the images, unless epochs or minutes are asked for"
    )

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        """``paper`` is ResNet-18 with larger memories; the published values are not known."""
        if preset == "compact":
            return {}
        return {"encoder": "resnet18", "slots": 256, "batch_size": 64, "epochs": 500}

    @property
    def a_step(self) -> int:
        """Images of a step, turns among them."""
        copies = len(distinct_turns(self.flips)) if self.turned else 0
        return self.batch_size * (1 + copies)

    @classmethod
    def make(cls, given: dict[str, Any]) -> Self:
        """Validate what a caller gave; a frozen encoder has defaults of its own, by subject."""
        if not (isinstance(given.get("encoder"), str) and is_pretrained(given["encoder"])):
            return super().make(given)
        defaults = WHOLE_DEFAULTS if given.get("subject") == "kind" else FROZEN_DEFAULTS
        return super().make({**defaults, **given})

    @property
    def frozen(self) -> bool:
        """Whether the encoder is a pretrained one."""
        return is_pretrained(self.encoder)

    @property
    def whole(self) -> bool:
        """Whether an image is judged as a whole, rather than at its places."""
        return self.frozen and self.subject == "kind"

    @property
    def sampled(self) -> int:
        """How many training images k-means on a frozen encoder starts from, at most."""
        return self.statistics_images if self.whole else MOST_IMAGES

    @property
    def trains_a_network(self) -> bool:
        """See ``DetectorOptions``."""
        return not self.frozen

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """What ``scaled_by`` asks for, or what suits the subject."""
        if self.scaled_by is not None:
            return self.scaled_by
        usual: dict[str, tuple[Statistic, ...]] = {
            "object": ("metric", "place"),
            "surface": ("spread", "place"),
            "kind": ("metric",),
        }
        return usual[self.subject]

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the scales that there are; those of a frozen encoder that have none, as the first."""
        missing = max(0, self.scales - len(self.scale_weights))
        return self.scale_weights[:1] * missing + self.scale_weights[-self.scales :]

    @model_validator(mode="after")
    def _scales_fit(self) -> Self:
        if self.encoder not in ("compact", "resnet18") and not self.frozen:
            raise ValueError(
                f"there is no encoder {self.encoder!r}: use compact, resnet18, "
                f"{', '.join(encoder_names())} or timm:<model>, or register yours before fitting "
                "and loading (oddlens.networks.pretrained.register_encoder)"
            )
        if self.subject == "kind" and not self.frozen:
            raise ValueError(
                "subject=kind is judged on a pretrained encoder: add encoder=efficientnet_lite0, "
                "or leave it out, since an encoder that is trained learns a kind as it is"
            )
        if self.mirrored and not self.frozen:
            raise ValueError(
                "mirrored=true is for a pretrained encoder: one that is trained learns of mirror "
                "images by flips=horizontal"
            )
        if self.subject == "kind" and set(self.scaled_by or ()) - {"metric"}:
            raise ValueError(
                "scaled_by of subject=kind can be metric, or nothing: an image as a whole has "
                "neither places nor a spread at each prototype"
            )
        if "features" in self.evidence and (self.frozen or self.measure == "length"):
            raise ValueError(
                "evidence features is measured by the spread of normal features at their place: "
                "it needs a trained encoder and measure=spread"
            )
        if self.locality % 2 == 0:
            raise ValueError(f"locality {self.locality} has no middle: use an odd number")
        stages = len(self.widths) if self.encoder == "compact" else 4
        if self.scales > stages and not self.frozen:  # which of those has how many tells itself
            raise ValueError(f"scales {self.scales} is more than the encoder's {stages} stages")
        if len(self.scale_weights) < (1 if self.frozen else self.scales):
            raise ValueError(f"scale_weights: {self.scales} are needed, one for each scale")
        return self
