// A completion's text with a shade per token: how sure the policy was of it (logprob), or which way training pushed it (advantage).
// Text nodes only.

import type { ArchivedRollout } from "../../api-questions.ts";
import { short } from "../numbers.ts";

/** What the shade says. */
export type Shade = "logprob" | "advantage";

/** Ends of the shades of −logprob, in nats: probabilities of 90 %, 50 %, 10 %, 1 %. */
const SURPRISE = [0.9, 0.5, 0.1, 0.01].map((probability) => -Math.log(probability));

/** Shade 0 (sure) to 4 (below 1 %) of a token's logprob. */
export function surpriseOf(logprob: number): number {
  const found = SURPRISE.findIndex((end) => -logprob < end);
  return found < 0 ? SURPRISE.length : found;
}

/** Shade of an advantage: sign and 1 to 4 by its size in standard deviations of the group, 0 for none. */
export function pushOf(advantage: number): string {
  const size = Math.abs(advantage);
  if (size < 1e-6) return "push-0";
  return `push-${advantage > 0 ? "up" : "down"}-${Math.min(Math.ceil(size / 0.6), 4)}`;
}

export function Tokens({ rollout, shade }: { readonly rollout: ArchivedRollout; readonly shade: Shade }) {
  const { tokens, advantage } = rollout;
  return (
    <p class="tokens">
      {tokens.map(({ id, text, logprob }, index) => (
        <span
          key={index}
          class={shade === "logprob" ? `token surprise-${surpriseOf(logprob)}` : `token ${pushOf(advantage)}`}
          title={`token ${id}, probability ${short(100 * Math.exp(logprob))} % (logprob ${short(logprob)}), advantage ${short(advantage)}`}
        >
          {text}
        </span>
      ))}
    </p>
  );
}

/** What the shades mean. */
export function ShadeKey({ shade }: { readonly shade: Shade }) {
  const entries =
    shade === "logprob"
      ? [">90 %", "50–90 %", "10–50 %", "1–10 %", "<1 %"].map((label, index) => [`surprise-${index}`, label])
      : [
          ["push-down-4", "less likely"],
          ["push-down-2", ""],
          ["push-0", "no push"],
          ["push-up-2", ""],
          ["push-up-4", "more likely"],
        ];
  return (
    <span class="shade-key">
      <span class="muted">{shade === "logprob" ? "Probability when sampled:" : "Training made it:"}</span>
      {entries.map(([name, label]) => (
        <span key={name} class={`token ${name}`}>
          {label || "\u00a0"}
        </span>
      ))}
    </span>
  );
}
