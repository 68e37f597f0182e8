// Sends frames from one 82576 to another one at the other end of its wire, and looks at each that arrives.
// nics DEVICE DEVICE COUNT
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "vfio.h"

enum { CTRL = 0x00, STATUS = 0x08, MDIC = 0x20, RAL = 0x5400, RCTL = 0x100, TCTL = 0x400, GPIE = 0x1514, EIMS = 0x1524, EIAC = 0x152c,
	IVAR = 0x1700, RING_RX = 0xc000, RING_TX = 0xe000 };
enum { BAL = 0x00, BAH = 0x04, LEN = 0x08, SRRCTL = 0x0c, TAIL = 0x18, DCTL = 0x28 };
enum { DESCRIPTORS = 256, BUFFER = 2048, MSIX = 2 };
#define IOVA 0x10000000UL

struct descriptor { uint64_t address; uint32_t low, high; };
struct ring { struct descriptor entries[DESCRIPTORS]; uint8_t buffers[DESCRIPTORS][BUFFER]; };
static struct ring *rings; // to send, to receive
static int devices[2], interrupt;

static void use(int port) { device = devices[port]; }
static uint64_t iova_of(void *place) { return IOVA + (uint8_t *)place - (uint8_t *)rings; }

static void set_up(int port, uint32_t base, struct ring *ring)
{
	use(port);
	set(BAR0, base + BAL, 4, iova_of(ring->entries) & 0xffffffff);
	set(BAR0, base + BAH, 4, iova_of(ring->entries) >> 32);
	set(BAR0, base + LEN, 4, sizeof ring->entries);
	if (base == RING_RX)
		set(BAR0, base + SRRCTL, 4, 1 << 25 | BUFFER / 1024);
	set(BAR0, base + DCTL, 4, 1 << 25);
}

static void start(int port)
{
	use(port);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	set(BAR0, CTRL, 4, get(BAR0, CTRL, 4) | 1 << 6);
	set(BAR0, RCTL, 4, 1 << 1 | 1 << 3 | 1 << 15 | 1 << 26);
	set(BAR0, TCTL, 4, 1 << 1 | 1 << 3);
}

static void listen_to(int port)
{
	use(port);
	interrupt = eventfd(0, EFD_NONBLOCK);
	struct irq_set irq = {.argsz = sizeof irq, .flags = DATA_EVENTFD | TRIGGER, .index = MSIX, .count = 1, .fd = interrupt};
	require(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq) == 0, "interrupts");
	set(BAR0, GPIE, 4, 1 << 4);
	set(BAR0, EIAC, 4, 1);
	set(BAR0, IVAR, 4, 0x80);
	set(BAR0, EIMS, 4, 1);
}

static unsigned long_of(unsigned number) { return 60 + number * 37 % 1400; }

static void fill(uint8_t *frame, unsigned number)
{
	static const uint8_t header[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
	memcpy(frame, header, sizeof header);
	memcpy(frame + 14, &number, 4);
	for (unsigned i = 18; i < long_of(number); i++)
		frame[i] = number * 7 + i;
}

static int is_right(const uint8_t *frame, unsigned length, unsigned number)
{
	uint8_t expected[BUFFER];
	fill(expected, number);
	return length == long_of(number) && memcmp(frame, expected, length) == 0;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 3 ? atoi(argv[3]) : 1000, sent = 0, wrong = 0, got = 0, interrupts = 0;
	size_t size = (2 * sizeof *rings + 4095) & ~4095UL;
	rings = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int iommu = open_device(argv[1]);
	devices[0] = device;
	devices[1] = open(argv[2], O_RDWR);
	struct bind bind = {.argsz = sizeof bind, .iommufd = iommu};
	require(devices[1] >= 0 && ioctl(devices[1], VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "the second device");
	struct ioas_alloc alloc = {.size = sizeof alloc};
	require(ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "alloc");
	struct ioas_map map = {.size = sizeof map, .flags = 1 | READ_WRITE, .ioas_id = alloc.id,
		.user_va = (uintptr_t)rings, .length = size, .iova = IOVA};
	require(ioctl(iommu, IOMMU_IOAS_MAP, &map) == 0, "map");
	struct attach attach = {.argsz = sizeof attach, .pt_id = alloc.id};
	for (int port = 0; port < 2; port++)
		require(ioctl(devices[port], VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0, "attach");
	start(0);
	start(1);
	set_up(0, RING_TX, &rings[0]);
	set_up(1, RING_RX, &rings[1]);
	listen_to(1);
	for (unsigned i = 0; i < DESCRIPTORS; i++)
		rings[1].entries[i] = (struct descriptor){.address = iova_of(rings[1].buffers[i])};
	set(BAR0, RING_RX + TAIL, 4, DESCRIPTORS - 1);
	use(0);
	printf("link %s\n", get(BAR0, STATUS, 4) & 2 ? "up" : "down");

	while (got < count) {
		while (sent < count && sent - got < DESCRIPTORS - 1) {
			uint8_t *buffer = rings[0].buffers[sent % DESCRIPTORS];
			fill(buffer, sent);
			rings[0].entries[sent % DESCRIPTORS] = (struct descriptor){.address = iova_of(buffer),
				.low = 0x2b300000 | long_of(sent), .high = long_of(sent) << 14};
			sent++;
		}
		use(0);
		set(BAR0, RING_TX + TAIL, 4, sent % DESCRIPTORS);
		struct pollfd ready = {.fd = interrupt, .events = POLLIN};
		uint64_t signals;
		require(poll(&ready, 1, 10000) == 1 && read(interrupt, &signals, 8) == 8, "an interrupt");
		interrupts++;
		for (; got < count; got++) {
			volatile struct descriptor *entry = &rings[1].entries[got % DESCRIPTORS];
			if ((entry->low & 3) != 3)
				break;
			uint8_t *buffer = rings[1].buffers[got % DESCRIPTORS];
			wrong += !is_right(buffer, entry->high & 0xffff, got);
			rings[1].entries[got % DESCRIPTORS] = (struct descriptor){.address = iova_of(buffer)};
		}
		use(1);
		set(BAR0, RING_RX + TAIL, 4, (got + DESCRIPTORS - 1) % DESCRIPTORS);
	}
	use(1);
	printf("%u frames sent, %u got, %u wrong, %lu missed\n", sent, got, wrong, get(BAR0, 0x4010, 4));
	printf("%lu counted, %s\n", get(BAR0, 0x4074, 4), interrupts > 0 ? "with interrupts" : "");
	return wrong != 0;
}
