"""Small models in the manner of transformers: a configuration, arguments that may be left out, a loss of labels."""

from __future__ import annotations

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn


class SmallConfig(SimpleNamespace):
    """A configuration: what ends in Config counts as one."""


class Output(dict):
    """An output with names."""


class Model(nn.Module):
    main_input_name = "input_ids"

    def __init__(self, **numbers):
        super().__init__()
        self.config = SmallConfig(vocab_size=50, hidden_size=8, eos_token_id=2, **numbers)
        self.embed, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)


class Decoder(nn.Module):
    """Says `input_ids` of what the whole calls `decoder_input_ids`."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 8)

    def forward(self, input_ids=None, encoder_hidden_states=None):
        if input_ids is None:
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        return self.embed(input_ids) + encoder_hidden_states.mean(1, keepdim=True)


class EncoderDecoder(Model):
    """The decoder's ids come to be None two calls further in."""

    def __init__(self):
        super().__init__()
        self.decoder = Decoder()

    def forward(self, input_ids=None, inputs_embeds=None, decoder_input_ids=None, decoder_inputs_embeds=None):
        hidden = self.embed(input_ids)
        return self.decoder(
            decoder_input_ids,
            encoder_hidden_states=hidden,
        )


class TextAndImage(Model):
    """The image is needed, and nothing says so but what a None lacks."""

    def __init__(self):
        super().__init__(vision_config=SmallConfig(image_size=40, num_channels=1))
        self.conv = nn.Conv2d(1, 8, 8, 8)

    def forward(self, input_ids=None, pixel_values=None, attention_mask=None):
        pixels = self.conv(pixel_values.float()).flatten(2).transpose(1, 2)
        assert pixels.shape[1] == 25
        return torch.cat([self.embed(input_ids), pixels], 1)


class Placeholders(Model):
    """An image takes the places of as many tokens as it has patches; without one the text will do."""

    def __init__(self):
        super().__init__(image_token_id=49, vision_config=SmallConfig(image_size=16, num_channels=3))
        self.conv = nn.Conv2d(3, 8, 8, 8)

    def forward(self, input_ids=None, pixel_values=None, labels=None):
        inputs_embeds = self.embed(input_ids)
        if pixel_values is not None:
            image_features = self.conv(pixel_values).flatten(2).transpose(1, 2).reshape(-1, 8)
            tokens = int((input_ids == 49).sum())
            if tokens != len(image_features):
                raise ValueError(
                    f"Image features and image tokens do not match, tokens: {tokens}, features: {len(image_features)}"
                )
            mask = (input_ids == 49).unsqueeze(-1).expand_as(inputs_embeds)
            inputs_embeds = inputs_embeds.masked_scatter(mask, image_features)
        logits = self.head(inputs_embeds)
        return Output(logits=logits, **_loss(logits, labels))


class Tagger(Model):
    """A label for each token."""

    def forward(self, input_ids=None, labels=None):
        logits = self.head(self.embed(input_ids))
        return Output(logits=logits, **_loss(logits, labels))


class Pretrainer(Model):
    """Two labels: a loss only where both are given."""

    def __init__(self):
        super().__init__()
        self.pair = nn.Linear(8, 2)

    def forward(self, input_ids=None, labels=None, next_sentence_label=None):
        hidden = self.embed(input_ids)
        out = Output(prediction_logits=self.head(hidden), seq_relationship_logits=self.pair(hidden[:, 0]))
        if labels is not None and next_sentence_label is not None:
            pairs = F.cross_entropy(out["seq_relationship_logits"], next_sentence_label)
            out["loss"] = pairs + _loss(out["prediction_logits"], labels)["loss"]
        return out


class Answers(Model):
    """Where the answer starts and ends."""

    def __init__(self):
        super().__init__()
        self.ends = nn.Linear(8, 2)

    def forward(self, input_ids=None, start_positions=None, end_positions=None):
        start, end = self.ends(self.embed(input_ids)).unbind(-1)
        out = Output(start_logits=start, end_logits=end)
        if start_positions is not None and end_positions is not None:
            out["loss"] = F.cross_entropy(start, start_positions) + F.cross_entropy(end, end_positions)
        return out


class Segments(nn.Module):
    """A class for each pixel of the image, of which the logits have a quarter."""

    def __init__(self):
        super().__init__()
        self.config = SmallConfig(image_size=32, num_channels=3)
        self.conv = nn.Conv2d(3, 5, 4, 4)

    def forward(self, pixel_values, labels=None):
        logits = self.conv(pixel_values)
        if labels is None:
            return Output(logits=logits)
        return Output(logits=logits, loss=F.cross_entropy(F.interpolate(logits, labels.shape[-2:]), labels))


class Detects(nn.Module):
    """Labels that are no tensor."""

    def __init__(self):
        super().__init__()
        self.config = SmallConfig(image_size=32, num_channels=3)
        self.conv = nn.Conv2d(3, 5, 4, 4)

    def forward(self, pixel_values, labels: list[dict] | None = None):
        out = Output(logits=self.conv(pixel_values))
        if labels is not None:
            out["loss"] = out["logits"].sum() * len(labels[0]["boxes"])
        return out


class Never(Model):
    """Takes labels, and does nothing with them."""

    def forward(self, input_ids=None, labels=None):
        return Output(logits=self.head(self.embed(input_ids)), loss=None)


class NeedsEnd(Model):
    """As a classifier of BART reads the last token that ends a text."""

    def forward(self, input_ids=None):
        ends = (input_ids == 2).sum(1)
        if len(ends.unique()) > 1:
            raise ValueError("All examples must have the same number of <eos> tokens.")
        assert int(ends[0]) == 1
        return self.embed(input_ids)


class OneAtATime(Model):
    """Knows no padding."""

    def forward(self, input_ids=None):
        if len(input_ids) > 1:
            raise ValueError("Cannot handle batch sizes > 1 if no padding token is defined.")
        return self.embed(input_ids)


class Choices(Model):
    """Several texts for each question, (batch, choices, steps)."""

    def __init__(self):
        super().__init__()
        self.score = nn.Linear(8, 1)

    def forward(self, input_ids=None, labels=None):
        num_choices = input_ids.shape[1]
        hidden = self.embed(input_ids.view(-1, input_ids.shape[-1]))[:, 0]
        logits = self.score(hidden).view(-1, num_choices)
        if labels is None:
            return Output(logits=logits)
        return Output(logits=logits, loss=F.cross_entropy(logits, labels))


def _loss(logits, labels):
    return {} if labels is None else {"loss": F.cross_entropy(logits.flatten(0, 1), labels.flatten())}
