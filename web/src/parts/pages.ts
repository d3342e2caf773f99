/** Rows of a long table that came page by page, and which pages are still to be asked for. */

export class Pages<Row> {
  /** Rows that there are in all; known once a page came. */
  total: number | undefined;
  private readonly came = new Map<number, Row[]>();
  private readonly asked = new Set<number>();

  /**
   * @param size rows of a page.
   * @param most pages that are kept; those farthest from the last that came are dropped.
   */
  constructor(
    readonly size: number,
    private readonly most = 50,
  ) {}

  /** A row; undefined while its page is not there. */
  at(index: number): Row | undefined {
    return this.came.get(Math.floor(index / this.size))?.[index % this.size];
  }

  /** Pages with rows from first to last that are neither there nor asked for. */
  missing(first: number, last: number): number[] {
    const end = this.total === undefined ? last : Math.min(last, this.total - 1);
    const found: number[] = [];
    for (let page = Math.floor(Math.max(0, first) / this.size); page * this.size <= end; page++)
      if (!this.came.has(page) && !this.asked.has(page)) found.push(page);
    return found;
  }

  begin(page: number): void {
    this.asked.add(page);
  }

  /** It is not there, and may be asked for again. */
  fail(page: number): void {
    this.asked.delete(page);
  }

  put(page: number, rows: Row[], total: number): void {
    this.asked.delete(page);
    this.came.set(page, rows);
    this.total = total;
    const far = [...this.came.keys()].sort((one, other) => Math.abs(other - page) - Math.abs(one - page));
    for (const one of far.slice(0, Math.max(0, far.length - this.most))) this.came.delete(one);
  }

  /** All rows that are there, with their places. */
  *[Symbol.iterator](): Iterator<[index: number, row: Row]> {
    for (const [page, rows] of this.came) for (const [i, row] of rows.entries()) yield [page * this.size + i, row];
  }
}
