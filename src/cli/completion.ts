// Completion in shells: what the last word of a command line may become. The shells' own parts only ask us, so that all know the same,
// and leave PROGRAM and its arguments, after `--`, to the shell itself.

import type { Command, Option } from "commander";
import { say } from "../host/say.js";
import { policies } from "../iommufd/hwpt-policy.js";
import { refuse } from "./complain.js";
import { readGuide } from "./errno-guide.js";
import { machineNames } from "./machine-files.js";

/** Indented by spaces: a tab is written out where it is said. */
const SCRIPTS: Readonly<Record<string, string>> = {
	bash: `_ioasis() {
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} == -- ]]; then
      if declare -F _comp_command_offset >/dev/null; then _comp_command_offset $((i + 1))
      elif declare -F _command_offset >/dev/null; then _command_offset $((i + 1))
      elif ((i + 1 == COMP_CWORD)); then mapfile -t COMPREPLY < <(compgen -c -- "\${COMP_WORDS[COMP_CWORD]}")
      fi
      return
    fi
  done
  mapfile -t COMPREPLY < <(ioasis complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _ioasis ioasis`,
	zsh: `#compdef ioasis
_ioasis() {
  local end=\${words[(i)--]}
  if ((end < CURRENT)); then
    shift $end words
    ((CURRENT -= end))
    _normal
    return
  fi
  local -a found
  found=(\${(f)"$(ioasis complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if ((\${#found})); then compadd -- $found; else _files; fi
}
compdef _ioasis ioasis`,
	fish: `function __ioasis_candidates
  set -l words (commandline -opc)
  ioasis complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
function __ioasis_is_ours
  not contains -- -- (commandline -opc)
end
complete -c ioasis -n __ioasis_is_ours -a '(__ioasis_candidates)'
complete -c ioasis -n 'not __ioasis_is_ours' -a '(__fish_complete_subcommand)'`,
};

export function printCompletion(shell: string): void {
	const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
	if (script === undefined) refuse(`there is no completion for ${shell}`, `of ${Object.keys(SCRIPTS).join(", ")}`);
	say(...script.split("\n"));
}

export function printCandidates(program: Command, words: readonly string[]): void {
	const found = candidates(program, words);
	if (found.length > 0) say(...found);
}

/**
 * What the last word may become; nothing where a file's name is expected, or anything else.
 * @param words after "ioasis", the last of them as far as it is written
 */
export function candidates(program: Command, words: readonly string[]): string[] {
	const last = words.at(-1) ?? "";
	let command = program;
	let operands = 0;
	let pending: Option | undefined;
	for (const word of words.slice(0, -1)) {
		if (pending !== undefined) pending = undefined;
		else if (word.startsWith("-")) pending = optionsOf(command).find((option) => takesNext(option, word));
		else {
			const inner =
				operands === 0
					? command
							.createHelp()
							.visibleCommands(command)
							.find((one) => one.name() === word)
					: undefined;
			if (inner === undefined) operands++;
			else command = inner;
		}
	}
	return all(program, command, operands, pending, last).filter((one) => one.startsWith(last));
}

function all(
	program: Command,
	command: Command,
	operands: number,
	pending: Option | undefined,
	last: string,
): string[] {
	if (pending !== undefined) return pending.argChoices ?? valuesOf(pending, last);
	if (last.startsWith("-")) return optionsOf(command).flatMap(({ long }) => long ?? []);
	if (operands > 0) return command.name() === "explain" ? errnosOf() : [];
	const commands = namesOf(command);
	switch (command.name()) {
		case "completion":
			return Object.keys(SCRIPTS);
		case "help":
			return namesOf(program);
		case "explain":
			return callNames();
		case "show":
			return machines();
		default:
			return commands;
	}
}

function namesOf(command: Command): string[] {
	return command
		.createHelp()
		.visibleCommands(command)
		.map((one) => one.name());
}

function optionsOf(command: Command): Option[] {
	return command.createHelp().visibleOptions(command);
}

/** Whether the value of an option is the next word. */
function takesNext({ short, long, required }: Option, word: string): boolean {
	return required && (word === short || word === long);
}

/** Of a list, which has commas, the last part is still to be written. */
function valuesOf({ long }: Option, last: string): string[] {
	const before = last.slice(0, last.lastIndexOf(",") + 1);
	switch (long) {
		case "--machine":
			return machines();
		case "--machines":
			return machines().map((name) => before + name);
		case "--policy":
			return [...policies.keys()];
		case "--policies":
			return [...policies.keys()].map((name) => before + name);
		default:
			return [];
	}
}

function machines(): string[] {
	return machineNames().map(({ name }) => name);
}

/** Without the groups of calls that the guide has a sentence for. */
function callNames(): string[] {
	return [...readGuide().calls.keys()].filter((name) => !name.includes(" "));
}

function errnosOf(): string[] {
	const rows = [...readGuide().calls.values()].flat();
	return [...new Set(rows.map(({ errno }) => errno))].sort();
}
