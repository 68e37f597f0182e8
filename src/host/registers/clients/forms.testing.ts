// Every instruction form that src/host/registers/x86 knows, as text for the assembler: forms.inc of instructions.c.

type Width = "b" | "w" | "l" | "q";

/** Names of registers by width; never rdx, rsi and rsp, which have their uses. */
const REGISTERS: { readonly [width in Width]: readonly string[] } = {
	b: ["al", "cl", "bl", "ah", "bh", "dil", "r9b", "r15b"],
	w: ["ax", "cx", "bx", "r9w", "r15w"],
	l: ["eax", "ecx", "ebx", "r9d", "r15d"],
	q: ["rax", "rcx", "rbx", "r9", "r15"],
};
const WIDTHS: readonly Width[] = ["b", "w", "l", "q"];
const ADDRESSES = ["(%rdx)", "16(%rdx)", "-32(%rdx)", "8(%rdx,%rsi,4)", "(%edx)", "-8(%edx,%esi)"];
const CONDITIONS = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];

const lines: string[] = [];
let turn = 0;

function form(text: string, what = "PLAIN", undefinedFlags = "0"): void {
	lines.push(`FORM("${text}", ${what}, ${undefinedFlags})`);
}

/** Not every combination: each register and each address has its turn. */
function next<T>(choices: readonly T[]): T {
	return choices[turn++ % choices.length];
}
const address = () => next(ADDRESSES);
const registers = (width: Width) => REGISTERS[width].map((name) => `%${name}`);

function general(): void {
	for (const width of WIDTHS) {
		const immediates = width === "b" ? ["$0x80", "$1"] : ["$-1", "$0x7f", width === "w" ? "$0x1234" : "$0x12345678"];
		for (const register of registers(width)) {
			form(`mov${width} ${address()}, ${register}`);
			form(`mov${width} ${register}, ${address()}`);
			form(`xchg${width} ${register}, ${address()}`);
			form(`lock xadd${width} ${register}, ${address()}`);
			form(`xadd${width} ${register}, ${address()}`);
			form(`lock cmpxchg${width} ${register}, (%rbp)`, "NEAR");
			for (const name of ["add", "adc", "sub", "sbb", "cmp"]) {
				form(`${name}${width} ${address()}, ${register}`);
				form(`${name}${width} ${register}, ${address()}`);
			}
			for (const name of ["and", "or", "xor"]) {
				form(`${name}${width} ${address()}, ${register}`, "PLAIN", "AF");
				form(`lock ${name}${width} ${register}, ${address()}`, "PLAIN", "AF");
			}
			form(`test${width} ${register}, ${address()}`, "PLAIN", "AF");
		}
		for (const immediate of immediates) {
			form(`mov${width} ${immediate}, ${address()}`);
			for (const name of ["add", "adc", "sub", "sbb", "cmp"]) form(`${name}${width} ${immediate}, ${address()}`);
			for (const name of ["and", "or", "xor", "test"])
				form(`${name}${width} ${immediate}, ${address()}`, "PLAIN", "AF");
		}
		for (const name of ["inc", "dec", "neg", "not"]) {
			form(`${name}${width} ${address()}`);
			form(`lock ${name}${width} ${address()}`);
		}
		for (const name of ["mul", "imul"]) form(`${name}${width} (%rbp)`, "NEAR", "SF+ZF+AF+PF");
		for (const name of ["shl", "shr", "sar", "rol", "ror"]) {
			const undefinedFlags = name.startsWith("ro") ? "0" : "AF";
			form(`${name}${width} $1, ${address()}`, "PLAIN", undefinedFlags);
			for (const count of [2, 5, 7, 31]) form(`${name}${width} $${count}, ${address()}`, "PLAIN", "AF+OF+CF");
			form(`${name}${width} %cl, ${address()}`, "FEW", "AF+OF+CF");
			if (width === "l" || width === "q") form(`${name}${width} $7, ${address()}`, "PLAIN", "AF+OF");
		}
		if (width === "b") continue;
		for (const register of registers(width)) {
			for (const name of ["movbe"]) {
				form(`${name} ${address()}, ${register}`);
				form(`${name} ${register}, ${address()}`);
			}
			form(`imul${width} ${address()}, ${register}`, "PLAIN", "SF+ZF+AF+PF");
			form(`imul${width} $-7, ${address()}, ${register}`, "PLAIN", "SF+ZF+AF+PF");
			form(`movzb${width} ${address()}, ${register}`);
			form(`movsb${width} ${address()}, ${register}`);
			if (width !== "w") form(`movzw${width} ${address()}, ${register}`);
			if (width !== "w") form(`movsw${width} ${address()}, ${register}`);
			for (const condition of CONDITIONS) form(`cmov${condition}${width} ${address()}, ${register}`);
		}
		for (const name of ["bt", "bts", "btr", "btc"]) {
			const lock = name === "bt" ? "" : "lock ";
			for (const bit of [0, 3, 15, 31, 63])
				form(`${lock}${name}${width} $${bit}, ${address()}`, "PLAIN", "OF+SF+AF+PF");
			const number = width === "w" ? "%r9w" : width === "l" ? "%r9d" : "%r9";
			form(`${name}${width} ${number}, (%rdx)`, "BIT", "OF+SF+AF+PF");
		}
	}
	form("movslq 4(%rdx), %r9");
	form("movslq (%rdx), %rcx");
	form("movq (%rdx), %rdx");
	form("movl (%rdx), %edx");
	form("movntil %eax, (%rdx)".replace("movntil", "movnti"));
	form("movnti %r9, 8(%rdx)");
	for (const condition of CONDITIONS) form(`set${condition} ${address()}`);
	form("pushq (%rdx); popq %r9");
	form("pushw (%rdx); popw %r9w");
	form("pushq %r9; popq 8(%rdx)");
	form("lock cmpxchg8b (%rbp)", "NEAR");
	form("lock cmpxchg16b (%rbp)", "NEAR+ALIGNED");
}

