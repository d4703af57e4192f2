// The split of a vote as a bar: one segment per answer, the majority first; answers without a box last, hatched. Its text names the counts.

import type { VoteCount } from "../../api-questions.ts";

const SHADES = 5;

/** "132 ×7, 122 ×2, no answer ×1". */
export function voteText(votes: readonly VoteCount[]): string {
  return votes.map(({ answer, count }) => `${answer ?? "no answer"} ×${count}`).join(", ");
}

export function VoteBar({ votes, total }: { readonly votes: readonly VoteCount[]; readonly total: number }) {
  if (total === 0) return <span class="muted">–</span>;
  const boxed = votes.filter(({ answer }) => answer !== null);
  const missing = votes.find(({ answer }) => answer === null);
  const ordered = missing ? [...boxed, missing] : boxed;
  return (
    <span class="vote-bar" role="img" aria-label={`Votes: ${voteText(ordered)}`} title={voteText(ordered)}>
      {ordered.map(({ answer, count }, index) => (
        <span
          key={answer ?? ""}
          class={answer === null ? "vote vote-none" : `vote vote-${Math.min(index, SHADES - 1)}`}
          style={{ flexGrow: count }}
        />
      ))}
    </span>
  );
}
