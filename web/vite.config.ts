import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

// The server that the pages ask while they are being written: `unweave serve mine --port 8765`.
const api = process.env.UNWEAVE_SERVER ?? "http://127.0.0.1:8765";

export default defineConfig({
  plugins: [preact()],
  build: {
    outDir: "../src/unweave/server/pages",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the server forbids inline images from anywhere but the style sheet
    target: "es2022",
  },
  server: { proxy: { "/api": api } },
  test: { include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"] },
} as Parameters<typeof defineConfig>[0]);
