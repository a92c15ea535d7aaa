// While an author works, the engine tells the page to load again.

export function reloadWhenEdited(port) {
  const socket = new WebSocket(`ws://${location.hostname}:${port}/socket`);
  socket.addEventListener("message", (event) => {
    if (JSON.parse(event.data).type === "RELOAD") location.reload();
  });
  // When the engine is gone, wait for it, or for the page that says why. An address that never answered is left alone.
  socket.addEventListener("open", () => socket.addEventListener("close", () => setInterval(async () => {
    const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
    if (answer) location.reload();
  }, 1000)));
}
