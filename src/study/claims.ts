// What the method must show, each as a number of the study against its target. Pure: records in, verdicts out. Targets are the project's own,
// set before the study was made. Knows the arms that it needs by name; without their runs a claim has no verdict.

import {
  common,
  type Estimate,
  greedy,
  iterationWithin,
  kind,
  level,
  longest,
  type Measure,
  meanAtK,
  pairedEstimate,
  type RunMeasure,
  reach,
  recordAt,
  returnedAt,
  runsOf,
  solverStepsAt,
} from "./compare.ts";
import { estimateText, signed } from "./format.ts";
import type { IterationRecord, RunRecord } from "./record.ts";

/** One line of the acceptance table; `holds` is undefined where the runs for it are missing. */
export interface Claim {
  readonly claim: string;
  readonly target: string;
  readonly found: string;
  readonly holds?: boolean;
}

/** Rounds after which the trained Challenger is compared with the untrained one. */
const CHALLENGER_ROUNDS = 5;

/** All claims, in the order of a reader's questions. */
export function claims(runs: readonly RunRecord[]): Claim[] {
  return [
    ...challengerMatters(runs),
    ...moreThanElicitation(runs),
    ...noCollapse(runs),
    transfer(runs),
    auditCovers(runs),
    ...controls(runs),
    cost(runs),
  ];
}

/** Score of the policy that a run of `rounds` returns. */
function returned(measure: Measure, rounds: number): RunMeasure {
  return (run) => {
    const record = returnedAt(run, rounds);
    return record && measure(record.scores);
  };
}

const ofBase =
  (measure: Measure): RunMeasure =>
  (run) =>
    measure(run.iterations[0].scores);
const ofForced =
  (measure: Measure): RunMeasure =>
  (run) =>
    run.iterations[0].forced && measure(run.iterations[0].forced);

function judged(claim: string, found: Estimate | undefined, atLeast: number, clear: boolean): Claim {
  const target = `at least ${signed(atLeast)}${clear ? ", interval above 0" : ""}`;
  if (found === undefined) return { claim, target, found: "no runs" };
  return { claim, target, found: estimateText(found), holds: found.mean >= atLeast && (!clear || found.low > 0) };
}

function challengerMatters(runs: readonly RunRecord[]): Claim[] {
  const [trained, untrained] = [runsOf(runs, "improved"), runsOf(runs, "untrained")];
  const end = returned(meanAtK, CHALLENGER_ROUNDS);
  // The trained run is cut where it has taken at most as many Solver steps as the untrained one took in all.
  const equalSteps: RunMeasure = (run) => {
    const other = untrained.find(({ seed }) => seed === run.seed);
    if (other === undefined || other.state === "stopped") return undefined;
    return returned(meanAtK, iterationWithin(run, solverStepsAt(other, CHALLENGER_ROUNDS)))(run);
  };
  return [
    judged(
      `Challenger: trained − untrained, mean@8 after ${CHALLENGER_ROUNDS} iterations`,
      pairedEstimate({ runs: trained, measure: end }, { runs: untrained, measure: end }),
      12,
      true,
    ),
    judged(
      "Challenger: the same at no more Solver steps than the untrained run took",
      pairedEstimate({ runs: trained, measure: equalSteps }, { runs: untrained, measure: end }),
      5,
      true,
    ),
  ];
}

function moreThanElicitation(runs: readonly RunRecord[]): Claim[] {
  const improved = runsOf(runs, "improved");
  const rounds = common(improved);
  const beyond = (measure: Measure) =>
    pairedEstimate({ runs: improved, measure: returned(measure, rounds) }, { runs: improved, measure: ofForced(measure) });
  const low = pairedEstimate(
    { runs: improved, measure: ({ lowTemperature }) => lowTemperature && 100 * lowTemperature.end },
    { runs: improved, measure: ({ lowTemperature }) => lowTemperature && 100 * lowTemperature.forced },
  );
  return [
    judged(`Beyond elicitation: returned after ${rounds} iterations − forced base, mean@8`, beyond(meanAtK), 15, false),
    judged("Beyond elicitation: the same on level 5, which no corpus document has", beyond(level("5")), 8, false),
    judged("Beyond elicitation: the same, greedy", beyond(greedy), 5, false),
    judged("Beyond elicitation: the same at T = 0.25", low, 5, false),
  ];
}

