// Lets a device read memory through its IOMMU: through an IOAS alone, or, where the IOMMU's driver can, through a first stage in
// the program's own memory as well. It knows no machine: GET_HW_INFO says which tables it has to write.
//
// nested_dma /dev/vfio/devices/vfioN; the device is an edu, as QEMU has it. It prints what the device read, a line each, and
// exits with 1 and the call's name when a call fails.
#include <sys/mman.h>
#include "vfio.h"

#define PAGE 4096
#define PAGES 16
/** What an IOAS, or a guest, has the program's pages at. Every machine's IOMMU translates it: s390's window begins here. */
#define GUEST 0x100000000ull
#define GUEST_PAGE(n) (GUEST + (n) * PAGE)
/** An address of the first stage. */
#define IOVA 0x5000ull
/** The first stage's tables are the first pages, the top one first; behind them is what a guest's device entry points to. */
#define LEVELS 4
#define ROOTS 4
/** These tell their numbers, in their first word. */
#define FIRST_NUMBERED 5
/** What a device reads that can't read. */
#define FAULT (-1)

struct hwpt_alloc { uint32_t size, flags, dev_id, pt_id, hwpt_id, reserved, data_type, data_len; uint64_t data; uint32_t fault_id, reserved2; };
struct hw_info { uint32_t size, flags, dev_id, data_len; uint64_t data; uint32_t type; uint8_t pasid_log2, reserved[3]; uint64_t capabilities; };
struct invalidate { uint32_t size, hwpt_id; uint64_t data; uint32_t type, entry_len, entry_num, reserved; };
struct viommu_alloc { uint32_t size, flags, type, dev_id, hwpt_id, viommu_id, data_len, reserved; uint64_t data; };
struct vdevice_alloc { uint32_t size, viommu_id, dev_id, vdevice_id; uint64_t virt_id; };
struct detach { uint32_t argsz, flags, pasid; };

#define IOMMU_HWPT_ALLOC COMMAND(0x89)
#define IOMMU_GET_HW_INFO COMMAND(0x8a)
#define IOMMU_HWPT_INVALIDATE COMMAND(0x8d)
#define IOMMU_VIOMMU_ALLOC COMMAND(0x90)
#define IOMMU_VDEVICE_ALLOC COMMAND(0x91)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT COMMAND(120)
#define NEST_PARENT 1
#define FIXED_IOVA 1

enum { NONE = 0, VTD = 1, SMMUV3 = 2, AMD = 4 }; // iommu_hw_info_type
enum { DATA_VTD_S1 = 1, DATA_ARM_SMMUV3 = 2, DATA_AMD_GUEST = 3 }; // iommu_hwpt_data_type

static int iommufd;
static uint32_t ioas_id;
static uint8_t *memory;

#define CALL(fd, request, argument) require(ioctl(fd, request, argument) == 0, #request)

static uint64_t *word(int page, uint64_t index)
{
	return (uint64_t *)(memory + page * PAGE) + index;
}

// --- The device. docs/specs/edu.rst of QEMU; the last register is Ioasis's own ---

/** The device reads a word at an IOVA, then writes it behind where it was: the number of the page that it reached, or FAULT. */
static int dma(uint64_t iova)
{
	enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START_STOP = 0x98, RESULT = 0xa8, BUFFER = 0x40000 };
	enum { START = 1, TO_MEMORY = 2 };
	set(BAR0, SOURCE, 8, iova);
	set(BAR0, DESTINATION, 8, BUFFER);
	set(BAR0, COUNT, 8, 4);
	set(BAR0, START_STOP, 8, START);
	if (get(BAR0, RESULT, 8) != 0)
		return FAULT;
	set(BAR0, SOURCE, 8, BUFFER);
	set(BAR0, DESTINATION, 8, iova + 0x100);
	set(BAR0, START_STOP, 8, START | TO_MEMORY);
	if (get(BAR0, RESULT, 8) != 0)
		return FAULT;
	for (int page = FIRST_NUMBERED; page < PAGES; page++) {
		uint32_t *written = (uint32_t *)(memory + page * PAGE + 0x100), number = *written;
		*written = 0;
		if (number != 0)
			return number;
	}
	return 0;
}

static void show(const char *when, int page)
{
	if (page == FAULT)
		printf("%s: fault\n", when);
	else
		printf("%s: page %d\n", when, page);
}

// --- The IOMMU ---

static uint32_t allocate(uint32_t flags, uint32_t pt_id, uint32_t type, void *data, uint32_t length)
{
	struct hwpt_alloc alloc = {.size = sizeof alloc, .flags = flags, .dev_id = device_id, .pt_id = pt_id,
		.data_type = type, .data_len = length, .data = (uintptr_t)data};
	CALL(iommufd, IOMMU_HWPT_ALLOC, &alloc);
	return alloc.hwpt_id;
}

static uint32_t allocate_viommu(uint32_t type, uint32_t parent)
{
	struct viommu_alloc alloc = {.size = sizeof alloc, .type = type, .dev_id = device_id, .hwpt_id = parent};
	CALL(iommufd, IOMMU_VIOMMU_ALLOC, &alloc);
	return alloc.viommu_id;
}

static void invalidate(uint32_t id, uint32_t type, void *entry, uint32_t length)
{
	struct invalidate request = {.size = sizeof request, .hwpt_id = id, .data = (uintptr_t)entry, .type = type,
		.entry_len = length, .entry_num = 1};
	CALL(iommufd, IOMMU_HWPT_INVALIDATE, &request);
}

static void attach(uint32_t pt_id)
{
	struct attach request = {.argsz = sizeof request, .pt_id = pt_id};
	CALL(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &request);
}

