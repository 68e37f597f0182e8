// src/host/launcher-thread.ts
import { parentPort, workerData } from "node:worker_threads";

// src/host/handshake.ts
var MACHINE = 0;
var LISTENER = 1;
var LAUNCHER = 2;
var GOOD = 1;
var BAD = -1;
var FIRST_FD = 1;
var Handshake = class {
  memory;
  #slots;
  constructor(memory = new SharedArrayBuffer(12)) {
    this.memory = memory;
    this.#slots = new Int32Array(memory);
  }
  /** The supervisor says whether there is a machine to serve. */
  announceMachine(good) {
    this.#set(MACHINE, good ? GOOD : BAD);
  }
  /** The launcher waits for that: without a machine nothing is started. */
  waitForMachine() {
    return this.#wait(MACHINE) === GOOD;
  }
  /** The launcher says where the notifications come from, and which thread it is; no listener if there could be none. */
  announceListener(listener, thread) {
    Atomics.store(this.#slots, LAUNCHER, thread);
    this.#set(LISTENER, listener === void 0 ? BAD : listener + FIRST_FD);
  }
  /** The supervisor waits for that. */
  waitForListener() {
    const value = this.#wait(LISTENER);
    return value === BAD ? void 0 : value - FIRST_FD;
  }
  /** The launcher's thread, once there is a listener. */
  get launcher() {
    return Atomics.load(this.#slots, LAUNCHER);
  }
  #set(slot, value) {
    Atomics.store(this.#slots, slot, value);
    Atomics.notify(this.#slots, slot);
  }
  #wait(slot) {
    Atomics.wait(this.#slots, slot, 0);
    return Atomics.load(this.#slots, slot);
  }
};

// src/host/libc.ts
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import koffi from "koffi";

// src/host/syscalls.ts
var x64 = {
  auditArch: 3221225534,
  ioctl: 16,
  open: 2,
  openat: 257,
  openat2: 437,
  execve: 59,
  execveat: 322,
  setuid: 105,
  setreuid: 113,
  setresuid: 117,
  capset: 126,
  unshare: 272,
  setns: 308,
  kcmp: 312,
  seccomp: 317,
  memfdCreate: 319,
  statx: 332,
  pidfdOpen: 434,
  pidfdGetfd: 438,
  pidfdSendSignal: 424
};
var arm64 = {
  auditArch: 3221225655,
  ioctl: 29,
  open: void 0,
  openat: 56,
  openat2: 437,
  execve: 221,
  execveat: 281,
  setuid: 146,
  setreuid: 145,
  setresuid: 147,
  capset: 91,
  unshare: 97,
  setns: 268,
  kcmp: 272,
  seccomp: 277,
  memfdCreate: 279,
  statx: 291,
  pidfdOpen: 434,
  pidfdGetfd: 438,
  pidfdSendSignal: 424
};
var tables = { x64, arm64 };
var knownSyscalls = tables[process.arch];
var syscalls = knownSyscalls ?? x64;

// src/host/libc.ts
var libc = koffi.load(null);
var ioctl = libc.func("int ioctl(int, int64, int64)");
var processVmReadv = libc.func("int64 process_vm_readv(int, int64, int64, int64, int64, int64)");
var processVmWritev = libc.func("int64 process_vm_writev(int, int64, int64, int64, int64, int64)");
var syscall = libc.func("int64 syscall(int64, int64, int64, int64, int64, int64)");
var open = libc.func("int open(int64, int)");
var openat = libc.func("int openat(int, int64, int)");
var close = libc.func("int close(int)");
var read = libc.func("int64 read(int, int64, int64)");
var write = libc.func("int64 write(int, int64, int64)");
var pread = libc.func("int64 pread(int, int64, int64, int64)");
var pwrite = libc.func("int64 pwrite(int, int64, int64, int64)");
var readlinkat = libc.func("int64 readlinkat(int, int64, int64, int64)");
var fcntl = libc.func("int fcntl(int, int, int64)");
var ftruncate = libc.func("int ftruncate(int, int64)");
var mmap = libc.func("int64 mmap(int64, int64, int, int, int, int64)");
var munmap = libc.func("int munmap(int64, int64)");
var poll = libc.func("int poll(int64, int64, int)");
var inotifyInit = libc.func("int inotify_init1(int)");
var inotifyAddWatch = libc.func("int inotify_add_watch(int, int64, uint32)");
var prctl = libc.func("int prctl(int, int64, int64, int64, int64)");
var prlimit = libc.func("int prlimit(int, int, int64, int64)");
var kill = libc.func("int kill(int, int)");
var waitpid = libc.func("int waitpid(int, int64, int)");
var fstatfs = libc.func("int fstatfs(int, int64)");
var getpgrp = libc.func("int getpgrp()");
var tcgetpgrp = libc.func("int tcgetpgrp(int)");
var gettid = () => libc.func("int gettid()")();
var exitNow = libc.func("void _exit(int)");
var posixSpawnp = libc.func("int posix_spawnp(int64, int64, int64, int64, int64, int64)");
var posixSpawnattrInit = libc.func("int posix_spawnattr_init(int64)");
var posixSpawnattrSetflags = libc.func("int posix_spawnattr_setflags(int64, int16)");
var posixSpawnattrSetsigdefault = libc.func("int posix_spawnattr_setsigdefault(int64, int64)");
var posixSpawnattrSetsigmask = libc.func("int posix_spawnattr_setsigmask(int64, int64)");
var seccomp = (operation, flags, argument) => syscall(syscalls.seccomp, operation, flags, argument, 0, 0);
var errno = koffi.errno;
function environ() {
  return Number(koffi.decode(libc.symbol("environ"), "int64"));
}
var { signals, errno: errors } = constants;
var SystemError = class extends Error {
  errno;
  constructor(what, number) {
    super(`${what}: ${errorName(number)}`);
    this.name = "SystemError";
    this.errno = number;
  }
};
function errorName(number) {
  try {
    return getSystemErrorName(-number);
  } catch {
    return `errno ${number}`;
  }
}
var NativeMemory = class {
  bytes;
  words;
  address;
  /** @param size in bytes, a multiple of 4 */
  constructor(size) {
    this.bytes = new Uint8Array(new ArrayBuffer(size));
    this.words = new Uint32Array(this.bytes.buffer);
    this.address = addressOf(this.bytes);
  }
  /** Writes a u64 at word `at`: an address, a length, an offset. */
  setU64(at, value) {
    this.words[at] = value;
    this.words[at + 1] = value / 2 ** 32;
  }
  /** The u64 at word `at`: exact below 2^53, where every address, length and offset that exists is. */
  u64(at) {
    return this.words[at] + this.words[at + 1] * 2 ** 32;
  }
  /** Puts a string there with a NUL after it. @returns its address */
  setString(text, at = 0) {
    const { written } = encoder.encodeInto(text, this.bytes.subarray(at, this.bytes.length - 1));
    this.bytes[at + written] = 0;
    return this.address + at;
  }
};
var encoder = new TextEncoder();
function addressOf(bytes) {
  return Number(koffi.address(bytes));
}

// src/host/seccomp.ts
var BPF_LD_W_ABS = 32;
var BPF_ALU_AND_K = 84;
var BPF_JEQ_K = 21;
var BPF_RET_K = 6;
var SECCOMP_RET_USER_NOTIF = 2143289344;
var SECCOMP_RET_ALLOW = 2147418112;
var NR = 0;
var ARCH = 4;
var ARG1_LOW = 24;
var IOC_TYPE_MASK = 65280;
var IOC_TYPE_OURS = 15104;
var trappedAlways = [
  syscalls.open,
  syscalls.openat,
  syscalls.openat2,
  syscalls.execve,
  syscalls.execveat,
  syscalls.setuid,
  syscalls.setreuid,
  syscalls.setresuid,
  syscalls.capset,
  syscalls.unshare,
  syscalls.setns
].filter((number) => number !== void 0);
var FAREWELL = 15359;
function filterProgram() {
  const program = [
    [BPF_LD_W_ABS, ARCH],
    [BPF_JEQ_K, syscalls.auditArch, 1, 0],
    [BPF_RET_K, SECCOMP_RET_ALLOW],
    [BPF_LD_W_ABS, NR],
    [BPF_JEQ_K, syscalls.ioctl, 0, 4],
    [BPF_LD_W_ABS, ARG1_LOW],
    [BPF_ALU_AND_K, IOC_TYPE_MASK],
    [BPF_JEQ_K, IOC_TYPE_OURS, trappedAlways.length + 2, 0],
    [BPF_RET_K, SECCOMP_RET_ALLOW]
  ];
  trappedAlways.forEach((number, i) => {
    program.push([BPF_JEQ_K, number, trappedAlways.length - i, 0]);
  });
  program.push([BPF_RET_K, SECCOMP_RET_ALLOW], [BPF_RET_K, SECCOMP_RET_USER_NOTIF]);
  return program;
}
function assemble(program) {
  const memory = new NativeMemory(16 + program.length * 8);
  const view = new DataView(memory.bytes.buffer);
  view.setUint16(0, program.length, true);
  memory.setU64(2, memory.address + 16);
  program.forEach(([code, k, jt = 0, jf = 0], i) => {
    view.setUint16(16 + i * 8, code, true);
    view.setUint8(16 + i * 8 + 2, jt);
    view.setUint8(16 + i * 8 + 3, jf);
    view.setUint32(16 + i * 8 + 4, k, true);
  });
  return memory;
}
var SECCOMP_SET_MODE_FILTER = 1;
var SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;
var SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5;
var PR_SET_NO_NEW_PRIVS = 38;
function installFilter() {
  const program = assemble(filterProgram());
  const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  let listener = seccomp(SECCOMP_SET_MODE_FILTER, flags, program.address);
  if (listener === -1 && errno() === errors.EACCES) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener = seccomp(SECCOMP_SET_MODE_FILTER, flags, program.address);
  }
  if (listener === -1) throw new SystemError("seccomp", errno());
  return listener;
}
var SECCOMP_ADDFD_FLAG_SEND = 1 << 1;
var NOTIF_WORDS = 20;
var RESP = NOTIF_WORDS;
var ADDFD = RESP + 6;

// src/host/launcher-thread.ts
var F_SETFD = 2;
var PR_SET_CHILD_SUBREAPER = 36;
var RLIMIT_NOFILE = 7;
var POSIX_SPAWN_SETSIGDEF = 4;
var POSIX_SPAWN_SETSIGMASK = 8;
var SPAWN_ATTRIBUTES_BYTES = 1024;
var SIGNAL_SET_BYTES = 128;
var data = workerData;
var handshake = new Handshake(data.handshake);
if (handshake.waitForMachine()) launch();
function launch() {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const program = stringArray(data.program);
  const attributes = spawnAttributes();
  const pid = new NativeMemory(4);
  const environment = environ();
  for (const fd of data.fds) fcntl(fd, F_SETFD, 0);
  try {
    handshake.announceListener(installFilter(), gettid());
  } catch (error) {
    handshake.announceListener(void 0, 0);
    tell({ kind: "failed", call: "seccomp", errno: error instanceof SystemError ? error.errno : errors.EIO });
    return;
  }
  const failure = withFileLimit(
    data.fileLimit,
    () => posixSpawnp(pid.address, program.u64(0), 0, attributes.address, program.address, environment)
  );
  if (failure === 0) {
    tell({ kind: "started", pid: pid.words[0] });
    waitForAll(pid.words[0]);
  } else tell({ kind: "failed", call: "posix_spawn", errno: failure });
  ioctl(-1, FAREWELL, 0);
}
function waitForAll(program) {
  const status = new NativeMemory(4);
  for (; ; ) {
    const pid = waitpid(-1, status.address, 0);
    if (pid === program) tell({ kind: "ended", status: status.words[0] });
    if (pid === -1 && errno() !== errors.EINTR) return;
  }
}
function spawnAttributes() {
  const attributes = new NativeMemory(SPAWN_ATTRIBUTES_BYTES);
  const ignoredByNode = new NativeMemory(SIGNAL_SET_BYTES);
  const none = new NativeMemory(SIGNAL_SET_BYTES);
  for (const signal of [signals.SIGPIPE, signals.SIGXFSZ]) ignoredByNode.words[0] |= 1 << signal - 1;
  posixSpawnattrInit(attributes.address);
  posixSpawnattrSetflags(attributes.address, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posixSpawnattrSetsigdefault(attributes.address, ignoredByNode.address);
  posixSpawnattrSetsigmask(attributes.address, none.address);
  return attributes;
}
function withFileLimit(soft, action) {
  const before = new NativeMemory(16);
  if (soft === void 0 || prlimit(0, RLIMIT_NOFILE, 0, before.address) === -1) return action();
  const lowered = new NativeMemory(16);
  lowered.words.set(before.words);
  lowered.setU64(0, soft);
  prlimit(0, RLIMIT_NOFILE, lowered.address, 0);
  try {
    return action();
  } finally {
    prlimit(0, RLIMIT_NOFILE, before.address, 0);
  }
}
function stringArray(strings) {
  const pointers = (strings.length + 1) * 8;
  const bytes = strings.reduce((sum, string) => sum + string.length + 1, pointers);
  const memory = new NativeMemory(bytes + 3 & ~3);
  let at = pointers;
  strings.forEach((string, i) => {
    memory.setU64(i * 2, memory.address + at);
    memory.bytes.set(string, at);
    at += string.length + 1;
  });
  return memory;
}
function tell(message) {
  parentPort.postMessage(message);
}