function noCollapse(runs: readonly RunRecord[]): Claim[] {
  const [improved, paper] = [runsOf(runs, "improved"), runsOf(runs, "paper")];
  const rounds = reach(improved);
  const complete = improved.filter((run) => recordAt(run, rounds) !== undefined);
  const kept = complete.map((run) => {
    const scores = run.iterations.map((record) => meanAtK(record.scores) ?? 0);
    const best = Math.max(...scores);
    const given = meanAtK((returnedAt(run, rounds) as IterationRecord).scores) ?? 0;
    return { last: best - scores[scores.length - 1], returned: best - given };
  });
  const labels = complete.flatMap((run) => run.iterations.flatMap(({ curriculum }) => curriculum?.labelAccuracy ?? []));
  const largest = (values: readonly number[]) => Math.max(0, ...values).toFixed(1);
  return [
    judged(
      `No collapse: improved − paper, mean@8 at the end of ${rounds} iterations`,
      pairedEstimate({ runs: improved, measure: returned(meanAtK, rounds) }, { runs: paper, measure: returned(meanAtK, rounds) }),
      5,
      false,
    ),
    {
      claim: "No collapse: the last iteration is near the best, or the guard returned the best, in every seed",
      target: "within 1 point",
      found:
        kept.length === 0
          ? "no runs"
          : `last at most ${largest(kept.map(({ last }) => last))} below the best, returned at most ${largest(kept.map((run) => run.returned))} below (${kept.length} seeds)`,
      ...(kept.length === 0 ? {} : { holds: kept.every((run) => run.last <= 1 || run.returned <= 1e-9) }),
    },
    {
      claim: "No collapse: label accuracy in every iteration and seed",
      target: "above 0.75",
      found: labels.length === 0 ? "no runs" : `lowest ${Math.min(...labels).toFixed(2)} of ${labels.length} iterations`,
      ...(labels.length === 0 ? {} : { holds: Math.min(...labels) > 0.75 }),
    },
  ];
}

function transfer(runs: readonly RunRecord[]): Claim {
  const improved = runsOf(runs, "improved");
  const general = kind("general");
  const found = pairedEstimate(
    { runs: improved, measure: returned(general, common(improved)) },
    { runs: improved, measure: ofBase(general) },
  );
  return judged("Transfer: returned − base on families never posed, mean@8", found, 8, false);
}

function auditCovers(runs: readonly RunRecord[]): Claim {
  const audited = runs.flatMap(({ iterations }) =>
    iterations.flatMap(({ curriculum }) =>
      curriculum?.audit !== undefined && curriculum.labelAccuracy !== undefined
        ? [{ truth: curriculum.labelAccuracy, ci95: curriculum.audit.ci95 }]
        : [],
    ),
  );
  const inside = audited.filter(({ truth, ci95 }) => ci95[0] <= truth && truth <= ci95[1]).length;
  const claim = "Audit: its interval covers the true label accuracy, all arms and iterations";
  if (audited.length === 0) return { claim, target: "at least 90 %", found: "no runs" };
  const share = inside / audited.length;
  return {
    claim,
    target: "at least 90 %",
    found: `${(100 * share).toFixed(1)} % (${inside} of ${audited.length})`,
    holds: share >= 0.9,
  };
}

function controls(runs: readonly RunRecord[]): Claim[] {
  return (
    [
      ["shuffled", "Shuffled labels: last − base, mean@8"],
      ["random", "Random rewards: last − base, mean@8"],
    ] as const
  ).map(([arm, claim]) => {
    const of = runsOf(runs, arm);
    const last: RunMeasure = (run) => {
      const record = recordAt(run, longest(of));
      return record && meanAtK(record.scores);
    };
    const found = pairedEstimate({ runs: of, measure: last }, { runs: of, measure: ofBase(meanAtK) });
    if (found === undefined) return { claim, target: "at most +2.0", found: "no runs" };
    return { claim, target: "at most +2.0", found: estimateText(found), holds: found.mean <= 2 };
  });
}

/** Seconds that the method takes in an iteration, without the evaluation. */
function methodSeconds({ seconds: { evaluation: _, ...method } }: IterationRecord): number {
  return Object.values(method).reduce((sum, part) => sum + part, 0);
}

/**
 * The median over seeds and iterations. It has no verdict: runs share the machine with each other and with whatever else it does, so only
 * times of runs that had it for themselves can be judged.
 */
function cost(runs: readonly RunRecord[]): Claim {
  const paper = runsOf(runs, "paper");
  const ratios = runsOf(runs, "improved").flatMap(({ seed, iterations }) => {
    const other = paper.find((run) => run.seed === seed)?.iterations ?? [];
    return iterations.slice(1).flatMap((record) => {
      const theirs = other.find(({ iteration }) => iteration === record.iteration);
      return theirs === undefined ? [] : [100 * (methodSeconds(record) / methodSeconds(theirs) - 1)];
    });
  });
  const claim = "Cost: time of an iteration, improved over paper, in %";
  if (ratios.length === 0) return { claim, target: "at most +25.0", found: "no runs" };
  const median = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)];
  return { claim, target: "at most +25.0", found: `median ${signed(median)} of ${ratios.length} iterations, the machine shared` };
}
