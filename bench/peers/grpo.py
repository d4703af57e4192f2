"""A GRPO step with TRL, as `rzero bench grpo` does it on the embedded base model: prompts × group size completions of exactly `new`
tokens, reference logprobs, one optimizer step. Rewards are a function of the tokens that costs nothing."""

import random
import tempfile
import time

import torch
from common import arguments, report
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

options = arguments(prompts=56, size=8, prompt=24, new=32)
tokenizer = AutoTokenizer.from_pretrained(options.model)
generator = random.Random(0)
texts = ["".join(generator.choice("0123456789") for _ in range(options.prompt)) for _ in range(options.prompts)]
assert all(len(tokenizer(text)["input_ids"]) == options.prompt for text in texts)


def reward(completion_ids, **_):
    return [float(sum(token % 2 for token in ids)) for ids in completion_ids]


class StepTimes(TrainerCallback):
    """Seconds between the ends of optimizer steps: sampling, scoring and training."""

    def __init__(self):
        self.ends = []

    def on_step_end(self, *_, **__):
        self.ends.append(time.perf_counter())


times = StepTimes()
with tempfile.TemporaryDirectory() as scratch:
    config = GRPOConfig(
        output_dir=scratch,
        use_cpu=True,
        bf16=options.dtype == "bf16",
        per_device_train_batch_size=options.prompts * options.size,
        num_generations=options.size,
        max_completion_length=options.new,
        generation_kwargs={"min_new_tokens": options.new},
        beta=0.01,
        max_steps=options.repeats + 1,
        learning_rate=1e-6,
        gradient_checkpointing=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        optim="adamw_torch_fused",
    )
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": texts}),
        processing_class=tokenizer,
        callbacks=[times],
    )
    trainer.train()

seconds = [end - start for start, end in zip(times.ends, times.ends[1:])]
count = options.prompts * options.size * options.new
report(f"trl grpo {options.dtype} {options.threads}t", seconds, count)