function strings(): void {
	for (const width of WIDTHS) {
		for (const down of ["", "+DOWN"]) {
			for (const what of ["FROM", "TO", "BOTH"]) {
				form(`movs${width}`, `${what}${down}`);
				form(`rep movs${width}`, `${what}+FEW${down}`);
			}
			form(`stos${width}`, `TO${down}`);
			form(`rep stos${width}`, `TO+FEW${down}`);
			form(`lods${width}`, `FROM${down}`);
			form(`rep lods${width}`, `FROM+FEW${down}`);
		}
	}
	form("addr32 rep movsb", "BOTH+FEW");
	form("addr32 stosl", "TO");
}

function vectors(): void {
	const xmm = ["%xmm0", "%xmm7", "%xmm9", "%xmm15"];
	for (const register of xmm) {
		for (const prefix of ["", "v"]) {
			for (const name of ["movaps", "movapd", "movdqa"]) {
				form(`${prefix}${name} 16(%rdx), ${register}`, "ALIGNED");
				form(`${prefix}${name} ${register}, -32(%rdx)`, "ALIGNED");
			}
			for (const name of ["movups", "movupd", "movdqu"]) {
				form(`${prefix}${name} ${address()}, ${register}`);
				form(`${prefix}${name} ${register}, ${address()}`);
			}
			for (const name of ["movntps", "movntpd", "movntdq"]) form(`${prefix}${name} ${register}, (%rdx)`, "ALIGNED");
			form(`${prefix}movntdqa (%rdx), ${register}`, "ALIGNED");
			form(`${prefix}lddqu ${address()}, ${register}`);
			for (const name of ["movss", "movsd", "movd", "movq"]) {
				form(`${prefix}${name} ${address()}, ${register}`);
				form(`${prefix}${name} ${register}, ${address()}`);
			}
			for (const name of ["movlps", "movlpd", "movhps", "movhpd"]) {
				form(`${prefix}${name} ${address()}, ${prefix === "v" ? "%xmm3, " : ""}${register}`);
				form(`${prefix}${name} ${register}, ${address()}`);
			}
			for (const [name, element] of [
				["b", 11],
				["w", 5],
				["d", 3],
				["q", 1],
			] as const) {
				form(`${prefix}pextr${name} $${element}, ${register}, ${address()}`);
				form(`${prefix}pinsr${name} $${element}, ${address()}, ${prefix === "v" ? "%xmm3, " : ""}${register}`);
			}
			form(`${prefix}extractps $2, ${register}, ${address()}`);
		}
	}
	for (const register of ["%ymm1", "%ymm12"]) {
		for (const name of ["vmovups", "vmovupd", "vmovdqu"]) {
			form(`${name} ${address()}, ${register}`);
			form(`${name} ${register}, ${address()}`);
		}
		for (const name of ["vmovaps", "vmovdqa"]) {
			form(`${name} 32(%rdx), ${register}`, "ALIGNED");
			form(`${name} ${register}, -32(%rdx)`, "ALIGNED");
		}
		form(`vmovntdq ${register}, (%rdx)`, "ALIGNED");
		form(`vextracti128 $1, ${register}, ${address()}`);
		form(`vinserti128 $1, ${address()}, %ymm3, ${register}`);
		form(`vextractf128 $0, ${register}, ${address()}`);
	}
	for (const register of ["%xmm2", "%ymm17", "%zmm0", "%zmm13", "%zmm31", "%xmm20"]) {
		for (const name of ["vmovdqu8", "vmovdqu16", "vmovdqu32", "vmovdqu64", "vmovups", "vmovupd"]) {
			form(`${name} (%rdx), ${register}`, "AVX512");
			form(`${name} ${register}, 16(%rdx)`, "AVX512");
			form(`${name} (%rdx), ${register}{%k1}`, "AVX512");
			form(`${name} -8(%rdx), ${register}{%k2}{z}`, "AVX512");
			form(`${name} ${register}, (%rdx){%k3}`, "AVX512");
		}
		for (const name of ["vmovdqa32", "vmovdqa64", "vmovaps", "vmovntdq"]) {
			if (name !== "vmovntdq") form(`${name} (%rdx), ${register}`, "AVX512+ALIGNED");
			form(`${name} ${register}, (%rdx)`, "AVX512+ALIGNED");
		}
	}
	for (const name of ["vmovss", "vmovsd"]) {
		form(`${name} (%rdx), %xmm4{%k1}`, "AVX512");
		form(`${name} (%rdx), %xmm24{%k2}{z}`, "AVX512");
		form(`${name} %xmm4, (%rdx){%k3}`, "AVX512");
		form(`${name} (%rdx), %xmm25`, "AVX512");
	}
	form("vextracti32x4 $3, %zmm9, (%rdx)", "AVX512");
	form("vextracti64x4 $1, %zmm9, (%rdx)", "AVX512");
	form("vinserti32x4 $2, (%rdx), %zmm3, %zmm30", "AVX512");
	for (const width of ["b", "w", "d", "q"]) {
		form(`kmov${width} (%rdx), %k4`, "AVX512");
		form(`kmov${width} %k5, 8(%rdx)`, "AVX512");
	}
}

export function formsFile(): string {
	lines.length = 0;
	general();
	strings();
	vectors();
	return `${lines.join("\n")}\n`;
}
