/** Before naming that is paid for is cancelled: what stays, and what is still paid. */
import { useState } from "preact/hooks";
import { Dialog } from "../../parts/dialog";
import type { Job } from "../../parts/jobs";
import { reached, step } from "../../parts/jobwords";

export function CancelPaid({ job, onClose, onCancel }: { job: Job; onClose: () => void; onCancel: () => void }) {
  const [done, cancel] = useState(false);
  const at = step(job);
  const sure = () => {
    cancel(true);
    onCancel();
    onClose();
  };
  return (
    <Dialog title="Cancel naming?" onClose={onClose}>
      <p class="mute">
        {at ? `${reached(at)}: what is named stays named. ` : "What is named stays named. "}
        Requests that are on their way are still paid for. You can resume later from where it stopped; or close this to
        keep naming.
      </p>
      <p class="then">
        <button type="button" class="btn primary" disabled={done} onClick={sure}>
          Cancel it
        </button>
      </p>
    </Dialog>
  );
}
