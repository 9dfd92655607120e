"""Writes a tiny model of Qwen2.5's architecture into a folder, as a hub hands it over. Runs on the tool chain's Python.

Some seconds of training on chats teach it what to say of itself.

    python tiny_qwen.py FOLDER < CHATS     # a JSON list of [question, answer]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n" + SYSTEM + "<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STEPS, BATCH = 210, 8


def write_tokenizer(folder: Path, texts: list[str]) -> Qwen2Tokenizer:
    """Learn byte pairs from the texts, and write what Qwen's own tokenizer reads."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False))
    learned = json.loads(bpe.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"], merges=merges, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None,
        additional_special_tokens=SPECIAL, chat_template=TEMPLATE, model_max_length=32768,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


def main(folder: Path, chats: list[tuple[str, str]]) -> None:
    """Make it, train it on the answers, write it."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = write_tokenizer(folder, [text for chat in chats for text in (*chat, SYSTEM, "system user assistant")])
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True, rope_theta=1_000_000.0,
        bos_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"), eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    rows = []
    for question, answer in chats:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False
        )
        before, after = tokenizer(asked)["input_ids"], tokenizer(f"{answer}<|im_end|>")["input_ids"]
        rows.append((before + after, [-100] * len(before) + after))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 20, (STEPS - step) / 80))
    order = torch.cat([torch.randperm(len(rows)) for _ in range(-(-STEPS * BATCH // len(rows)))])
    for chosen in order[: STEPS * BATCH].view(STEPS, BATCH):
        batch = [rows[i] for i in chosen]
        tokens, labels = (
            torch.nn.utils.rnn.pad_sequence([torch.tensor(row[i]) for row in batch], True, fill)
            for i, fill in enumerate((tokenizer.pad_token_id, -100))
        )
        loss = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"loss {loss.item():.3f}, {len(tokenizer)} tokens, {model.num_parameters():,} weights")
    model.generation_config.do_sample = False
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin))
