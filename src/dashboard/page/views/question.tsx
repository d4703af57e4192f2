// One question: its text, vote, reward and label; the answers that steps trained on, in full, with a shade per token; and the earlier
// questions it is nearest to.

import { useSignal } from "@preact/signals";
import { ROUTES } from "../../api.ts";
import type { ArchivedRollout, GroupRef, QuestionDetail, QuestionRow, RolloutGroup } from "../../api-questions.ts";
import { hrefTo } from "../address.ts";
import { useLoad } from "../client.ts";
import { useKeys } from "../keys.ts";
import { count, percent, short } from "../numbers.ts";
import { MathText, QuestionText } from "../parts/math.tsx";
import { Empty, Show } from "../parts/states.tsx";
import { ShadeKey, Tokens } from "../parts/tokens.tsx";
import { VoteBar } from "../parts/vote-bar.tsx";
import { route } from "../route.ts";
import type { RunData } from "../run-data.ts";
import { verdictText } from "../words.ts";

export function QuestionView({ run, id }: { readonly run: RunData; readonly id: string }) {
  const load = useLoad<QuestionDetail>(`${ROUTES.question}?id=${encodeURIComponent(id)}`, run.phases);
  const back = hrefTo(["run", run.name, "questions"], Object.fromEntries(route.value.query));
  useKeys({
    Escape: () => {
      location.hash = back;
    },
    j: () => stepAnswer(1),
    k: () => stepAnswer(-1),
  });
  return (
    <>
      <p>
        <a href={back}>← all questions</a>
      </p>
      <Show load={load} what="the question">
        {(detail) => <Detail detail={detail} />}
      </Show>
    </>
  );
}

/** Moves the focus to the next or previous answer. */
function stepAnswer(by: 1 | -1): void {
  const answers = [...document.querySelectorAll<HTMLElement>("[data-answer]")];
  const at = answers.indexOf(document.activeElement as HTMLElement);
  answers[Math.min(Math.max(at + by, 0), answers.length - 1)]?.focus();
}

function Detail({ detail: { question, groups, nearest, answers } }: { readonly detail: QuestionDetail }) {
  return (
    <article class="question">
      <h2 class="question-text">
        {question.question.trim() === "" ? <QuestionText text="" /> : <MathText text={question.question} />}
      </h2>
      <Facts question={question} />
      <Votes question={question} answers={answers} />
      <RewardParts question={question} />
      <h3>Answers that steps trained on</h3>
      {groups.length === 0 ? (
        <Empty>
          {question.trained > 0
            ? "The rollouts of the steps that trained on it are not in the archive any more."
            : "No archived step trained on this question."}
        </Empty>
      ) : (
        <Groups groups={groups} />
      )}
      <h3>Nearest earlier questions</h3>
      {nearest.length === 0 ? (
        <Empty>No earlier question of the run has a like wording.</Empty>
      ) : (
        <ol class="nearest">
          {nearest.map((other) => (
            <li key={other.id}>
              <span class="figure" title="Dice coefficient of word n-grams">
                {percent(other.similarity, 0)}
              </span>{" "}
              <a href={hrefTo(["run", question.run, "questions", other.id])}>
                <QuestionText text={other.question} />
              </a>{" "}
              <span class="muted">iteration {other.iteration}</span>
            </li>
          ))}
        </ol>
      )}
    </article>
  );
}

