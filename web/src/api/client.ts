/** The HTTP API, typed by its OpenAPI document: the only thing that the pages ask. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Shape<Name extends keyof components["schemas"]> = components["schemas"][Name];

/** Why there is no answer, in a sentence for a person. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export const api = createClient<paths>({ baseUrl: "/" });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The data of an answer, or what was wrong as an error. */
export async function asked<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, "Unreachable", "The server does not answer. Start it again: unweave serve PROJECT");
  }
  if (answer.data !== undefined) return answer.data;
  const problem = answer.error as Partial<Shape<"Problem">> | undefined;
  throw new Refused(
    answer.response.status,
    problem?.kind ?? "Error",
    problem?.error ?? `The server answered ${answer.response.status}.`,
  );
}
