// The tables of a study's report, made from its records alone. Pure: Markdown out.

import { claims } from "./claims.ts";
import {
  common,
  comparedRounds,
  estimate,
  greedy,
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
} from "./compare.ts";
import { estimateText, levelText, markdownTable, signed } from "./format.ts";
import { guardTable, labelTable } from "./health-tables.ts";
import type { QuestionInterval } from "./questions.ts";
import type { IterationRecord, PolicyScores, RunRecord } from "./record.ts";

/** An arm as the report knows it. */
export interface StudyArm {
  readonly name: string;
  readonly title: string;
  readonly iterations: number;
  readonly against?: string;
  readonly curve: boolean;
  readonly differs: readonly string[];
}

/** The content of study.json: everything that tables and plots are made of. */
export interface StudyResult {
  readonly format: 1;
  readonly about: {
    readonly rzero: string;
    readonly commit: string;
    readonly command: string;
    readonly node: string;
    readonly cpu: string;
    readonly cores: number;
    readonly jobs: number;
    /** ISO 8601, UTC. */
    readonly finished: string;
    /** Sum of all phases of all runs. */
    readonly computeSeconds: number;
    readonly quick: boolean;
  };
  readonly seeds: readonly number[];
  readonly arms: readonly StudyArm[];
  /** Arms that were left out because they ablate what their rival has not. */
  readonly empty: readonly string[];
  readonly runs: readonly RunRecord[];
  /** Intervals over questions of the differences to the rival, in points, by arm. */
  readonly overQuestions: Readonly<Record<string, QuestionInterval>>;
}

/** The generated blocks of the report, by name. */
export function tables(study: StudyResult): Record<string, string> {
  return {
    setting: setting(study),
    claims: claimTable(study),
    scores: scoreTable(study),
    differences: differenceTable(study),
    iterations: iterationTable(study),
    labels: labelTable(study),
    guard: guardTable(study),
    arms: armTable(study),
  };
}

function setting({ about, seeds, runs, arms }: StudyResult): string {
  const count = (state: RunRecord["state"]) => runs.filter((run) => run.state === state).length;
  const questions = about.quick ? "**This is a quick check of the tool, not a result.** " : "";
  const problems = runs.flatMap(({ arm, seed, problem }) =>
    problem === undefined ? [] : [`- ${arm}, seed ${seed}: ${problem}`],
  );
  return [
    `${questions}Made by \`${about.command}\` with rzero ${about.rzero} at commit ${about.commit}, Node ${about.node}, ${about.cpu}, ${about.cores} cores, ` +
      `${about.jobs} runs at a time, finished ${about.finished.slice(0, 16).replace("T", " ")} UTC; ${(about.computeSeconds / 3600).toFixed(1)} hours of phases in all. ` +
      `${arms.filter(({ name }) => runsOf(runs, name).length > 0).length} of ${arms.length} arms, seeds ${seeds.join(", ")}: ${count("done")} runs complete, ${count("stopped")} stopped before their end, ${count("failed")} ended by an error.`,
    ...(problems.length > 0 ? [`\nRuns that ended by an error keep the policy they had:\n\n${problems.join("\n")}`] : []),
  ].join("\n");
}

function claimTable({ runs }: StudyResult): string {
  const verdict = (holds: boolean | undefined) => (holds === undefined ? "–" : holds ? "holds" : "**fails**");
  return markdownTable(
    ["", "target", "found", ""],
    claims(runs).map(({ claim, target, found, holds }) => [claim, target, found, verdict(holds)]),
  );
}

const COLUMNS: readonly (readonly [title: string, measure: Measure])[] = [
  ["mean@8", meanAtK],
  ["greedy", greedy],
  ["posed families", kind("mathematics")],
  ["never posed", kind("general")],
  ["level 1", level("1")],
  ["level 3", level("3")],
  ["level 5", level("5")],
  ["thinks %", ({ thinks }) => thinks && 100 * thinks],
];

/** Base, elicitation line, and what each arm returns at its end. */
function scoreTable({ arms, runs }: StudyResult): string {
  const row = (
    title: string,
    of: readonly RunRecord[],
    scores: (run: RunRecord) => PolicyScores | undefined,
    low: RunMeasure,
  ) => [
    title,
    ...COLUMNS.map(([, measure]) =>
      levelText(
        estimate(of, (run) => {
          const found = scores(run);
          return found && measure(found);
        }),
      ),
    ),
    levelText(estimate(of, low)),
  ];
  const seen = new Map(runs.map((run) => [run.seed, run]));
  const lowest = (key: "base" | "forced" | "end") => (run: RunRecord) => run.lowTemperature && 100 * run.lowTemperature[key];
  const first = [...seen.keys()].map(
    (seed) => runs.find((run) => run.seed === seed && run.lowTemperature !== undefined) ?? (seen.get(seed) as RunRecord),
  );
  return markdownTable(
    ["", ...COLUMNS.map(([title]) => title), "T = 0.25"],
    [
      row("base", first, (run) => run.iterations[0].scores, lowest("base")),
      row("base forced to begin with `<think>`", first, (run) => run.iterations[0].forced, lowest("forced")),
      ...arms.flatMap(({ name, title }) => {
        const of = runsOf(runs, name);
        return [...new Set([common(of), reach(of)])].flatMap((rounds) => {
          const complete = of.filter((run) => recordAt(run, rounds) !== undefined);
          if (complete.length === 0 || rounds === 0) return [];
          const early = complete.some((run) => longest([run]) < rounds) ? "at most " : "";
          const text = `${title}, ${early}${rounds} iterations (${complete.length} ${complete.length === 1 ? "seed" : "seeds"})`;
          // The low temperature is of what a run returns as far as it got.
          const atEnd: RunMeasure = (run) =>
            lowest("end")(run) !== undefined && reach([run]) === rounds ? lowest("end")(run) : undefined;
          return [row(text, complete, (run) => returnedAt(run, rounds)?.scores, atEnd)];
        });
      }),
    ],
  );
}

