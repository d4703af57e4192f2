// POST /v1/chat/completions: messages through the model's own chat template. Knows the form of the request and of the answer.
// Source: OpenAI API reference, "Chat completions". Without a maximum a completion may fill the model's context.

import type { ChatMessage } from "../engine/types.ts";
import { Fields, preview, wrong } from "./fields.ts";
import type { Choice, Delta, Generation, GenerationPlan } from "./generation.ts";
import type { Exchange } from "./http.ts";
import { chatLogprobs, promptLogprobs } from "./logprobs.ts";
import type { ModelTable } from "./models.ts";
import { badRequest } from "./problem.ts";
import { MOST_TOP_LOGPROBS, readSamplingFields } from "./sampling-fields.ts";
import type { Presenter, Service, Usage } from "./service.ts";

interface ChatRequest {
  readonly plan: GenerationPlan;
  readonly logprobs: boolean;
}

const ROLES: Readonly<Record<string, ChatMessage["role"]>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
};
const MOST_MESSAGES = 4096;

/** Answers one request. Errors: Problem. */
export async function chatCompletions(models: ModelTable, exchange: Exchange): Promise<void> {
  const fields = new Fields(await exchange.json());
  const service = models.find(fields.string("model"));
  const request = readRequest(service, fields);
  await service.run(exchange, request.plan, presenter(service, request));
}

function readRequest(service: Service, fields: Fields): ChatRequest {
  const { tokenizer, live } = service.model;
  const sampling = readSamplingFields(fields, tokenizer, live.vocabSize);
  refuseUnsupported(fields);
  const asked = readMaxTokens(fields);
  const logprobs = fields.boolean("logprobs") ?? false;
  const topLogprobs = fields.integer("top_logprobs", { low: 0, high: MOST_TOP_LOGPROBS });
  if (topLogprobs && !logprobs) throw badRequest("top_logprobs: expected only with logprobs: true.", "top_logprobs");
  const messages = readMessages(fields.raw("messages"));
  fields.end();
  const tokens = service.encode(tokenizer.renderChat(messages), "messages");
  const maxTokens = asked ?? Math.max(1, live.context - tokens.length);
  service.checkPrompt(tokens, maxTokens, "messages");
  return {
    plan: { prompts: [tokens], sampling, maxTokens, topLogprobs, promptLogprobs: sampling.promptLogprobs },
    logprobs,
  };
}

function refuseUnsupported(fields: Fields): void {
  for (const name of ["tools", "functions"]) fields.only(name, []);
  for (const name of ["tool_choice", "function_call"]) fields.only(name, "none");
  fields.only("modalities", ["text"]);
  fields.only("chat_template_kwargs", {});
  fields.only("add_generation_prompt", true);
  for (const name of ["continue_final_message", "echo"]) fields.only(name, false);
  fields.ignore("parallel_tool_calls");
}

function readMaxTokens(fields: Fields): number | undefined {
  const newer = fields.integer("max_completion_tokens", { low: 1 });
  const older = fields.integer("max_tokens", { low: 1 });
  if (newer !== undefined && older !== undefined && newer !== older)
    throw wrong("max_tokens", `the same as max_completion_tokens (${newer}), or none`, older);
  return newer ?? older;
}

function readMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MOST_MESSAGES)
    throw wrong("messages", `a list of 1 to ${MOST_MESSAGES} messages`, value);
  return value.map((item: unknown, at) => {
    if (typeof item !== "object" || item === null) throw wrong(`messages[${at}]`, "an object", item);
    const { role, content, tool_calls: calls } = item as Record<string, unknown>;
    if (typeof role !== "string" || !Object.hasOwn(ROLES, role))
      throw badRequest(`messages[${at}].role: expected ${Object.keys(ROLES).join(", ")}, got ${preview(role)}.`, "messages");
    if (Array.isArray(calls) && calls.length > 0)
      throw badRequest(`messages[${at}].tool_calls: expected none (this server has no tools).`, "messages");
    return { role: ROLES[role], content: readContent(content, at) };
  });
}

/** A string, or parts of type text. */
function readContent(content: unknown, at: number): string {
  if (typeof content === "string") return content;
  const parts: unknown[] = Array.isArray(content) ? content : [];
  const texts = parts.map((part) => {
    const { type, text } = (part ?? {}) as Record<string, unknown>;
    return type === "text" && typeof text === "string" ? text : undefined;
  });
  if (parts.length === 0 || texts.includes(undefined))
    throw badRequest(`messages[${at}].content: expected a string or parts of type text, got ${preview(content)}.`, "messages");
  return texts.join("");
}

function presenter(service: Service, { plan, logprobs }: ChatRequest): Presenter {
  const { returnTokenIds, tokensAsIds, promptLogprobs: promptTop } = plan.sampling;
  const { texts } = service;
  const id = service.newId("chatcmpl");
  const head = (object: string) => ({ id, object, created: service.created, model: service.model.names[0] });
  const chunk = (index: number, delta: object, more: object) => ({
    ...head("chat.completion.chunk"),
    choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
  });
  const shown = (delta: Delta) => (logprobs ? { content: chatLogprobs(texts, delta, tokensAsIds), refusal: null } : null);
  // Of the one prompt, so they stand beside the choices.
  const extras = (generation: Generation) => ({
    ...(returnTokenIds && { prompt_token_ids: [...plan.prompts[0]] }),
    ...(promptTop !== undefined && { prompt_logprobs: promptLogprobs(texts, generation.promptScores[0], promptTop) }),
  });
  const ids = ({ tokens }: Delta) => (returnTokenIds ? { token_ids: tokens } : {});
  return {
    whole: (generation, usage) => ({
      ...head("chat.completion"),
      choices: generation.choices.map((choice) => {
        const delta = choice.take(Number.POSITIVE_INFINITY) as Delta;
        return {
          index: choice.index,
          message: { role: "assistant", content: delta.text, refusal: null },
          logprobs: shown(delta),
          finish_reason: delta.stopReason,
          stop_reason: choice.stoppedBy,
          ...ids(delta),
        };
      }),
      usage,
      ...extras(generation),
    }),
    opening: (choice: Choice, generation) => [
      { ...chunk(choice.index, { role: "assistant", content: "" }, {}), ...extras(generation) },
    ],
    parts: (choice, delta) => {
      const events: object[] = [];
      if (delta.text !== "" || (delta.tokens.length > 0 && (logprobs || returnTokenIds)))
        events.push(chunk(choice.index, { content: delta.text }, { logprobs: shown(delta), ...ids(delta) }));
      if (delta.stopReason !== undefined)
        events.push(chunk(choice.index, {}, { finish_reason: delta.stopReason, stop_reason: choice.stoppedBy }));
      return events;
    },
    usage: (usage: Usage) => ({ ...head("chat.completion.chunk"), choices: [], usage }),
  };
}
