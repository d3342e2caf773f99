/** The project, as every view knows it. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Shape } from "./api/client";
import type { Loaded } from "./api/use";

export type ProjectInfo = Shape<"ProjectInfo">;

export const ProjectContext = createContext<Loaded<ProjectInfo> | null>(null);

export function useProject(): Loaded<ProjectInfo> {
  const project = useContext(ProjectContext);
  if (project === null) throw new Error("a view stands outside of the application");
  return project;
}
