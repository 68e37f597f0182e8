// What a program and a device whose model runs in a thread of its own do to each other. Prints what came of it, a line each.
// device_threads DEVICE MODE [FILE]
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "ioas.h"

/** Of devices/trouble.mjs. */
enum { WAIT = 0, DONE = 4, STUCK = 8, THROWS = 12, ENDS = 16, SAYS_MUCH = 20 };
/** Of edu. */
enum { LIVENESS = 4, SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98, RESULT = 0xa8 };
#define OWN_MEMORY 0x40000
#define PAGE 4096UL
#define IOVA 0x100000UL

static int dma(uint64_t source, uint64_t destination, uint64_t length, uint64_t direction)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, COUNT, 8, length);
	set(BAR0, START, 8, 1 | direction);
	return get(BAR0, RESULT, 4) == 0;
}

/** The device waits for a file; calls that go elsewhere are answered meanwhile, among them the one that makes it. */
static void busy(const char *file)
{
	set(BAR0, WAIT, 4, 1);
	for (int i = 0; i < 100; i++)
		new_ioas();
	close(open(file, O_CREAT | O_WRONLY, 0600));
	printf("done: %lu\n", get(BAR0, DONE, 4));
}

static void broken(off_t at)
{
	uint32_t word = 0;
	printf("%s\n", pread(device, &word, 4, REGION(BAR0) + at) == -1 ? strerror(errno) : "?");
	printf("then %lx\n", get(BAR0, DONE, 4));
	set(BAR0, WAIT, 4, 1);
	new_ioas();
	printf("reset: %s\n", ioctl(device, VFIO_DEVICE_RESET) == 0 ? "done" : strerror(errno));
}

