"""Real models of transformers, from their default configurations: no weights, no flags, through their own loss."""

from __future__ import annotations

import pytest

from opscan.environment import make_environment
from opscan.scan import scan_target
from opscan.solving.solve import solve_inputs
from opscan.target.build import build_target
from opscan.trace.driver import attempt, constructing

pytest.importorskip("transformers")
pytestmark = pytest.mark.packages

MODELS = {
    "tokens, and a label for each": ("BertForMaskedLM", {"input_ids", "labels"}),
    "two labels": ("BertForPreTraining", {"input_ids", "labels", "next_sentence_label"}),
    "positions of an answer": ("DistilBertForQuestionAnswering", {"input_ids", "start_positions", "end_positions"}),
    "several texts for each question": ("DistilBertForMultipleChoice", {"input_ids", "labels"}),
    "no padding": ("OpenAIGPTForSequenceClassification", {"input_ids", "labels"}),
    "a token that ends the text": ("BartForSequenceClassification", {"input_ids", "labels"}),
    "an encoder and a decoder": ("T5ForConditionalGeneration", {"input_ids", "decoder_input_ids", "labels"}),
    "an image": ("SegformerForSemanticSegmentation", {"labels"}),
    "sound": ("Wav2Vec2ForCTC", {"labels"}),
    "a spectrogram of a fixed length": ("WhisperForConditionalGeneration", {"input_features", "labels"}),
    "text and image": ("CLIPModel", {"input_ids", "pixel_values", "return_loss"}),
    "what no None is allowed for": ("LxmertModel", {"input_ids", "visual_feats", "visual_pos"}),
    "boxes": ("LayoutLMForTokenClassification", {"input_ids", "labels"}),
    "an image in place of tokens": ("LlavaForConditionalGeneration", {"input_ids", "pixel_values", "labels"}),
    "a configuration that leaves an entry open": ("InformerModel", set()),
}


@pytest.mark.parametrize(("name", "given"), MODELS.values(), ids=MODELS)
def test_needs_no_flag(name, given):
    target = build_target(f"transformers:{name}", {}, constructing)
    found = solve_inputs(target, attempt(target.call))
    assert given <= {*found.kwargs}, found.assumptions
    assert all("--input " in line for line in found.assumptions)


def test_is_traced_through_its_own_loss():
    target = build_target("transformers:BertForMaskedLM", {}, constructing)
    report = scan_target(target, None, make_environment("cuda"))
    assert report.backward_ops > report.forward_ops > 500
    assert not any("a dense gradient was fed" in line for line in report.assumptions)
    assert any("labels=int64:2x16<30522" in line for line in report.assumptions)


def test_the_experts_of_a_large_model_take_no_memory():
    resource = pytest.importorskip("resource")
    target = build_target("transformers:FlexOlmoForCausalLM", {}, constructing)
    solve_inputs(target, attempt(target.call), with_loss=False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20  # KiB
