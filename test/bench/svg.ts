// Charts as a picture: lines over an axis that multiplies, one chart beside the other.

export interface Chart {
	readonly title: string;
	/** What x counts. */
	readonly axis: string;
	readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
}

const WIDTH = 300;
const HEIGHT = 240;
const MARGIN = { left: 44, right: 14, top: 34, bottom: 44 };
const COLOURS = ["#1f6feb", "#8b949e"];

/** y is in microseconds a call. */
export function drawCharts(charts: readonly Chart[]): string {
	const width = WIDTH * charts.length;
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="sans-serif" font-size="11">`,
		"<title>Microseconds a call, by areas, pages and domains</title>",
		`<rect width="${width}" height="${HEIGHT}" fill="#fff"/>`,
		...charts.map((chart, at) => `<g transform="translate(${at * WIDTH} 0)">\n${draw(chart)}\n</g>`),
		"</svg>",
		"",
	].join("\n");
}

function draw({ title, axis, lines }: Chart): string {
	const all = lines.flatMap(({ points }) => points);
	const scale = scaleOf(all);
	const [left, right, bottom] = [MARGIN.left, WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
	const parts = [
		`<text x="${(left + right) / 2}" y="18" text-anchor="middle" font-size="12">us a call, by ${title}</text>`,
		`<path d="M${left} ${MARGIN.top}V${bottom}H${right}" fill="none" stroke="#57606a"/>`,
		`<text x="${(left + right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${axis}</text>`,
	];
	for (const y of ticks(scale.top)) {
		parts.push(`<path d="M${left} ${scale.y(y)}H${right}" stroke="#d0d7de"/>`);
		parts.push(`<text x="${left - 5}" y="${scale.y(y) + 4}" text-anchor="end">${y}</text>`);
	}
	for (const x of new Set(all.map(([x]) => x)))
		parts.push(`<text x="${scale.x(x)}" y="${bottom + 15}" text-anchor="middle">${short(x)}</text>`);
	for (const [at, { name, points }] of lines.entries()) {
		const path = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${scale.x(x)} ${scale.y(y)}`).join("");
		const [, lastY] = points.at(-1)!;
		parts.push(`<path d="${path}" fill="none" stroke="${COLOURS[at]}" stroke-width="2"/>`);
		parts.push(`<text x="${right}" y="${scale.y(lastY) - 6}" text-anchor="end" fill="${COLOURS[at]}">${name}</text>`);
	}
	return parts.join("\n");
}

function scaleOf(points: readonly (readonly [x: number, y: number])[]) {
	const first = Math.log(Math.min(...points.map(([x]) => x)));
	const last = Math.log(Math.max(...points.map(([x]) => x)));
	const top = niceAbove(Math.max(...points.map(([, y]) => y)));
	const width = WIDTH - MARGIN.left - MARGIN.right - 16;
	const height = HEIGHT - MARGIN.top - MARGIN.bottom;
	return {
		top,
		x: (value: number) => round(MARGIN.left + 8 + ((Math.log(value) - first) / (last - first)) * width),
		y: (value: number) => round(HEIGHT - MARGIN.bottom - (value / top) * height),
	};
}

/** 1, 2 or 5 times a power of ten. */
function niceAbove(value: number): number {
	const unit = 10 ** Math.floor(Math.log10(value));
	return ([1, 2, 5, 10].find((times) => times * unit >= value * 1.05) ?? 20) * unit;
}

const ticks = (top: number): number[] => [0, 1, 2, 3, 4, 5].map((n) => round((n * top) / 5));
const round = (value: number): number => Math.round(value * 10) / 10;
const short = (x: number): string => (x >= 1e6 ? `${x / 1e6}M` : x >= 1000 ? `${Math.round(x / 1000)}k` : String(x));
