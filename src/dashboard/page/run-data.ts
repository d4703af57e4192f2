// The run that is looked at, kept current: its detail is read once, then its stream says when to read again. Views take `version` as the
// sign that numbers are new and `phases` as the sign that files of a phase are.

import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { type LiveProgress, ROUTES, type RunDetail, type RunRow, type StreamedEvent } from "../api.ts";
import { type Loaded, useLoad } from "./client.ts";
import { listen, throttled } from "./live.ts";

/** What the views of a run are given. */
export interface RunData {
  readonly name: string;
  readonly detail: Loaded<RunDetail>;
  /** Newer than the detail's where the stream has told it. */
  readonly row?: RunRow;
  readonly progress?: LiveProgress;
  /** Grows with every event, at most every REFRESH_MS. */
  readonly version: number;
  /** Grows when a phase begins or ends. */
  readonly phases: number;
}

const REFRESH_MS = 700;

/** Loads a run and follows its stream while the calling view is there. */
export function useRun(name: string): RunData {
  const live = useMemo(
    () => ({
      version: signal(0),
      phases: signal(0),
      row: signal<RunRow | undefined>(undefined),
      progress: signal<LiveProgress | undefined>(undefined),
    }),
    [name],
  );
  const detail = useLoad<RunDetail>(ROUTES.run(name), live.version.value);
  const begin = detail.value !== undefined;
  useEffect(() => {
    if (!begin) return undefined;
    let missed = false;
    // A tab in the background costs a run nothing; it catches up when it is looked at.
    const refresh = throttled(() => {
      missed = document.hidden;
      if (!missed) live.version.value++;
    }, REFRESH_MS);
    const onVisible = () => {
      if (missed && !document.hidden) refresh();
    };
    document.addEventListener("visibilitychange", onVisible);
    const renew = () => {
      live.phases.value++;
      refresh();
    };
    const close = listen(
      ROUTES.events(name),
      {
        event: ({ event }: StreamedEvent) => {
          if (["phase", "done", "start"].includes(event.event)) {
            live.progress.value = undefined;
            renew();
          } else refresh();
        },
        progress: (progress: LiveProgress) => {
          live.progress.value = progress;
        },
        state: (row: RunRow) => {
          live.row.value = row;
          refresh();
        },
        reset: renew,
      },
      detail.value?.lastEventId,
    );
    return () => {
      close();
      document.removeEventListener("visibilitychange", onVisible);
    };
    // The detail is read anew with every event; the stream goes on.
  }, [name, begin, live]);
  return {
    name,
    detail,
    row: live.row.value ?? detail.value?.row,
    progress: live.progress.value ?? detail.value?.live,
    version: live.version.value,
    phases: live.phases.value,
  };
}
