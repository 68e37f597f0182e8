// Flags of system calls that several files here use, as they are on both x86-64 and arm64. What differs, as O_DIRECTORY does, is to
// be had from node:fs.

// open(2)
export const O_CLOEXEC = 0o2000000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_PATH = 0o10000000;
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_WRONLY = 1;
export const O_ACCMODE = 3;

// fcntl(2)
export const F_GETFL = 3;
export const F_SETFL = 4;

// mmap(2)
export const MAP_SHARED = 1; // MAP_SHARED_VALIDATE has this bit, too
export const MAP_ANONYMOUS = 0x20;
export const PROT_READ = 1;
export const PROT_WRITE = 2;

// getrlimit(2)
export const RLIMIT_NOFILE = 7;
