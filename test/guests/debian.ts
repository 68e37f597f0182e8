// Programs of another Debian than this computer's, in a directory of their own: nothing is installed, and no root is needed. They run with
// that Debian's own libraries. apt.conf(5), sources.list(5), ld.so(8).

import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MIRROR = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const LIBRARIES = "usr/lib/x86_64-linux-gnu";
const LOADER = "usr/lib64/ld-linux-x86-64.so.2";

/** What has to be on this computer to take packages, and what to install where it isn't. */
export const DEBIAN_NEEDS = [
	{ program: "apt-get", from: "apt" },
	{ program: "dpkg-deb", from: "dpkg" },
];

export class Debian {
	readonly #directory: string;
	readonly #apt: string;
	#isUpToDate = false;

	/** @param directory where packages are kept, and what was in them */
	constructor(directory: string) {
		this.#directory = directory;
		this.#apt = join(directory, "apt");
	}

	/**
	 * @param name of the directory that it gets
	 * @param suite a release, or its backports
	 * @param wanted the packages
	 * @param isUnpacked which of the packages that belong to them are needed
	 * @returns the directory with all that is in them
	 * @throws Error if they can't be had
	 */
	unpack(name: string, suite: string, wanted: readonly string[], isUnpacked = (_: string) => true): string {
		const root = join(this.#directory, name);
		if (existsSync(root)) return root;
		this.#update();
		const archives = join(this.#apt, name);
		mkdirSync(join(archives, "partial"), { recursive: true });
		const words = ["install", "--yes", "--quiet=2", "--download-only", `--target-release=${suite}`, ...wanted];
		this.#aptGet("-o", `Dir::Cache::archives=${archives}`, ...words);
		const unfinished = `${root}.unfinished`;
		rmSync(unfinished, { recursive: true, force: true });
		for (const archive of readdirSync(archives).filter((file) => file.endsWith(".deb") && isUnpacked(file)))
			execFileSync("dpkg-deb", ["--extract", join(archives, archive), unfinished]);
		renameSync(unfinished, root);
		rmSync(archives, { recursive: true });
		return root;
	}

	/** Makes a program of a directory that unpack() returned one that can be started. */
	writeStarter(file: string, root: string, program: string, ...parameters: string[]): void {
		const words = [join(root, LOADER), "--library-path", join(root, LIBRARIES), join(root, program), ...parameters];
		writeFileSync(file, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`);
		chmodSync(file, 0o755);
	}

	#update(): void {
		if (this.#isUpToDate) return;
		if (!existsSync(KEYRING)) throw new Error(`${KEYRING} isn't there: apt-get install debian-archive-keyring`);
		for (const part of ["lists/partial", "etc"]) mkdirSync(join(this.#apt, part), { recursive: true });
		const source = (suite: string) => `deb [signed-by=${KEYRING}] ${MIRROR} ${suite} main\n`;
		writeFileSync(join(this.#apt, "sources.list"), ["trixie", "trixie-backports"].map(source).join(""));
		writeFileSync(join(this.#apt, "status"), "");
		const settings = {
			"APT::Architecture": "amd64",
			"APT::Install-Recommends": "false",
			"APT::Sandbox::User": "",
			"Dir::State": this.#apt,
			"Dir::State::status": join(this.#apt, "status"),
			"Dir::Cache": this.#apt,
			"Dir::Etc::sourcelist": join(this.#apt, "sources.list"),
			"Dir::Etc::sourceparts": "/dev/null",
		};
		const lines = Object.entries(settings).map(([key, value]) => `${key} "${value}";\n`);
		writeFileSync(join(this.#apt, "apt.conf"), lines.join(""));
		this.#aptGet("update", "--quiet=2");
		this.#isUpToDate = true;
	}

	#aptGet(...words: string[]): void {
		const env = { ...process.env, APT_CONFIG: join(this.#apt, "apt.conf"), DEBIAN_FRONTEND: "noninteractive" };
		execFileSync("apt-get", words, { env, stdio: ["ignore", "ignore", "pipe"] });
	}
}
