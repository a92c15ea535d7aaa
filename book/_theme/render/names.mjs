// The name that Python gives an object without one of its own: what it is called, and where it lies in memory.
export const isNameless = (text) => /^<[^<>]*(?:\bobject| at 0x[0-9a-f]+)>$/.test(text.trim());
