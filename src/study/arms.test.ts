import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../util/package-root.ts";
import { chooseArms, differences, overridesOf, parseStudy, planArms, readStudy, resolveArm } from "./arms.ts";

const TEXT = `
common: { run.checkpoint.everySteps: 9 }
quick: { iterations: 1 }
arms:
  - { name: own, title: own, iterations: 4 }
  - { name: band, title: other band, iterations: 3, against: own, set: { curriculum.band: [0.1, 0.8], solver.steps: 7 } }
  - { name: same, title: the same, iterations: 3, against: own, set: { challenger.train: true } }
`;

describe("the arms of a study", () => {
  const study = parseStudy(TEXT, "t");

  it("are a recipe with keys over it, the arm's over the common ones, quick ones over all", () => {
    const [, band] = study.arms;
    const config = resolveArm(study, band);
    expect([config.iterations, config.curriculum.band, config.solver.steps, config.run.checkpoint.everySteps]).toEqual([
      3,
      [0.1, 0.8],
      7,
      9,
    ]);
    expect(resolveArm(study, band, { quick: true }).iterations).toBe(1);
  });

  it("say in what they differ, and one that does not differ is left out", () => {
    const { planned, empty } = planArms(study, study.arms, { quick: false });
    expect(planned.map(({ name, differs }) => [name, differs])).toEqual([
      ["own", []],
      ["band", ["curriculum.band: [0.1,0.8]", "solver.steps: 7"]],
    ]);
    expect(empty).toEqual(["same"]);
  });

  it("are given to a command as it reads them", () => {
    const arm = { ...study.arms[0], set: { preset: "paper", a: ".*", b: "true", c: [1, 2], d: false } };
    const texts = overridesOf({ ...study, common: {} }, arm, { quick: false }).map(
      ({ path, text }) => `--${path.join(".")}=${text}`,
    );
    expect(texts).toEqual(["--iterations=4", "--preset=paper", '--a=".*"', '--b="true"', "--c=[1,2]", "--d=false"]);
  });

  it("may differ in the preset alone, which shows in its keys", () => {
    const [own] = study.arms;
    const paper = resolveArm(study, { ...own, set: { preset: "paper" } });
    expect(differences(paper, resolveArm(study, own))).not.toEqual([]);
    expect(differences(paper, { ...paper, preset: "improved", seed: 9 })).toEqual([]);
  });

  it.each([
    ["arms: []", "t: arms"],
    ["arms: [{ name: a, title: a, iterations: 0 }]", "t: arms.0.iterations"],
    ["arms: [{ name: a, title: a, iterations: 1 }, { name: a, title: a, iterations: 1 }]", "got a twice"],
    ["arms: [{ name: a, title: a, iterations: 1, against: b }]", 'expected "against" to name an arm above it, got b'],
    ["arms: [{ name: a, title: a, iterations: 1, set: { 'a b': 1 } }]", "t: arms.0.set"],
    ["arms: [", "expected YAML"],
  ])("%s is refused", (text, message) => {
    expect(() => parseStudy(text, "t")).toThrow(message);
  });

  it("refuses an unknown name", () => {
    expect(() => chooseArms(study, ["own", "gone"])).toThrow("expected names among own, band, same, got gone");
  });
});

it("the shipped arms are valid configurations of different names", () => {
  const study = readStudy(join(packageRoot, "study", "arms.yaml"));
  const { planned } = planArms(study, study.arms, { quick: false });
  const quick = planArms(study, study.arms, { quick: true }).planned;
  expect(planned.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["improved", "paper", "released", "untrained", "shuffled", "random"]),
  );
  for (const { name, config } of quick) expect([name, config.iterations]).toEqual([name, 2]);
});
