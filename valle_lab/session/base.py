"""What all objects of a session file share: strict types, bounded numbers, unknown fields kept unread."""

from __future__ import annotations

import binascii
import math
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_DEPTH = 64
"""Nesting of a value that is kept unread."""

DType = Literal["int16", "int32", "float16", "float32"]
DTYPES: dict[DType, str] = {"int16": "<i2", "int32": "<i4", "float16": "<f2", "float32": "<f4"}


class Model(BaseModel):
    """An object of the file. Fields that this version does not know are kept as they came."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    @model_validator(mode="after")
    def _unknown_fields_can_be_written_again(self) -> Model:
        for name, value in (self.model_extra or {}).items():
            try:
                check_plain(value)
            except ValueError as error:
                raise ValueError(f"{name[:40]}: {error}") from None
        return self


def check_plain(value: Any, depth: int = 0) -> Any:
    """The value itself if JSON can hold it: no infinities, no NaN, no bottomless nesting. Else ValueError."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    if isinstance(value, dict):
        for item in value.values():
            check_plain(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_plain(item, depth + 1)
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(f"cannot hold a {type(value).__name__}")
    return value


Plain = Annotated[Any, AfterValidator(check_plain)]
"""Any JSON value."""

Text = Annotated[str, StringConstraints(max_length=100_000)]
ONE_LINE = r"\A[^\p{Cc}\p{Zl}\p{Zp}]*\z"
"""Names are printed: they hold nothing that a terminal would obey, and no line break."""
Name = Annotated[str, StringConstraints(max_length=200, pattern=ONE_LINE)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=ONE_LINE)]
Sha256 = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
Seconds = Annotated[float, Field(ge=0, le=1e9)]


class Array(Model):
    """Numbers in a compact form; its size is checked before anything is decoded."""

    dtype: DType
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**24)], ...], Field(min_length=1, max_length=4)]
    base64: str
    """The items in C order, little-endian."""

    @model_validator(mode="after")
    def _text_fits_the_shape(self) -> Array:
        size = math.prod(self.shape) * np.dtype(DTYPES[self.dtype]).itemsize
        if len(self.base64) != 4 * -(-size // 3):
            shape = " x ".join(map(str, self.shape))
            raise ValueError(
                f"base64 has {len(self.base64)} characters, which is not {shape} items of {self.dtype}"
            )
        try:
            if len(binascii.a2b_base64(self.base64, strict_mode=True)) != size:
                raise ValueError("base64 holds another number of items than shape says")
        except binascii.Error as error:
            raise ValueError(f"base64 is damaged: {str(error).lower()}") from None
        return self

    @classmethod
    def of(cls, values: NDArray[Any], dtype: DType) -> Array:
        """The array in this form."""
        document = array_document(values, dtype)
        return cls.model_construct(**{**document, "shape": values.shape})

    def values(self) -> NDArray[Any]:
        """The numbers, not to be written to."""
        data = np.frombuffer(binascii.a2b_base64(self.base64), DTYPES[self.dtype])
        return data.reshape(self.shape)


def array_document(values: NDArray[Any], dtype: DType) -> dict[str, Any]:
    """The JSON form of an Array, made without any check."""
    data = np.ascontiguousarray(values, DTYPES[dtype])
    text = binascii.b2a_base64(data.tobytes(), newline=False).decode()
    return {"dtype": dtype, "shape": list(values.shape), "base64": text}


def holding(
    *dtypes: DType, dimensions: int, least: int | None = None, most: int | None = None, infinite: bool = False
) -> AfterValidator:
    """A check that an array has one of these types, so many dimensions, and only numbers within bounds."""

    def check(array: Array) -> Array:
        if array.dtype not in dtypes:
            raise ValueError(f"must be of {' or '.join(dtypes)}, not {array.dtype}")
        if len(array.shape) != dimensions:
            raise ValueError(
                f"must have {dimensions} dimension{'s'[: dimensions > 1]}, not {len(array.shape)}"
            )
        _check_numbers(array.values(), least, most, infinite)
        return array

    return AfterValidator(check)


def _check_numbers(values: NDArray[Any], least: int | None, most: int | None, infinite: bool) -> None:
    if not values.size:
        return
    low = values.min()
    if values.dtype.kind == "f":
        if np.isnan(low):
            raise ValueError("holds numbers that are not numbers (NaN)")
        if not infinite and not (np.isfinite(low) and np.isfinite(values.max())):
            raise ValueError("holds numbers that are not finite")
    wrong = low if least is not None and low < least else None
    if most is not None and wrong is None and (high := values.max()) > most:
        wrong = high
    if wrong is not None:
        bounds = f"{least} to {most}" if most is not None else f"{least} or more"
        raise ValueError(f"holds {wrong}; the numbers must be {bounds}")
