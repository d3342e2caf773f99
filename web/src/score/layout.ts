/** Where the groups of a score stand, in units of the score: what adds goes right, what takes away goes back left. */
import type { Account, Piece } from "./groups";

export interface Drawn {
  piece: Piece;
  lane: "adds" | "takes";
  from: number;
  to: number;
}

export interface Bracket {
  account: Account;
  from: number;
  to: number;
}

export interface Layout {
  accounts: Account[];
  drawn: Drawn[];
  /** The end of what adds. */
  end: number;
  /** Where the score stands: the end, less what takes away. */
  score: number;
  /** What each system of a sum adds; none where there is one system. */
  brackets: Bracket[];
}

export function layoutOf(accounts: Account[]): Layout {
  const drawn: Drawn[] = [];
  const brackets: Bracket[] = [];
  let at = 0;
  for (const account of accounts) {
    const from = at;
    for (const piece of account.pieces) {
      if (piece.adds > 0) drawn.push({ piece, lane: "adds", from: at, to: at + piece.adds });
      at += piece.adds;
    }
    if (account.system !== null) brackets.push({ account, from, to: at });
  }
  const end = at;
  for (const piece of accounts.flatMap((account) => account.pieces)) {
    if (piece.takes > 0) drawn.push({ piece, lane: "takes", from: at - piece.takes, to: at });
    at -= piece.takes;
  }
  return { accounts, drawn, end, score: at, brackets };
}
