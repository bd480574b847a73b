export { VirtualClock } from "../src/simulation/virtualClock.ts";
