// Programs that are as hostile as can be, for main.ts: they make random calls by a table of all that there is to be called, several
// threads in each, while others rewrite the structs that are under way, map and unmap memory, pass fds around, fork, and are killed.
// client TABLE SEED SECONDS RESTS: so often everybody is ended; then "rest CALLS KILLS PARENT" is printed, and a line is read before it goes on.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 3, THREADS = 2, PAGES = 64, PAGE = 4096, FILES = 24, MOST_COMMANDS = 160, MOST_FIELDS = 24, MOST_PATHS = 24, REMEMBERED = 8, CLASSES = 4 };
enum { IOAS, DEVICE, HWPT };
#define HUGE_BYTES (1ull << 36)

// --- What there is to be called ---

// How a field is filled, as main.ts says it: reserved, flags, one of some, an id, an fd, a pointer, a length, an IOVA, a small number,
// an address of memory, the struct's own size, a number that is always the same.
struct field { int offset, width; char kind; uint64_t mask; int is_answer; };
struct command { uint32_t number; int size, fields; struct field field[MOST_FIELDS]; };
static struct command commands[3][MOST_COMMANDS]; // of /dev/iommu, of devices, of groups and containers
static int command_count[3];
static struct { char path[96]; int kind; } paths[MOST_PATHS];
static int path_count;

static void read_table(const char *name)
{
	FILE *file = fopen(name, "r");
	char word[16];
	struct command *last = 0;
	while (file && fscanf(file, "%15s", word) == 1) {
		if (strcmp(word, "path") == 0) {
			if (fscanf(file, "%95s %d", paths[path_count].path, &paths[path_count].kind) != 2) exit(3);
			path_count++;
		} else if (strcmp(word, "command") == 0) {
			int kind, size;
			unsigned number;
			if (fscanf(file, "%d %u %d", &kind, &number, &size) != 3 || command_count[kind] == MOST_COMMANDS) exit(3);
			last = &commands[kind][command_count[kind]++];
			last->number = number;
			last->size = size;
		} else {
			struct field *field = &last->field[last->fields++];
			if (fscanf(file, "%d %d %c %lu %d", &field->offset, &field->width, &field->kind, &field->mask, &field->is_answer) != 5) exit(3);
			if (last->fields > MOST_FIELDS) exit(3);
		}
	}
	if (!file || path_count == 0) exit(3);
	fclose(file);
}

// --- What all processes know ---

static struct {
	long calls, kills;
} *shared;
static int sockets[2]; // fds are passed through it
static uint8_t *memory; // PAGES of it, and behind it much that nobody touches
static __thread uint32_t state;

