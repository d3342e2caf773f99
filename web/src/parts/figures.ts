/** Numbers as they are shown: three figures, four in the ledger; a true minus sign. */
export function figure(value: number, digits = 3): string {
  const shown = Math.abs(value) < 0.5 * 10 ** -digits ? (0).toFixed(digits) : Math.abs(value).toFixed(digits);
  return value < 0 && Number(shown) !== 0 ? `−${shown}` : shown;
}

export function signed(value: number, digits = 3): string {
  const shown = figure(value, digits);
  return value > 0 && Number(shown) !== 0 ? `+${shown}` : shown;
}

export function share(value: number): string {
  return `${Math.round(100 * value)} %`;
}

export function count(n: number): string {
  return n.toLocaleString("en");
}

export function counted(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
