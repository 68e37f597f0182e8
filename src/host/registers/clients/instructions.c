// instructions SEED ROUNDS: makes every instruction of forms.inc twice, on ordinary memory by the processor and on mapped registers, from
// the same random state. Prints each form that leaves something else, and how many there were. forms.inc: FORM("instruction", what, flags)
#include "registers.h"
#include <cpuid.h>

// What a form does besides loading and storing at %rdx, where %rsi is 4.
enum {
	PLAIN = 0,
	ALIGNED = 1, // its address is a multiple of 64
	FROM = 2,    // a string instruction from there (%rsi) to ordinary memory (%rdi)
	TO = 4,      // and the other way around
	BOTH = FROM | TO,
	FEW = 8,     // %rcx is small
	BIT = 16,    // %r9 is the number of a bit nearby
	AVX512 = 32,
	NEAR = 64,   // %rcx is as likely as not what memory holds
	DOWN = 128,  // the direction flag is set
};

// Flags that the manuals leave undefined.
#define CF 1ul
#define PF 4ul
#define AF 0x10ul
#define ZF 0x40ul
#define SF 0x80ul
#define OF 0x800ul
#define DF 0x400ul
#define ALL_FLAGS (CF | PF | AF | ZF | SF | OF)

struct form {
	const char *text;
	const uint8_t *code, *end;
	unsigned long what, undefined;
};