function Facts({ question }: { readonly question: QuestionRow }) {
  const { iteration, source, step, line, verdict, cluster, label, truth, labelRight, ownAnswer, anchor } = question;
  const posed =
    source === "pool" ? `pool of iteration ${iteration}, line ${line}` : `iteration ${iteration}, Challenger step ${step ?? "?"}`;
  return (
    <dl class="facts">
      <Fact name="posed in">{posed}</Fact>
      <Fact name="verdict">{anchor ? "human question" : verdictText(verdict)}</Fact>
      <Fact name="pseudo-label">{label === undefined ? "–" : <MathText text={label} inline />}</Fact>
      <Fact name="truth">
        {truth === undefined ? "unknown" : <MathText text={truth} inline />}
        {labelRight !== undefined && (
          <span class={labelRight ? "right" : "wrong"}> {labelRight ? "✓ label right" : "✗ label wrong"}</span>
        )}
      </Fact>
      <Fact name="Challenger’s own answer">{ownAnswer === undefined ? "–" : <MathText text={ownAnswer} inline />}</Fact>
      <Fact name="cluster">
        {cluster === undefined ? "–" : <a href={hrefTo(["run", question.run, "questions"], { cluster })}>{cluster}</a>}
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Votes({
  question: { votes, answers: total, share },
  answers,
}: {
  readonly question: QuestionRow;
  readonly answers: QuestionDetail["answers"];
}) {
  if (total === 0) return <Empty>Nobody was asked this question.</Empty>;
  return (
    <>
      <h3>
        Votes{" "}
        <span class="muted">
          p̂ = {percent(share)} of {count(total)} answers
        </span>
      </h3>
      <VoteBar votes={votes} total={total} />
      <table class="table votes">
        <thead>
          <tr>
            <th scope="col">Answer</th>
            <th scope="col" class="number">
              Votes
            </th>
            <th scope="col" class="number">
              Share
            </th>
          </tr>
        </thead>
        <tbody>
          {votes.map(({ answer, count: given }) => (
            <tr key={answer ?? "\u0000none"}>
              <td>{answer === null ? <em>without a box</em> : <MathText text={answer} inline />}</td>
              <td class="number">{given}</td>
              <td class="number">{percent(given / total)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <details>
        <summary>The {answers.length} answers in the order drawn</summary>
        <ol class="drawn">
          {answers.map((answer, index) => (
            <li key={index}>{answer === null ? <em>without a box</em> : <MathText text={answer} inline />}</li>
          ))}
        </ol>
      </details>
    </>
  );
}

function RewardParts({ question: { reward } }: { readonly question: QuestionRow }) {
  if (!reward) return null;
  const { total, uncertainty, repetition, novelty } = reward;
  return (
    <>
      <h3>Challenger’s reward</h3>
      <p class="sum">
        <span>
          <strong>{short(total)}</strong> total
        </span>
        <span>= {short(uncertainty)} uncertainty</span>
        <span>− {short(repetition)} repetition</span>
        <span>− {short(novelty)} novelty</span>
      </p>
    </>
  );
}

function Groups({ groups }: { readonly groups: readonly GroupRef[] }) {
  const chosen = useSignal(groups[0].id);
  return (
    <>
      <div class="filters">
        <label>
          Step{" "}
          <select
            value={chosen.value}
            onChange={(event) => {
              chosen.value = event.currentTarget.value;
            }}
          >
            {groups.map(({ id, role, iteration, step, samples, reward }) => (
              <option key={id} value={id}>
                {role === "solver" ? "Solver" : "Challenger"}, iteration {iteration}, step {step}: {samples} answers, mean reward{" "}
                {short(reward)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Group id={chosen.value} />
    </>
  );
}

type Look = "logprob" | "advantage" | "text";

function Group({ id }: { readonly id: string }) {
  const load = useLoad<RolloutGroup>(`${ROUTES.group}?id=${encodeURIComponent(id)}`);
  const look = useSignal<Look>("logprob");
  const choice = (value: Look, title: string) => (
    <label>
      <input
        type="radio"
        name="look"
        checked={look.value === value}
        onChange={() => {
          look.value = value;
        }}
      />{" "}
      {title}
    </label>
  );
  return (
    <>
      <fieldset class="looks">
        <legend>Shade tokens by</legend>
        {choice("logprob", "logprob")}
        {choice("advantage", "advantage")}
        {choice("text", "nothing; typeset the mathematics")}
      </fieldset>
      {look.value !== "text" && <ShadeKey shade={look.value} />}
      <Show load={load} what="the answers">
        {({ rollouts }) => (
          <ol class="rollouts">
            {rollouts.map((rollout) => (
              <Rollout key={rollout.sample} rollout={rollout} look={look.value} />
            ))}
          </ol>
        )}
      </Show>
    </>
  );
}

function Rollout({ rollout, look }: { readonly rollout: ArchivedRollout; readonly look: Look }) {
  const { sample, text, truncated, reward, advantage, tokens } = rollout;
  return (
    <li class="rollout" data-answer tabIndex={-1}>
      <p class="rollout-facts">
        <strong>answer {sample + 1}</strong>
        <span>
          reward <span class="figure">{short(reward)}</span>
        </span>
        <span>
          advantage <span class="figure">{advantage > 0 ? `+${short(advantage)}` : short(advantage)}</span>
        </span>
        <span>
          <span class="figure">{count(tokens.length)}</span> tokens
        </span>
        {truncated && <span class="wrong">✗ cut at the token limit</span>}
      </p>
      {look === "text" || tokens.length === 0 ? (
        <p class="tokens">
          <MathText text={text} />
        </p>
      ) : (
        <Tokens rollout={rollout} shade={look} />
      )}
    </li>
  );
}
