"""What the engine `vllm` decides before vLLM is there; tests/integration/test_vllm_engine.py runs it."""

from __future__ import annotations

import math
import signal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pebr_data.engines.base import open_engine
from pebr_data.engines.vllm import _children_without_interrupts, _processor_kwargs
from pebr_data.errors import UnavailableError
from pebr_data.models import resolve_model

pytest.importorskip("transformers")


@settings(deadline=None)
@given(st.integers(28 * 28, 4_194_304), st.floats(0.02, 50))
def test_the_pixel_bound_never_shrinks_an_image_that_is_within_the_budget(max_pixels: int, aspect: float) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": 3136, "longest_edge": 12_845_056})
    kwargs = _processor_kwargs(SimpleNamespace(image_processor=processor), max_pixels)
    assert kwargs is not None
    width, height = int(math.sqrt(max_pixels * aspect)), int(math.sqrt(max_pixels / aspect))
    if min(width, height) >= 1:
        assert smart_resize(height, width, 28, **kwargs) == smart_resize(height, width, 28, 3136, 12_845_056)


def test_a_processor_without_a_pixel_bound_gets_none() -> None:
    idefics3 = SimpleNamespace(size={"longest_edge": 72})
    assert _processor_kwargs(SimpleNamespace(image_processor=idefics3), 802_816) is None


def test_children_do_not_get_interrupts_and_we_still_do() -> None:
    with _children_without_interrupts():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(UnavailableError, match="vllm") as caught:
        open_engine("vllm", resolve_model("pebr-tiny"))
    assert "pebr[vllm]" in str(caught.value.help)
