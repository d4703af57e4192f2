"""Decoding with transformers' `generate`: a batch of prompts of equal length, sampled at temperature 1, always `new` tokens."""

import torch
from common import arguments, repeat, report, tokens
from transformers import AutoModelForCausalLM

options = arguments(batch=8, prompt=16, new=32)
dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, attn_implementation="sdpa").eval()
ids = tokens(options.batch, options.prompt, model.config.vocab_size)


@torch.inference_mode()
def sample():
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        min_new_tokens=options.new,
        max_new_tokens=options.new,
        pad_token_id=0,
    )
    assert out.shape[1] == options.prompt + options.new


seconds = repeat(options.repeats, sample)
report(f"transformers generate {options.dtype} {options.threads}t", seconds, options.batch * options.new)
