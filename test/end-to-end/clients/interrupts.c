// Has QEMU's educational device interrupt, by MSI and by its pin, and prints what comes of it, a line each.
// interrupts DEVICE
#include <poll.h>
#include <sys/eventfd.h>
#include "vfio.h"

enum { RAISE = 0x60, ACKNOWLEDGE = 0x64 };

static int set_irqs(uint32_t index, uint32_t flags, uint32_t count, int fd)
{
	struct irq_set irqs = {.argsz = sizeof irqs, .flags = flags, .index = index, .count = count, .fd = fd};
	return ioctl(device, VFIO_DEVICE_SET_IRQS, &irqs);
}

// How often an eventfd was signalled; waits for the first time.
static int signals(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	uint64_t count = 0;
	if (poll(&pollfd, 1, 10000) == 1)
		require(read(fd, &count, 8) == 8, "read");
	return count;
}

// The same at once: what the device does is over when the write of its register is.
static int signals_now(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	return poll(&pollfd, 1, 0) == 1 ? signals(fd) : 0;
}

static void message(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	require(set_irqs(MSI, DATA_EVENTFD | TRIGGER, 1, fd) == 0, "MSI");
	set(BAR0, RAISE, 4, 1);
	set(BAR0, RAISE, 4, 2);
	printf("messages: %d\n", signals(fd));
	set(BAR0, ACKNOWLEDGE, 4, 3);
	require(set_irqs(MSI, DATA_NONE | TRIGGER, 1, 0) == 0, "loopback");
	printf("loopback: %d\n", signals(fd));
	require(set_irqs(MSI, DATA_NONE | TRIGGER, 0, 0) == 0, "MSI off");
	set(BAR0, RAISE, 4, 1);
	printf("switched off: %d\n", signals_now(fd));
	set(BAR0, ACKNOWLEDGE, 4, 1);
}

static void pin(void)
{
	int fd = eventfd(0, 0), unmask = eventfd(0, 0);
	require(set_irqs(INTX, DATA_EVENTFD | TRIGGER, 1, fd) == 0, "INTx");
	set(BAR0, RAISE, 4, 1);
	printf("pin: %d\n", signals(fd));
	set(BAR0, RAISE, 4, 2);
	printf("masked: %d\n", signals_now(fd));
	require(set_irqs(INTX, DATA_NONE | UNMASK, 1, 0) == 0, "unmask");
	printf("unmasked, and still asserted: %d\n", signals(fd));
	set(BAR0, ACKNOWLEDGE, 4, 3);
	require(set_irqs(INTX, DATA_NONE | UNMASK, 1, 0) == 0, "unmask");
	printf("unmasked, and acknowledged: %d\n", signals_now(fd));

	require(set_irqs(INTX, DATA_EVENTFD | UNMASK, 1, unmask) == 0, "unmask by an eventfd");
	set(BAR0, RAISE, 4, 1);
	printf("pin: %d\n", signals(fd));
	// From here on nothing is called but read, write and poll.
	eventfd_write(unmask, 1);
	printf("unmasked by an eventfd: %d\n", signals(fd));
}

int main(int argc, char **argv)
{
	(void)argc;
	int iommu = open_device(argv[1]);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	printf("no eventfd: %s\n", set_irqs(MSI, DATA_EVENTFD | TRIGGER, 1, iommu) ? strerror(errno) : "?");
	message();
	pin();
	return 0;
}
