// accesses THREADS N: each thread makes N stores and N loads; every one of them counts. Prints how many were wrong.
#include "registers.h"

static volatile uint8_t *bar;
static int accesses;
static unsigned long wrong;

static void *access_all(void *argument)
{
	long own = (long)argument;
	volatile uint8_t *kept = bar + KEPT + own * 64;
	uint32_t last = 0;
	for (int i = 0; i < accesses; i++) {
		store32(kept, i * 7 + own);
		if (load32(kept) != (uint32_t)(i * 7 + own))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		store64(bar + SUM, 3);
		uint32_t now = load32(bar + COUNTER);
		if (now <= last)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		last = now;
	}
	return NULL;
}

int main(int count, char **words)
{
	int threads = count > 1 ? atoi(words[1]) : 1;
	accesses = count > 2 ? atoi(words[2]) / 4 : 100;
	bar = map_bar0(open_registers());
	pthread_t ids[64];
	uint32_t before = load32(bar + COUNTER);
	uint64_t sum = load64(bar + SUM);
	for (long i = 1; i < threads; i++)
		pthread_create(&ids[i], NULL, access_all, (void *)i);
	access_all(0);
	for (long i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	uint32_t all = (uint32_t)threads * accesses;
	if (load32(bar + COUNTER) != before + all + 1)
		wrong++;
	if (load64(bar + SUM) != sum + 3ul * all)
		wrong++;
	printf("%lu wrong\n", wrong);
	return wrong != 0;
}
