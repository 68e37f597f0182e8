// Ways to map registers, and what then is there. Prints "good".
#include "registers.h"
#include <setjmp.h>
#include <sys/uio.h>

static int fd;

static sigjmp_buf escape;
static siginfo_t caught;
static void catch(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	caught = *info;
	siglongjmp(escape, 1);
}

// Whether the statement gets a signal.
#define FAULTS(statement) (sigsetjmp(escape, 1) == 0 ? ({ statement; 0; }) : 1)

static void *other_thread(void *bar)
{
	for (int i = 0; i < 200; i++)
		store64((uint8_t *)bar + SUM, 1);
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = catch, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	fd = open_registers();

	// One page of several, several maps of one page, and another BAR
	volatile uint8_t *bar = map_bar0(fd), *again = map_at(fd, KEPT, PAGE, PROT_READ | PROT_WRITE);
	volatile uint8_t *bar2 = map_at(fd, BAR2, BAR2_LENGTH, PROT_READ | PROT_WRITE);
	store32(bar + KEPT + 4, 77);
	CHECK(load32(again + 4) == 77);
	store64(bar2 + BAR2_LENGTH - 8, 0x1122334455667788);
	volatile uint8_t *end = map_at(fd, BAR2 + BAR2_LENGTH - PAGE, PAGE, PROT_READ | PROT_WRITE);
	CHECK(load32(end + PAGE - 8) == 0x55667788 && end[PAGE - 1] == 0x11);
	// Not aligned, and over the end of a page
	store32(bar2 + PAGE - 3, 0xaabbccdd);
	CHECK(load32(bar2 + PAGE - 3) == 0xaabbccdd && bar2[PAGE] == 0xaa);

	// Reading only, and writing only, which can be read on this processor
	volatile uint8_t *readable = map_at(fd, KEPT, PAGE, PROT_READ), *writable = map_at(fd, KEPT, PAGE, PROT_WRITE);
	CHECK(load32(readable + 4) == 77);
	CHECK(FAULTS(store32(readable + 4, 1)) && caught.si_signo == SIGSEGV && caught.si_addr == readable + 4);
	store32(writable + 4, 78);
	CHECK(load32(writable + 4) == 78 && load32(readable + 4) == 78);
	CHECK(mprotect((void *)readable, PAGE, PROT_READ | PROT_WRITE) == 0);
	store32(readable + 4, 79);
	CHECK(load32(bar + KEPT + 4) == 79);
	CHECK(mprotect((void *)readable, PAGE, PROT_NONE) == 0);
	CHECK(FAULTS(load32(readable)) && caught.si_signo == SIGSEGV);

	// Over a reservation, as DPDK does it; and at an address of a huge alignment
	uint8_t *reserved = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mmap(reserved + 3 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == reserved + 3 * PAGE);
	CHECK(load32(reserved + 4 * PAGE + 4) == 79);
	uint8_t *huge = mmap(NULL, 3ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	huge = (uint8_t *)(((uint64_t)huge + (1ul << 30) - 1) & -(1ul << 30));
	CHECK(mmap(huge, BAR2_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, BAR2) == huge);
	CHECK(load64(huge + BAR2_LENGTH - 8) == 0x1122334455667788);
	// Other memory takes a page's place.
	CHECK(mmap(reserved + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	store64(reserved + 3 * PAGE, 5);
	CHECK(load64(reserved + 3 * PAGE) == 5 && load32(reserved + 4 * PAGE + 4) == 79);

	// Unmapped in the middle, and mapped otherwise there
	CHECK(munmap(huge + PAGE, PAGE) == 0);
	CHECK(FAULTS(load32(huge + PAGE)) && caught.si_signo == SIGSEGV && caught.si_addr == huge + PAGE);
	store32(huge, 21), store32(huge + 2 * PAGE, 22);
	CHECK(mmap(huge + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, KEPT) == huge + PAGE);
	CHECK(load32(huge + PAGE + 4) == 79 && load32(bar2) == 21 && load32(bar2 + 2 * PAGE) == 22);

	// Moved
	volatile uint8_t *moved = mremap((void *)again, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, reserved + 8 * PAGE);
	CHECK(moved == reserved + 8 * PAGE && load32(moved + 4) == 79);
	store32(moved + 8, 80);
	CHECK(load32(bar + KEPT + 8) == 80 && FAULTS(load32(again)));
	uint32_t counter = load32(bar + COUNTER);
	CHECK(load32(bar + COUNTER) == counter + 1);

	// Filled in at once: still every access counts.
	volatile uint8_t *populated = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	CHECK(load32(populated) == counter + 2 && load32(populated) == counter + 3 && load32(bar) == counter + 4);
	CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0 || errno == ENOMEM || errno == EPERM);
	volatile uint8_t *locked = map_at(fd, 0, PAGE, PROT_READ | PROT_WRITE);
	CHECK(load32(locked) == counter + 5 && load32(populated) == counter + 6);
	munlockall();

	// A system call isn't an access.
	CHECK(write(open("/dev/null", O_WRONLY), (void *)bar, 8) == 8); // it looks at nothing
	int ends[2];
	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], (void *)bar, 8) == -1 && errno == EFAULT);
	CHECK(write(ends[1], "12345678", 8) == 8 && read(ends[0], (void *)(bar + KEPT), 8) == -1 && errno == EFAULT);
	CHECK(load32(bar) == counter + 7);

	// A device that doesn't decode its memory
	store32(bar2 + 64, 4);
	store32(bar + DECODING_OFF, 1);
	CHECK(FAULTS(load32(bar2 + 64)) && caught.si_signo == SIGBUS && caught.si_code == BUS_ADRERR && caught.si_addr == bar2 + 64);
	sigset_t all;
	sigfillset(&all);
	CHECK(FAULTS({ sigprocmask(SIG_SETMASK, &all, NULL); store32(bar2 + 64, 5); }) && caught.si_signo == SIGBUS);
	sigemptyset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	store32(bar + DECODING_OFF, 0);
	CHECK(load32(bar2 + 64) == 4);

	// An instruction that isn't known: nothing is done, and it is told.
	store64(bar2 + 128, 9);
	CHECK(FAULTS(asm volatile("fildll %0\n fstp %%st(0)" : : "m"(*(volatile uint64_t *)(bar2 + 128)))) && caught.si_signo == SIGBUS);
	CHECK(caught.si_addr == bar2 + 128 && load32(bar + UNKNOWN) == 1);

	// From registers to memory that isn't there: as far as it goes.
	uint8_t *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(two + PAGE, PAGE);
	for (int i = 0; i < 32; i++)
		bar2[256 + i] = i;
	uint64_t to = (uint64_t)two + PAGE - 8, from = (uint64_t)bar2 + 256, left = 32;
	CHECK(FAULTS(asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(left) : : "memory")) && caught.si_signo == SIGSEGV);
	CHECK(caught.si_addr == two + PAGE && two[PAGE - 1] == 7 && two[PAGE - 8] == 0);

	// Signals while threads access
	pthread_t thread;
	uint64_t sum = load64(bar + SUM);
	CHECK(pthread_create(&thread, NULL, other_thread, (void *)bar) == 0);
	struct sigaction nothing = {.sa_handler = (void (*)(int))abs, .sa_flags = SA_RESTART};
	sigaction(SIGUSR1, &nothing, NULL);
	for (int i = 0; i < 300; i++) {
		pthread_kill(thread, SIGUSR1);
		if (i % 3 == 0)
			store64(bar + SUM, 0);
	}
	pthread_join(thread, NULL);
	CHECK(load64(bar + SUM) == sum + 200);

	// Many maps, one after the other, and the last outlives its fd
	for (int i = 0; i < 500; i++) {
		volatile uint8_t *one = map_at(fd, 0, PAGE, PROT_READ | PROT_WRITE);
		uint32_t now = load32(one);
		CHECK(load32(one) == now + 1);
		CHECK(munmap((void *)one, PAGE) == 0);
	}
	// Doorbells that are unmapped about when they fall asleep
	for (uint32_t i = 1; i <= 400; i++) {
		volatile uint8_t *bell = map_at(fd, DOORBELLS, PAGE, PROT_READ | PROT_WRITE);
		store32(bell + 128, i);
		usleep(800 + i % 100 * 4);
		CHECK(munmap((void *)bell, PAGE) == 0);
	}
	close(fd);
	counter = load32(bar);
	CHECK(load32(bar) == counter + 1);

	// Memory and doorbells
	store32(bar + MEMORY + 4, 31);
	CHECK(load32(bar + MEMORY + 4) == 31);
	for (uint32_t i = 1; i <= 3000; i++) {
		if (i % 1000 == 0)
			usleep(10000); // they fall asleep
		store32(bar + DOORBELLS + i % 16 * 4, i);
		while (load32(bar + MEMORY + i % 16 * 4) != i);
	}
	CHECK(load32(bar + WATCHED) == 0);
	puts("good");
	return 0;
}
