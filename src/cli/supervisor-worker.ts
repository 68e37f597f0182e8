// The supervisor's thread: the machine and the engine live here.

import { supervise } from "../host/supervisor-thread.js";
import { LineTracer } from "./line-tracer.js";
import { loadMachine } from "./machine-files.js";

supervise(
	(nameOrFile, host) => {
		const machine = loadMachine(nameOrFile);
		machine.settle = host.settle;
		return machine;
	},
	(fd) => new LineTracer(fd),
);
