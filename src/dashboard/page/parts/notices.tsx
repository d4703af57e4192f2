// What people should see: warnings, skipped updates, rollbacks, pauses, interruptions; the newest first, the older ones folded.

import type { Notice } from "../../api.ts";

const SHOWN = 4;

export function Notices({ notices }: { readonly notices: readonly Notice[] }) {
  if (notices.length === 0) return null;
  const newest = [...notices].reverse();
  return (
    <div class="notices">
      <NoticeList notices={newest.slice(0, SHOWN)} />
      {newest.length > SHOWN && (
        <details>
          <summary>{newest.length - SHOWN} earlier notices</summary>
          <NoticeList notices={newest.slice(SHOWN)} />
        </details>
      )}
    </div>
  );
}

function NoticeList({ notices }: { readonly notices: readonly Notice[] }) {
  return (
    <ul>
      {notices.map(({ time, event, iteration, phase, text }, index) => (
        <li key={`${time}-${index}`}>
          <time dateTime={time}>{time.slice(11, 19)}</time> <strong>{event}</strong>
          {iteration !== undefined && (
            <span class="muted">
              {" "}
              iteration {iteration}
              {phase && `, ${phase}`}
            </span>
          )}{" "}
          {text}
        </li>
      ))}
    </ul>
  );
}