/** Each kind of memory that can be mapped, there and back, across its pages. */
static void kinds(void)
{
	attach_ioas();
	uint64_t size = 64 * PAGE;
	int memfd = memfd_create("memory", 0);
	require(ftruncate(memfd, 2 * size) == 0, "ftruncate");
	struct { const char *name; int flags, fd; off_t offset; } kinds[] = {
		{"private", MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, {"a memfd", MAP_SHARED, memfd, size},
		{"shared without a name", MAP_SHARED | MAP_ANONYMOUS, -1, 0}};
	for (int kind = 0; kind < 3; kind++) {
		uint8_t *pages = mmap(0, size, PROT_READ | PROT_WRITE, kinds[kind].flags, kinds[kind].fd, kinds[kind].offset);
		require(pages != MAP_FAILED, "mmap");
		map(pages, IOVA, size);
		int wrong = 0;
		for (int round = 0; round < 200; round++) {
			uint64_t from = random() % (size / 2 - PAGE), to = size / 2 + random() % (size / 2 - PAGE), length = 1 + random() % PAGE;
			for (uint64_t i = 0; i < length; i++)
				pages[from + i] = round * 7 + i * 3;
			pages[to + length] = 0x55;
			wrong += !dma(IOVA + from, OWN_MEMORY, length, 0) || !dma(OWN_MEMORY, IOVA + to, length, 2);
			wrong += memcmp(pages + from, pages + to, length) != 0 || pages[to + length] != 0x55;
		}
		unmap(IOVA, size);
		int refused = !dma(IOVA, OWN_MEMORY, 8, 0);
		printf("%s: %d wrong, %s when it is unmapped\n", kinds[kind].name, wrong, refused ? "refused" : "there");
		munmap(pages, size);
	}
}

/** What is unmapped and mapped again is what the device goes by, each time. */
static void changes(void)
{
	attach_ioas();
	uint64_t *pages = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int wrong = 0;
	for (uint64_t round = 0; round < 500; round++) {
		uint64_t *page = pages + round % 8 * (PAGE / 8);
		*page = round + 1;
		map(page, IOVA, PAGE);
		uint64_t *other = pages + (round + 3) % 8 * (PAGE / 8);
		map(other, IOVA + PAGE, PAGE);
		wrong += !dma(IOVA, OWN_MEMORY, 8, 0) || !dma(OWN_MEMORY, IOVA + PAGE, 8, 2) || *other != round + 1;
		unmap(IOVA, 2 * PAGE);
		*page = 0;
		wrong += dma(OWN_MEMORY, IOVA, 8, 2) || *page != 0;
	}
	printf("%d wrong\n", wrong);
}

static int fault_fd;
static char *missing;

static void *read_missing(void *unused)
{
	printf("read: %d\n", dma(IOVA, OWN_MEMORY, 8, 0));
	return unused;
}

/** A page that somebody has to fill keeps the device waiting, and nobody else. */
static void blocks(void)
{
	attach_ioas();
	missing = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fault_fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	require(fault_fd >= 0 && ioctl(fault_fd, UFFDIO_API, &api) == 0, "userfaultfd");
	struct uffdio_register range = {.range = {(uintptr_t)missing, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	require(ioctl(fault_fd, UFFDIO_REGISTER, &range) == 0, "register");
	map(missing, IOVA, PAGE);
	pthread_t thread;
	pthread_create(&thread, 0, read_missing, 0);
	struct uffd_msg fault;
	require(read(fault_fd, &fault, sizeof fault) == sizeof fault, "fault");
	uint32_t own = ioas;
	for (int i = 0; i < 50; i++)
		new_ioas();
	ioas = own;
	unmap(IOVA, PAGE);
	printf("others are answered, and it is unmapped\n");
	static char filled[PAGE];
	struct uffdio_copy copy = {.dst = (uintptr_t)missing, .src = (uintptr_t)filled, .len = PAGE};
	require(ioctl(fault_fd, UFFDIO_COPY, &copy) == 0, "copy");
	pthread_join(thread, 0);
}

/** A write to a register by an eventfd: it is seen sooner or later, and not while memory decoding is off. */
static void ioeventfd(void)
{
	int fd = eventfd(0, 0);
	struct ioeventfd request = {.argsz = sizeof request, .flags = 4,
		.offset = REGION(BAR0) + LIVENESS, .data = 0x12345678, .fd = fd};
	require(ioctl(device, VFIO_DEVICE_IOEVENTFD, &request) == 0, "ioeventfd");
	int seen = 0;
	for (int round = 0; round < 100; round++) {
		set(BAR0, LIVENESS, 4, round);
		eventfd_write(fd, 1);
		while (get(BAR0, LIVENESS, 4) == (uint32_t)~round)
			;
		seen += get(BAR0, LIVENESS, 4) == (uint32_t)~0x12345678;
	}
	set(CONFIG, COMMAND_REGISTER, 2, 0);
	eventfd_write(fd, 1);
	new_ioas();
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	set(BAR0, LIVENESS, 4, 7);
	uint64_t after = get(BAR0, LIVENESS, 4);
	request.fd = -1;
	require(ioctl(device, VFIO_DEVICE_IOEVENTFD, &request) == 0, "taking it away");
	printf("seen %d, then %lx\n", seen, after);
}

static int devices[2];

static void bind_to_iommu(int i, const char *path)
{
	devices[i] = device = open(path, O_RDWR);
	struct bind bind = {.argsz = sizeof bind, .iommufd = iommu};
	require(device >= 0 && ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "bind");
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	struct attach attach = {.argsz = sizeof attach, .pt_id = ioas};
	require(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "attach");
}

/** Maps the first page of a device's registers. */
static void map_registers(int i, uint64_t iova)
{
	struct dma_buf request = {.argsz = sizeof request, .flags = FEATURE_GET | FEATURE_DMA_BUF, .region = BAR0,
		.open_flags = O_CLOEXEC, .ranges = 1, .length = PAGE};
	int fd = ioctl(devices[i], VFIO_DEVICE_FEATURE, &request);
	require(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "dma-buf");
	struct ioas_map_file map = {.size = sizeof map, .flags = 1 | READ_WRITE, .ioas_id = ioas, .fd = fd, .length = PAGE, .iova = iova};
	require(ioctl(iommu, IOMMU_IOAS_MAP_FILE, &map) == 0, "map of the dma-buf");
	close(fd);
}

/** One device writes a register, which may be its own, and reads it. */
static int reaches_registers(int i, int of, uint64_t value)
{
	uint64_t *page = (uint64_t *)missing;
	uint64_t iova = IOVA * (2 + of) + LIVENESS;
	device = devices[i];
	*page = value;
	int good = dma(IOVA, OWN_MEMORY, 4, 0) && dma(OWN_MEMORY, iova, 4, 2);
	*page = 0;
	good = good && dma(iova, OWN_MEMORY, 4, 0) && dma(OWN_MEMORY, IOVA, 4, 2);
	return good && *page == (uint32_t)~value;
}

static void *read_others(void *i)
{
	device = devices[(intptr_t)i];
	for (int round = 0; round < 200; round++) {
		uint64_t start = 1;
		pwrite(devices[(intptr_t)i], &start, 8, REGION(BAR0) + START);
	}
	return 0;
}

/** Two devices that reach each other's registers, until those aren't there. */
static void peers(const char *first, const char *second)
{
	iommu = open("/dev/iommu", O_RDWR);
	new_ioas();
	bind_to_iommu(0, first);
	bind_to_iommu(1, second);
	missing = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map(missing, IOVA, PAGE);
	map_registers(0, IOVA * 2);
	map_registers(1, IOVA * 3);
	int good = 0;
	for (int round = 0; round < 100; round++)
		good += reaches_registers(round % 2, round / 2 % 2, 1000 + round);
	// Both at once: neither waits for ever.
	pthread_t threads[2];
	for (intptr_t i = 0; i < 2; i++) {
		device = devices[i];
		set(BAR0, SOURCE, 8, IOVA * (i == 0 ? 3 : 2));
		set(BAR0, DESTINATION, 8, OWN_MEMORY);
		set(BAR0, COUNT, 8, 8);
		pthread_create(&threads[i], 0, read_others, (void *)i);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], 0);
	good += reaches_registers(0, 1, 5);
	device = devices[1];
	set(CONFIG, COMMAND_REGISTER, 2, 4);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	device = devices[0];
	int gone = !dma(IOVA * 3, OWN_MEMORY, 4, 0);
	map_registers(1, IOVA * 4);
	printf("%d good, then %s, and back: %d\n", good, gone ? "gone" : "there", dma(IOVA * 4, OWN_MEMORY, 4, 0));
}

static void *hammer(void *unused)
{
	for (;;) {
		set(BAR0, LIVENESS, 4, random());
		get(BAR0, LIVENESS, 4);
		dma(OWN_MEMORY, IOVA, PAGE, 2);
	}
	return unused;
}

/** Children of which each has a device of its own time, and is killed at it. */
static void killed(const char *path, int times)
{
	for (int i = 0; i < times; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			iommu = open_device(path);
			set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
			attach_ioas();
			map(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), IOVA, PAGE);
			pthread_t thread;
			for (int j = 0; j < 3; j++)
				pthread_create(&thread, 0, hammer, 0);
			hammer(0);
		}
		usleep(2000 + random() % 20000);
		kill(pid, SIGKILL);
		waitpid(pid, 0, 0);
	}
	iommu = open_device(path);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	set(BAR0, LIVENESS, 4, 1);
	printf("after all: %lx\n", get(BAR0, LIVENESS, 4));
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";
	setvbuf(stdout, 0, _IOLBF, 0);
	if (strcmp(mode, "killed") == 0) {
		killed(argv[1], atoi(argv[3]));
		return 0;
	}
	if (strcmp(mode, "peers") == 0) {
		peers(argv[1], argv[3]);
		return 0;
	}
	iommu = open_device(argv[1]);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	if (strcmp(mode, "busy") == 0)
		busy(argv[3]);
	else if (strcmp(mode, "throws") == 0)
		broken(THROWS);
	else if (strcmp(mode, "ends") == 0)
		broken(ENDS);
	else if (strcmp(mode, "says much") == 0)
		broken(SAYS_MUCH);
	else if (strcmp(mode, "stuck") == 0)
		set(BAR0, STUCK, 4, 1);
	else if (strcmp(mode, "kinds") == 0)
		kinds();
	else if (strcmp(mode, "ioeventfd") == 0)
		ioeventfd();
	else if (strcmp(mode, "changes") == 0)
		changes();
	else
		blocks();
	return 0;
}