#define FORM(text, what, undefined)                                                       \
	asm(".section .rodata\n 1: .string \"" text "\"\n .text\n 2: " text "\n 3:\n"          \
	    ".section .data.forms, \"aw\"\n .quad 1b, 2b, 3b\n .quad " #what ", " #undefined "\n .text\n");
#define xstr(x) #x

asm(".set PLAIN, 0; .set ALIGNED, 1; .set FROM, 2; .set TO, 4; .set BOTH, 6; .set FEW, 8; .set BIT, 16; .set AVX512, 32; .set NEAR, 64; .set DOWN, 128\n"
    ".set CF, 1; .set PF, 4; .set AF, 16; .set ZF, 64; .set SF, 128; .set OF, 0x800\n"
    ".section .data.forms, \"aw\"\n .globl forms\n forms:\n .text\n");
#include "forms.inc"
asm(".section .data.forms, \"aw\"\n .globl forms_end\n forms_end:\n .text\n");
extern struct form forms[], forms_end[];

// General registers in the order of their numbers; rsp is the stack's own.
static struct {
	uint64_t general[16], flags;
} state __asm__("state") __attribute__((used));
static uint8_t vectors[16384] __asm__("vectors") __attribute__((aligned(64), used));
static uint64_t stack __asm__("stack_pointer") __attribute__((used));
static void *code __asm__("code_page") __attribute__((used));
void run_code(void);
extern uint8_t after_code[];
asm(".text\n run_code: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, stack_pointer(%rip)\n mov $-1, %eax; mov $-1, %edx; xrstor64 vectors(%rip)\n"
    "pushq state+128(%rip); popfq\n"
    "mov state(%rip), %rax; mov state+8(%rip), %rcx; mov state+16(%rip), %rdx; mov state+24(%rip), %rbx\n"
    "mov state+40(%rip), %rbp; mov state+48(%rip), %rsi; mov state+56(%rip), %rdi; mov state+64(%rip), %r8\n"
    "mov state+72(%rip), %r9; mov state+80(%rip), %r10; mov state+88(%rip), %r11; mov state+96(%rip), %r12\n"
    "mov state+104(%rip), %r13; mov state+112(%rip), %r14; mov state+120(%rip), %r15\n jmp *code_page(%rip)\n"
    "after_code: mov %rax, state(%rip); mov %rcx, state+8(%rip); mov %rdx, state+16(%rip); mov %rbx, state+24(%rip)\n"
    "mov %rbp, state+40(%rip); mov %rsi, state+48(%rip); mov %rdi, state+56(%rip); mov %r8, state+64(%rip)\n"
    "mov %r9, state+72(%rip); mov %r10, state+80(%rip); mov %r11, state+88(%rip); mov %r12, state+96(%rip)\n"
    "mov %r13, state+104(%rip); mov %r14, state+112(%rip); mov %r15, state+120(%rip)\n"
    "mov stack_pointer(%rip), %rsp; pushfq; popq state+128(%rip); cld\n"
    "mov $-1, %eax; mov $-1, %edx; xsave64 vectors(%rip)\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

static uint64_t seed;
static uint64_t any(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dul;
}

/** A number that is as likely as not one at which flags change. */
static uint64_t number(void)
{
	static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7ffffffffffffffful, 0x8000000000000000ul, 0xfffffffffffffffful, 0x8080808080808080ul, 0x8000800080008000ul};
	return any() & 1 ? any() : edges[any() % 16];
}

#define WINDOW 192 // bytes of registers, and as many of ordinary memory
#define MIDDLE 64
static uint64_t before[WINDOW / 8], ordinary[2][WINDOW / 8], found[WINDOW / 8];
static uint8_t start_vectors[sizeof vectors] __attribute__((aligned(64))), native_vectors[sizeof vectors];
static size_t vector_bytes;

static int run_form(const struct form *form, volatile uint8_t *native, volatile uint8_t *bar)
{
	typeof(state) start, results[2];
	unsigned long at = MIDDLE + (form->what & ALIGNED ? 0 : any() % 8);
	uint8_t *scratch = (uint8_t *)ordinary;
	static uint64_t scratch_before[2][WINDOW / 8];
	for (int i = 0; i < 16; i++)
		start.general[i] = number();
	for (int i = 0; i < WINDOW / 8; i++)
		before[i] = number(), scratch_before[0][i] = number(), scratch_before[1][i] = number();
	start.flags = 0x202 | (any() & ALL_FLAGS) | (form->what & DOWN ? DF : 0);
	start.general[6] = 4;
	if (form->what & FEW)
		start.general[1] = any() % 9;
	if (form->what & BIT)
		start.general[9] = any() % 800 - 400;
	if (form->what & NEAR) {
		if (any() & 1)
			memcpy(&start.general[0], (uint8_t *)before + at, 8);
		if (any() & 1)
			memcpy(&start.general[2], (uint8_t *)before + at + 8, 8); // rdx is not the address there
	}
	for (size_t i = 0; i < vector_bytes; i++)
		start_vectors[i] = i < 160 || (i >= 416 && i < 576) ? start_vectors[i] : any();
	long length = form->end - form->code;
	memcpy(code, form->code, length);
	memcpy((uint8_t *)code + length, "\xff\x25\0\0\0\0", 6); // jmp *0(%rip)
	*(void **)((uint8_t *)code + length + 6) = after_code;

	for (int pass = 0; pass < 2; pass++) {
		volatile uint8_t *base = pass ? bar : native;
		for (int i = 0; i < WINDOW / 8; i++)
			store64(base + 8 * i, before[i]);
		memcpy(ordinary, scratch_before, sizeof ordinary);
		state = start;
		uint64_t place = (uint64_t)base + at;
		if (form->what & NEAR)
			state.general[5] = place; // rbp
		else
			state.general[2] = place;
		if (form->what & BOTH) {
			uint64_t side = (uint64_t)scratch + MIDDLE + at % 8;
			state.general[6] = form->what & FROM ? place : side;
			state.general[7] = form->what & TO ? (form->what & FROM ? place + 3 : place) : side;
		}
		memcpy(vectors, start_vectors, sizeof vectors);
		run_code();
		// Addresses are as far from their windows in both.
		for (int i = 0; i < 16; i++)
			if (state.general[i] - (uint64_t)base < WINDOW)
				state.general[i] -= (uint64_t)base;
			else if (state.general[i] - (uint64_t)scratch < 2 * WINDOW)
				state.general[i] -= (uint64_t)scratch;
		state.flags &= ~form->undefined;
		results[pass] = state;
		if (pass == 0)
			memcpy(native_vectors, vectors, sizeof vectors);
		static uint64_t scratch_native[2][WINDOW / 8];
		if (pass == 0)
			memcpy(scratch_native, ordinary, sizeof ordinary);
		else if (memcmp(scratch_native, ordinary, sizeof ordinary))
			return printf("%s: ordinary memory differs\n", form->text), 1;
	}
	int wrong = 0;
	for (int i = 0; i < 16; i++)
		if (i != 4 && results[0].general[i] != results[1].general[i])
			wrong = printf("%s: register %d is %lx and not %lx\n", form->text, i, results[1].general[i], results[0].general[i]);
	if (results[0].flags != results[1].flags)
		wrong = printf("%s: flags are %lx and not %lx (before %lx)\n", form->text, results[1].flags, results[0].flags, start.flags);
	for (int i = 0; i < WINDOW / 8; i++)
		if (load64(native + 8 * i) != (found[i] = load64(bar + 8 * i)))
			wrong = printf("%s: memory at %d is %lx and not %lx (was %lx)\n", form->text, 8 * i - (int)at, found[i], load64(native + 8 * i), before[i]);
	// XSTATE_BV may differ where a component is all zeroes.
	for (size_t i = 160; i < vector_bytes; i++)
		if ((i < 416 || i >= 576) && vectors[i] != native_vectors[i]) {
			wrong = printf("%s: vector state at %zu is %02x and not %02x\n", form->text, i, vectors[i], native_vectors[i]);
			break;
		}
	return wrong != 0;
}

int main(int count, char **words)
{
	seed = count > 1 ? strtoul(words[1], NULL, 0) * 2 + 1 : 1;
	int rounds = count > 2 ? atoi(words[2]) : 1, wrong = 0, made = 0;
	// With a third word both are ordinary memory: then only what a processor itself leaves open can differ.
	int fd = count > 3 ? memfd_create("ordinary", 0) : open_registers();
	CHECK(count <= 3 || ftruncate(fd, KEPT + PAGE) == 0);
	volatile uint8_t *bar = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_32BIT, fd, KEPT);
	volatile uint8_t *native = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(bar != MAP_FAILED && native != MAP_FAILED && code != MAP_FAILED);
	unsigned a, b, c, d;
	__cpuid_count(0xd, 0, a, b, c, d);
	int has_avx512 = (a & 0xe0) == 0xe0;
	vector_bytes = 832; // as far as AVX
	if (has_avx512) {
		__cpuid_count(0xd, 7, a, b, c, d);
		vector_bytes = b + a;
	}
	// What is in use of the state: x87, SSE, AVX, and AVX-512.
	asm volatile("mov $-1, %%eax; mov $-1, %%edx; xsave64 %0" : "=m"(start_vectors) : : "rax", "rdx");
	*(uint64_t *)(start_vectors + 512) = has_avx512 ? 0xe7 : 7;
	for (int round = 0; round < rounds; round++)
		for (struct form *form = forms; form < forms_end; form++) {
			if (form->what & AVX512 && !has_avx512)
				continue;
			made++;
			wrong += run_form(form, native, bar);
		}
	printf("%d made, %d wrong\n", made, wrong);
	return wrong != 0;
}
