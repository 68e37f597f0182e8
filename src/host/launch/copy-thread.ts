// A thread for copies that may wait.

import { runCopyThread } from "../memory/copy-thread.js";

runCopyThread();
