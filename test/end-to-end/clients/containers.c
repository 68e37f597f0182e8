// Seeded sequences of calls on VFIO groups and containers, each with its answer: the same program was run on a real kernel, whose
// answers are in test/recordings/containers. containers SEEDS CALLS: so many sequences of so many calls each, with /dev/vfio/vfio and with
// /dev/iommu as the container. As PID 1 of a virtual machine it first gives the two functions to vfio-pci: see the README there.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/capability.h>

#define COMMAND(nr) (';' << 8 | (nr))
enum { PAGE = 4096, BUFFER_PAGES = 64, FUNCTIONS = 2, CONTAINERS = 3, DEVICES = 3 };
enum { MAP_READ = 1, MAP_WRITE = 2, MAP_VADDR = 4, UNMAP_DIRTY = 1, UNMAP_ALL = 2, UNMAP_VADDR = 4 };

static const char *const names[FUNCTIONS] = {"0000:00:02.0", "0000:00:03.0"};
static const char *container_path;
static int group_numbers[FUNCTIONS];
static int containers[CONTAINERS], groups[FUNCTIONS], devices[FUNCTIONS][DEVICES], cdevs[FUNCTIONS];
/** Whether a group's container is an iommufd: then the group's file must not be closed while its devices are open. */
static int by_iommufd[FUNCTIONS], is_iommufd[CONTAINERS];
static uint8_t *buffer, *read_only;
static uint64_t bitmap[64];
static uint32_t state;

