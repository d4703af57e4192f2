"""One R-Zero iteration on the embedded base model with TRL and transformers: the Challenger's GRPO with the Solver's votes as its reward, the
question pool with its pseudo-labels, the Solver's GRPO, the evaluation; sizes are those of recipe `tiny`. --share 0.2 does a fifth of each
phase's steps or questions and scales its time up; the opening of models and the trainers' set-up are never scaled. Kept simpler than ours,
in its favour: answers are compared as strings, repetition is exact equality, one model of each role stays in memory."""

import collections
import json
import pathlib
import re
import tempfile
import time

import torch
from common import arguments
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

options = arguments(share=1.0, batch=512)
tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
weights = torch.bfloat16 if options.dtype == "bf16" else torch.float32
LIMIT = 100
QUESTION = re.compile(r"<question>(.*?)</question>", re.S)
BOX = re.compile(r"\\boxed\{([^{}]*)\}")
phases = {}


def load():
    return AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")


def chat(text):
    return tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)


@torch.inference_mode()
def answers(model, prompts, count, greedy=False):
    """`count` completions of each prompt as text, in batches of neighbours in length."""
    jobs = sorted(((prompt, index) for index, prompt in enumerate(prompts) for _ in range(count)), key=lambda job: len(job[0]))
    out = [[] for _ in prompts]
    draw = {"do_sample": False} if greedy else {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    for start in range(0, len(jobs), options.batch):
        part = jobs[start : start + options.batch]
        batch = tokenizer([prompt for prompt, _ in part], return_tensors="pt", padding=True, return_token_type_ids=False)
        ids = model.generate(**batch, max_new_tokens=LIMIT, pad_token_id=tokenizer.pad_token_id, **draw)
        for (_, index), text in zip(part, tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)):
            out[index].append(text)
    return out


def boxed(text):
    found = BOX.findall(text)
    return found[-1].strip() if found else None


def vote(texts):
    """Majority answer and its share of all answers."""
    counts = collections.Counter(answer for answer in map(boxed, texts) if answer is not None)
    if not counts:
        return None, 0.0
    answer, number = counts.most_common(1)[0]
    return answer, number / len(texts)


def posed(text):
    found = QUESTION.findall(text)
    return found[-1].strip() if found and boxed(text) is not None else None


class Clock(TrainerCallback):
    """Seconds from the beginning of training to the end of the last step, and how many there were."""

    def __init__(self):
        self.ends = []

    def on_train_begin(self, *_, **__):
        self.ends.append(time.perf_counter())

    def on_step_end(self, *_, **__):
        self.ends.append(time.perf_counter())


def train(model, rows, reward, *, steps, rollouts, size, beta, rate, batch_baseline):
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch, use_cpu=True, bf16=options.dtype == "bf16", per_device_train_batch_size=rollouts,
            num_generations=size, max_completion_length=LIMIT, beta=beta, max_steps=steps, learning_rate=rate,
            lr_scheduler_type="constant", adam_beta2=0.95, gradient_checkpointing=False, save_strategy="no", logging_strategy="no",
            report_to=[], disable_tqdm=True, optim="adamw_torch_fused", scale_rewards="batch" if batch_baseline else "group",
        )
        trainer = GRPOTrainer(
            model=model, reward_funcs=reward, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[clock]
        )
        trainer.train()
    return (clock.ends[-1] - clock.ends[0]) / steps


def scaled(total):
    return max(2, round(options.share * total))


def solver_votes(solver, questions, count):
    unique = sorted({question for question in questions if question})
    return dict(zip(unique, map(vote, answers(solver, [chat(question) for question in unique], count))))


challenger, solver = load(), load()
frozen = load().to(weights).eval()

# Challenger: 12 steps of 128 questions, 8 Solver answers each
def challenger_reward(completions, **_):
    questions = [posed(text) for text in completions]
    shares = solver_votes(frozen, questions, 8)
    seen = collections.Counter(question for question in questions if question)
    return [max(0.0, 1 - 2 * abs(shares[q][1] - 0.5) - seen[q] / len(questions)) if q else 0.0 for q in questions]


prompt = chat("Pose a math problem.")
per_step = train(
    challenger, [{"prompt": prompt}] * 128, challenger_reward,
    steps=scaled(12), rollouts=128, size=4, beta=0.1, rate=4e-4, batch_baseline=True,
)
phases["challenger"] = 12 * per_step

# Curriculum: 1,000 questions, 10 answers each, kept between 50 and 90 %
started = time.perf_counter()
pool = scaled(1000)
challenger.eval()
questions = [posed(text) for text in answers(challenger, [prompt], pool)[0]]
labels = solver_votes(frozen, questions, 10)
kept = [{"prompt": chat(q), "label": answer} for q, (answer, share) in labels.items() if 0.5 <= share <= 0.9]
phases["curriculum"] = (time.perf_counter() - started) * 1000 / pool
assert kept, "the Challenger posed nothing that the Solver is unsure about"

# Solver: 15 steps of 56 questions, 8 completions each
def solver_reward(completions, label, **_):
    return [float(boxed(text) == truth) for text, truth in zip(completions, label)]


steps = scaled(15)
rows = [kept[index % len(kept)] for index in range(56 * steps)]
per_step = train(solver, rows, solver_reward, steps=steps, rollouts=448, size=8, beta=0.01, rate=5e-4, batch_baseline=False)
phases["solver"] = 15 * per_step

# Evaluation: 720 questions, 8 samples and one greedy answer
started = time.perf_counter()
lines = (pathlib.Path(options.model) / "evaluation.jsonl").read_text().splitlines()
total = len(lines)
chosen = [json.loads(line) for line in lines[:: max(1, round(1 / options.share))]]
solver.eval()
prompts = [chat(item["question"]) for item in chosen]
sampled = answers(solver, prompts, 8)
greedy = answers(solver, prompts, 1, greedy=True)
right = sum(boxed(texts[0]) == item["answer"] for texts, item in zip(greedy, chosen)) / len(chosen)
phases["evaluation"] = (time.perf_counter() - started) * total / len(chosen)

name = f"trl + transformers {options.dtype} {options.threads}t"
print(json.dumps({"name": name, "share": options.share, "seconds": sum(phases.values()), "phases": phases, "kept": len(kept), "greedy": right}))
