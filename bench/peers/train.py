"""A training step in PyTorch, as `rzero bench train` does it: forward, token loss, backward, clip, AdamW, on packed sequences of equal
length. --compile uses torch.compile; --dtype bf16 is autocast over f32 weights. --prompt and --completion train on one group of
rollouts of one prompt instead, every sequence in full."""

import torch
from common import arguments, repeat, report, tokens
from transformers import AutoModelForCausalLM

options = arguments(sequences=4, length=256, prompt=0, compile=False)
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")
model.config.use_cache = False
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)
ids = tokens(options.sequences, options.length, model.config.vocab_size)
if options.prompt > 0:
    ids[:, : options.prompt] = ids[0, : options.prompt]
first = max(0, options.prompt - 1)


def loss_of(batch):
    hidden = model.model(input_ids=batch, use_cache=False).last_hidden_state[:, first:-1]
    logits = model.lm_head(hidden)
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, first + 1 :].flatten())


forward = torch.compile(loss_of, dynamic=False) if options.compile else loss_of


def step():
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.dtype == "bf16"):
        loss = forward(ids)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


seconds = repeat(options.repeats, step)
name = f"pytorch {'compiled' if options.compile else 'eager'} {options.dtype} {options.threads}t"
count = options.sequences * (options.length - options.prompt)
report(name, seconds, count)