static uint32_t any(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

static uint32_t below(uint32_t limit) { return any() % limit; }
static int one_in(uint32_t n) { return below(n) == 0; }

static const char *code(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static void say(const char *what, int result)
{
	printf("%s %s", what, code(result));
}

static void show_memory(void)
{
	char line[128];
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		if (!strncmp(line, "VmLck", 5) || !strncmp(line, "VmPin", 5))
			printf(" %.6s%d", line, atoi(line + 6));
	if (status)
		fclose(status);
}

static uint64_t some_iova(void)
{
	static const uint64_t special[] = {0, 0xfee00000, 0xfedff000, 0xfef00000, 1ull << 39, (1ull << 39) - PAGE, 1ull << 48, -(uint64_t)PAGE, 1ull << 63, 0x100001};
	return one_in(8) ? special[below(10)] : 0x100000 + (uint64_t)below(48) * PAGE;
}

static uint64_t some_size(void)
{
	static const uint64_t special[] = {0, 1, PAGE - 1, PAGE + 1, 1ull << 40, -(uint64_t)PAGE, -1ull, 1ull << 63};
	return one_in(10) ? special[below(8)] : (uint64_t)(1 + below(8)) * PAGE;
}

static uint64_t some_memory(void)
{
	switch (below(12)) {
	case 0: return (uintptr_t)read_only;
	case 1: return 0x10000;
	case 2: return (uintptr_t)buffer + 1;
	case 3: return one_in(2) ? 0x7ffffffff000 : -(uint64_t)PAGE;
	default: return (uintptr_t)buffer + (uint64_t)below(BUFFER_PAGES) * PAGE;
	}
}

static int *some_container(void) { return &containers[one_in(3) ? below(CONTAINERS) : 0]; }

static void open_container(void)
{
	int at = below(CONTAINERS);
	if (containers[at] >= 0)
		return;
	is_iommufd[at] = one_in(4);
	containers[at] = open(is_iommufd[at] ? "/dev/iommu" : container_path, O_RDWR);
	is_iommufd[at] |= !strcmp(container_path, "/dev/iommu");
	say("open container", containers[at]);
	printf(" %d\n", at);
}

static void open_group(void)
{
	int at = below(FUNCTIONS);
	char path[64];
	snprintf(path, sizeof path, "/dev/vfio/%d", group_numbers[at]);
	int fd = open(path, O_RDWR);
	say("open group", fd);
	printf(" %d\n", at);
	if (fd >= 0)
		groups[at] = fd, by_iommufd[at] = 0;
}

static int has_device(int at)
{
	for (int i = 0; i < DEVICES; i++)
		if (devices[at][i] >= 0)
			return 1;
	return 0;
}

static void close_one(int *fd, const char *what)
{
	if (*fd < 0)
		return;
	close(*fd);
	*fd = -1;
	printf("close %s\n", what);
}

static void set_container(void)
{
	int at = below(FUNCTIONS), which = below(CONTAINERS);
	int fd = one_in(12) ? (one_in(2) ? 99 : 0) : containers[which];
	int result = ioctl(groups[at], COMMAND(104), one_in(20) ? 0 : (void *)&fd);
	say("SET_CONTAINER", result);
	printf(" %d %d\n", at, which);
	if (result == 0)
		by_iommufd[at] = is_iommufd[which];
}

static void get_device(void)
{
	static const char *const ends[] = {"", " ", "x", " vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3", " vf_token=1", " x"};
	int at = below(FUNCTIONS), of = one_in(10) ? !at : at;
	const char *end = ends[one_in(4) ? below(6) : 0];
	char name[80];
	snprintf(name, sizeof name, "%s%s", names[of], end);
	int fd = ioctl(groups[at], COMMAND(106), one_in(20) ? (void *)8 : (void *)name);
	say("GET_DEVICE_FD", fd);
	printf(" %d %s\n", at, name);
	int free_place = 0;
	while (free_place < DEVICES - 1 && devices[at][free_place] >= 0)
		free_place++;
	if (fd >= 0 && devices[at][free_place] >= 0)
		close(fd);
	else if (fd >= 0)
		devices[at][free_place] = fd;
}

static void get_info(void)
{
	static const uint32_t sizes[] = {0, 15, 16, 20, 24, 40, 56, 72, 88, 120, 136, 137, 512};
	uint32_t words[128];
	memset(words, 0xa5, sizeof words);
	words[0] = sizes[below(13)];
	int result = ioctl(*some_container(), COMMAND(112), one_in(20) ? 0 : words);
	say("GET_INFO", result);
	uint32_t last = result ? 0 : words[0] < sizeof words ? words[0] / 4 : 128;
	for (uint32_t i = 0; i < last; i++)
		if (words[i] == 0xa5a5a5a5)
			printf(" -");
		else
			printf(" %x", words[i]);
	printf("\n");
}

static void map_dma(void)
{
	struct { uint32_t argsz, flags; uint64_t vaddr, iova, size; } map = {sizeof map, 0, some_memory(), some_iova(), some_size()};
	map.flags = one_in(10) ? below(16) : one_in(12) ? MAP_VADDR : one_in(4) ? MAP_READ : MAP_READ | MAP_WRITE;
	if (one_in(30))
		map.argsz = below(40);
	int result = ioctl(*some_container(), COMMAND(113), one_in(40) ? 0 : &map);
	say("MAP_DMA", result);
	printf(" %x %llx+%llx", map.flags, (long long)map.iova, (long long)map.size);
	show_memory();
	printf("\n");
}

static void show_bitmap(const uint64_t *words)
{
	for (int i = 0; i < 4; i++)
		printf(" %llx", (long long)words[i]);
}

static void unmap_dma(void)
{
	struct { uint32_t argsz, flags; uint64_t iova, size, pgsize, bytes, data; } unmap = {24, 0, some_iova(), some_size(), PAGE, 8 + 8 * below(4), (uintptr_t)bitmap};
	unmap.flags = one_in(8) ? below(8) : one_in(8) ? UNMAP_VADDR : one_in(8) ? UNMAP_DIRTY : 0;
	if (unmap.flags & UNMAP_ALL && !one_in(4))
		unmap.iova = unmap.size = 0;
	if (unmap.flags & UNMAP_DIRTY && !one_in(6))
		unmap.argsz = 48;
	if (one_in(4))
		unmap.size = 64 * PAGE;
	if (one_in(10))
		unmap.pgsize = one_in(2) ? 0 : 2 * PAGE;
	if (one_in(16))
		unmap.data = one_in(2) ? 0x10000 : -8ull;
	if (one_in(30))
		unmap.argsz = below(48);
	memset(bitmap, 0, sizeof bitmap);
	int result = ioctl(*some_container(), COMMAND(114), one_in(40) ? 0 : &unmap);
	say("UNMAP_DMA", result);
	printf(" %x %llx size %llx", unmap.flags, (long long)unmap.iova, (long long)unmap.size);
	if (unmap.flags & UNMAP_DIRTY)
		show_bitmap(bitmap);
	show_memory();
	printf("\n");
}

static void dirty_pages(void)
{
	struct { uint32_t argsz, flags; uint64_t iova, size, pgsize, bytes, data; } dirty = {48, 1u << below(3), some_iova(), some_size(), PAGE, 8 + 8 * below(4), (uintptr_t)bitmap};
	if (one_in(8))
		dirty.flags = below(16);
	if (one_in(2))
		dirty.iova = 0x100000 + PAGE * below(4), dirty.size = 64 * PAGE;
	if (one_in(10))
		dirty.pgsize = one_in(2) ? 0 : 2 * PAGE;
	if (one_in(16))
		dirty.data = one_in(2) ? 0x10000 : -8ull;
	if (one_in(20))
		dirty.argsz = below(48);
	memset(bitmap, one_in(2) ? 0 : 0x11, sizeof bitmap);
	int result = ioctl(*some_container(), COMMAND(117), one_in(40) ? 0 : &dirty);
	say("DIRTY_PAGES", result);
	printf(" %x %llx+%llx", dirty.flags, (long long)dirty.iova, (long long)dirty.size);
	show_bitmap(bitmap);
	printf("\n");
}

static void plain(int fd, uint32_t nr, const char *what, uint32_t argument)
{
	int result = ioctl(fd, COMMAND(nr), (unsigned long)argument);
	say(what, result);
	printf(" %u = %d\n", argument, result);
}

static void status(void)
{
	uint32_t words[2] = {one_in(20) ? below(10) : 8, 99};
	int at = below(FUNCTIONS);
	int result = ioctl(groups[at], COMMAND(103), one_in(20) ? 0 : words);
	say("GET_STATUS", result);
	printf(" %d flags %x\n", at, words[1]);
}

static void use_device(void)
{
	int at = below(FUNCTIONS), fd = devices[at][below(DEVICES)];
	uint32_t words[16] = {20};
	int result;
	switch (below(6)) {
	case 0:
		result = ioctl(fd, COMMAND(107), words);
		say("DEVICE_GET_INFO", result);
		printf(" %x %u %u\n", words[1], words[2], words[3]);
		break;
	case 1:
		words[0] = 12 + 4 * below(3), words[2] = below(3), words[3] = one_in(4) ? 99 : groups[below(FUNCTIONS)];
		say("HOT_RESET", ioctl(fd, COMMAND(113), words));
		printf(" %u\n", words[2]);
		break;
	case 2:
		words[0] = 16, words[2] = containers[below(CONTAINERS)];
		say("BIND of a group's", ioctl(fd, COMMAND(118), words));
		printf("\n");
		break;
	case 3:
		words[0] = 12, words[2] = below(4);
		say("ATTACH of a group's", ioctl(fd, COMMAND(119), words));
		printf("\n");
		break;
	case 4:
		words[0] = 12 + 12 * below(3);
		result = ioctl(fd, COMMAND(112), words);
		say("HOT_RESET_INFO", result);
		printf(" %u\n", words[2]);
		break;
	default: {
		uint16_t id = 0;
		ssize_t got = pread(fd, &id, 2, 7ll << 40);
		say("vendor", got);
		printf(" %x\n", id);
	}
	}
}

static void use_cdev(void)
{
	int at = below(FUNCTIONS);
	if (cdevs[at] < 0) {
		char path[64];
		snprintf(path, sizeof path, "/dev/vfio/devices/vfio%d", at);
		cdevs[at] = open(path, O_RDWR);
		say("open cdev", cdevs[at]);
		printf("\n");
	}
	uint32_t words[6] = {16, 0, containers[below(CONTAINERS)]};
	say("BIND_IOMMUFD", ioctl(cdevs[at], COMMAND(118), words));
	printf(" %d\n", at);
	if (one_in(2))
		close_one(&cdevs[at], "cdev");
}

static void step(void)
{
	int at = below(FUNCTIONS);
	switch (below(30)) {
	case 0: case 1: open_container(); break;
	case 2:
		if (one_in(4))
			close_one(&containers[below(CONTAINERS)], "container");
		break;
	case 3: case 4: open_group(); break;
	case 5:
		if (one_in(4) && !(by_iommufd[at] && has_device(at)))
			close_one(&groups[at], "group");
		break;
	case 6: case 7: set_container(); break;
	case 8:
		if (one_in(4))
			plain(groups[at], 105, "UNSET_CONTAINER", 0);
		break;
	case 9: status(); break;
	case 10: case 11: get_device(); break;
	case 12: close_one(&devices[at][below(DEVICES)], "device"); break;
	case 13: plain(*some_container(), 101, "CHECK_EXTENSION", below(12)); break;
	case 14: case 15: plain(*some_container(), 102, "SET_IOMMU", one_in(3) ? below(11) : one_in(4) ? 1 : 3); break;
	case 16: get_info(); break;
	case 17: plain(*some_container(), one_in(2) ? 100 : 120, "API_VERSION or another", 0); break;
	case 18: use_device(); break;
	case 19:
		if (one_in(3))
			use_cdev();
		break;
	case 20: case 21: dirty_pages(); break;
	case 22: case 23: case 24: unmap_dma(); break;
	default: map_dma();
	}
}

// The calls that every program makes first, so that a sequence gets beyond them.
static void set_up(uint32_t type)
{
	if (containers[0] < 0) {
		is_iommufd[0] = !strcmp(container_path, "/dev/iommu");
		say("open container", containers[0] = open(container_path, O_RDWR));
		printf(" 0\n");
	}
	for (int i = 0; i < FUNCTIONS; i++) {
		if (groups[i] < 0) {
			char path[64];
			snprintf(path, sizeof path, "/dev/vfio/%d", group_numbers[i]);
			say("open group", groups[i] = open(path, O_RDWR));
			printf(" %d\n", i);
			by_iommufd[i] = 0;
		}
		int result = ioctl(groups[i], COMMAND(104), &containers[0]);
		say("SET_CONTAINER", result);
		printf(" %d\n", i);
		if (result == 0)
			by_iommufd[i] = is_iommufd[0];
		plain(containers[0], 102, "SET_IOMMU", type);
	}
}

static void sequence(uint32_t seed, int calls)
{
	state = seed * 2654435761u + 1;
	for (int i = 0; i < CONTAINERS; i++)
		containers[i] = -1;
	for (int i = 0; i < FUNCTIONS; i++) {
		groups[i] = cdevs[i] = -1;
		for (int k = 0; k < DEVICES; k++)
			devices[i][k] = -1;
	}
	// What is beside the memory is the same wherever a system has room for it: nothing that can be read.
	uint8_t *room = mmap(0, 4 * BUFFER_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	buffer = room + 16 * PAGE;
	mmap(buffer, (BUFFER_PAGES - 4) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	read_only = room + 2 * BUFFER_PAGES * PAGE;
	mprotect(read_only, 4 * PAGE, PROT_READ);
	if (seed % 2) {
		struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct data[2] = {};
		struct rlimit limit = {24 * PAGE, 24 * PAGE};
		syscall(SYS_capget, &header, data);
		data[0].effective &= ~(1u << CAP_IPC_LOCK);
		syscall(SYS_capset, &header, data);
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	for (int i = 0; i < FUNCTIONS; i++) {
		char path[80], target[256] = {0};
		snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", names[i]);
		if (readlink(path, target, sizeof target - 1) < 0)
			exit(3);
		group_numbers[i] = atoi(strrchr(target, '/') + 1);
	}
	for (int i = 0; i < calls; i++) {
		if (i % 100 == 5)
			set_up(seed % 3 ? 3 : 1);
		step();
	}
	fflush(stdout);
}

static void all(int seeds, int calls)
{
	for (int seed = 1; seed <= seeds; seed++)
		for (int kind = 0; kind < 2; kind++) {
			container_path = kind ? "/dev/iommu" : "/dev/vfio/vfio";
			printf("BEGIN %d %s\n", seed, container_path);
			fflush(stdout);
			pid_t child = fork();
			if (child == 0) {
				sequence(seed, calls);
				exit(0);
			}
			int ending;
			waitpid(child, &ending, 0);
			printf("END %d\n", ending);
		}
	fflush(stdout);
}

// --- As PID 1 of a virtual machine

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("%s: %m\n", path);
	close(fd);
}

static void show(const char *path)
{
	char text[256];
	int fd = open(path, O_RDONLY), got = fd < 0 ? -1 : (int)read(fd, text, sizeof text - 1);
	if (got > 0)
		printf("# %s %.*s", path, got, text);
	close(fd);
}

static void be_init(void)
{
	mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, 0);
	mount("sysfs", "/sys", "sysfs", 0, 0);
	mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
	int console = open("/dev/console", O_RDWR);
	dup2(console, 0), dup2(console, 1), dup2(console, 2);
	for (int i = 0; i < FUNCTIONS; i++) {
		char path[80];
		snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver_override", names[i]);
		put(path, "vfio-pci");
		put("/sys/bus/pci/drivers_probe", names[i]);
	}
	show("/sys/class/iommu/dmar0/intel-iommu/cap");
	show("/sys/class/iommu/dmar0/intel-iommu/ecap");
	show("/sys/class/iommu/ivhd0/amd-iommu/features");
	char *seeds = getenv("SEEDS"), *calls = getenv("CALLS");
	all(atoi(seeds ? seeds : "10"), atoi(calls ? calls : "300"));
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, 0, _IOFBF, 1 << 16);
	if (getpid() == 1)
		be_init();
	if (argc != 3)
		return 2;
	all(atoi(argv[1]), atoi(argv[2]));
	return 0;
}
