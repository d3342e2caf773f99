/** What a language model was paid, against the cap of the settings. */
import type { Shape } from "../../api/client";
import { count, figure, share } from "../../parts/figures";

/**
 * @param spent over the life of the project.
 * @param here by the job that is shown.
 */
export function Money({ spent, here = null }: { spent: Shape<"Spent">; here?: Shape<"Spent"> | null }) {
  const cap = spent.most;
  const of = cap !== null && cap > 0 ? Math.min(1, spent.cost / cap) : null;
  return (
    <div class="job-step">
      <p>
        <span>
          <b>{figure(spent.cost, 2)}</b>{" "}
          <span class="mute">spent{cap !== null && ` of a cap of ${figure(cap, 2)}`}</span>
        </span>
        <span class="num">{of !== null && share(of)}</span>
      </p>
      {of !== null && (
        <svg class="cap" role="img" aria-label={`Spent ${figure(spent.cost, 2)} of ${figure(cap ?? 0, 2)}`}>
          <rect class="prog-all" y="4" width="100%" height="6" rx="3" />
          <rect class={`prog-done${of >= 1 ? " full" : ""}`} y="4" width={`${100 * of}%`} height="6" rx="3" />
          <line x1="100%" x2="100%" y1="0" y2="14" />
        </svg>
      )}
      <small>
        {here && `${figure(here.cost, 4)} of it by this job. `}
        {count(spent.requests)} requests, {count(spent.input_tokens)} tokens read and {count(spent.output_tokens)}{" "}
        written over the life of the project.
        {of !== null &&
          (of >= 1
            ? " The cap is reached: raise [language_model] cap in unweave.toml to go on."
            : " At the cap it stops by itself, and what is named stays.")}
      </small>
    </div>
  );
}
