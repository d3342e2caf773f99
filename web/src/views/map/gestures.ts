/** What pointers do on the map: one drags it or draws a box, two zoom, one that does not move picks. */

export type Spot = [sx: number, sy: number];

export interface Gestured {
  pan: (dx: number, dy: number) => void;
  zoom: (at: Spot, factor: number) => void;
  box: (from: Spot, to: Spot, done: boolean) => void;
  pick: (at: Spot) => void;
  hover: (at: Spot | null) => void;
}

/** A pointer that moved less has not moved. */
const STILL_PX = 4;
const WHEEL = 0.0016;
/** Two fingers on a touch pad come as a wheel with Ctrl held, in small steps. */
const PINCH_WHEEL = 0.01;

export class Gestures {
  private pointers = new Map<number, Spot>();
  private start: Spot = [0, 0];
  private went = false;
  private boxing = false;

  constructor(private readonly told: () => Gestured) {}

  private static at(event: MouseEvent): Spot {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event: PointerEvent, box: boolean): void {
    if (event.button !== 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    const at = Gestures.at(event);
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 1) [this.start, this.went, this.boxing] = [at, false, box || event.shiftKey];
    else this.went = true;
  }

  move(event: PointerEvent): void {
    const at = Gestures.at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.told().hover(at);
      return;
    }
    if (!this.went && Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) < STILL_PX) return;
    this.went = true;
    this.told().hover(null);
    if (this.pointers.size > 1) this.pinch(event.pointerId, before, at);
    else if (this.boxing) this.told().box(this.start, at, false);
    else this.told().pan(at[0] - before[0], at[1] - before[1]);
    this.pointers.set(event.pointerId, at);
  }

  up(event: PointerEvent): void {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size > 0) return;
    const at = Gestures.at(event);
    if (!this.went) this.told().pick(at);
    else if (this.boxing) this.told().box(this.start, at, true);
    this.boxing = false;
  }

  wheel(event: WheelEvent): void {
    event.preventDefault();
    this.told().zoom(Gestures.at(event), Math.exp(-event.deltaY * (event.ctrlKey ? PINCH_WHEEL : WHEEL)));
  }

  private pinch(id: number, before: Spot, at: Spot): void {
    const [, other] = [...this.pointers].find(([known]) => known !== id) ?? [];
    if (!other) return;
    const far = (spot: Spot) => Math.max(1, Math.hypot(spot[0] - other[0], spot[1] - other[1]));
    this.told().pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
    this.told().zoom([(at[0] + other[0]) / 2, (at[1] + other[1]) / 2], far(at) / far(before));
  }
}