static uint32_t any(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

static uint32_t below(uint32_t limit) { return any() % limit; }
static int one_in(uint32_t n) { return below(n) == 0; }

// --- What a process has ---

struct open_file { int fd, kind; };
static struct open_file files[FILES]; // threads of a process change it as they like
static struct open_file context, bound; // where calls have most to work on
static uint32_t ids[CLASSES][REMEMBERED]; // of IOASes, devices, HWPTs, and all else
static uint64_t iovas[REMEMBERED];
static uint8_t *arguments; // a page for each thread, and one more

static struct open_file *some_file(void) { return &files[below(FILES)]; }

static void put_file(int fd, int kind)
{
	if (fd < 0) return;
	struct open_file *place = some_file();
	int before = place->fd;
	place->fd = fd;
	place->kind = kind;
	if (before > 2 && before != context.fd && before != bound.fd) close(before);
}

static uint64_t critical(void)
{
	static const uint64_t values[] = {0, 1, 7, 8, 0xfff, 0x1000, 0x200000, 1ull << 30, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32,
		(1ull << 47) - PAGE, 1ull << 47, 1ull << 48, 1ull << 53, 1ull << 63, -1ull, -2ull, -(uint64_t)PAGE};
	return values[below(sizeof values / sizeof *values)];
}

static uint64_t address(void)
{
	if (one_in(12)) return critical();
	if (one_in(16)) return (uintptr_t)memory + (PAGES + below(1 << 20)) * (uint64_t)PAGE;
	return (uintptr_t)memory + below(PAGES) * PAGE + (one_in(6) ? below(PAGE) : 0);
}

static uint64_t value_of(const struct field *field, const struct command *command)
{
	switch (one_in(60) ? 'r' : field->kind) {
	case 'z': return one_in(50) ? any() : 0;
	case 'f': return one_in(3) ? 0 : one_in(2) ? field->mask & 7 : one_in(2) ? (any() & any() & field->mask) : (1u << below(6)) & field->mask;
	case 'e': return one_in(12) ? below(16) : field->mask >> 8 * below(8) & 255; // eight of them
	case 'i': return one_in(8) ? below(12) : ids[one_in(12) ? below(CLASSES) : field->mask % CLASSES][below(REMEMBERED)];
	case 'd': return (uint32_t)some_file()->fd;
	case 'p': case 'a': return address();
	case 'l': return one_in(8) ? 1ull << below(37) : one_in(8) ? -1ull : (one_in(2) ? PAGES : below(PAGES + 1)) * (uint64_t)PAGE;
	case 'v': return one_in(8) ? 0 : iovas[below(REMEMBERED)] + (one_in(3) ? below(PAGES) * PAGE : 0);
	case 'n': return one_in(20) ? any() : below(one_in(4) ? 4096 : 6);
	case 's': return one_in(30) ? below(200) : (uint64_t)command->size;
	case '=': return field->mask;
	default: return one_in(2) ? critical() : ((uint64_t)any() << 32 | any());
	}
}

static void fill(const struct command *command, uint8_t *into)
{
	memset(into, 0, command->size);
	for (int i = 0; i < command->fields; i++) {
		uint64_t value = value_of(&command->field[i], command);
		memcpy(into + command->field[i].offset, &value, command->field[i].width);
	}
}

static void learn(int class, uint32_t id) { ids[class % CLASSES][below(REMEMBERED)] = id; }

static void remember(const struct command *command, const uint8_t *from)
{
	for (int i = 0; i < command->fields; i++) {
		const struct field *field = &command->field[i];
		uint64_t value = 0;
		if (!field->is_answer) continue;
		memcpy(&value, from + field->offset, field->width);
		if (field->kind == 'v') iovas[below(REMEMBERED)] = value;
		else if (field->kind == 'd') put_file((int)value, 3);
		else learn(field->mask, value);
	}
}

static long counted(long result)
{
	__atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
	return result;
}

static void call(uint8_t *argument)
{
	struct open_file file = one_in(3) ? *some_file() : one_in(4) ? bound : context;
	if (file.fd <= 2) return;
	int kind = file.kind < 3 && !one_in(30) ? file.kind : (int)below(3);
	const struct command *command = &commands[kind][below(command_count[kind])];
	fill(command, argument);
	uint64_t where = one_in(40) ? address() : (uintptr_t)argument + (one_in(30) ? PAGE - 20 : 0);
	uint32_t number = one_in(60) ? (0x3b00 | below(256)) : command->number;
	if (counted(ioctl(file.fd, number, where)) >= 0 && where == (uintptr_t)argument) remember(command, argument);
}

// A context with a device, or a group with a container: what nearly never comes about by chance.
static void begin(uint8_t *argument)
{
	int iommu = counted(open("/dev/iommu", O_RDWR | O_CLOEXEC));
	put_file(iommu, 0);
	context = (struct open_file){iommu, 0};
	uint32_t *words = (uint32_t *)argument;
	memset(words, 0, 64);
	words[0] = 12;
	if (counted(ioctl(iommu, 0x3b81, words)) != 0) return;
	uint32_t ioas = words[2], device = 0;
	for (int i = 0; i < REMEMBERED / 2; i++) learn(IOAS, ioas);
	for (int i = 0; i < path_count; i++) {
		if (paths[i].kind == 0 || one_in(2)) continue;
		int fd = counted(open(paths[i].path, O_RDWR | O_CLOEXEC));
		put_file(fd, paths[i].kind);
		memset(words, 0, 64);
		if (paths[i].kind == 1) {
			words[0] = 24;
			words[2] = iommu;
			if (counted(ioctl(fd, 0x3b76, words)) == 0) {
				learn(DEVICE, device = words[3]);
				bound = (struct open_file){fd, 1};
			}
			memset(words, 0, 64);
			words[0] = 12;
			words[2] = ioas;
			counted(ioctl(fd, 0x3b77, words));
		} else {
			words[0] = iommu;
			counted(ioctl(fd, 0x3b68, words));
		}
	}
	uint64_t map[5] = {40 | 7ull << 32, ioas, (uintptr_t)memory, PAGES * PAGE, 1 << 24};
	memcpy(argument, map, sizeof map);
	counted(ioctl(iommu, 0x3b85, argument));
	iovas[below(REMEMBERED)] = 1 << 24;
	for (int i = 0; device != 0 && i < 3; i++) { // an ordinary one, one to nest in, one that tracks what is dirty
		memset(words, 0, 64);
		words[0] = 48;
		words[1] = i;
		words[2] = device;
		words[3] = ioas;
		if (counted(ioctl(iommu, 0x3b89, words)) == 0) learn(HWPT, words[4]);
	}
}

static void transfer(uint8_t *argument)
{
	struct open_file file = *some_file();
	if (file.fd <= 2) return;
	uint64_t place = ((uint64_t)(one_in(8) ? below(12) : one_in(2) ? 7 : 0) << 40) + (one_in(10) ? critical() & 0xffffff : below(256) & (one_in(4) ? -1 : -4));
	int length = one_in(20) ? (int)below(2 * PAGE) : 1 << below(4);
	void *where = one_in(20) ? (void *)address() : argument;
	struct iovec vector[3] = {{where, length}, {argument, 4}, {where, 1}};
	if (file.kind == 3) fcntl(file.fd, F_SETFL, O_NONBLOCK);
	else if (file.kind != 1) return;
	switch (below(8)) {
	case 0: counted(preadv(file.fd, vector, below(4), place)); break;
	case 1: counted(pwritev(file.fd, vector, below(4), place)); break;
	case 2: if (file.kind == 3) counted(read(file.fd, where, length)); break;
	case 3: if (file.kind == 3) counted(write(file.fd, where, length)); break;
	case 4: case 5: counted(pread(file.fd, where, length, place)); break;
	default: counted(pwrite(file.fd, where, length, place));
	}
}

static void map_something(void)
{
	struct open_file file = *some_file();
	uint64_t offset = one_in(2) ? below(32) * PAGE : ((uint64_t)below(9) << 40) + below(4) * PAGE;
	void *at = mmap(0, PAGE << below(3), PROT_READ | (one_in(2) ? PROT_WRITE : 0), MAP_SHARED, file.fd, offset);
	counted(0);
	if (at == MAP_FAILED) return;
	if (one_in(2)) munmap(at, PAGE);
}

static void pass_fd(void)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int side = below(2);
	if (one_in(2)) {
		struct open_file file = *some_file();
		byte = file.kind;
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &file.fd, sizeof(int));
		if (file.fd > 2) sendmsg(sockets[side], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (recvmsg(sockets[side], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1 && (header = CMSG_FIRSTHDR(&message))) {
		int fd;
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
		put_file(fd, byte);
	}
}

static void rarely(uint8_t *argument)
{
	switch (below(12)) {
	case 0: if (one_in(4)) begin(argument); break;
	case 1: {
		int i = below(path_count);
		put_file(counted(open(paths[i].path, one_in(8) ? O_RDONLY : O_RDWR)), paths[i].kind);
		break;
	}
	case 2: put_file(memfd_create("stress", MFD_ALLOW_SEALING), 3); break;
	case 3: put_file(eventfd(0, EFD_NONBLOCK), 3); break;
	case 4: { struct open_file file = *some_file(); put_file(file.fd > 2 ? dup(file.fd) : -1, file.kind); break; }
	case 5: { struct open_file *file = some_file(); int fd = file->fd; file->fd = -1; if (fd > 2) close(fd); if (fd == context.fd) begin(argument); break; }
	case 6: case 7: pass_fd(); break;
	case 8: // memory comes and goes while it may be pinned
		mmap(memory + below(PAGES) * PAGE, PAGE, one_in(6) ? PROT_NONE : one_in(6) ? PROT_READ : PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 9: map_something(); break;
	case 10: {
		struct rlimit limit = {one_in(3) ? 16 * PAGE : one_in(2) ? 1 << 20 : RLIM_INFINITY, RLIM_INFINITY};
		setrlimit(RLIMIT_MEMLOCK, &limit);
		break;
	}
	default:
		if (one_in(4)) {
			pid_t child = fork(); // of one thread, with all files
			if (child == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				for (int i = below(200); i > 0; i--) call(argument);
				if (one_in(4)) execl("/bin/true", "true", (char *)0);
				_exit(0);
			}
		}
		while (waitpid(-1, 0, WNOHANG) > 0);
	}
}

static void *caller(void *argument)
{
	state = (uint32_t)(uintptr_t)argument * 2654435761u ^ (getpid() * 40503u) ^ (uint32_t)time(0);
	if (state == 0) state = 1;
	for (;;) {
		uint32_t what = below(256);
		if (what < 6) rarely(argument);
		else if (what < 40) transfer(argument);
		else call(argument);
	}
	return 0;
}

// Rewrites what others have under way.
static void *rewriter(void *argument)
{
	state = getpid() * 2654435761u | 1;
	for (;;) {
		uint32_t *words = (uint32_t *)(arguments + below(THREADS) * 2 * PAGE);
		words[below(16)] = one_in(2) ? below(8) : any();
		if (one_in(8)) *(uint64_t *)(memory + below(PAGES) * PAGE + below(8) * 8) = one_in(2) ? below(8) : address();
		usleep(300);
	}
	return argument;
}

// One program, until it is killed.
static void work(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory = mmap(0, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	arguments = mmap(0, (THREADS + 1) * 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i <= THREADS; i++) mprotect(arguments + (2 * i + 1) * PAGE, PAGE, PROT_NONE);
	begin(arguments);
	pthread_t thread;
	for (int i = 0; i < THREADS; i++) pthread_create(&thread, 0, caller, arguments + i * 2 * PAGE);
	rewriter(0);
}

static pid_t start(uint32_t seed)
{
	pid_t child = fork();
	if (child != 0) return child;
	state = seed * 2654435761u | 1;
	for (int i = 0; i < 4; i++) any();
	work();
	_exit(0);
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int count, char **words)
{
	if (count < 5) return 2;
	read_table(words[1]);
	uint32_t seed = atoi(words[2]);
	double seconds = atof(words[3]);
	int rests = atoi(words[4]);
	shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	state = seed | 1;
	for (int rest = 1; rest <= rests; rest++) {
		double end = now() + seconds / rests;
		pid_t workers[WORKERS];
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets) != 0) return 3;
		for (int i = 0; i < WORKERS; i++) workers[i] = start(++seed);
		while (now() < end) {
			usleep(60000 + below(120000));
			int i = below(WORKERS), status;
			kill(workers[i], SIGKILL);
			waitpid(workers[i], &status, 0);
			shared->kills++;
			while (waitpid(-1, 0, WNOHANG) > 0);
			workers[i] = start(++seed);
		}
		for (int i = 0; i < WORKERS; i++) kill(workers[i], SIGKILL);
		shared->kills += WORKERS;
		close(sockets[0]);
		close(sockets[1]);
		while (waitpid(-1, 0, 0) > 0); // their children are ours by now
		for (int i = 0; i < 3; i++) close(open("/dev/iommu", O_RDWR)); // at which what is closed is looked after
		printf("rest %ld %ld %d\n", shared->calls, shared->kills, getppid());
		fflush(stdout);
		char line[16];
		if (!fgets(line, sizeof line, stdin)) return 4;
	}
	return 0;
}
