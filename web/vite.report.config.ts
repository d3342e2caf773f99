import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

// What report.html holds of the pages: one script and one style sheet, which Python writes into the file.
export default defineConfig({
  plugins: [preact()],
  build: {
    outDir: "../src/unweave/report/built",
    emptyOutDir: true,
    target: "es2022",
    lib: {
      entry: "src/report/main.tsx",
      formats: ["iife"],
      name: "report",
      fileName: () => "report.js",
      cssFileName: "report",
    },
  },
  define: { "process.env.NODE_ENV": '"production"' },
});
