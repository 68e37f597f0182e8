// The tests of one room.

import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: [`src/${process.env.ROOM}/**/*.test.ts`], testTimeout: 60_000 } });
