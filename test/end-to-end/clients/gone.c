// A child maps its memory for its parent's device, and goes: by exit(2), by exec, or killed. Then the device copies from and to
// what the child had pinned. Prints what came of it, a line each.
// gone DEVICE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "ioas.h"

enum { SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, START = 0x98, RESULT = 0xa8 };
#define OWN_MEMORY 0x40000
#define PAGE 4096
#define IOVA 0x100000
#define PARENT 0x200000

static int dma(uint64_t source, uint64_t destination, uint64_t direction)
{
	set(BAR0, SOURCE, 8, source);
	set(BAR0, DESTINATION, 8, destination);
	set(BAR0, COUNT, 8, PAGE);
	set(BAR0, START, 8, 1 | direction);
	return get(BAR0, RESULT, 4) == 0;
}

static char *map_new(uint64_t iova)
{
	char *pages = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map(pages, iova, 2 * PAGE);
	return pages;
}

static void child(const char *end)
{
	strcpy(map_new(IOVA), "from the child");
	if (*end == 'e')
		_exit(0);
	execl("/nonesuch", "nonesuch", (char *)0);
	if (*end == 'b')
		execl("/bin/true", "true", (char *)0);
	// What was copied for a program that isn't there must not come back.
	struct ioas_alloc alloc = {.size = sizeof alloc};
	require(ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) == 0, "alloc");
	raise(SIGKILL);
}

int main(int argc, char **argv)
{
	(void)argc;
	iommu = open_device(argv[1]);
	set(CONFIG, COMMAND_REGISTER, 2, MEMORY_AND_MASTER);
	attach_ioas();
	char *mine = map_new(PARENT);
	const char *ends[] = {"exit", "becomes another program", "killed"};
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		if (pid == 0)
			child(ends[i]);
		waitpid(pid, 0, 0);
		memset(mine, 0, 2 * PAGE);
		// There and back: what is written to memory that has gone can be read again.
		int fine = dma(IOVA, OWN_MEMORY, 0) && dma(OWN_MEMORY, IOVA + PAGE, 2) && dma(IOVA + PAGE, OWN_MEMORY, 0) &&
			dma(OWN_MEMORY, PARENT, 2);
		printf("%s: %s\n", ends[i], fine ? mine : "refused");
		unmap(IOVA, 2 * PAGE);
	}
	return 0;
}
