/** Of all signals the one whose default is to be ignored and that nobody uses for anything else, which is why Go has chosen it, too. */
export const WAKE_UP = "SIGURG";
