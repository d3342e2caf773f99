/** What stands where there is nothing to show yet, or no more: shapes of the layout, an error, a blank page. */
import type { ComponentChildren } from "preact";
import type { Refused } from "../api/client";

/** Grey lines of the layout that is being loaded. */
export function Lines({ n = 8, height = 16 }: { n?: number; height?: number }) {
  return (
    <div aria-hidden="true" class="sk-lines">
      {Array.from({ length: n }, (_, i) => (
        <span key={i} class="sk" style={{ height: `${height}px`, width: `${92 - ((i * 37) % 41)}%` }} />
      ))}
    </div>
  );
}

/** What went wrong, and what to do: the server's own sentence. */
export function Failed({ error, onRetry }: { error: Refused; onRetry?: () => void }) {
  return (
    <div class="strip bad" role="alert">
      <span>
        <b>That did not work.</b> {error.message}
      </span>
      {onRetry && (
        <span class="acts">
          <button type="button" class="btn s" onClick={onRetry}>
            Try again
          </button>
        </span>
      )}
    </div>
  );
}

interface BlankProps {
  title: string;
  /** 2 where it stands under the heading of its page: a page has one of the first level. */
  level?: 1 | 2;
  children: ComponentChildren;
}

export function Blank({ title, level = 1, children }: BlankProps) {
  const Heading = level === 1 ? "h1" : "h2";
  return (
    <div class="blank">
      <Heading class="blank-title">{title}</Heading>
      {children}
    </div>
  );
}
