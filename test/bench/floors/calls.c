// An ordinary program that makes the same ioctls again and again, and prints how many microseconds each took: one line of
// numbers a round. It checks no answer but the first, so that trap-echo can answer it, too.
//   calls alloc WARM COUNT ROUNDS                   IOAS_ALLOC
//   calls map WARM COUNT ROUNDS                     IOAS_MAP and IOAS_UNMAP of 4 KiB, with one domain attached
//   calls areas WARM COUNT ROUNDS FEW MANY          the same in an IOAS with FEW areas, then in one with MANY
//   calls chosen WARM COUNT ROUNDS FEW MANY         the same without FIXED_IOVA: the IOVA is chosen
//   calls sizes WARM COUNT ROUNDS PAGES             the same with PAGES at a time
//   calls pages WARM COUNT ROUNDS PAGES             the same, each page of 4 KiB by itself: IOMMU_OPTION_HUGE_PAGES 0
//   calls domains WARM COUNT ROUNDS DOMAINS         the same with as many domains
// The first number of each line is of calls with nothing warm before it: of the first COLD in the process.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define IOAS_ALLOC 0x3b81
#define IOAS_MAP 0x3b85
#define IOAS_UNMAP 0x3b86
#define OPTION 0x3b87
#define OPTION_HUGE_PAGES 1
#define HWPT_ALLOC 0x3b89
#define TEST_CMD 0x3ba0
#define MOCK_DOMAIN 2
#define FIXED_IOVA 1
#define READABLE_WRITEABLE 6
#define PAGE 4096ul
#define COLD 64

// include/uapi/linux/iommufd.h
struct ioas_alloc { uint32_t size, flags, out_ioas_id; };
struct ioas_map { uint32_t size, flags, ioas_id, reserved; uint64_t user_va, length, iova; };
struct ioas_unmap { uint32_t size, ioas_id; uint64_t iova, length; };
struct option { uint32_t size, id; uint16_t op, reserved; uint32_t object_id; uint64_t value; };
struct hwpt_alloc {
	uint32_t size, flags, dev_id, pt_id, out_hwpt_id, reserved, data_type, data_len;
	uint64_t data_uptr;
	uint32_t fault_id, reserved2;
};
// drivers/iommu/iommufd/iommufd_test.h
struct test_cmd { uint32_t size, op, id, reserved; uint32_t out[3]; uint32_t rest[11]; };

// The mock domains translate 16 MiB to 2 GiB, in pages of 2 KiB and more: a million areas of 2 KiB leave room behind them.
#define AREAS 0x1000000ul
#define AREA 2048ul
#define MEASURED 0x7c000000ul

static int fd;
static char *memory;

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(3);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int map(uint32_t ioas, uint64_t iova, uint64_t length)
{
	uint32_t flags = FIXED_IOVA | READABLE_WRITEABLE;
	struct ioas_map m = { sizeof m, flags, ioas, 0, (uintptr_t)memory, length, iova };
	return ioctl(fd, IOAS_MAP, &m);
}

static uint64_t map_anywhere(uint32_t ioas, uint64_t length)
{
	struct ioas_map m = { sizeof m, READABLE_WRITEABLE, ioas, 0, (uintptr_t)memory, length, 0 };
	must(ioctl(fd, IOAS_MAP, &m), "IOAS_MAP");
	return m.iova;
}

static int unmap(uint32_t ioas, uint64_t iova, uint64_t length)
{
	struct ioas_unmap u = { sizeof u, ioas, iova, length };
	return ioctl(fd, IOAS_UNMAP, &u);
}

// An IOAS with that many domains, and that many areas.
static int small_pages;
static uint32_t make(long domains, long areas)
{
	struct ioas_alloc a = { sizeof a, 0, 0 };
	must(ioctl(fd, IOAS_ALLOC, &a), "IOAS_ALLOC");
	struct option o = { sizeof o, OPTION_HUGE_PAGES, 0, 0, a.out_ioas_id, 0 };
	if (small_pages)
		must(ioctl(fd, OPTION, &o), "OPTION (has the caller CAP_SYS_RESOURCE?)");
	// Devices that are attached to an IOAS share a domain; others are allocated by themselves.
	struct test_cmd t = { .size = sizeof t, .op = MOCK_DOMAIN, .id = a.out_ioas_id };
	must(ioctl(fd, TEST_CMD, &t), "MOCK_DOMAIN (is the machine the one for selftests?)");
	for (long n = 1; n < domains; n++) {
		struct hwpt_alloc h = { .size = sizeof h, .dev_id = t.out[2], .pt_id = a.out_ioas_id };
		must(ioctl(fd, HWPT_ALLOC, &h), "HWPT_ALLOC");
	}
	for (long n = 0; n < areas; n++)
		must(map(a.out_ioas_id, AREAS + n * AREA, AREA), "IOAS_MAP (has the caller CAP_IPC_LOCK?)");
	return a.out_ioas_id;
}

static double time_allocs(long count)
{
	struct ioas_alloc a = { sizeof a, 0, 0 };
	double start = now();
	for (long n = 0; n < count; n++)
		ioctl(fd, IOAS_ALLOC, &a);
	return (now() - start) / count;
}

// Per call, of which there are two a turn.
static int is_chosen;
static double time_maps(uint32_t ioas, uint64_t length, long count)
{
	double start = now();
	for (long n = 0; n < count; n++) {
		uint64_t iova = MEASURED;
		if (is_chosen)
			iova = map_anywhere(ioas, length);
		else
			map(ioas, iova, length);
		unmap(ioas, iova, length);
	}
	return (now() - start) / count / 2;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	const char *mode = argv[1];
	long warm = atol(argv[2]), count = atol(argv[3]), rounds = atol(argv[4]);
	long first = argc > 5 ? atol(argv[5]) : 0, second = argc > 6 ? atol(argv[6]) : 0;
	fd = open("/dev/iommu", O_RDWR);
	if (fd < 0)
		fd = open("/dev/null", O_RDWR); // In front of trap-echo.
	uint64_t length = !strcmp(mode, "sizes") || !strcmp(mode, "pages") ? first * PAGE : PAGE;
	small_pages = !strcmp(mode, "pages");
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(memory == MAP_FAILED ? -1 : 0, "mmap");

	if (!strcmp(mode, "alloc")) {
		double cold = time_allocs(COLD);
		time_allocs(warm);
		for (long n = 0; n < rounds; n++)
			printf("%.4f %.4f\n", cold, time_allocs(count));
	} else if (!strcmp(mode, "areas") || !strcmp(mode, "chosen")) {
		is_chosen = !strcmp(mode, "chosen");
		uint32_t few = make(1, first), many = make(1, second);
		double cold = time_maps(few, length, COLD);
		time_maps(few, length, warm);
		time_maps(many, length, warm);
		for (long n = 0; n < rounds; n++) {
			double with_few = time_maps(few, length, count);
			printf("%.4f %.4f %.4f\n", cold, with_few, time_maps(many, length, count));
		}
	} else {
		uint32_t ioas = make(!strcmp(mode, "domains") ? first : 1, 0);
		must(map(ioas, MEASURED, length), "IOAS_MAP");
		must(unmap(ioas, MEASURED, length), "IOAS_UNMAP");
		double cold = time_maps(ioas, length, COLD);
		time_maps(ioas, length, warm);
		for (long n = 0; n < rounds; n++)
			printf("%.4f %.4f\n", cold, time_maps(ioas, length, count));
	}
	fflush(stdout);
	_exit(0);
}
