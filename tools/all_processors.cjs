// Preloaded into the engine of the book. It executes one chapter less at a time than there are processors, whatever
// its option says: on two, one after the other. Told of one more, it leaves none idle.
const os = require("node:os");

const processors = os.cpus;
os.cpus = () => [...processors(), ...processors().slice(0, 1)];
