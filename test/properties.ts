import fc from "fast-check";

// Equal runs take equal courses.
fc.configureGlobal({ seed: 20_260_101 });

export { fc };
