// Prints where a Chromium for the tests is, from a package of npm: for machines that have none of their own. On the next
// line, the folder of the libraries that came with it, which a bare machine may lack.
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

process.env.AWS_EXECUTION_ENV ??= "AWS_Lambda_nodejs20.x"; // else the package leaves its libraries packed
const { default: chromium } = await import("@sparticuz/chromium");
console.log(await chromium.executablePath());
const libraries = join(tmpdir(), "al2023", "lib");
if (existsSync(libraries)) console.log(libraries);
