// Where a policy stands and where a phase finds it: after its own last phase, another role's, or at the base model. Pure reading of the
// store's markers, so a resumed run finds the same. Loads nothing.

import { PHASES, type Phase, type Role } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import type { LoopContext, Standpoint } from "./context.ts";
import { ancestor, predecessor } from "./guard-state.ts";

/** Notes where a policy stands now; where one model has both roles, both stand in the same place. */
export function setStandpoint({ stands, config }: LoopContext, role: Role, place: Standpoint): void {
  for (const one of config.roles === "shared" ? (["challenger", "solver"] as const) : [role]) stands.set(one, place);
}

/**
 * The finished phase that a policy starts a phase after; undefined: it is the base model. A policy goes on from its own last phase, and
 * where one model has both roles from the last phase of either. A Challenger that has not trained in this iteration yet is what
 * `challenger.start` says.
 */
export function startOf(
  { store, config }: Pick<LoopContext, "store" | "config">,
  role: Role,
  iteration: number,
  name: Phase,
): Standpoint | undefined {
  const last = (of: Role) => lastDoneBefore(store, of, iteration, name);
  if (config.roles === "shared") {
    const [challenger, solver] = [last("challenger"), last("solver")];
    return challenger !== undefined && challenger.iteration > (solver?.iteration ?? 0) ? challenger : solver;
  }
  const own = last(role);
  const { start } = config.challenger;
  if (role === "solver" || start === "previous" || own?.iteration === iteration) return own;
  return start === "solver" ? lastDoneBefore(store, "solver", iteration, "challenger") : undefined;
}

function lastDoneBefore(store: RunStore, role: Role, iteration: number, name: Phase): Standpoint | undefined {
  const before = PHASES.indexOf(role) < PHASES.indexOf(name) ? iteration : predecessor(store, iteration);
  const found = ancestor(store, before, (number) => store.phaseDone(number, role));
  return found === undefined ? undefined : { iteration: found, role };
}
