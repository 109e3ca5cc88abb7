"""How text is generated: what a request may choose, what the settings allow, and the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, FiniteFloat, PositiveFloat, PositiveInt, field_validator

from ...errors import InfergraphError
from ...runtime.parameters import RequestParameters

_DEFAULT_MAX_NEW_TOKENS = 256
_MAX_SEED = 2**63 - 1


class Decoding(BaseModel):
    """The choices of decoding, as request parameters and as settings; None leaves one open.

    Attributes:
        max_new_tokens: Most tokens generated for one text or sentence.
        min_new_tokens: Fewest tokens generated.
        num_beams: Width of the beam search; 1 is greedy, or sampling.
        length_penalty: Beam search: above 0 favours longer texts, below 0 shorter ones.
        no_repeat_ngram_size: Token sequences of this length occur once at most; 0 is no such rule.
        repetition_penalty: Above 1 disfavours tokens that were generated already.
        early_stopping: Beam search: end with `num_beams` finished candidates (true), when better
            ones are unlikely (false), or impossible ("never").
        do_sample: Draw tokens at random instead of taking the likeliest; with one beam only.
        temperature: Sampling: below 1 sharpens the distribution, above 1 flattens it.
        top_k: Sampling: only the k likeliest tokens; 0 is all.
        top_p: Sampling: only the likeliest tokens that together have this probability.
        seed: Sampling: the same seed gives the same text, whatever else is in the batch; None
            gives another one each time.
    """

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    num_beams: int | None = None
    length_penalty: FiniteFloat | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: FiniteFloat | None = None
    early_stopping: bool | Literal["never"] | None = None
    do_sample: bool | None = None
    temperature: FiniteFloat | None = None
    top_k: int | None = None
    top_p: FiniteFloat | None = None
    seed: int | None = None

    @field_validator(
        "max_new_tokens",
        "min_new_tokens",
        "num_beams",
        "length_penalty",
        "no_repeat_ngram_size",
        "repetition_penalty",
        "temperature",
        "top_k",
        "top_p",
        "seed",
        mode="before",
    )
    @classmethod
    def _not_a_boolean(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a boolean; accepted: a number")
        return value

    def chosen(self) -> dict[str, Any]:
        """The choices that were made, by name."""
        values = {name: getattr(self, name) for name in Decoding.model_fields}
        return {name: value for name, value in values.items() if value is not None}


class DecodingParameters(Decoding, RequestParameters):
    """`Decoding` as the parameters of a request."""


@dataclass(frozen=True, slots=True)
class Search:
    """A complete `Decoding`: how a text is decoded."""

    max_new_tokens: int
    min_new_tokens: int
    num_beams: int
    length_penalty: float
    no_repeat_ngram_size: int
    repetition_penalty: float
    early_stopping: bool | Literal["never"]
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int | None

    @property
    def shared(self) -> tuple[int | float, ...]:
        """What texts have in common that are written together; the rest is each one's own."""
        drawn = (self.temperature, self.top_k, self.top_p) if self.do_sample else ()
        return (self.num_beams, *drawn)


class DecodingLimits(BaseModel):
    """Settings that bound what requests and settings may choose.

    Attributes:
        max_new_tokens_limit: The largest `max_new_tokens`; the checkpoint's decoder may take less.
        num_beams_limit: The largest `num_beams`; time and memory grow with it.
        length_penalty_limit: The largest `length_penalty`, and negated the smallest.
        repetition_penalty_limit: The largest `repetition_penalty`.
        temperature_limit: The largest `temperature`.
    """

    max_new_tokens_limit: PositiveInt = 512
    num_beams_limit: PositiveInt = 8
    length_penalty_limit: PositiveFloat = 4.0
    repetition_penalty_limit: PositiveFloat = 4.0
    temperature_limit: PositiveFloat = 4.0


@dataclass(frozen=True, slots=True)
class Range:
    """The accepted values of a choice.

    Attributes:
        low: The smallest.
        high: The largest.
        open: Whether `low` itself is left out.
        why: Where `high` comes from, for error texts.
    """

    low: float
    high: float
    open: bool = False
    why: str = ""

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.open else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        between = f"above {_plain(self.low)}, at most" if self.open else f"{_plain(self.low)} to"
        return f"{between} {_plain(self.high)}" + (f" ({self.why})" if self.why else "")


Ranges = Mapping[str, Range]


