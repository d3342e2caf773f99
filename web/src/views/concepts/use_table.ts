/** Rows of the table, asked for as they come into view. */
import { api, asked } from "../../api/client";
import { type Paged, usePages } from "../../parts/use_pages";
import { forServer, type Query, type Row } from "./query";

export const PAGE = 200;

export function useTable(query: Query): Paged<Row> {
  const given = forServer(query);
  return usePages<Row>(
    JSON.stringify(given),
    (offset, limit, signal) =>
      asked(api.GET("/api/concepts", { params: { query: { ...given, offset, limit, sparks: true } }, signal })),
    PAGE,
  );
}
