// What is wrong with a machine description.

/** A description that can't be used: the message names the file and the field. */
export class MachineDescriptionError extends Error {}