/** Each arm against its rival after as many iterations as it has, in points. */
export function armDifferences({ arms, runs }: StudyResult, measure: Measure) {
  return arms.flatMap((arm) => {
    if (arm.against === undefined) return [];
    const rounds = comparedRounds(runs, arm);
    const end: RunMeasure = (run) => {
      const record = returnedAt(run, rounds);
      return record && measure(record.scores);
    };
    const found = pairedEstimate(
      { runs: runsOf(runs, arm.name), measure: end },
      { runs: runsOf(runs, arm.against), measure: end },
    );
    return found === undefined ? [] : [{ arm, found, rounds }];
  });
}

function differenceTable(study: StudyResult): string {
  const byGreedy = new Map(armDifferences(study, greedy).map(({ arm, found }) => [arm.name, found]));
  return markdownTable(
    ["arm − rival", "rival", "iterations", "mean@8, over seeds", "over questions", "greedy, over seeds", "each seed, mean@8"],
    armDifferences(study, meanAtK).map(({ arm, found, rounds }) => {
      const other = byGreedy.get(arm.name);
      const over = study.overQuestions[arm.name];
      return [
        arm.title,
        arm.against ?? "",
        String(rounds),
        estimateText(found),
        over === undefined ? "–" : `[${signed(over[0])}, ${signed(over[1])}]`,
        other === undefined ? "–" : estimateText(other),
        found.seeds.map(({ value }) => signed(value)).join(", "),
      ];
    }),
  );
}

const inCurriculum =
  (read: (made: NonNullable<IterationRecord["curriculum"]>) => number | undefined) =>
  (iteration: number): RunMeasure =>
  (run) => {
    // What was not made is not carried forward: a run that has ended poses nothing.
    const made = run.iterations.find((record) => record.iteration === iteration)?.curriculum;
    return made && read(made);
  };

const CURRICULUM_COLUMNS: readonly (readonly [string, (iteration: number) => RunMeasure, digits: number])[] = [
  ["Solver steps", (iteration) => (run) => run.iterations.find((record) => record.iteration === iteration)?.solverSteps, 0],
  ["kept", inCurriculum(({ kept }) => kept), 0],
  ["in band %", inCurriculum(({ inBand }) => 100 * inBand), 1],
  ["level", inCurriculum((made) => made.level), 2],
  ["label accuracy %", inCurriculum(({ labelAccuracy }) => labelAccuracy && 100 * labelAccuracy), 1],
  ["audit %", inCurriculum(({ audit }) => audit && 100 * audit.mean), 1],
  ["distinct %", inCurriculum(({ distinct }) => 100 * distinct), 1],
  ["clusters %", inCurriculum(({ clusters }) => 100 * clusters), 1],
  [
    "largest family %",
    inCurriculum(({ families, kept }) => (100 * Math.max(0, ...Object.values(families))) / Math.max(1, kept)),
    0,
  ],
];

/** The arms that are drawn, iteration by iteration. */
function iterationTable({ arms, runs }: StudyResult): string {
  const rows = arms
    .filter(({ curve }) => curve)
    .flatMap(({ name, title }) => {
      const of = runsOf(runs, name);
      return Array.from({ length: longest(of) }, (_, index) => {
        const iteration = index + 1;
        const score = (measure: Measure): RunMeasure => {
          return (run) => {
            const record = recordAt(run, iteration);
            return record && measure(record.scores);
          };
        };
        return [
          title,
          String(iteration),
          levelText(estimate(of, score(meanAtK))),
          levelText(estimate(of, score(greedy))),
          ...CURRICULUM_COLUMNS.map(([, read, digits]) => {
            const found = estimate(of, read(iteration));
            return found === undefined ? "–" : found.mean.toFixed(digits);
          }),
        ];
      });
    });
  return markdownTable(["arm", "iteration", "mean@8", "greedy", ...CURRICULUM_COLUMNS.map(([title]) => title)], rows);
}

function armTable({ arms, empty, runs }: StudyResult): string {
  const table = markdownTable(
    ["arm", "what it is", "iterations by seed", "compared with", "what differs from it"],
    arms.map(({ name, title, iterations, against, differs }) => [
      `\`${name}\``,
      title,
      runsOf(runs, name)
        .map((run) => String(longest([run])))
        .join(", ") || `not run (${iterations})`,
      against === undefined ? "–" : `\`${against}\``,
      differs.map((item) => `\`${item}\``).join(", ") || "–",
    ]),
  );
  if (empty.length === 0) return table;
  return `${table}\n\nLeft out, because the arm they are compared with has that remedy off already: ${empty.join(", ")}.`;
}
