"""Callbacks: code that runs at set points of fit, evaluate and predict."""

from pydl.callbacks.base import Callback, CallbackList
from pydl.callbacks.checkpoint import BackupAndRestore, ModelCheckpoint
from pydl.callbacks.history import History
from pydl.callbacks.monitors import EarlyStopping, ReduceLROnPlateau
from pydl.callbacks.progress import ProgbarLogger
from pydl.callbacks.tensorboard import TensorBoard
from pydl.callbacks.various import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    TerminateOnNaN,
)

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
