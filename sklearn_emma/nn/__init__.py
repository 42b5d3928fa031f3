"""Torch modules of the estimators, which can be used on their own in any torch training loop."""

from sklearn_emma.nn.attention import EnergyAttention, GateState
from sklearn_emma.nn.attention_scores import (
    AdditiveScore,
    AttentionScore,
    BilinearScore,
    DotScore,
    KeyValueScore,
    MultiHeadScore,
    ScaledDotScore,
)
from sklearn_emma.nn.column_attention import ColumnAttention, ColumnReading
from sklearn_emma.nn.column_features import ColumnFeatures
from sklearn_emma.nn.conditional_mean import ConditionalMean
from sklearn_emma.nn.continuous_attention import ContinuousAttention, Density
from sklearn_emma.nn.convolutional_energy import ConvolutionalEnergy
from sklearn_emma.nn.coordinates import SoftClip
from sklearn_emma.nn.cross_modal import CrossModalEnergy
from sklearn_emma.nn.energy import DAEEnergy
from sklearn_emma.nn.ensemble import EnergyEnsemble
from sklearn_emma.nn.fusion import Concatenated, FusionNetwork, GatedInputs, GatedPredictor
from sklearn_emma.nn.fusion_ensemble import FusionEnsemble
from sklearn_emma.nn.fusion_transformer import FusionTransformer
from sklearn_emma.nn.gap_filling import GapFilling
from sklearn_emma.nn.hard_attention import HardAttention
from sklearn_emma.nn.losses import (
    capacity_penalty,
    energy_alignment,
    noise_contrastive_loss,
    weighted_absolute_error,
    weighted_cross_entropy,
    weighted_pinball_loss,
    weighted_squared_error,
)
from sklearn_emma.nn.modality_attention import ModalityAttention
from sklearn_emma.nn.normal_scores import NormalScores
from sklearn_emma.nn.self_attention import ColumnSelfAttention
from sklearn_emma.nn.signal_encoder import SignalEncoder, SignalFusionNetwork
from sklearn_emma.nn.signal_energy import SignalEnergy
from sklearn_emma.nn.softmax_attention import SoftmaxAttention

__all__ = [
    "AdditiveScore",
    "AttentionScore",
    "BilinearScore",
    "ColumnAttention",
    "ColumnFeatures",
    "ColumnReading",
    "ColumnSelfAttention",
    "Concatenated",
    "ConditionalMean",
    "ContinuousAttention",
    "ConvolutionalEnergy",
    "CrossModalEnergy",
    "DAEEnergy",
    "Density",
    "DotScore",
    "EnergyAttention",
    "EnergyEnsemble",
    "FusionEnsemble",
    "FusionNetwork",
    "FusionTransformer",
    "GateState",
    "GapFilling",
    "GatedInputs",
    "GatedPredictor",
    "HardAttention",
    "KeyValueScore",
    "ModalityAttention",
    "MultiHeadScore",
    "NormalScores",
    "ScaledDotScore",
    "SignalEncoder",
    "SignalEnergy",
    "SignalFusionNetwork",
    "SoftClip",
    "SoftmaxAttention",
    "capacity_penalty",
    "energy_alignment",
    "noise_contrastive_loss",
    "weighted_absolute_error",
    "weighted_cross_entropy",
    "weighted_pinball_loss",
    "weighted_squared_error",
]
