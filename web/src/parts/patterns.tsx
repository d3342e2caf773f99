/** Patterns of what has no colour of its own, which every bar of the page fills with. */
export function Patterns() {
  return (
    <svg width="0" height="0" class="patterns" aria-hidden="true">
      <defs>
        <pattern id="pat-unnamed" width="5" height="5" patternUnits="userSpaceOnUse">
          <rect width="5" height="5" fill="var(--p-unnamed)" />
          <circle cx="1.5" cy="1.5" r=".95" fill="var(--p-unnamed-dot)" />
        </pattern>
        <pattern id="pat-residual" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="5" height="5" fill="var(--bg)" />
          <rect width="1.7" height="5" fill="var(--p-edge)" />
        </pattern>
      </defs>
    </svg>
  );
}