def ranges(limits: DecodingLimits, decoder_positions: int | None) -> dict[str, Range]:
    """The accepted values of every numeric choice.

    Args:
        limits: The settings.
        decoder_positions: Most tokens that the checkpoint's decoder takes, if it is bounded.
    """
    tokens, why = limits.max_new_tokens_limit, "setting 'max_new_tokens_limit'"
    if decoder_positions is not None and decoder_positions < tokens:
        tokens, why = decoder_positions, "the positions of the checkpoint's decoder"

    def bounded(low: float, name: str, *, open: bool = False) -> Range:
        return Range(low, getattr(limits, name), open, f"setting '{name}'")

    return {
        "max_new_tokens": Range(1, tokens, why=why),
        "min_new_tokens": Range(0, tokens, why=why),
        "num_beams": bounded(1, "num_beams_limit"),
        "length_penalty": bounded(-limits.length_penalty_limit, "length_penalty_limit"),
        "no_repeat_ngram_size": Range(0, tokens, why=why),
        "repetition_penalty": bounded(0, "repetition_penalty_limit", open=True),
        "temperature": bounded(0, "temperature_limit", open=True),
        "top_k": Range(0, 2**31 - 1),
        "top_p": Range(0, 1, open=True),
        "seed": Range(0, _MAX_SEED),
    }


def checkpoint_search(generation: Any, task: Mapping[str, Any], accepted: Ranges) -> Search:
    """The checkpoint's own choices, with transformers' defaults where it has none.

    Args:
        generation: Its `GenerationConfig`.
        task: Its `task_specific_params` of the task (T5, BART), empty when it has none.
        accepted: The limits; what is beyond them is cut off.
    """

    def own(name: str, default: Any = None) -> Any:
        value = getattr(generation, name, None)
        return task.get(name, default) if value is None else value

    # Lengths count the decoder's start token, numbers of new tokens do not.
    longest = own("max_new_tokens") or (own("max_length") or _DEFAULT_MAX_NEW_TOKENS + 1) - 1
    shortest = own("min_new_tokens") or (own("min_length") or 1) - 1
    most = int(accepted["max_new_tokens"].high)
    longest = max(1, min(longest, most))
    sampled = bool(own("do_sample", False))
    beams = min(own("num_beams", 1), int(accepted["num_beams"].high))
    return Search(
        max_new_tokens=longest,
        min_new_tokens=max(0, min(shortest, longest)),
        num_beams=1 if sampled else beams,
        length_penalty=own("length_penalty", 1.0),
        no_repeat_ngram_size=own("no_repeat_ngram_size", 0),
        repetition_penalty=own("repetition_penalty", 1.0),
        early_stopping=own("early_stopping", False),
        do_sample=sampled,
        temperature=own("temperature", 1.0),
        top_k=own("top_k", 50),
        top_p=own("top_p", 1.0),
        seed=None,
    )


def resolve(
    given: Decoding,
    defaults: Search,
    accepted: Ranges,
    *,
    kind: str,
    error: type[InfergraphError],
) -> Search:
    """What was given, and the defaults for the rest.

    A default gives way where it contradicts what was given: the smallest number of tokens to the
    largest, beams to sampling.

    Args:
        given: A request's parameters, or the settings.
        defaults: For what is not given.
        accepted: The limits.
        kind: "parameter" or "setting", for error texts.
        error: The class of the error.

    Raises:
        InfergraphError: of the class `error`: a value is out of its limits, or two contradict each
            other; names it, its value and what is accepted.
    """
    chosen = given.chosen()
    for name, value in chosen.items():
        if name in accepted and value not in accepted[name]:
            raise error(f"{kind} '{name}' = {value!r}: accepted: {accepted[name]}")
    values = {**asdict(defaults), **chosen}
    if values["min_new_tokens"] > values["max_new_tokens"]:
        if "min_new_tokens" in chosen:
            raise error(
                f"{kind} 'min_new_tokens' = {chosen['min_new_tokens']}: accepted: 0 to "
                f"{values['max_new_tokens']} ('max_new_tokens')"
            )
        values["min_new_tokens"] = values["max_new_tokens"]
    if values["do_sample"] and values["num_beams"] > 1:
        if "num_beams" in chosen:
            raise error(
                f"{kind} 'num_beams' = {chosen['num_beams']}: accepted: 1, since 'do_sample' is "
                "true"
            )
        values["num_beams"] = 1
    return Search(**values)


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
