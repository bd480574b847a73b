// A bundle gives a CommonJS package that is imported on demand only as `default`; this module is what is imported on
// demand, and names what it takes.
export { Liquid } from "liquidjs";
