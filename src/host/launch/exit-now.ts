// Ends this process at once. process.exit() would wait for our other threads, and those wait in the kernel for calls that may
// never come. A file of its own, because it loads native code, which the main thread doesn't need otherwise.

export { exitNow } from "../linux/libc.js";
