// The phases of a run as one strip per iteration, on one scale of time: each phase as wide as it took, those to come as wide as their like
// before.

import type { PhaseSpan } from "../../api.ts";
import { formatDuration } from "../numbers.ts";

export function Timeline({ spans }: { readonly spans: readonly PhaseSpan[] }) {
  const iterations = [...new Set(spans.map(({ iteration }) => iteration))].map((iteration) => {
    const own = spans.filter((span) => span.iteration === iteration).map((span) => ({ span, width: widthOf(span, spans) }));
    return { iteration, own, total: own.reduce((sum, { width }) => sum + width, 0) };
  });
  const longest = Math.max(...iterations.map(({ total }) => total));
  return (
    <ol class="timeline" aria-label="Phases by iteration">
      {iterations.map(({ iteration, own, total }) => (
        <li key={iteration}>
          <span class="timeline-name">{iteration === 0 ? "base" : `iteration ${iteration}`}</span>
          <ol class="strip" style={{ width: `${(100 * total) / longest}%` }}>
            {own.map(({ span, width }) => (
              <Span key={span.phase} span={span} width={width} />
            ))}
          </ol>
        </li>
      ))}
    </ol>
  );
}

function Span({ span, width }: { readonly span: PhaseSpan; readonly width: number }) {
  const { phase, state, seconds, step, steps } = span;
  const share = state === "running" && step !== undefined && steps ? step / steps : undefined;
  const time = seconds === undefined ? "" : formatDuration(seconds);
  const text = share === undefined ? time : `${step} of ${steps}`;
  return (
    <li class={`span span-${state}`} style={{ flexGrow: width }} title={`${phase}: ${state}${time && `, ${time}`}`}>
      {share !== undefined && <span class="span-fill" style={{ width: `${100 * share}%` }} />}
      <span class="span-name">{phase}</span>
      <span class="span-text">
        {text}
        <span class="unseen"> {state}</span>
      </span>
    </li>
  );
}

/** Relative width: seconds of the phase, or the mean of its finished likes when it is not over. */
function widthOf({ phase, state, seconds = 0 }: PhaseSpan, spans: readonly PhaseSpan[]): number {
  if (state === "done") return Math.max(seconds, 0.1);
  const likes = spans.filter((other) => other.phase === phase && other.state === "done" && other.iteration > 0);
  const mean = likes.reduce((sum, other) => sum + (other.seconds ?? 0), 0) / Math.max(likes.length, 1);
  return Math.max(seconds, mean, 1);
}
