"""Language codes of checkpoints that translate between many languages (M2M100, NLLB, mBART)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigurationError

# NLLB's: an ISO 639-3 code and an ISO 15924 script.
_NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_SHOWN = 12


def language_tokens(tokenizer: Any) -> dict[str, int]:
    """Language code -> id of its token; empty for a checkpoint without language codes."""
    known = getattr(tokenizer, "lang_code_to_id", None)
    if known:
        # M2M100 writes a code's token as __code__; mBART's is the code.
        written = getattr(tokenizer, "lang_code_to_token", {})
        tokens = {code: written.get(code, code) for code in known}
    else:
        tokens = {
            token: token for token in tokenizer.all_special_tokens if _NLLB_CODE.fullmatch(token)
        }
    ids = {code: tokenizer.convert_tokens_to_ids(token) for code, token in tokens.items()}
    return {code: id for code, id in ids.items() if id not in (None, tokenizer.unk_token_id)}


def choose_languages(tokenizer: Any, source: str | None, target: str | None) -> int | None:
    """Sets the source language; gives the target's token, with which every translation begins.

    Args:
        tokenizer: A transformers tokenizer.
        source: The setting `source_language`.
        target: The setting `target_language`.

    Returns:
        None for a checkpoint without language codes, to which the settings mean nothing.

    Raises:
        ConfigurationError: a code is missing or unknown.
    """
    tokens = language_tokens(tokenizer)
    if not tokens:
        return None
    tokenizer.src_lang = _code(tokens, "source_language", source)
    return tokens[_code(tokens, "target_language", target)]


def _code(tokens: Mapping[str, int], setting: str, wanted: str | None) -> str:
    if wanted is not None and wanted in tokens:
        return wanted
    # "fr" is enough for fr_XX, "fra" for fra_Latn; "zho" is not, with two scripts.
    same = [code for code in tokens if wanted is not None and code.split("_")[0] == wanted]
    if len(same) == 1:
        return same[0]
    shown = same or sorted(tokens)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    text = "is not set" if wanted is None else f"= '{wanted}'"
    raise ConfigurationError(
        f"setting '{setting}' {text}: the checkpoint translates between many languages; accepted: "
        f"{', '.join(shown[:_SHOWN])}{more}"
    )