static void map(uint64_t iova, uint64_t length)
{
	struct ioas_map request = {.size = sizeof request, .flags = FIXED_IOVA | READ_WRITE, .ioas_id = ioas_id,
		.user_va = (uintptr_t)memory, .length = length, .iova = iova};
	CALL(iommufd, IOMMU_IOAS_MAP, &request);
}

static void unmap(uint64_t iova, uint64_t length)
{
	struct ioas_unmap request = {.size = sizeof request, .ioas_id = ioas_id, .iova = iova, .length = length};
	CALL(iommufd, IOMMU_IOAS_UNMAP, &request);
}

// --- The first stage: one path of tables down to the page of IOVA ---

static uint64_t index_at(int level)
{
	return IOVA >> (12 + 9 * level) & 511;
}

static void build_tables(uint64_t table_bits)
{
	for (int level = LEVELS - 1; level > 0; level--)
		*word(LEVELS - 1 - level, index_at(level)) = GUEST_PAGE(LEVELS - level) | table_bits;
}

static void set_page(int page, uint64_t page_bits)
{
	*word(LEVELS - 1, index_at(0)) = GUEST_PAGE(page) | page_bits;
}

/** Nests, and shows what a device sees when an entry changes. */
static void through_both_stages(uint32_t type)
{
	uint64_t x86_bits = 7 /* P, RW, US */, arm_table = 3, arm_page = 3 | 1 << 6 /* AP[1] */ | 1 << 10 /* AF */ | 1 << 11 /* nG */;
	uint64_t page_bits = type == SMMUV3 ? arm_page : x86_bits;
	uint32_t parent = allocate(NEST_PARENT, ioas_id, 0, 0, 0), nested, viommu = 0;

	build_tables(type == SMMUV3 ? arm_table : x86_bits);
	set_page(8, page_bits);
	if (type == VTD) {
		struct { uint64_t flags, root; uint32_t width, reserved; } data = {.root = GUEST, .width = 48};
		nested = allocate(0, parent, DATA_VTD_S1, &data, sizeof data);
	} else if (type == SMMUV3) {
		uint64_t V = 1, S1_TRANSLATES = 5 << 1, ste[2] = {V | S1_TRANSLATES | GUEST_PAGE(ROOTS)};
		// A context descriptor: V, AA64, EPD1, IPS of 48 bits, T0SZ of 16, ASID 9; then TTB0.
		*word(ROOTS, 0) = 1ull << 31 | 1ull << 41 | 1ull << 30 | 5ull << 32 | 16 | 9ull << 48;
		*word(ROOTS, 1) = GUEST;
		viommu = allocate_viommu(1 /* ARM_SMMUV3 */, parent);
		struct vdevice_alloc vdevice = {.size = sizeof vdevice, .viommu_id = viommu, .dev_id = device_id, .virt_id = 7};
		CALL(iommufd, IOMMU_VDEVICE_ALLOC, &vdevice);
		nested = allocate(0, viommu, DATA_ARM_SMMUV3, ste, sizeof ste);
	} else {
		uint64_t roots = GUEST_PAGE(ROOTS), V = 1, GIOV = 1ull << 54, GV = 1ull << 55;
		uint64_t dte[4] = {V | GIOV | GV | (roots >> 12 & 7) << 58, (roots >> 15 & 0xffff) << 16 | (roots >> 31 & 0x1fffff) << 43};
		*word(ROOTS, 0) = GUEST | 1;
		viommu = allocate_viommu(0xdeadbeef /* Linux has no type for AMD yet, and doesn't look */, parent);
		nested = allocate(0, viommu, DATA_AMD_GUEST, dte, sizeof dte);
	}
	attach(nested);
	show("both stages", dma(IOVA));
	set_page(11, page_bits);
	show("changed, not invalidated", dma(IOVA));
	if (type == VTD) {
		struct { uint64_t address, pages; uint32_t flags, reserved; } entry = {.address = IOVA, .pages = 1};
		invalidate(nested, 0 /* VTD_S1 */, &entry, sizeof entry);
	} else if (type == SMMUV3) {
		uint64_t tlbi_nh_va[2] = {0x12 | 9ull << 48, IOVA};
		invalidate(viommu, 1 /* ARM_SMMUV3 */, tlbi_nh_va, sizeof tlbi_nh_va);
	} else {
		// There is no invalidation for AMD in the interface. An unmap of what is below flushes what is above.
		map(GUEST_PAGE(PAGES), PAGE);
		unmap(GUEST_PAGE(PAGES), PAGE);
	}
	show("invalidated", dma(IOVA));
}

int main(int argc, char **argv)
{
	struct ioas_alloc ioas = {.size = sizeof ioas};
	struct hw_info info = {.size = sizeof info};
	struct detach detach = {.argsz = sizeof detach};

	memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int page = FIRST_NUMBERED; page < PAGES; page++)
		*(uint32_t *)word(page, 0) = page;
	iommufd = open_device(argc > 1 ? argv[1] : "/dev/vfio/devices/vfio0");
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	info.dev_id = device_id;
	CALL(iommufd, IOMMU_GET_HW_INFO, &info);
	CALL(iommufd, IOMMU_IOAS_ALLOC, &ioas);
	ioas_id = ioas.id;
	map(GUEST, PAGES * PAGE);

	show("bound", dma(GUEST_PAGE(7)));
	attach(ioas_id);
	show("one stage", dma(GUEST_PAGE(7)));
	if (info.type != NONE)
		through_both_stages(info.type);
	CALL(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
	show("detached", dma(GUEST_PAGE(7)));
	return 0;
}
